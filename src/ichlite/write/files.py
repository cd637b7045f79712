"""Check where the reports of a reading may go."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from pathlib import Path

from ichlite.atomic_files import stat_of
from ichlite.errors import UsageError
from ichlite.records import ReadResult


def check_outputs(paths: Iterable[str], outputs: Iterable[tuple[str, Path | None]]) -> None:
    """Check that no output of a command would overwrite an input or another output.

    Args:
        paths: Files and folders that will be read.
        outputs: Option and path, None where the option was not given.

    Raises:
        UsageError: An output is `-`, one of the inputs, or the other output.
    """
    taken = {os.path.realpath(path): f"input {path}" for path in paths}
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


def is_input(path: Path, result: ReadResult) -> bool:
    """Return whether an output is one of the files that a result is about."""
    there = stat_of(path)
    if there is None or not stat.S_ISREG(there.st_mode):
        return False
    files = [file for scan in result.studies for file in scan.files]
    files += [skipped.file for skipped in result.skipped]
    found = (stat_of(Path(file)) for file in files)
    return any(one is not None and os.path.samestat(one, there) for one in found)
