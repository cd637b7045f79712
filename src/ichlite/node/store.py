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


class NoSpace(IchliteError):
    """The disk is full but for the reserve; it may have space again later."""


@dataclass(frozen=True, slots=True)
class Part:
    """A file that is on disk and has no place in the store yet."""

    path: Path
    digest: str
    size: int


class FileStore:
    """The files of a node's store.

    Args:
        folder: Of the store.
        reserve_bytes: Free space that stays free.
    """

    def __init__(self, folder: Path, reserve_bytes: int) -> None:
        self.folder = folder
        self.reserve_bytes = reserve_bytes
        self.incoming = folder / "incoming"
        self.instances = folder / "instances"
        self.results = folder / "results"
        for name in (f"{number:02x}" for number in range(256)):
            (self.instances / name).mkdir(parents=True, exist_ok=True)
        self.incoming.mkdir(exist_ok=True)
        self.results.mkdir(exist_ok=True)
        for place in (self.instances, folder):
            sync(place)

    def has_space(self, coming: int = 0) -> bool:
        """Return whether so many bytes more leave the reserve untouched."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize - coming >= self.reserve_bytes

    def path(self, digest: str) -> Path:
        """Return where the instance of a digest is kept."""
        return self.folder / instance_path(digest)

    @contextmanager
    def arriving(self, pieces: Iterable[bytes | memoryview], coming: int = 0) -> Iterator[Part]:
        """Write what arrives to disk; yield it, and drop it unless it was kept.

        Args:
            pieces: Of the file, in order.
            coming: Bytes that are expected.

        Raises:
            NoSpace: The disk is full but for the reserve.
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
        """Give a part its place; return it when the name, too, would survive a power cut."""
        place = self.path(part.digest)
        part.path.replace(place)
        sync(place.parent)
        return place

    def sweep(self, known: frozenset[str]) -> int:
        """Remove what a killed node left half written or not yet in the database; return how many.

        Args:
            known: Digests of the instances that the database has.
        """
        removed = 0
        for path in self.incoming.iterdir():
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()
            removed += 1
        for path in self.instances.glob("*/*.dcm"):
            if path.stem not in known:
                path.unlink()
                removed += 1
        return removed

    def _no_space(self) -> NoSpace:
        return NoSpace(
            "the disk is full but for its reserve",
            expected=f"{self.reserve_bytes} bytes left free",
            remedy="free space on it; what is refused now can be sent again then",
        )


def instance_path(digest: str) -> Path:
    """Return where the instance of a digest is kept, below the folder of a store."""
    return Path("instances", digest[:2], f"{digest}.dcm")


def sync(folder: Path) -> None:
    """Wait until the names in a folder are on disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, piece: bytes | memoryview) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(descriptor, view) :]
