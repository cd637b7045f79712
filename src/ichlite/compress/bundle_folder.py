"""Write a bundle's folder whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ichlite.atomic_files import PART_MARK, unwritable
from ichlite.atomic_files import check_folder as check_writable
from ichlite.errors import UsageError
from ichlite.infer.bundle import CARD_FILE, MANIFEST_FILE, MODEL_FILE

FILES = frozenset({MANIFEST_FILE, MODEL_FILE, CARD_FILE})


def check_folder(folder: Path) -> None:
    """Refuse a folder that no bundle can be written to, before any work is done for it.

    Raises:
        UsageError: It holds anything but a bundle, is a link or a file, or has no proper name.
        IchliteError: It cannot be looked into or made.
    """
    name = folder.resolve().name
    if not name or not name.isprintable():
        raise UsageError(
            "the bundle's folder has no proper name",
            found=repr(str(folder)),
            expected="a name of characters that can be printed",
        )
    if folder.is_symlink():
        raise UsageError(
            f"{folder} is a link",
            expected="a folder, or nothing there yet",
            remedy="give what it points to",
        )
    for place in (folder, folder.resolve().parent):  # it is filled beside its place, then renamed
        check_writable(place)
    try:
        others = {entry.name for entry in folder.iterdir()} - FILES if folder.exists() else set()
    except OSError as error:
        raise unwritable(folder, error) from None
    if others:
        raise UsageError(
            f"{folder} holds something other than a bundle",
            found=sorted(others)[0],
            remedy="give a new folder for the bundle",
        )
    for parent in folder.resolve().parents:
        if (parent / MANIFEST_FILE).exists() and (parent / MODEL_FILE).exists():
            raise UsageError(f"{folder} lies inside a bundle", found=str(parent))


@contextmanager
def filled(folder: Path) -> Iterator[Path]:
    """Provide a temporary folder that replaces a bundle's on success and is removed on failure.

    Args:
        folder: The bundle's folder; a bundle that is already there is replaced as a whole.

    Yields:
        The temporary folder to write the bundle's files into.

    Raises:
        UsageError, IchliteError: See `check_folder`.
    """
    check_folder(folder)
    folder = folder.resolve()
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part, old = (
            Path(tempfile.mkdtemp(prefix=f".{folder.name}.", suffix=PART_MARK, dir=folder.parent))
            for _ in range(2)
        )
    except OSError as error:
        raise unwritable(folder, error) from None
    try:
        part.chmod(0o755)  # as any new folder; a temporary one is for its owner alone
        yield part
        if folder.exists():
            folder.rename(old)  # onto an empty folder, which goes
        part.rename(folder)
    except BaseException:
        if not folder.exists() and any(old.iterdir()):
            old.rename(folder)
        raise
    finally:
        shutil.rmtree(part, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
