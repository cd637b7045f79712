"""Write results as one self-contained HTML page: a worklist and a viewer for each scan.

Everything that comes from a file or its name goes through `html_text`. The page fetches nothing,
and runs its own script and no other: its hash stands in the content security policy.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from string import Template

from ichlite.contracts import VERSION
from ichlite.ct.header import read_headers
from ichlite.infer.bundle import Bundle
from ichlite.infer.results import (
    Analysed,
    NotAnalysed,
    ReadResult,
    ScanResult,
    by_urgency,
    not_analysed,
    not_chosen,
    shown_any,
    shown_threshold,
)
from ichlite.labels import ANY, NAMES, SUBTYPES
from ichlite.records import SliceHeader, image_name
from ichlite.write.call import badge, meter
from ichlite.write.escaping import html_text
from ichlite.write.section import (
    definitions,
    hide_identifiers,
    identity,
    items,
    place,
    scan_section,
)
from ichlite.write.study_view import Shown, show_study
from ichlite.write.triage import DISCLAIMER, decided_at, shared_folders

OPEN_SKIPPED = 8
"""Most skipped files for which their list is open at first; a longer list is folded."""

MOST_NATIVE_BYTES = 24_000_000
"""Bytes of packed pictures in a page from which further scans are shown on the 256x256 grid."""

MOST_BYTES = 60_000_000
"""Most bytes of packed pictures in a page; beyond it the least urgent scan loses its pictures."""

ASSETS = Path(__file__).resolve().parent / "viewer"
SCRIPTS = ("inflate.js", "picture.js", "pictures.js", "viewer.js", "page.js")
"""File names of the viewer's JavaScript modules; each imports only from those before it."""

_ANY_RULES = {"max": "the largest subtype", "noisy_or": "1 - ∏(1 - p) over the subtypes"}
_SCAN_RULES = {
    "max": "the highest slice",
    "top3_mean": "the mean of the three highest slices",
    "peak": "the mean of the highest slices over {mm:g} mm of head",
    "noisy_or": "what all slices say together, by the length of head that shows blood",
}


class Report:
    """An HTML report, filled scan by scan; only packed pictures of each stay in memory.

    Args:
        bundle: Bundle that judged the scans.
        identifiers: Whether the page names patients, dates, descriptions and UIDs.

    Example:
        >>> from ichlite.infer.bundle import load_bundle
        >>> page = Report(load_bundle()).page(ReadResult("b 1", (), ()))
        >>> page.startswith("<!doctype html>")
        True
    """

    def __init__(self, bundle: Bundle, *, identifiers: bool = False) -> None:
        self.bundle = bundle
        self.identifiers = identifiers
        self._shared: frozenset[str] = frozenset()
        self._shown: dict[tuple[str, str], Shown] = {}
        self._scans: list[Analysed] = []

    def add(self, scan: ScanResult) -> None:
        """Add the pictures of a scan to the report.

        Args:
            scan: Result, read with `keep_pixels`; one that was not analysed is ignored.

        Raises:
            UsageError: The scan was analysed and has no pixels.
        """
        if not isinstance(scan, Analysed):
            return
        native = self._bytes() < MOST_NATIVE_BYTES
        self._shown[scan.study, scan.series] = show_study(scan, self.bundle, native=native)
        self._scans.append(replace(scan, hu=None, activation_maps=None))
        while self._bytes() > MOST_BYTES:
            calmest = by_urgency(self._scans)[-1]
            self._scans.remove(calmest)
            key = (calmest.study, calmest.series)
            self._shown[key] = self._shown[key].without_pictures()

    def _bytes(self) -> int:
        return sum(len(shown.data) for shown in self._shown.values())

    def page(self, result: ReadResult) -> str:
        """Return the HTML page, most urgent scan first.

        Args:
            result: Result of the whole reading, whose analysed scans were all added before.
        """
        analysed = by_urgency(result.studies)
        self._shared = shared_folders(result.studies)
        scans = "".join(
            self._section(number, scan, result.warnings) for number, scan in enumerate(analysed, 1)
        )
        script = viewer_script()
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
        return Template(_asset("page.html")).substitute(
            style=_asset("page.css"),
            script=script,
            script_hash=digest,
            templates=_asset("viewer.html"),
            disclaimer=html_text(DISCLAIMER),
            version=html_text(VERSION),
            bundle=html_text(" · ".join(filter(None, [self.bundle.label, decided_at(analysed)]))),
            counts=_counts(result, analysed),
            triage=self._triage(analysed),
            unanswered=self._unanswered(result),
            skipped=_skipped(result),
            scans=scans,
            method=_method(self.bundle),
        )

    def _section(self, number: int, scan: Analysed, known: Sequence[str]) -> str:
        shown = self._shown[scan.study, scan.series]
        said = scan_section(scan, shown, self.bundle, identifiers=self.identifiers, known=known)
        name = place(scan, self._shared, folders=2)
        return (
            f'<section class="scan" id="scan-{number}" aria-labelledby="name-{number}">'
            f'<h2 id="name-{number}"><span class="rank">{number}</span>{badge(scan, self.bundle)}'
            f'<span class="place">{name}</span></h2>{said}</section>'
        )

    def _triage(self, analysed: Sequence[Analysed]) -> str:
        if not analysed:
            return '<p class="empty">No series was analysed.</p>'
        head = "".join(
            f'<th scope="col" class="num sub"><abbr title="{s.name}">'
            f'<i style="background:{s.colour}"></i>{s.abbreviation}</abbr></th>'
            for s in SUBTYPES
        )
        rows = "".join(self._triage_row(number, scan) for number, scan in enumerate(analysed, 1))
        return (
            '<table class="triage"><caption class="unseen">Worklist, most urgent first</caption>'
            '<thead><tr><th scope="col" class="num">#</th><th scope="col">call</th>'
            f'<th scope="col" class="num">any</th>{head}<th scope="col" class="num sub">slices</th>'
            f'<th scope="col">series</th></tr></thead><tbody>{rows}</tbody></table>'
        )

    def _triage_row(self, number: int, scan: Analysed) -> str:
        scores = scan.scan
        cells = "".join(
            f'<td class="num sub cell" style="--p:{scores[s.name]:.3f};--c:{s.colour}">'
            f"{scores[s.name]:.2f}</td>"
            for s in SUBTYPES
        )
        lead = max(NAMES, key=lambda name: scores[name])
        lead_words = "most like" if scan.urgent else "highest of the five:"
        who = ""
        if self.identifiers and (headers := self._shown[scan.study, scan.series].headers):
            known = (said for _, said in identity(scan, headers[0])[:3] if said)
            who = f'<span class="note">{html_text(" · ".join(known))}</span>'
        return (
            f'<tr><td class="num">{number}</td><td>{badge(scan, self.bundle)}</td>'
            f'<td class="num"><b>{shown_any(scores[ANY], scan.threshold)}</b>{meter(scan)}</td>'
            f"{cells}"
            f'<td class="num sub">{len(scan.slices)}</td>'
            f'<td class="place"><a href="#scan-{number}">{place(scan, self._shared)}</a>{who}'
            f'<span class="note lead">{lead_words} {lead} {scores[lead]:.2f}</span></td></tr>'
        )

    def _unanswered(self, result: ReadResult) -> str:
        """Return what has no result, set apart in words and looks: it is never a negative."""
        parts = []
        if result.warnings:
            parts.append(f'<ul class="remarks">{items(result.warnings)}</ul>')
        rest = not_analysed(result.studies)
        if rest:
            parts.append(
                "<h2>Not analysed</h2><p>The model has not judged these series. <b>This is not a "
                f'negative.</b></p><ul class="list">{"".join(map(self._unanswered_item, rest))}'
                "</ul>"
            )
        others = not_chosen(result.studies)
        if others:
            parts.append(
                "<h2>Not chosen</h2><p>Another series of the study was read in place of these.</p>"
                f'<ul class="list">{"".join(map(self._unanswered_item, others))}</ul>'
            )
        return f'<section class="unanswered">{"".join(parts)}</section>' if parts else ""

    def _unanswered_item(self, scan: NotAnalysed) -> str:
        lines = [*scan.reasons, *scan.notes]
        who = ""
        if self.identifiers:
            found = read_headers(scan.files[0])[0] if scan.files else None
            header = found if isinstance(found, SliceHeader) else None
            who = definitions("who", identity(scan, header))
        else:
            lines = [hide_identifiers(line, scan) for line in lines]
        count = "1 file" if len(scan.files) == 1 else f"{len(scan.files)} files"
        return (
            f'<li>{badge(scan, self.bundle)} <b class="place">{place(scan, self._shared)}</b> '
            f"({count}){who}"
            f'<ul class="reasons">{items(lines)}</ul></li>'
        )


def viewer_script() -> str:
    """Return the viewer's JavaScript modules merged into one script that needs no other file.

    An inline module cannot import another, and browsers without modules can run the script, too.
    """
    merged = "\n".join(map(plain_module, SCRIPTS))
    return f'(() => {{\n"use strict";\n{merged}}})();\n'


def plain_module(name: str) -> str:
    """Return the code of one of the viewer's JavaScript modules without its imports and exports.

    Args:
        name: File name of the module, one of `SCRIPTS`.
    """
    alone = re.sub(r"^import [^;]*;\n", "", _asset(name), flags=re.M)
    return re.sub(r"^export ", "", alone, flags=re.M)


def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8")


def _counts(result: ReadResult, analysed: Sequence[Analysed]) -> str:
    urgent = sum(bool(scan.urgent) for scan in analysed)
    parts = [f"<b>{urgent}</b> urgent of <b>{len(analysed)}</b> analysed"]
    uncleared = sum(scan.urgent is None for scan in analysed)
    if uncleared:
        parts.append(f"<b>{uncleared}</b> not cleared")
    for some, what in ((not_analysed, "not analysed"), (not_chosen, "not chosen")):
        if count := len(some(result.studies)):
            parts.append(f"<b>{count}</b> {what}")
    if result.skipped:
        parts.append(f"<b>{len(result.skipped)}</b> skipped")
    return " · ".join(parts)


def _skipped(result: ReadResult) -> str:
    if not result.skipped:
        return ""
    rows = "".join(
        f'<tr><td class="place">{html_text(image_name(file.file, file.frame))}</td>'
        f"<td>{html_text(file.reason)}</td></tr>"
        for file in result.skipped
    )
    opened = " open" if len(result.skipped) <= OPEN_SKIPPED else ""
    return (
        f'<section class="unanswered"><details{opened}><summary>Skipped files '
        f'({len(result.skipped)})</summary><div class="wide" tabindex="0" role="region" '
        f'aria-label="Skipped files"><table><tbody>{rows}</tbody></table></div></details></section>'
    )


def _method(bundle: Bundle) -> str:
    rule = bundle.rule
    weights = ", ".join(f"{weight:g}" for weight in rule.neighbour_weights)
    scan_value = _SCAN_RULES[rule.scan_rule].format(mm=rule.evidence_mm)
    return (
        f"Model {html_text(bundle.label)}: {html_text(bundle.manifest.model)}, "
        f"{html_text(bundle.manifest.precision)}. The logits of each slice are "
        "calibrated to probabilities and smoothed over neighbouring slices, never across a gap "
        f"(weights {weights}); “any” is "
        f"{_ANY_RULES[rule.any_rule]}; a scan's value is {scan_value}; a scan is "
        f"urgent from {shown_threshold(rule.threshold(ANY))} on (operating point "
        f"{html_text(bundle.operating_point.replace('_', ' '))}). A scan that "
        "is incomplete, or a child's, can be urgent and is never cleared. Files and folders are "
        "named as they were given."
    )
