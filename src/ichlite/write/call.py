"""Write a scan's call for the HTML report: what it is, how sure, and how good such calls were."""

from __future__ import annotations

from msgspec import UNSET

from ichlite.infer.bundle import Bundle
from ichlite.infer.results import (
    Analysed,
    NotAnalysed,
    ScanResult,
    shown_any,
    shown_threshold,
    verdict,
)
from ichlite.labels import ANY
from ichlite.write.escaping import html_text

STRICTEST = "high_specificity"
"""Name of the operating point with the highest threshold, which the fewest scans reach."""


def decision(scan: Analysed, bundle: Bundle) -> str:
    """Return the HTML sentences with a scan's probability of `any`, its threshold and its call.

    Args:
        scan: Result of the scan.
        bundle: Bundle that judged it.
    """
    point = html_text(scan.operating_point.replace("_", " "))
    reached = scan.scan[ANY] >= scan.threshold
    total = f"<b>{shown_any(scan.scan[ANY], scan.threshold)}</b>"
    call = "" if scan.not_cleared or scan.urgent else " That is no all-clear."
    if scan.urgent is None:
        call = " It is not cleared, for the reason below."
    elif is_borderline(scan, bundle):
        strict = shown_threshold(bundle.operating_points[STRICTEST][ANY])
        call = f" Borderline: at “{STRICTEST.replace('_', ' ')}” it is urgent from {strict} on."
    return (
        f"Probability of any haemorrhage in this scan: {total}, {'over' if reached else 'under'} "
        f"the threshold of {shown_threshold(scan.threshold)} (operating point “{point}”).{call}"
    )


def is_borderline(scan: ScanResult, bundle: Bundle) -> bool:
    """Return whether a scan is urgent but would not be at the operating point `STRICTEST`.

    Args:
        scan: Result of the scan; one that was not analysed gives False.
        bundle: Bundle that judged it, with its operating points.
    """
    strict = bundle.operating_points.get(STRICTEST, {}).get(ANY)
    return (
        isinstance(scan, Analysed)
        and bool(scan.urgent)
        and strict is not None
        and scan.scan[ANY] < strict
    )


def meter(scan: Analysed) -> str:
    """Return an HTML bar of a scan's probability of `any`, with a mark at its threshold.

    Screen readers skip it: the numbers stand beside it.
    """
    values = f"--p:{scan.scan[ANY]:.3f};--t:{scan.threshold:.3f}"
    return f'<span class="meter" style="{values}" aria-hidden="true"></span>'


def record_line(bundle: Bundle) -> str:
    """Return an HTML paragraph with the operating point's sensitivity and false alarms.

    They were measured out of fold, on scans that the model had not seen; the text is empty where
    the bundle's manifest does not state them.
    """
    evidence = bundle.manifest.decision.evidence
    if evidence is UNSET:
        return ""
    points = evidence.points.items()
    point = next((one for name, one in points if name == bundle.operating_point), None)
    if point is None:
        return ""
    found, cleared = point.nested.sensitivity, point.nested.specificity
    return (
        f'<p class="record">On {evidence.data.scans} scans that the model had not seen, a '
        f"threshold chosen like this flagged {found.value:.0%} of those that bleed "
        f"({found.low:.0%} to {found.high:.0%}) and {1 - cleared.value:.0%} of the others "
        f"({1 - cleared.high:.0%} to {1 - cleared.low:.0%}).</p>"
    )


def badge(scan: ScanResult, bundle: Bundle) -> str:
    """Return an HTML badge that names the triage category of a result, in words and by colour.

    Args:
        scan: Result of the series.
        bundle: Bundle that judged it, for borderline scans.
    """
    words = verdict(scan)
    forced = " forced" if words.endswith("forced") else ""
    if isinstance(scan, NotAnalysed):
        look = "none"
    elif scan.urgent:
        look = "urgent"
    else:
        look = "uncleared" if scan.urgent is None else "unflagged"
    if is_borderline(scan, bundle):
        look, words = "urgent borderline", f"{words}, borderline"
    return f'<span class="badge {look}{forced}">{words}</span>'
