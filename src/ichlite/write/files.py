"""Check where the reports of a reading may go."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ichlite.atomic_files import stat_of
from ichlite.ct.header import OWN_REPORT, is_own_report
from ichlite.errors import UsageError
from ichlite.records import ReadResult


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
