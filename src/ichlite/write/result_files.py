"""Write results as CSV and as JSON, and check where the reports of a reading may go."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from ichlite.atomic_files import stat_of
from ichlite.ct.header import OWN_REPORT, is_own_report
from ichlite.errors import UsageError
from ichlite.infer.results import ReadResult, ScanResult
from ichlite.labels import CLASSES
from ichlite.write.escaping import printable, unicode_document

COLUMNS = (
    "study", "series", "status", "urgent", "file", "position_mm", *CLASSES, "reason", "complete",
    "operating_point", "threshold", "frame",
)  # fmt: skip
"""Of the CSV file."""
_FORMULA_STARTS = ("=", "+", "-", "@")


def check_outputs(paths: Iterable[str], outputs: Iterable[tuple[str, Path | None]]) -> None:
    """Check, before any work, that outputs can be written and overwrite no input or each other.

    Args:
        paths: Files and folders that will be read.
        outputs: Option and path, None where the option was not given.

    Raises:
        UsageError: An output is `-`, one of the inputs, the other output, or a folder; it is there
            among the inputs and no report of ichlite; its folder is missing or not writable.
    """
    inputs = {os.path.realpath(path): path for path in paths}
    taken = {place: f"input {path}" for place, path in inputs.items()}
    for option, path in outputs:
        if path is None:
            continue
        if str(path) == "-":
            raise UsageError(f"{option} - is not offered", remedy="for stdout use --json")
        there = stat_of(path)
        if there is not None and not stat.S_ISREG(there.st_mode) and not path.is_dir():
            continue
        place = os.path.realpath(path)
        if place in taken:
            raise UsageError(
                f"{option} would overwrite the {taken[place]}", remedy="give another name"
            )
        taken[place] = f"output of {option}"
        _check_place(option, path)
        below = any(Path(place).is_relative_to(folder) for folder in inputs)
        if below and there is not None and not _is_report(path):
            raise UsageError(
                f"{option} {path} is a file in a folder that is read, and no report of ichlite",
                remedy="give another name",
            )


def _check_place(option: str, path: Path) -> None:
    """Refuse a folder, and a place in a folder that is missing or cannot be written."""
    folder = path.resolve().parent
    if path.is_dir():
        raise UsageError(f"{option} {path} is a folder", expected="a file")
    if not folder.is_dir():
        raise UsageError(
            f"{option} {path} cannot be written: its folder does not exist", remedy="make it first"
        )
    if not os.access(folder, os.W_OK):
        raise UsageError(f"{option} {path} cannot be written: its folder is read-only")


def _is_report(path: Path) -> bool:
    """Return whether a file is a report of ichlite, which a new one may replace."""
    with path.open("rb") as file:
        return is_own_report(file.read(4096))


def is_input(path: Path, result: ReadResult) -> bool:
    """Return whether an output is one of the files that a result is about."""
    there = stat_of(path)
    if there is None or not stat.S_ISREG(there.st_mode):
        return False
    files = [file for scan in result.studies for file in scan.files]
    files += [one.file for one in result.skipped if one.reason != OWN_REPORT]
    found = (stat_of(Path(file)) for file in files)
    return any(one is not None and os.path.samestat(one, there) for one in found)


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
            {
                "status": "skipped",
                "file": _cell(file.file),
                "reason": _cell(file.reason),
                "frame": _number(file.frame),
            }
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
            "frame": _number(scores.frame),
            "position_mm": "" if position_mm is None else f"{position_mm:.3f}",
            **{name: f"{scores.probabilities[name]:.6f}" for name in CLASSES},
        }


def _number(frame: int | None) -> str:
    return "" if frame is None else str(frame)


def _cell(text: str) -> str:
    """Return text from a file or its name printable, and no formula to a spreadsheet."""
    shown = printable(text)
    # A tab or line break at the start has become a space, which a spreadsheet may strip.
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown


def to_json(result: ReadResult) -> str:
    r"""Return the document of a result as text, in ASCII alone.

    File names may be any bytes; those that are no UTF-8 come out as the text `\xe9`.

    Raises:
        ValueError: A number is NaN or infinite, which JSON cannot say.
    """
    document = unicode_document(result.to_dict())
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
