"""Files that are written whole or not at all, whenever the process is killed."""

from __future__ import annotations

import json
import os
import platform
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

from ichlite.errors import IchliteError, StoreError, UsageError

PART_MARK = ".part"
LOCK_FILE = ".lock"


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A path → a name beside it to write to; it takes the path's place when the block ends well.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(target) as part:
        ...     _ = part.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    # Whoever writes has a name of its own, on storage that machines share, too; the kind of file
    # (.keras, .h5) stays last, for writers that go by it.
    writer = f"{platform.node()}.{os.getpid()}"
    part = path.with_name(f".{path.stem}.{writer}{PART_MARK}{path.suffix}")
    try:
        yield part
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_json(path: Path, document: Any) -> None:
    """Path and JSON-able document → the file."""
    with replacing(path) as part:
        text = json.dumps(document, indent=2, allow_nan=False)
        part.write_text(text + "\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    r"""Path, header and rows of text → the CSV file, lines ended by `\n`.

    Why not csv.writer: with that line end it leaves a lone `\r` bare, which reads as a line end.

    Example:
        >>> import tempfile
        >>> path = Path(tempfile.mkdtemp()) / "a.csv"
        >>> write_csv(path, ["name"], [["a,b"], ["c\r"]])
        >>> path.read_bytes()
        b'name\n"a,b"\n"c\r"\n'
    """
    with (
        replacing(path) as part,
        part.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        for row in chain([header], rows):
            file.write(",".join(map(_quoted, row)) + "\n")


def _quoted(cell: str) -> str:
    if not any(mark in cell for mark in ',"\r\n'):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


@contextmanager
def held(folder: Path, refusal: type[IchliteError] = StoreError) -> Iterator[None]:
    """Within: this process alone works in a folder; the lock ends with the process, however.

    Raises:
        IchliteError: Another process works there; of the kind `refusal`.
    """
    import fcntl

    with (folder / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise refusal(
                f"{folder} is being written by another process",
                remedy="wait for it, or name another folder",
            ) from fault
        yield


def check_place(source: Path, out: Path) -> None:
    """What is read, and the folder to write → nothing.

    Raises:
        UsageError: `out` lies inside of what is read, and would be read itself; or is a file.
    """
    inner, outer = out.resolve(), source.resolve()
    if inner == outer or outer in inner.parents:
        raise UsageError(
            f"{out} lies inside of what is read", remedy=f"name a folder outside of {source}"
        )
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is a file", expected="a folder to make")


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for part in folder.glob(f".*{PART_MARK}*"):
        with suppress(OSError):
            part.unlink()
