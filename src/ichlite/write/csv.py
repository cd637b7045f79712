"""Write results as CSV: one row per slice, and one for each thing not analysed."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from ichlite.labels import CLASSES
from ichlite.records import ReadResult, ScanResult
from ichlite.write.escaping import printable

COLUMNS = (
    "study",
    "series",
    "status",
    "urgent",
    "file",
    "position_mm",
    *CLASSES,
    "reason",
    "complete",
    "operating_point",
    "threshold",
)
_FORMULA_STARTS = ("=", "+", "-", "@")


def to_csv(result: ReadResult) -> str:
    """Return a result as comma-separated text, probabilities with six decimals.

    A series that was not analysed, and a skipped file, has one row with a reason and no
    probabilities: an empty cell is never a negative.

    Example:
        >>> print(to_csv(ReadResult("b 1", (), ())), end="")
        study,series,status,urgent,file,position_mm,any,epidural,...,subdural,reason,...
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for scan in result.studies:
        writer.writerows(_rows(scan))
    for file in result.skipped:
        writer.writerow(
            {"status": "skipped", "file": _cell(file.file), "reason": _cell(file.reason)}
        )
    return text.getvalue()


def _rows(scan: ScanResult) -> Iterator[dict[str, str]]:
    common = {
        "study": _cell(scan.study),
        "series": _cell(scan.series),
        "status": scan.status,
        "urgent": "" if scan.urgent is None else str(scan.urgent).lower(),
        "reason": _cell(" | ".join(scan.reasons)),
        "complete": "" if scan.complete is None else str(scan.complete).lower(),
        "operating_point": scan.operating_point or "",
        "threshold": "" if scan.threshold is None else f"{scan.threshold:.6f}",
    }
    if not scan.slices:
        yield common
    for scores in scan.slices:
        position_mm = scores.position_mm
        yield common | {
            "file": _cell(scores.file),
            "position_mm": "" if position_mm is None else f"{position_mm:.3f}",
            **{name: f"{scores.probabilities[name]:.6f}" for name in CLASSES},
        }


def _cell(text: str) -> str:
    """Return text from a file or its name printable, and no formula to a spreadsheet."""
    shown = printable(text)
    # A tab or line break at the start has become a space, which a spreadsheet may strip.
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown
