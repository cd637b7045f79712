"""Keep files durably: on disk, synced and named by their SHA-256 before anybody is told so."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from ichlite.errors import IchliteError

_PART = ".part"
INCOMING, INSTANCES, RESULTS = "incoming", "instances", "results"
"""Folders of a store: for what is half-written, for received files, for results of reading them."""


class NoSpace(IchliteError):
    """Error: storing a file would use disk space kept in reserve; it may succeed later."""


@dataclass(frozen=True, slots=True)
class Part:
    """A received file that is on disk but not yet at its final place in the store.

    Attributes:
        path: Temporary path of the file.
        digest: SHA-256 of its content, hexadecimal.
        size: Size in bytes.
    """

    path: Path
    digest: str
    size: int


class FileStore:
    """Instance and result files of a node, instances named by their SHA-256.

    Args:
        folder: Folder of the store.
        reserve_bytes: Disk space that must stay free.
    """

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self.folder = folder
        self.reserve_bytes = reserve_bytes
        self.incoming = folder / INCOMING
        self.instances = folder / INSTANCES
        self.results = folder / RESULTS
        for name in (f"{number:02x}" for number in range(256)):
            (self.instances / name).mkdir(parents=True, exist_ok=True)
        self.incoming.mkdir(exist_ok=True)
        self.results.mkdir(exist_ok=True)
        for place in (self.instances, folder):
            sync(place)

    def has_space(self, coming: int = 0) -> bool:
        """Return whether the disk can take more bytes without using the reserve.

        Args:
            coming: Number of bytes to be written.
        """
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize - coming >= self.reserve_bytes

    def path(self, digest: str) -> Path:
        """Return the path of an instance file.

        Args:
            digest: SHA-256 of the file, hexadecimal.
        """
        return self.folder / instance_path(digest)

    @contextmanager
    def arriving(self, pieces: Iterable[bytes | memoryview], coming: int = 0) -> Iterator[Part]:
        """Write a received file to disk and yield it; delete it at the end unless it was kept.

        Args:
            pieces: Bytes of the file, in order.
            coming: Number of bytes expected, to check free space; 0 if unknown.

        Yields:
            The file, synced to disk, to pass to `keep`.

        Raises:
            NoSpace: The disk is full except for the reserve.
        """
        if not self.has_space(coming):
            raise self._no_space()
        path = self.incoming / f"{os.urandom(12).hex()}{_PART}"
        digest, size = hashlib.sha256(), 0
        try:
            with path.open("xb", buffering=0) as file:
                for piece in pieces:
                    digest.update(piece)
                    size += len(piece)
                    _write_all(file.fileno(), piece)
                os.fsync(file.fileno())
            yield Part(path, digest.hexdigest(), size)
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT):
                raise self._no_space() from None
            raise
        finally:
            with suppress(FileNotFoundError):
                path.unlink()

    def keep(self, part: Part) -> Path:
        """Move a received file to its final place, and return its path once that is durable."""
        place = self.path(part.digest)
        part.path.replace(place)
        sync(place.parent)
        return place

    def clear_incoming(self) -> int:
        """Remove what an interrupted run left half-written; return the number of files."""
        removed = 0
        for path in self.incoming.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed += 1
        return removed

    def instance_files(self) -> Iterator[Path]:
        """Yield the path of every instance file, whether the database has a row for it or not."""
        return self.instances.glob("*/*.dcm")

    def _no_space(self) -> NoSpace:
        return NoSpace(
            "the disk is full but for its reserve",
            expected=f"{self.reserve_bytes} bytes left free",
            remedy="free space on it; what is refused now can be sent again then",
        )


def instance_path(digest: str) -> Path:
    """Return the path of an instance file, relative to the store's folder.

    Args:
        digest: SHA-256 of the file, hexadecimal.
    """
    return Path(INSTANCES, digest[:2], f"{digest}.dcm")


def sync(folder: Path) -> None:
    """Sync a folder to disk, so that new names in it survive a power failure."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, piece: bytes | memoryview) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
