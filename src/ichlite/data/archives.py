"""Unpack the archives of a data set, each whole or with one line that says why not.

Beside the folder `unpacked` lies `unpacked.json`: for which files it was made, and which archives
are in it whole. Only a folder with that file is ever removed.
"""

from __future__ import annotations

import json
import lzma
import shutil
import tarfile
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ichlite.atomic_files import write_json
from ichlite.errors import InputError, StoreError

ARCHIVES = (".tar", ".tar.gz", ".tgz", ".tar.xz", ".zip")
FOLDER = "unpacked"
LEDGER = "unpacked.json"
_READ_BYTES = 1 << 20
_DAMAGE = (
    tarfile.TarError,
    zipfile.BadZipFile,
    lzma.LZMAError,
    zlib.error,
    EOFError,
    OSError,
    RuntimeError,  # a password is asked for
    NotImplementedError,  # another kind of compression
)


def archives_in(root: Path) -> list[Path]:
    """Return the archives directly in a folder, sorted by path.

    Args:
        root: Folder of the data set.

    Returns:
        Paths of its `.tar`, `.tar.gz`, `.tgz`, `.tar.xz` and `.zip` files; none if it has
        sub-folders, since the data set is then unpacked already.
    """
    entries = sorted(root.iterdir())
    if any(entry.is_dir() for entry in entries):
        return []
    return [entry for entry in entries if entry.name.lower().endswith(ARCHIVES)]


def unpack(archives: list[Path], out: Path, key: str, progress: Callable[[int, int], None]) -> Path:
    """Unpack archives into one folder, together with copies of the files beside them.

    An archive that was unpacked whole before, from the same files, is not unpacked again.

    Args:
        archives: The archives of one folder.
        out: Folder that `unpacked` is made in.
        key: Inventory key of the data set's files (`prepare_store.inventory_key`); files unpacked
            for another key are removed first.
        progress: Called with (archives done, archives in all).

    Returns:
        The folder `unpacked` in `out`.

    Raises:
        InputError: An archive is damaged, locked, or would write outside of the folder.
        StoreError: `unpacked` exists and was not made by ichlite.
    """
    target, ledger = out / FOLDER, out / LEDGER
    whole = _ledger(ledger)
    if whole is None and target.exists():
        raise StoreError(
            f"{target} is there, and archives are to be unpacked into it",
            remedy="move it, or name a new folder for OUT",
        )
    if whole is None or whole["key"] != key:
        remove_unpacked(out)
        whole = {"key": key, "whole": []}
        write_json(ledger, whole)
    target.mkdir(exist_ok=True)
    for done, archive in enumerate(archives, start=1):
        if archive.name not in whole["whole"]:
            try:
                _unpack_one(archive, target)
            except _DAMAGE as fault:
                said = " ".join(str(fault).split()) or type(fault).__name__
                raise InputError(f"{archive.name} cannot be unpacked", found=said) from fault
            whole["whole"].append(archive.name)
            write_json(ledger, whole)
        progress(done, len(archives))
    for beside in archives[0].parent.iterdir():
        if beside.is_file() and beside not in archives:
            shutil.copy2(beside, target / beside.name)
    return target


def remove_unpacked(out: Path) -> None:
    """Remove the files that `unpack` wrote to a folder, and nothing else.

    Args:
        out: Folder that `unpack` was given.
    """
    if (out / LEDGER).exists():
        shutil.rmtree(out / FOLDER, ignore_errors=True)
        (out / LEDGER).unlink()


def _ledger(path: Path) -> dict[str, Any] | None:
    try:
        read = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError:
        read = None
    # Whatever it was, it is ours: what lies beside was unpacked for nobody knows what.
    known = isinstance(read, dict) and {"key", "whole"} <= set(read)
    return read if known else {"key": None, "whole": []}


def _unpack_one(archive: Path, target: Path) -> None:
    if archive.name.lower().endswith(".zip"):
        with zipfile.ZipFile(archive) as packed:
            packed.extractall(target)  # noqa: S202  (zipfile keeps members below the target)
        return
    with tarfile.open(archive) as tar:
        extract_tar(tar, target)
        _check_end(tar)


def extract_tar(tar: tarfile.TarFile, target: Path) -> None:
    """Extract a tar archive to a folder, refusing members that would be written elsewhere.

    Args:
        tar: Open archive.
        target: Folder to extract to.

    Raises:
        tarfile.TarError: A member lies outside the folder; or, on Python before 3.11.4, is a link
            or a device.
    """
    if hasattr(tarfile, "data_filter"):
        tar.extractall(target, filter="data")
        return
    root = target.resolve()
    for member in tar:
        inside = root in ((root / member.name).resolve(), *(root / member.name).resolve().parents)
        if not inside or not (member.isfile() or member.isdir()):
            raise tarfile.ExtractError(f"{member.name} is no file or folder below the target")
        tar.extract(member, target, set_attrs=False)


def _check_end(tar: tarfile.TarFile) -> None:
    """Raise unless zeros alone follow the last member: tarfile takes a damaged header for the end.

    Reading to the end also makes gzip and xz compare their checksums.
    """
    stream: Any = tar.fileobj
    stream.seek(tar.offset)
    seen = 0
    while block := stream.read(_READ_BYTES):
        if block.count(0) != len(block):
            raise tarfile.ReadError("a damaged member header")
        seen += len(block)
    if seen < tarfile.BLOCKSIZE:
        raise tarfile.ReadError("no end mark: the archive is cut short")
