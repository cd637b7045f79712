"""Write results as one self-contained HTML page: no script, nothing fetched.

Everything that comes from a file or its name goes through `html_text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from string import Template

from ichlite import __version__
from ichlite.infer.bundle import Bundle
from ichlite.labels import ANY, SUBTYPES
from ichlite.records import Analysed, ReadResult, ScanResult
from ichlite.write.escaping import html_text
from ichlite.write.section import badge, items, place, scan_section
from ichlite.write.triage import (
    DISCLAIMER,
    by_urgency,
    decided_at,
    not_analysed,
    shown_any,
    shown_threshold,
)

OPEN_SKIPPED = 8
"""The list of skipped files is folded away when it is longer than this."""

_HERE = Path(__file__).resolve().parent
_ANY_RULES = {"max": "the largest subtype", "noisy_or": "1 - ∏(1 - p) over the subtypes"}
_SCAN_RULES = {
    "max": "the highest slice",
    "top3_mean": "the mean of the three highest slices",
    "noisy_or": "what all slices say together, by the length of head that shows blood",
}


class Report:
    """An HTML report, filled scan by scan: of each only its finished section stays in memory.

    Args:
        bundle: The bundle that judged.

    Example:
        >>> from ichlite.infer.bundle import load_bundle
        >>> page = Report(load_bundle()).page(ReadResult("b 1", (), ()))
        >>> page.startswith("<!doctype html>")
        True
    """

    def __init__(self, bundle: Bundle) -> None:
        self.bundle = bundle
        self._sections: dict[tuple[str, str], str] = {}

    def add(self, scan: ScanResult) -> None:
        """Add the section of a scan to the page; one that was not analysed has none.

        Raises:
            UsageError: An analysed scan without pixels.
        """
        if isinstance(scan, Analysed):
            self._sections[scan.study, scan.series] = scan_section(scan, self.bundle)

    def page(self, result: ReadResult) -> str:
        """Return the page on the result of all the scans that were added, most urgent first."""
        analysed = by_urgency(result.studies)
        scans = "".join(
            f'<section class="scan" id="scan-{number}"><h2><span class="rank">{number}</span>'
            f'{badge(scan)}<span class="place">{place(scan)}</span></h2>'
            f"{self._sections[scan.study, scan.series]}</section>"
            for number, scan in enumerate(analysed, 1)
        )
        return Template((_HERE / "report.html").read_text(encoding="utf-8")).substitute(
            style=(_HERE / "report.css").read_text(encoding="utf-8"),
            disclaimer=html_text(DISCLAIMER),
            version=html_text(__version__),
            bundle=html_text(" · ".join(filter(None, [self.bundle.label, decided_at(analysed)]))),
            counts=_counts(result, analysed),
            triage=_triage(analysed),
            unanswered=_unanswered(result),
            scans=scans,
            method=_method(self.bundle),
        )


def _counts(result: ReadResult, analysed: Sequence[Analysed]) -> str:
    urgent = sum(bool(scan.urgent) for scan in analysed)
    parts = [f"<b>{urgent}</b> urgent of <b>{len(analysed)}</b> analysed"]
    uncleared = sum(scan.urgent is None for scan in analysed)
    if uncleared:
        parts.append(f"<b>{uncleared}</b> not cleared")
    rest = len(result.studies) - len(analysed)
    if rest:
        parts.append(f"<b>{rest}</b> not analysed")
    if result.skipped:
        parts.append(f"<b>{len(result.skipped)}</b> skipped")
    return " · ".join(parts)


def _triage(analysed: Sequence[Analysed]) -> str:
    if not analysed:
        return '<p class="empty">No series was analysed.</p>'
    head = "".join(
        f'<th scope="col" class="num"><abbr title="{s.name}"><i style="background:{s.colour}"></i>'
        f"{s.abbreviation}</abbr></th>"
        for s in SUBTYPES
    )
    rows = "".join(_triage_row(number, scan) for number, scan in enumerate(analysed, 1))
    return (
        '<div class="wide"><table class="triage"><thead><tr><th scope="col" class="num">#</th>'
        '<th scope="col"></th><th scope="col">any haemorrhage</th>'
        f'{head}<th scope="col" class="num">slices</th><th scope="col">series</th></tr></thead>'
        f"<tbody>{rows}</tbody></table></div>"
    )


def _triage_row(number: int, scan: Analysed) -> str:
    scores = scan.scan
    cells = "".join(
        f'<td class="num cell" style="--p:{scores[s.name]:.3f};--c:{s.colour}">'
        f"{scores[s.name]:.2f}</td>"
        for s in SUBTYPES
    )
    total = shown_any(scores[ANY], scan.threshold)
    return (
        f'<tr><td class="num">{number}</td><td>{badge(scan)}</td>'
        f'<td class="total"><span class="bar"><span style="width:{scores[ANY]:.1%}"></span></span>'
        f'<b>{total}</b></td>{cells}<td class="num">{len(scan.slices)}</td>'
        f'<td class="place"><a href="#scan-{number}">{place(scan)}</a></td></tr>'
    )


def _unanswered(result: ReadResult) -> str:
    """Return what has no result, set apart in words and looks: it is never a negative."""
    parts = []
    if result.warnings:
        parts.append(f'<ul class="remarks">{items(result.warnings)}</ul>')
    rest = not_analysed(result.studies)
    if rest:
        listed = "".join(
            f'<li>{badge(scan)} <b class="place">{place(scan)}</b>'
            f'<ul class="reasons">{items(scan.reasons)}{items(scan.notes)}</ul>'
            f'<p class="uid">{_files(len(scan.files))}, series {html_text(scan.series)}</p></li>'
            for scan in rest
        )
        parts.append(
            "<h2>Not analysed</h2><p>The model has not judged these series. <b>This is not a "
            f'negative.</b></p><ul class="list">{listed}</ul>'
        )
    if result.skipped:
        rows = "".join(
            f'<tr><td class="place">{html_text(file.file)}</td>'
            f"<td>{html_text(file.reason)}</td></tr>"
            for file in result.skipped
        )
        opened = " open" if len(result.skipped) <= OPEN_SKIPPED else ""
        parts.append(
            f"<details{opened}><summary>Skipped files ({len(result.skipped)})</summary>"
            f'<div class="wide"><table><tbody>{rows}</tbody></table></div></details>'
        )
    return f'<section class="unanswered">{"".join(parts)}</section>' if parts else ""


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _method(bundle: Bundle) -> str:
    rule = bundle.rule
    weights = ", ".join(f"{weight:g}" for weight in rule.neighbour_weights)
    return (
        f"Model {html_text(bundle.label)}: {html_text(bundle.manifest.model)}, "
        f"{html_text(bundle.manifest.precision)}. The logits of each slice are "
        "calibrated to probabilities and smoothed over neighbouring slices, never across a gap "
        f"(weights {weights}); “any” is "
        f"{_ANY_RULES[rule.any_rule]}; a scan's value is {_SCAN_RULES[rule.scan_rule]}; a scan is "
        f"urgent from {shown_threshold(rule.threshold(ANY))} on (operating point "
        f"{html_text(bundle.operating_point.replace('_', ' '))}). A scan that is incomplete, or a "
        "child's, can be urgent and is never cleared."
    )
