"""Write files and folders whole or not at all, however the process ends.

What is written goes to a name of its own beside its place and is renamed when it is complete, so
that nobody ever sees half of it, and a full disk or an interrupt leaves no trace. Nothing here
changes the process (its umask, its folder): any number of threads and processes may write at once.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
import stat
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from ichlite.errors import IchliteError, StoreError, UsageError

PART_MARK = ".part"
LOCK_FILE = ".lock"
BROKEN = "backslashreplace"
"""How bytes of file names that are no UTF-8 are written."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a name beside a path to write to; the file takes the path's place if all went well.

    Raises:
        OSError: The disk is full, or the folder cannot be written; it names `path`.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "a.txt"
        >>> with replacing(target) as part:
        ...     _ = part.write_text("whole")
        >>> target.read_text()
        'whole'
    """
    # Nobody else has this name, on storage that machines share, too; the kind of file (.keras, .h5)
    # stays last, for writers that go by it. The writer makes the file, and so by the umask.
    part = path.with_name(f".{os.urandom(8).hex()}{PART_MARK}{path.suffix}")
    try:
        yield part
        _to_disk(part)
        part.replace(path)
        _to_disk(path.parent)
    except OSError as fault:
        if fault.errno is not None and fault.filename in (None, os.fspath(part)):
            fault.filename = os.fspath(path)
        raise
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


@contextmanager
def replacing_folder(path: Path) -> Iterator[Path]:
    """Yield a new folder to fill; it takes the path's place if all went well.

    Args:
        path: Nothing, or an empty folder. What an earlier process left beside it goes.

    Raises:
        UsageError: A file is there, or a folder that is not empty.
        IchliteError: Nothing can be written there.

    Example:
        >>> import tempfile
        >>> target = Path(tempfile.mkdtemp()) / "study"
        >>> with replacing_folder(target) as part:
        ...     _ = (part / "a.txt").write_text("whole")
        >>> [file.name for file in target.iterdir()]
        ['a.txt']
    """
    check_folder(path)
    check_empty(path)
    part = path.with_name(path.name + PART_MARK)
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    try:
        yield part
        part.replace(path)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise


def _to_disk(path: Path) -> None:
    """Wait until a file, or the names in a folder, would survive a power cut."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_text(path: Path, text: str) -> None:
    """Write text to a file, whole, or leave what was there as it was.

    A file that was there keeps its permissions; through a symbolic link its target is written; what
    is no regular file (a device, a pipe, this process' own output) is written straight into.

    Args:
        path: The file; its folder must exist.
        text: Written as UTF-8.

    Raises:
        IchliteError: The folder does not exist, the disk is full, or writing is not allowed.
    """
    try:
        there = stat_of(path)
        if there is not None and (stream := _own_stream(there)) is not None:
            _write(os.dup(stream), text)
        elif there is not None and not stat.S_ISREG(there.st_mode):
            _write(os.open(path, os.O_WRONLY), text)
        else:
            if there is not None and not os.access(path, os.W_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
            with replacing(Path(os.path.realpath(path))) as part:
                mode = 0o666 if there is None else 0o600  # nobody reads what was private
                _write(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), text)
                if there is not None:
                    part.chmod(stat.S_IMODE(there.st_mode))
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from error


def unwritable(path: Path, fault: OSError | ValueError) -> IchliteError:
    """Return the error that says why nothing could be written, and what to do about a full disk.

    Args:
        path: File or folder that was to be written.
        fault: What the system said. A ValueError is about a path that no file can have, such as one
            with a null character.
    """
    why = fault.strerror if isinstance(fault, OSError) else fault
    return IchliteError(f"cannot write {path}: {why}", remedy=remedy_of(fault))


def remedy_of(fault: OSError | ValueError, otherwise: str | None = None) -> str | None:
    """Return what to do about output that could not be written.

    Args:
        fault: What the system said.
        otherwise: What to do unless the disk is full.

    Example:
        >>> remedy_of(OSError(errno.ENOSPC, "No space left on device"))
        'free disk space or name another disk'
    """
    full = isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT)
    return "free disk space or name another disk" if full else otherwise


def stat_of(path: Path) -> os.stat_result | None:
    """Return a file's status (`os.stat`); None where there is none or it may not be looked at."""
    try:
        return path.stat()
    except (OSError, ValueError):
        return None


def _own_stream(there: os.stat_result) -> int | None:
    """The descriptor of stdout or stderr if that is the file: renaming would tear it from them."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), there):
                return descriptor
    return None


def _write(descriptor: int, text: str) -> None:
    with os.fdopen(descriptor, "w", encoding="utf-8", errors=BROKEN, newline="") as file:
        file.write(text)


def write_json(path: Path, document: Any) -> None:
    """Write a document to a JSON file, whole or not at all; records in it become objects."""
    text = json.dumps(document, indent=2, allow_nan=False, default=msgspec.to_builtins)
    with replacing(path) as part:
        part.write_text(text + "\n", encoding="utf-8")


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    r"""Write a header and rows of text to a CSV file, lines ended by `\n`, whole or not at all.

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
        part.open("w", newline="", encoding="utf-8", errors=BROKEN) as file,
    ):
        for row in chain([header], rows):
            file.write(",".join(map(_quoted, row)) + "\n")


def _quoted(cell: str) -> str:
    if not any(mark in cell for mark in ',"\r\n'):
        return cell
    doubled = cell.replace('"', '""')
    return f'"{doubled}"'


@contextmanager
def held(
    folder: Path,
    refusal: type[IchliteError] = StoreError,
    *,
    busy: str = "{} is being written by another process",
) -> Iterator[None]:
    """Let this process alone work in a folder; the lock ends with the process, however that ends.

    Args:
        folder: Folder, which will hold the file of the lock.
        refusal: Kind of error that says that another process works there.
        busy: What that error says, with `{}` for the folder.

    Raises:
        IchliteError: Another process works there; of the kind `refusal`.
    """
    import fcntl

    with (folder / LOCK_FILE).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as fault:
            raise refusal(
                busy.format(folder),
                remedy="wait for it, or name another folder",
            ) from fault
        yield


def check_place(source: Path, out: Path) -> None:
    """Raise unless a folder to write lies outside of what is read.

    Raises:
        UsageError: `out` lies inside of what is read, and would be read itself; or is a file.
        IchliteError: `out` cannot be written.
    """
    inner, outer = out.resolve(), source.resolve()
    if inner == outer or outer in inner.parents:
        where = (
            "is the input itself" if inner == outer else f"lies inside the input folder {source}"
        )
        raise UsageError(f"the output folder {out} {where}", remedy="name another folder")
    check_folder(out)


def check_folder(out: Path) -> None:
    """Check, before the work, that a folder can be made, or written into where it is there.

    What no machine could do is wrong usage (exit code 2); what this one does not let this process
    do has failed (exit code 1).

    Raises:
        UsageError: The folder, or one that it is to be made in, is a file.
        IchliteError: No file can be made there: rights, a read-only or a full disk.
    """
    there = next(one for one in (out, *out.absolute().parents) if one.exists())
    if not there.is_dir():
        raise UsageError(
            f"{there} is a file, not a folder", remedy="name a folder; it is made if it is missing"
        )
    try:  # rights alone do not tell: a disk may be read-only, a system folder take no files
        with tempfile.TemporaryFile(dir=there):
            pass
    except OSError as fault:
        raise IchliteError(
            f"no file can be created in {there}: {fault.strerror}",
            remedy=remedy_of(fault, "name a folder that you may write to"),
        ) from None


def check_empty(out: Path) -> None:
    """Check that a folder is new or empty.

    Raises:
        UsageError: Something is in it.
    """
    if out.exists() and any(out.iterdir()):
        raise UsageError(
            f"{out} is not empty",
            found=min(one.name for one in out.iterdir()),
            expected="a new or empty folder",
            remedy="name another folder",
        )


def check_file(path: Path) -> None:
    """Check, before the work, that a file can be written; its folder is not made.

    Raises:
        UsageError: It is a folder, or its folder is missing.
        IchliteError: No file can be made there.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", expected="a file to write")
    if not path.absolute().parent.is_dir():
        raise UsageError(f"{path} is to be in a folder that does not exist", remedy="make it first")
    check_folder(path.absolute().parent)


def remove_parts(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for part in folder.glob(f".*{PART_MARK}*"):
        with suppress(OSError):
            part.unlink()
