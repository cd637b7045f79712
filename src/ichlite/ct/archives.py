"""Read the members of a zip archive in place: none is written to disk, or held in memory whole.

A member's path is the archive's with the member's name after it, `scans.zip/head/IM0001`: no file
can have that path. What an archive declares is checked before a byte of it is inflated; what is
inflated is never more than was declared, and is checked by its sum.
"""

from __future__ import annotations

import os
import threading
import zlib
from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from pathlib import PurePosixPath
from typing import IO, TYPE_CHECKING

from ichlite.errors import UnreadableFile

if TYPE_CHECKING:
    from zipfile import ZipFile, ZipInfo

MAX_MEMBERS = 100_000
MAX_MEMBER_BYTES = 1 << 30
"""Most bytes of a member once inflated: an enhanced CT image of 2000 frames of 512x512 pixels."""
MAX_ARCHIVE_BYTES = 1 << 36
"""Most bytes of all members of an archive together, once inflated."""
MAX_RATIO = 200
"""Highest ratio of inflated to packed bytes of a member larger than `_SMALL_BYTES` (64 MiB).

CT pixels pack to about a half; a far higher ratio is a decompression bomb.
"""
_SMALL_BYTES = 1 << 26
_ENCRYPTED = 0x1
_CHUNK_BYTES = 1 << 16


class Member:
    """An open member of a zip archive, read like a binary file.

    Args:
        stream: The member as `zipfile.ZipFile.open` returns it.
        size: Length of the member in bytes, inflated.
        kept: Whether the member stays open after a `with` block.
    """

    def __init__(self, stream: IO[bytes], size: int, *, kept: bool = False) -> None:
        self._stream = stream
        self.size = size
        self.kept = kept

    def __enter__(self) -> Member:
        """Return itself; the member is closed with the `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the member, unless it is kept for the next frame."""
        if not self.kept:
            self._stream.close()

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position in the inflated bytes and return it.

        Going forwards inflates what lies between; going backwards inflates from the start again.

        Args:
            offset: Bytes from where `whence` says.
            whence: `os.SEEK_SET` (start), `os.SEEK_CUR` (here) or `os.SEEK_END` (end).

        Raises:
            UnreadableFile: The member is damaged.
        """
        with _translated():
            if whence == os.SEEK_SET:  # zipfile would inflate 16 MiB at a time
                for _ in range(self._stream.tell(), offset - _CHUNK_BYTES, _CHUNK_BYTES):
                    self._stream.read(_CHUNK_BYTES)
            return self._stream.seek(offset, whence)

    def read(self, size: int = -1, /) -> bytes:
        """Read the next `size` inflated bytes, fewer only at the end; -1 reads all the rest.

        Raises:
            UnreadableFile: The member is damaged.
        """
        with _translated():
            return self._stream.read(size)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer with the next bytes; return how many, fewer than it holds only at the end.

        Raises:
            UnreadableFile: The member is damaged.
        """
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)


class _translated:  # noqa: N801  a context manager, as those of contextlib are written
    """Say in a line what zipfile raises about a damaged member."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        from zipfile import BadZipFile

        if isinstance(error, BadZipFile | zlib.error | EOFError):
            raise UnreadableFile("the member of the zip archive is damaged") from None
        if isinstance(error, NotImplementedError | RuntimeError):
            raise UnreadableFile(
                "the member of the zip archive is packed in a way that is not read"
            ) from None


def list_members(path: str) -> Iterator[tuple[str, str | None]]:
    """List the files in a zip archive, with the reason for each one that must not be read.

    Args:
        path: Path of the zip archive.

    Yields:
        The path of a member, `<archive>/<member name>`, and either None, where it may be read, or
        the reason in one line why not (encrypted, too large, unsafe or repeated name).

    Raises:
        UnreadableFile: The archive is damaged or empty, or has too many members or bytes.
        OSError: The archive cannot be read.
    """
    members = [one for one in _opened(path).infolist() if not one.is_dir()]
    if not members:
        raise UnreadableFile("the zip archive is empty")
    if len(members) > MAX_MEMBERS:
        raise UnreadableFile(
            "the zip archive has too many members", found=len(members), expected=MAX_MEMBERS
        )
    total = sum(one.file_size for one in members)
    if total > MAX_ARCHIVE_BYTES:
        raise UnreadableFile(
            "the zip archive is too large", found=f"{total} bytes", expected=MAX_ARCHIVE_BYTES
        )
    named = Counter(one.filename for one in members)
    for one in members:
        twice = named[one.filename] > 1
        yield f"{path}/{one.filename}", "two members have this name" if twice else _fault(one)


def is_member(path: str) -> bool:
    """Return whether a path names a member of a zip archive."""
    try:
        archive, name = _divided(path)
        _opened(archive).getinfo(name)
    except (KeyError, UnreadableFile, OSError):
        return False
    return True


def open_member(path: str) -> Member:
    """Open a member of a zip archive at its first byte.

    Args:
        path: Path of the member, `<archive>/<member name>`, as `list_members` yields it.

    Raises:
        UnreadableFile: The archive has no such member, or the member must not be read or is
            damaged.
        OSError: There is no such archive, or it cannot be read.
    """
    archive, name = _divided(path)
    opened = _opened(archive)
    try:
        info = opened.getinfo(name)
    except KeyError:
        raise UnreadableFile("the zip archive has no such member") from None
    fault = _fault(info)
    if fault is not None:
        raise UnreadableFile(fault)
    with _translated():
        return Member(opened.open(info), info.file_size)


def keep_member(path: str) -> Member:
    """Return an open member of a zip archive, at any position; each thread keeps its last one open.

    The frames of an image are read one after the other: reading goes on where the last frame ended
    and does not inflate all before it again. `seek` before reading.

    Args:
        path: Path of the member, `<archive>/<member name>`.

    Raises:
        UnreadableFile: The archive has no such member, or the member must not be read or is
            damaged.
        OSError: There is no such archive, or it cannot be read.
    """
    archive = _opened(_divided(path)[0])
    if (path, archive) != _LAST.of or _LAST.member is None:
        member = open_member(path)
        member.kept = True
        _LAST.of, _LAST.member = (path, archive), member
    return _LAST.member


class _Last(threading.local):
    """The member that a thread read last."""

    of: tuple[str, ZipFile] | None = None
    member: Member | None = None


_LAST = _Last()


def _fault(info: ZipInfo) -> str | None:
    """Return why a member may not be read, by what the archive declares."""
    size, packed = info.file_size, info.compress_size
    if info.flag_bits & _ENCRYPTED:
        return "the member of the zip archive is encrypted"
    if ".." in PurePosixPath(info.filename).parts or info.filename.startswith("/"):
        return "the name of the member leads out of the zip archive"
    if size > MAX_MEMBER_BYTES or (size > _SMALL_BYTES and size > MAX_RATIO * packed):
        return (
            f"the member of the zip archive is too large; found {size} bytes in {packed}; "
            f"expected at most {MAX_MEMBER_BYTES}, and {MAX_RATIO} times what it is packed in"
        )
    return None


def _divided(path: str) -> tuple[str, str]:
    """Part a member's path into that of the archive and the member's name."""
    at = path.find("/", 1)
    while at > 0:
        if os.path.isfile(path[:at]):  # noqa: PTH113  as text, as given
            return path[:at], path[at + 1 :]
        at = path.find("/", at + 1)
    raise FileNotFoundError(2, "No such file or directory", path)


def _opened(path: str) -> ZipFile:
    """Return an archive, open: the few that were last used stay so."""
    status = os.stat(path)  # noqa: PTH116
    return _open_archive(path, status.st_mtime_ns, status.st_size)


@lru_cache(maxsize=2)
def _open_archive(path: str, _changed_ns: int, _size: int) -> ZipFile:
    from zipfile import BadZipFile, ZipFile

    try:
        return ZipFile(path)
    except (BadZipFile, ValueError, NotImplementedError):
        raise UnreadableFile("the zip archive is damaged or cut short") from None
