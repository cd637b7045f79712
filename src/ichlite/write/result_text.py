"""Say a result in the lines that its DICOM objects carry."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ichlite.infer.results import (
    Analysed,
    ScanResult,
    shown_any,
    shown_threshold,
    verdict,
)
from ichlite.labels import ANY
from ichlite.write.escaping import printable
from ichlite.write.findings import Finding
from ichlite.write.section import hide_identifiers
from ichlite.write.triage import remarks

UNANSWERED = "Not analysed. This is not a negative."


def headline(scan: ScanResult) -> str:
    """Return the triage category of a result as a headline in capitals.

    Example:
        >>> from ichlite.infer.results import NotAnalysed
        >>> headline(NotAnalysed(study="1", series="2", files=(), reasons=("a chest",)))
        'NOT ANALYSED'
    """
    return verdict(scan).upper() if isinstance(scan, Analysed) else "NOT ANALYSED"


def call_lines(scan: ScanResult) -> tuple[str, ...]:
    """Return the sentences that state a result's call, its probability of `any` and its threshold.

    Args:
        scan: Result of the series; one that was not analysed has the single line `UNANSWERED`.
    """
    if not isinstance(scan, Analysed):
        return (UNANSWERED,)
    point = scan.operating_point.replace("_", " ")
    reaches = "reaches" if scan.scan[ANY] >= scan.threshold else "is below"
    lines = [
        f"Call: {verdict(scan)}.",
        f"Probability of any haemorrhage {shown_any(scan.scan[ANY], scan.threshold)}: {reaches} "
        f"{shown_threshold(scan.threshold)}, from which a scan is urgent at the operating point "
        f"{point}.",
    ]
    if scan.urgent is None:
        lines.append("The scan is not cleared.")
    elif not scan.urgent:
        lines.append("That is no all-clear.")
    return tuple(lines)


def reason_lines(scans: Sequence[ScanResult]) -> tuple[str, ...]:
    """Return the reasons and remarks of results, without UIDs and paths, each line once.

    The reasons say why a scan is not cleared or a study was not analysed. UIDs and local paths are
    replaced by `…`, as the objects leave this machine.

    Args:
        scans: One scan that was analysed, or all series of a study of which none was.
    """
    lines: dict[str, None] = {}
    for scan in scans:
        said = remarks(scan) if isinstance(scan, Analysed) else (*scan.reasons, *scan.notes)
        files = (*scan.files, *(one.file for one in scan.left_out))
        paths = {*files, *(str(Path(file).parent) for file in files)} - {"."}
        for line in said:
            shown = hide_identifiers(line, scan)
            for path in sorted(paths, key=len, reverse=True):
                shown = shown.replace(path, "…")
            lines[printable(shown)] = None
    return tuple(lines)


def finding_line(finding: Finding, scan: Analysed) -> str:
    """Describe a finding in one line: probability against threshold, and the slice to look at.

    Args:
        finding: Finding, from `findings_of`.
        scan: Result that it is of.
    """
    reached = finding.probability >= finding.threshold
    compared = (
        f"{four_decimals(finding.probability, up=reached):.4f} "
        f"{'reaches' if reached else 'is below'} {four_decimals(finding.threshold, up=True):.4f}"
    )
    why = {
        "present": "",
        "absent": " No all-clear.",
        "undetermined": " The scan cannot be cleared." if scan.urgent is None else " Undetermined.",
    }[finding.presence]
    return f"{finding.name}: {compared}. Most likely in slice {finding.slice_index + 1}.{why}"


def shown_probability(finding: Finding) -> str:
    """Format a finding's probability with two decimals that never contradict its threshold.

    That of `any` is formatted as in every other report (`shown_any`); a subtype's is rounded as
    usual unless that would contradict its threshold.
    """
    usual = f"{finding.probability:.2f}"
    reached = finding.probability >= finding.threshold
    agrees = (float(usual) >= float(shown_threshold(finding.threshold))) is reached
    if finding.name != ANY and agrees:
        return usual
    return shown_any(finding.probability, finding.threshold)


def four_decimals(value: float, *, up: bool) -> float:
    """Round a probability or threshold up or down to four decimals.

    Args:
        value: Number in [0, 1].
        up: Whether to round up, as thresholds and values that reach them are; else down. So the
            rounded numbers never contradict the call.

    Example:
        >>> four_decimals(0.42121, up=True), four_decimals(0.42129, up=False)
        (0.4213, 0.4212)
    """
    steps = round(10_000 * value, 6)
    return (math.ceil(steps) if up else math.floor(steps)) / 10_000
