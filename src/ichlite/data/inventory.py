"""A data set's folder in; a key that changes when any of its files does, out. Unpacks archives."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

from ichlite.data.readers.dicom_folder import list_files
from ichlite.errors import InputError

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")


def inventory_key(root: Path, kind: str) -> str:
    """Folder and kind of data set → SHA-256 over the name, size and time of change of each file.

    Raises:
        InputError: The folder is not there or cannot be listed.
    """
    if not root.is_dir():
        raise InputError(f"{root} is no folder", expected="the folder of the data set")
    digest = hashlib.sha256(kind.encode())
    for name, size, changed_ns in list_files(root):
        digest.update(f"\0{name}\0{size}\0{changed_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def archives_in(root: Path) -> list[Path]:
    """Folder → its archives, when it holds archives and tables but no folders; else none."""
    entries = sorted(root.iterdir())
    if any(entry.is_dir() for entry in entries):
        return []
    return [entry for entry in entries if entry.name.lower().endswith(ARCHIVES)]


def unpack(archives: list[Path], target: Path, progress: Callable[[int, int], None]) -> None:
    """Archives → their files below `target`, with the other files that lie beside the archives.

    An archive that was unpacked whole before is not unpacked again.

    Raises:
        InputError: An archive is damaged, or would write outside of `target`.
    """
    target.mkdir(parents=True, exist_ok=True)
    for done, archive in enumerate(archives, start=1):
        mark = target.with_name(f"{target.name}-{archive.name}.done")
        if not mark.exists():
            try:
                _unpack_one(archive, target)
            except (tarfile.TarError, zipfile.BadZipFile, EOFError, OSError) as fault:
                raise InputError(f"{archive.name} cannot be unpacked", found=fault) from fault
            mark.touch()
        progress(done, len(archives))
    for beside in archives[0].parent.iterdir():
        if beside.is_file() and beside not in archives:
            shutil.copy2(beside, target / beside.name)


def remove_unpacked(target: Path) -> None:
    """Remove what `unpack` wrote."""
    shutil.rmtree(target, ignore_errors=True)
    for mark in target.parent.glob(f"{target.name}-*.done"):
        mark.unlink()


def _unpack_one(archive: Path, target: Path) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(target)  # noqa: S202  (zipfile keeps members below the target)
        return
    with tarfile.open(archive) as tar:
        tar.extractall(target, filter="data")
