"""Write text to a file whole or not at all, and check where a report may go."""

from __future__ import annotations

import errno
import os
import stat
import tempfile
from collections.abc import Iterable
from pathlib import Path

from ichlite.errors import IchliteError, UsageError
from ichlite.records import ReadResult

BROKEN = "backslashreplace"
"""How bytes of file names that are no UTF-8 are written."""


def write_text(path: Path, text: str) -> None:
    """Write text to a file whole, or leave what was there as it was.

    The text goes into a temporary file beside the target, which is renamed when complete, so that
    nobody ever sees half a report, and a full disk or an interrupt leaves no trace. A file that
    was there keeps its permissions; through a symbolic link its target is written; what is no
    regular file (a device, a pipe, this process' own output) is written straight into.

    Args:
        path: The file to write; its folder must exist.
        text: Written as UTF-8.

    Raises:
        IchliteError: The folder does not exist, the disk is full, or writing is not allowed.
    """
    try:
        there = _stat(path)
        if there is not None and (stream := _own_stream(there)) is not None:
            _write(os.dup(stream), text)
        elif there is not None and not stat.S_ISREG(there.st_mode):
            _write(os.open(path, os.O_WRONLY), text)
        else:
            _replace(Path(os.path.realpath(path)), text, there)
    except (OSError, ValueError) as error:
        # A ValueError is a path that no file can have, such as one with a null character.
        found = error.strerror if isinstance(error, OSError) else str(error)
        raise IchliteError(f"cannot write {path}", found=found) from error


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
        there = _stat(path)
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
    there = _stat(path)
    if there is None or not stat.S_ISREG(there.st_mode):
        return False
    files = [file for scan in result.studies for file in scan.files]
    files += [skipped.file for skipped in result.skipped]
    found = (_stat(Path(file)) for file in files)
    return any(one is not None and os.path.samestat(one, there) for one in found)


def _stat(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _own_stream(there: os.stat_result) -> int | None:
    """Return the descriptor of stdout or stderr if it is the file, which must not be replaced."""
    for descriptor in (1, 2):
        try:
            if os.path.samestat(os.fstat(descriptor), there):
                return descriptor
        except OSError:
            continue
    return None


def _replace(target: Path, text: str, there: os.stat_result | None) -> None:
    if there is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
    descriptor, temporary = tempfile.mkstemp(prefix=".ichlite-", dir=target.parent)
    try:
        _write(descriptor, text)
        # mkstemp gives 0600; a report is as readable as any other new file.
        mode = 0o666 & ~_umask() if there is None else stat.S_IMODE(there.st_mode)
        Path(temporary).chmod(mode)
        Path(temporary).replace(target)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def _write(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8", errors=BROKEN, newline="") as file:
        file.write(text)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
