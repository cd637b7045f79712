"""Read the data set that is deflated in a file as a file is read, without holding it whole."""

from __future__ import annotations

import os
import sys
import threading
import zlib
from io import FileIO, UnsupportedOperation

from ichlite.ct.archives import Member
from ichlite.ct.pages import ByteSource
from ichlite.errors import UnreadableFile

_CHUNK_BYTES = 1 << 16


class Deflated:
    """An open deflated DICOM data set, read like a binary file of its inflated bytes.

    Args:
        file: Open file that holds the deflated data set.
        start: Byte of the file at which the deflated data starts.
        owned: Whether closing this closes `file` too.
        kept: Whether `file` stays open after a `with` block.

    Source:
        DICOM PS3.5 annex A.5.
    """

    def __init__(
        self, file: ByteSource, start: int, *, owned: bool = False, kept: bool = False
    ) -> None:
        self._file = file
        self._start = start
        self._owned = owned
        self._kept = kept
        self._rewind()

    def __enter__(self) -> Deflated:
        """Return itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file, unless it is kept for the next frame."""
        if not self._kept:
            self.close()

    def __del__(self) -> None:
        """Close the file."""
        self.close()

    def close(self) -> None:
        """Close the file, if it is owned."""
        if self._owned and isinstance(self._file, FileIO):
            self._file.close()

    def measure(self, most: int) -> int:
        """Return the length of the data set in inflated bytes, by inflating all of it once.

        Args:
            most: Most bytes that are allowed.

        Raises:
            UnreadableFile: The data set is longer than `most` bytes, damaged or cut short.
        """
        self.seek(most + 1)
        if self._position > most:
            raise UnreadableFile(
                "the deflated data set is too large", expected=f"at most {most} bytes"
            )
        if not self._inflater.eof:
            raise UnreadableFile(
                "the deflated data set is cut short", found=f"{self._position} bytes"
            )
        return self._position

    def seek(self, offset: int, whence: int = os.SEEK_SET, /) -> int:
        """Move to a position in the inflated bytes and return it, or the end if that comes first.

        Going forwards inflates what lies between; going backwards inflates from the start again.

        Args:
            offset: Bytes from the start of the data set.
            whence: `os.SEEK_SET`; positions always count from the start.

        Raises:
            UnreadableFile: The data set is damaged.
            UnsupportedOperation: `whence` is another.
        """
        if whence != os.SEEK_SET:
            raise UnsupportedOperation("deflated data sets are sought from their start")
        if offset < self._position:
            self._rewind()
        while self._position < offset:
            if not self._inflate(min(_CHUNK_BYTES, offset - self._position)):
                break
        return self._position

    def read(self, size: int = -1, /) -> bytes:
        """Read the next `size` inflated bytes, fewer only at the end; -1 reads all the rest.

        Raises:
            UnreadableFile: The data set is damaged.
        """
        pieces: list[bytes] = []
        left = size if size >= 0 else sys.maxsize
        while left > 0 and (piece := self._inflate(min(_CHUNK_BYTES, left))):
            pieces.append(piece)
            left -= len(piece)
        return b"".join(pieces)

    def readinto(self, buffer: memoryview, /) -> int:
        """Fill a buffer with the next bytes; return how many, fewer than it holds only at the end.

        Raises:
            UnreadableFile: The data set is damaged.
        """
        content = self.read(len(buffer))
        buffer[: len(content)] = content
        return len(content)

    def _rewind(self) -> None:
        self._inflater = zlib.decompressobj(-zlib.MAX_WBITS)
        self._position = 0
        self._packed_position = self._start
        self._packed = b""

    def _inflate(self, most: int) -> bytes:
        """Return the next bytes, at most so many; none at the end."""
        while not self._inflater.eof:
            if not self._packed:
                self._file.seek(self._packed_position)
                self._packed = self._file.read(_CHUNK_BYTES)
                self._packed_position += len(self._packed)
                if not self._packed:
                    return b""
            try:
                piece = self._inflater.decompress(self._packed, most)
            except zlib.error:
                raise UnreadableFile("the deflated data set is damaged") from None
            self._packed = self._inflater.unconsumed_tail
            if piece:
                self._position += len(piece)
                return piece
        return b""


class _Last(threading.local):
    """The data set that a thread read last."""

    key: tuple[str, int, int] | None = None
    opened: Deflated | None = None


_LAST = _Last()


def last_opened(path: str) -> Deflated | None:
    """Return the deflated data set that this thread opened last, if it is that of a file.

    Args:
        path: Path of the file.

    Returns:
        The data set, still open; None where this thread opened another one last, or where the file
        changed since.
    """
    return _LAST.opened if _LAST.key is not None and _LAST.key == _key(path) else None


def keep(path: str, file: FileIO | Member, start: int) -> Deflated:
    """Open the deflated data set of a file and keep it open until the thread opens another.

    The frames of an image are read one after the other: each goes on where the last one ended.

    Args:
        path: Path of the file. The data set of a member of a zip archive is not kept.
        file: The file, or member of a zip archive, opened.
        start: Byte at which the deflated data starts.
    """
    key = _key(path)
    opened = Deflated(file, start, owned=True, kept=key is not None)
    if key is not None:
        _LAST.key, _LAST.opened = key, opened
    return opened


def _key(path: str) -> tuple[str, int, int] | None:
    """Return what tells a file from another, and from itself before a change; None for members."""
    try:
        status = os.stat(path)  # noqa: PTH116  as text
    except OSError:
        return None
    return path, status.st_mtime_ns, status.st_size
