"""Compute a key of a data set's folder that changes when any of its files does."""

from __future__ import annotations

import hashlib
from pathlib import Path

from ichlite.data.readers.dicom_folder import list_files
from ichlite.errors import InputError


def inventory_key(root: Path, kind: str) -> str:
    """Return the SHA-256 over the name, size and time of change of each file of a data set.

    Raises:
        InputError: The folder is not there or cannot be listed.
    """
    if not root.is_dir():
        raise InputError(f"{root} is not a folder", expected="the folder of the data set")
    digest = hashlib.sha256(kind.encode())
    for name, size, changed_ns in list_files(root):
        digest.update(f"\0{name}\0{size}\0{changed_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()
