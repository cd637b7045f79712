"""Copy a node's store while the node runs, and make a node of such a copy.

The tables are copied at one state of theirs; then the files that they name, which are never changed
after they were named. The sweep of files gives way meanwhile, so that none of them goes.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import msgspec

from ichlite import __version__
from ichlite.atomic_files import replacing_folder
from ichlite.errors import IchliteError, StoreError
from ichlite.node.database import FILE as TABLES
from ichlite.node.retention import files_held
from ichlite.node.run import store_folder
from ichlite.node.settings import FILE as SETTINGS
from ichlite.node.settings import read_settings
from ichlite.node.store import RESULTS, FileStore, instance_path, sync

MANIFEST = "backup.json"
_CHUNK_BYTES = 1 << 20


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Contents list of a backup.

    Attributes:
        ichlite: Version of ichlite that made it.
        made_at: Time it was made, s since 1970.
        studies, instances: Number of studies and of DICOM instances.
        files: SHA-256 of every file except the manifest, by path within the backup.
    """

    ichlite: str
    made_at: float
    studies: int
    instances: int
    files: dict[str, str]


Advance = Callable[[int], None]


def back_up(
    folder: Path, out: Path, *, link: bool = False, advance: Advance = lambda _: None
) -> Manifest:
    """Copy a node's settings, database and files to a new folder while the node may be running.

    Args:
        folder: Folder of the node.
        out: New folder for the backup; it appears only when complete.
        link: Whether to hard-link instances instead of copying them where the file system allows:
            quick and without extra space, but no protection against disk failure.
        advance: Progress callback, called with the number of files just copied.

    Returns:
        The backup's contents list.

    Raises:
        StoreError: A file is missing or damaged, or `out` is not empty.
        IchliteError: `out` cannot be written.
    """
    settings = read_settings(folder)
    place = store_folder(folder, settings)
    if not (place / TABLES).exists():
        raise StoreError(f"{place} holds no store", remedy="start the node once: ichlite node run")
    files: dict[str, str] = {}
    try:
        with files_held(place, alone=False), replacing_folder(out) as part:
            part.chmod(0o700)
            (part / SETTINGS).write_bytes((folder / SETTINGS).read_bytes())
            files[SETTINGS] = _digest(part / SETTINGS)
            _copy_tables(place / TABLES, part / TABLES)
            files[TABLES] = _digest(part / TABLES)
            with closing(sqlite3.connect(part / TABLES)) as tables:
                digests = [row[0] for row in tables.execute("SELECT DISTINCT digest FROM instance")]
                results = [row[0] for row in tables.execute(_RESULTS)]
                (studies,) = tables.execute("SELECT count(*) FROM study").fetchone()
            for digest in sorted(digests):
                below = instance_path(digest)
                found = _copy(place / below, part / below, link=link)
                if found != digest:
                    raise StoreError(f"{place / below} is damaged", found=found, expected=digest)
                files[str(below)] = digest
                advance(1)
            for path in _files_of_results(place, results):
                below = path.relative_to(place)
                files[str(below)] = _copy(path, part / below, link=link)
            manifest = Manifest(
                ichlite=__version__, made_at=round(time.time(), 3), studies=studies,
                instances=len(digests), files=files,
            )  # fmt: skip
            (part / MANIFEST).write_bytes(msgspec.json.format(msgspec.json.encode(manifest)))
            _sync_all(part)
        sync(out.parent)
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{place / TABLES} is damaged", found=error) from None
    except OSError as error:
        raise IchliteError(
            f"the backup failed: {error.strerror}", found=error.filename or out
        ) from None
    return manifest


def restore(backup: Path, folder: Path, *, advance: Advance = lambda _: None) -> Manifest:
    """Create a node from a backup, checking each file against its SHA-256 in the manifest.

    Args:
        backup: Folder that `back_up` made.
        folder: New folder for the node.
        advance: Progress callback, called with the number of files just copied.

    Returns:
        The backup's contents list.

    Raises:
        StoreError: `backup` is no backup, a file in it is missing or damaged, or `folder` is not
            empty.
        IchliteError: `folder` cannot be written.
    """
    try:
        manifest = msgspec.json.decode((backup / MANIFEST).read_bytes(), type=Manifest)
    except (OSError, msgspec.MsgspecError) as error:
        why = f"no {MANIFEST}" if isinstance(error, FileNotFoundError) else error
        raise StoreError(
            f"{backup} holds no backup that is whole",
            found=why,
            expected="a folder that `ichlite node backup` wrote",
        ) from None
    place = store_folder(folder, read_settings(backup))
    outside = not place.resolve().is_relative_to(folder.resolve())
    if outside and place.exists() and any(place.iterdir()):
        raise StoreError(f"{place} is not empty", remedy="move that store away first")
    try:
        with ExitStack() as folders:
            part = folders.enter_context(replacing_folder(folder))
            part.chmod(0o700)
            if outside:
                store = folders.enter_context(_filled_or_empty(place))
            else:
                store = part / place.relative_to(folder)
            for below, digest in manifest.files.items():
                to = part / below if below == SETTINGS else store / below
                if ".." in Path(below).parts or Path(below).is_absolute():
                    raise StoreError(f"{backup} names a file outside of it", found=below)
                found = _copy(backup / below, to, link=False)
                if found != digest:
                    raise StoreError(f"{backup / below} is damaged", found=found, expected=digest)
                advance(1)
            FileStore(store, 0)  # makes what is missing of its folders
            _sync_all(part)
            if outside:
                _sync_all(store)
        sync(folder.parent)
    except OSError as error:
        raise IchliteError(
            f"the backup cannot be restored: {error.strerror}", found=error.filename or folder
        ) from None
    return manifest


@contextmanager
def _filled_or_empty(folder: Path) -> Iterator[Path]:
    """Yield an empty folder, which may be a mount, to fill; empty it again if that fails."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield folder
    except BaseException:
        for one in folder.iterdir():
            if one.is_dir():
                shutil.rmtree(one, ignore_errors=True)
            else:
                one.unlink()
        raise


_RESULTS = "SELECT folder FROM reading WHERE folder IS NOT NULL"


def _copy_tables(source: Path, to: Path) -> None:
    """Copy the tables at one state of theirs; sessions stay behind, for a copy should open none."""
    with (
        closing(sqlite3.connect(f"{source.resolve().as_uri()}?mode=ro", uri=True)) as live,
        closing(sqlite3.connect(to)) as copy,
    ):
        live.backup(copy, pages=-1)  # in one step: the writer is never behind it
        copy.execute("DELETE FROM session")
        copy.commit()
        copy.execute("PRAGMA journal_mode = DELETE")
        found = copy.execute("PRAGMA quick_check(1)").fetchone()[0]
    if found != "ok":
        raise StoreError(f"{source} is damaged", found=found)


def _files_of_results(place: Path, folders: list[str]) -> Iterator[Path]:
    for folder in sorted(folders):
        there = place / RESULTS / folder
        if not there.is_dir():
            raise StoreError(f"{there} is missing", remedy="ichlite node check says what else is")
        yield from sorted(path for path in there.rglob("*") if path.is_file())


def _copy(path: Path, to: Path, *, link: bool) -> str:
    """Copy or link a file and return the digest of what is at its place now."""
    to.parent.mkdir(parents=True, exist_ok=True)
    if link:
        try:
            to.hardlink_to(path)
            return _digest(to)
        except FileNotFoundError:
            raise StoreError(f"{path} is missing") from None
        except OSError:
            to.unlink(missing_ok=True)  # another file system
    digest = hashlib.sha256()
    try:
        source = path.open("rb")
    except FileNotFoundError:
        raise StoreError(f"{path} is missing") from None
    with source, to.open("xb") as copy:
        while piece := source.read(_CHUNK_BYTES):
            digest.update(piece)
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
    shutil.copystat(path, to)
    return digest.hexdigest()


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _sync_all(folder: Path) -> None:
    for place, _, names in os.walk(folder):
        for name in names:
            if name in (SETTINGS, TABLES, MANIFEST):
                with Path(place, name).open("rb") as file:
                    os.fsync(file.fileno())
        sync(Path(place))
