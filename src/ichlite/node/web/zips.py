"""Read a ZIP archive, as of a CD, member by member, within bounds; no path in it is ever used."""

from __future__ import annotations

import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

MOST_MEMBERS = 20_000
MOST_DIRECTORY_BYTES = 16 << 20
MOST_UNPACKED_BYTES = 8 << 30
MOST_RATIO = 200
"""Largest ratio of unpacked to packed size that is accepted; an image that is half zeros has 5."""
_SMALL_BYTES = 1 << 20
"""A member this small may have any ratio."""
_PIECE_BYTES = 1 << 16
_END = b"PK\x05\x06"
_END64 = b"PK\x06\x07"
_PASSED_OVER = ("DICOMDIR", ".DS_STORE", "THUMBS.DB", "AUTORUN.INF")


class BadArchive(ValueError):
    """Error: a file is no ZIP archive, or exceeds a limit."""


class BadMember(ValueError):
    """Error: a member of a ZIP archive cannot be read, or exceeds a limit."""


@dataclass(frozen=True, slots=True)
class Member:
    """A file in a ZIP archive.

    Attributes:
        name: Name in the archive, only for display.
        passed_over: Whether its name shows that it is no image.
    """

    name: str
    passed_over: bool
    _archive: zipfile.ZipFile
    _info: zipfile.ZipInfo
    _most: int

    def pieces(self) -> Iterator[bytes]:
        """Yield the unpacked bytes of the member, piece by piece.

        Raises:
            BadMember: It is encrypted, compressed by an unsupported method, damaged or too large.
        """
        info = self._info
        if info.flag_bits & 1:
            raise BadMember("it is encrypted")
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise BadMember("it is packed in a way that is not taken")
        if info.file_size > self._most:
            raise BadMember(f"it is larger than {self._most} bytes")
        if info.file_size > max(_SMALL_BYTES, MOST_RATIO * info.compress_size):
            raise BadMember("it unpacks to more than it can hold")
        left = info.file_size
        try:
            with self._archive.open(info) as file:
                while piece := file.read(_PIECE_BYTES):
                    left -= len(piece)
                    if left < 0:
                        raise BadMember("it is larger than it says")
                    yield piece
        except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError) as error:
            raise BadMember(f"it is damaged: {type(error).__name__}") from None
        if left:
            raise BadMember("it is smaller than it says")


def members(path: Path, most_bytes: int) -> Iterator[Member]:
    """Yield the files in a ZIP archive.

    Args:
        path: Path of the archive.
        most_bytes: Largest unpacked size of a member, bytes.

    Raises:
        BadArchive: It is no ZIP archive, has too many files, or is too large when unpacked.
    """
    _check_end(path)
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, struct.error, NotImplementedError):
        raise BadArchive("it is no ZIP archive, or is damaged") from None
    with archive:
        files = [info for info in archive.infolist() if not info.is_dir()]
        if sum(info.file_size for info in files) > MOST_UNPACKED_BYTES:
            raise BadArchive(f"its files are larger than {MOST_UNPACKED_BYTES} bytes together")
        for info in files:
            base = info.filename.replace("\\", "/").rpartition("/")[2]
            hidden = base.startswith("._") or info.filename.startswith("__MACOSX/")
            shown = "".join(c if c.isprintable() else " " for c in info.filename)[:200]
            passed_over = hidden or base.upper() in _PASSED_OVER
            yield Member(shown, passed_over, archive, info, most_bytes)


def _check_end(path: Path) -> None:
    """Check the length of an archive's directory, which `zipfile` would read whole.

    Raises:
        BadArchive: It is too long, or there is none.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        file.seek(max(0, size - 65_557))
        tail = file.read()
    at = tail.rfind(_END)
    if at < 0 or len(tail) < at + 22:
        raise BadArchive("it is no ZIP archive, or is damaged")
    if tail[max(0, at - 20) : at].startswith(_END64):
        raise BadArchive("it is a ZIP64 archive; at most 4 GB and 20,000 files are taken")
    _, _, _, _, count, directory_bytes, _, _ = struct.unpack("<4s4H2LH", tail[at : at + 22])
    if count > MOST_MEMBERS or directory_bytes > MOST_DIRECTORY_BYTES:
        raise BadArchive(f"it has more than {MOST_MEMBERS} files")
