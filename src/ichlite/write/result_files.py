"""Write results as CSV and as JSON, and check where the reports of a reading may go."""

from __future__ import annotations

import csv
import io
import json
import os
import stat
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from pathlib import Path

from ichlite.atomic_files import check_folder, check_place, stat_of, write_text
from ichlite.ct.header import OWN_REPORT, is_own_report
from ichlite.errors import IchliteError, UsageError
from ichlite.infer.results import ReadResult, ScanResult, by_urgency, study_of, verdict
from ichlite.labels import CLASSES
from ichlite.write.escaping import printable, unicode_document
from ichlite.write.triage import common_folder, shared_folders

COLUMNS = (
    "study", "series", "status", "urgent", "file", "position_mm", *CLASSES, "reason", "complete",
    "operating_point", "threshold", "frame",
)  # fmt: skip
"""Columns of the CSV file of slices."""

STUDY_COLUMNS = (
    "study", "series", "status", "urgent", "file", "call", *CLASSES, "threshold",
    "operating_point", "complete", "slices", "all_series", "reason", "note",
)  # fmt: skip
"""Columns of the CSV file of studies; the first five are those of `COLUMNS`, by which both files
are recognised as reports of ichlite."""

_FORMULA_STARTS = ("=", "+", "-", "@")


def check_outputs(paths: Iterable[str], outputs: Iterable[tuple[str, Path | None]]) -> None:
    """Check, before any work, that outputs can be written and overwrite no input or each other.

    Args:
        paths: Files and folders that will be read.
        outputs: Name of an option and its path, or None where the option was not given.

    Raises:
        UsageError: An output is `-`, one of the inputs, another output, or a folder; it would
            replace a file in an input folder that is no report of ichlite; or its folder is
            missing.
        IchliteError: The folder of an output cannot be written.
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


def check_output_folder(paths: Iterable[str], folder: Path | None) -> None:
    """Check, before any work, that an output folder can be written and is not among the inputs.

    Args:
        paths: Files and folders that will be read.
        folder: Output folder, made if it is missing; None where there is none to check.

    Raises:
        UsageError: The folder is a file, or lies in a folder that is read.
        IchliteError: The folder cannot be made or written.
    """
    if folder is not None:
        for path in paths:
            check_place(Path(path), folder)
        check_folder(folder)


def _check_place(option: str, path: Path) -> None:
    """Refuse a folder, and a place in a folder that is missing or cannot be written."""
    folder = path.resolve().parent
    there = stat_of(path)
    if there is not None and stat.S_ISDIR(there.st_mode):
        raise UsageError(f"{option} {path} is a folder", expected="a file")
    if not folder.is_dir():
        raise UsageError(
            f"{option} {path} cannot be written: its folder does not exist", remedy="make it first"
        )
    check_folder(folder)


def _is_report(path: Path) -> bool:
    """Return whether a file is a report of ichlite, which a new one may replace."""
    with path.open("rb") as file:
        return is_own_report(file.read(4096))


def is_input(path: Path, result: ReadResult) -> bool:
    """Return whether an output path is one of the files that a result was read from.

    Args:
        path: Path of the output.
        result: Result of the reading; earlier reports among its skipped files do not count.
    """
    there = stat_of(path)
    if there is None or not stat.S_ISREG(there.st_mode):
        return False
    files = [file for scan in result.studies for file in scan.files]
    files += [one.file for one in result.skipped if one.reason != OWN_REPORT]
    found = (stat_of(Path(file)) for file in files)
    return any(one is not None and os.path.samestat(one, there) for one in found)


def write_report(path: Path, make: Callable[[], str], result: ReadResult) -> None:
    """Write a report to a file, whole or not at all, and never over one of its input files.

    Args:
        path: File to write.
        make: Function that returns the text of the report; not called where `path` is an input.
        result: Result that the report is about.

    Raises:
        IchliteError: `path` is one of the input files, or cannot be written.
    """
    if is_input(path, result):
        raise IchliteError(
            f"{path} is one of the input files and was left as it is", remedy="give another name"
        )
    write_text(path, make())


def to_csv(result: ReadResult) -> str:
    """Format a result as CSV with one row for each slice, probabilities with six decimals.

    A series that was not analysed, and a skipped file, has one row with a reason and no
    probabilities: an empty cell is never a negative.

    Args:
        result: Result of a reading.

    Returns:
        The text, with the columns `COLUMNS`.

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
                "file": safe_cell(file.file),
                "reason": safe_cell(file.reason),
                "frame": _number(file.frame),
            }
        )
    return text.getvalue()


def to_studies_csv(result: ReadResult) -> str:
    """Format a result as CSV with one row for each study.

    The row is that of the series that was analysed, of the most urgent where there are several;
    where none was, of the first, with the reasons of all. A file that may be CT and was not read
    has a row of its own: it may be a study that is missing here.

    Args:
        result: Result of a reading.

    Returns:
        The text, with the columns `STUDY_COLUMNS`.

    Example:
        >>> print(to_studies_csv(ReadResult("b 1", (), ())), end="")
        study,series,status,urgent,file,call,any,...,complete,slices,all_series,reason,note
    """
    text = io.StringIO()
    writer = csv.DictWriter(text, STUDY_COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    shared = shared_folders(result.studies)
    studies: dict[tuple[str, int], list[ScanResult]] = {}
    for scan in result.studies:
        studies.setdefault(study_of(scan), []).append(scan)
    for members in studies.values():
        writer.writerow(_study_row(members, shared))
    for file in result.skipped:
        if file.may_be_ct:
            writer.writerow(
                {
                    "status": "skipped",
                    "file": safe_cell(file.file),
                    "reason": safe_cell(file.reason),
                }
            )
    return text.getvalue()


def _study_row(members: list[ScanResult], shared: Container[str]) -> dict[str, str]:
    """Return the row of a study by the results of its series."""
    answers = by_urgency(members)
    scan = answers[0] if answers else members[0]
    reasons = scan.reasons if answers else [why for one in members for why in one.reasons]
    row = _common(scan) | {
        "file": safe_cell(common_folder(scan, shared)),
        "call": verdict(scan),
        "slices": str(len(scan.slices)),
        "all_series": str(len(members)),
        "reason": safe_cell(" | ".join(dict.fromkeys(reasons))),
        "note": safe_cell(" | ".join(scan.notes)),
    }
    return row | ({} if scan.scan is None else _numbers(scan.scan))


def _numbers(probabilities: Mapping[str, float]) -> dict[str, str]:
    return {name: f"{probabilities[name]:.6f}" for name in CLASSES}


def _rows(scan: ScanResult) -> Iterator[dict[str, str]]:
    common = _common(scan)
    if not scan.slices:
        yield common
    for scores in scan.slices:
        position_mm = scores.position_mm
        yield common | {
            "file": safe_cell(scores.file),
            "frame": _number(scores.frame),
            "position_mm": "" if position_mm is None else f"{position_mm:.3f}",
            **_numbers(scores.probabilities),
        }


def _number(frame: int | None) -> str:
    return "" if frame is None else str(frame)


def _common(scan: ScanResult) -> dict[str, str]:
    return {
        "study": safe_cell(scan.study),
        "series": safe_cell(scan.series),
        "status": scan.status,
        "urgent": "" if scan.urgent is None else str(scan.urgent).lower(),
        "reason": safe_cell(" | ".join(scan.reasons)),
        "complete": "" if scan.complete is None else str(scan.complete).lower(),
        "operating_point": scan.operating_point or "",
        "threshold": "" if scan.threshold is None else f"{scan.threshold:.6f}",
    }


def safe_cell(text: str) -> str:
    """Return untrusted text printable and so that no spreadsheet takes it for a formula.

    Example:
        >>> safe_cell("=1+1")
        "'=1+1"
    """
    shown = printable(text)
    # A tab or line break at the start has become a space, which a spreadsheet may strip.
    return f"'{shown}" if shown.lstrip().startswith(_FORMULA_STARTS) else shown


def to_json(result: ReadResult) -> str:
    r"""Format a result as the JSON document of `ichlite read --json`, in ASCII.

    Bytes of a file name that are not UTF-8 become the text `\xe9`.

    Raises:
        ValueError: A number is NaN or infinite, which JSON does not have.
    """
    document = unicode_document(result.to_dict())
    return json.dumps(document, indent=2, allow_nan=False) + "\n"
