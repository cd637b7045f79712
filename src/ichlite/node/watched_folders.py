"""Take in the files that others put into a folder: a share of a scanner, another program, a CD.

Folders are looked through every second or so; notices of the kernel do not come from a share. A
file is taken when its size and time have stood still for a while, and removed when the store has
it. Links are not followed. A node that dies in between takes it once more, which changes nothing.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import structlog

from ichlite.errors import IchliteError, UnreadableFile
from ichlite.node.intake import Intake
from ichlite.node.repeating import Repeated
from ichlite.node.settings import DicomSettings, WatchSettings
from ichlite.node.store import NoSpace

REFUSED = "refused"
LOOK_EVERY_S = 1.0
EMPTY_FOLDER_S = 3600.0
"""Seconds after which an unchanged empty sub-folder is removed; its writer may still need a newer
one."""

_CHUNK_BYTES = 1 << 20
_SECONDS_A_ROUND = 5.0
"""Then the folder is looked through anew, so that a stop is heard amid thousands of files."""

_log = structlog.get_logger("folder")


class _Changed(Exception):
    """A file changed while it was read: it is not finished."""


class WatchedFolder:
    """Thread that takes in the DICOM files that others put into a folder.

    Args:
        intake: Intake of the node.
        watch: Settings of the folder.
        dicom: DICOM settings of the node, for the largest instance accepted.
        node_folder: Folder of the node, which a relative path of the watched folder starts from.

    A watched folder below the node's own is made; another one must be there, but may come later, as
    a share does that is mounted after the node has started.

    Raises:
        IchliteError: The watched folder cannot be made.
    """

    def __init__(
        self, intake: Intake, watch: WatchSettings, dicom: DicomSettings, node_folder: Path
    ) -> None:
        self._intake = intake
        self._watch = watch
        self._most_bytes = dicom.max_instance_bytes
        self._folder = node_folder / watch.folder
        self._seen: dict[Path, tuple[tuple[int, int, int], float]] = {}
        self._unreadable: set[Path] = set()
        self._left: dict[Path, tuple[int, int, int]] = {}
        self._was_there = True
        try:
            if self._folder.resolve().is_relative_to(node_folder.resolve()):
                self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IchliteError(f"cannot watch {self._folder}: {error.strerror}") from None
        self._thread = Repeated(watch.source, self.look, min(LOOK_EVERY_S, watch.settle_s))

    def close(self) -> None:
        """Stop the thread after the files of the current round."""
        self._thread.end()
        self._thread.join(2 * _SECONDS_A_ROUND)

    def look(self) -> None:
        """Take in files that have stopped changing, and forget files that are gone."""
        is_there = self._folder.is_dir()
        if is_there != self._was_there:
            words = "watched folder is there" if is_there else "watched folder is not there"
            (_log.info if is_there else _log.warning)(words, source=self._watch.source)
        self._was_there = is_there
        until = time.monotonic() + _SECONDS_A_ROUND
        there: dict[Path, tuple[tuple[int, int, int], float]] = {}
        settled = []
        for path, found in _files(self._folder):
            now = time.monotonic()
            state = (found.st_size, found.st_mtime_ns, found.st_ino)
            before, since = self._seen.get(path, (state, now))
            there[path] = (state, since if before == state else now)
            if self._left.get(path) == state:
                continue  # it was taken or refused, and could not be removed
            if now - there[path][1] >= self._watch.settle_s:
                settled.append(path)
        self._seen = there
        for path in settled:
            if time.monotonic() > until:
                return
            try:
                self._take(path)
            except NoSpace:
                return  # all of it stays until there is space
        self._unreadable &= there.keys()
        self._left = {path: state for path, state in self._left.items() if path in there}

    def _take(self, path: Path) -> None:
        try:
            try:
                with _opened_below(self._folder, path.parent) as folder:
                    self._intake.take(self._pieces(path.name, folder), self._watch.source)
                    self._remove(path, folder)
            except UnreadableFile as error:
                self._refuse_or_leave(path, str(error))
        except (_Changed, FileNotFoundError):
            self._seen.pop(path, None)
        except NoSpace:
            raise
        except Exception as error:  # noqa: BLE001  one file must not hold up the rest
            if path not in self._unreadable:
                self._unreadable.add(path)
                _log.warning("file not taken", source=self._watch.source, why=_reason(error))

    def _remove(self, path: Path, folder: int) -> None:
        """Remove a file that is in the store; remember it where the folder does not allow that."""
        try:
            os.unlink(path.name, dir_fd=folder)
            self._seen.pop(path, None)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._left[path] = self._seen[path][0]
            _log.warning("file not removed", source=self._watch.source, why=_reason(error))

    def _refuse_or_leave(self, path: Path, why: str) -> None:
        """Refuse a file; where it cannot be moved, leave it, and look at it no more."""
        try:
            self._refuse(path, why)
        except FileNotFoundError:
            raise
        except OSError as error:
            self._left[path] = self._seen[path][0]
            words = f"{why}; it cannot be moved: {_reason(error)}"
            _log.warning("file refused", source=self._watch.source, why=words)

    def _pieces(self, name: str, folder: int) -> Iterator[bytes]:
        flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
        descriptor = os.open(name, flags, dir_fd=folder)
        with os.fdopen(descriptor, "rb", buffering=0) as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise _Changed
            if before.st_size > self._most_bytes:
                raise UnreadableFile(
                    "too large", found=f"{before.st_size} bytes", expected=f"{self._most_bytes}"
                )
            left = before.st_size
            while left and (piece := file.read(min(left, _CHUNK_BYTES))):
                left -= len(piece)
                yield piece
            after = os.fstat(descriptor)
            if (after.st_size, after.st_mtime_ns) != (before.st_size, before.st_mtime_ns):
                raise _Changed

    def _refuse(self, path: Path, why: str) -> None:
        """Move a file out of the way, with a line that says why.

        Raises:
            OSError: It stays where it is.
        """
        with suppress(FileExistsError):
            (self._folder / REFUSED).mkdir()
        with (
            _opened_below(self._folder, path.parent) as folder,
            _opened_below(self._folder, self._folder / REFUSED) as refused,
        ):
            taken = set(os.listdir(refused))  # noqa: PTH208  of a descriptor
            stem, number, name = _cut(path.stem), 1, _cut(path.stem) + _cut(path.suffix, 30)
            while name in taken:
                number += 1
                name = f"{stem}-{number}{_cut(path.suffix, 30)}"
            os.rename(path.name, name, src_dir_fd=folder, dst_dir_fd=refused)
            self._seen.pop(path, None)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            reason = os.open(f"{name}.why.txt", flags, 0o644, dir_fd=refused)
            with os.fdopen(reason, "w", encoding="utf-8") as said:
                said.write(f"{why}\n")
        _log.warning("file refused", source=self._watch.source, why=why)


def _reason(error: Exception) -> str:
    """Return why something failed, without a path, which may name a patient."""
    return getattr(error, "strerror", None) or type(error).__name__


def _cut(name: str, most: int = 180) -> str:
    """Return the beginning of a name, so that it and what is added to it fit a file system."""
    return os.fsdecode(os.fsencode(name)[:most])


@contextmanager
def _opened_below(root: Path, folder: Path) -> Iterator[int]:
    """Yield a descriptor of a folder below another, of which no part is a link."""
    flags = os.O_RDONLY | os.O_DIRECTORY
    descriptor = os.open(root, flags)
    try:
        for name in folder.relative_to(root).parts:
            outer, descriptor = descriptor, os.open(name, flags | os.O_NOFOLLOW, dir_fd=descriptor)
            os.close(outer)
        yield descriptor
    finally:
        os.close(descriptor)


def _files(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    """Yield the regular files below a folder; hidden ones are still being written, by custom."""
    for place, folders, names in os.walk(folder, followlinks=False):
        here = Path(place)
        folders[:] = sorted(one for one in folders if not one.startswith("."))
        if here == folder and REFUSED in folders:
            folders.remove(REFUSED)
        for name in sorted(names):
            if name.startswith("."):
                continue
            try:
                found = (here / name).lstat()
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode):
                yield here / name, found
        if here != folder and not folders and not names:
            _remove_if_old(here)


def _remove_if_old(folder: Path) -> None:
    try:
        if time.time() - folder.stat().st_mtime > EMPTY_FOLDER_S:
            folder.rmdir()
    except OSError:
        return
