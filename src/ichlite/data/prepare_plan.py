"""Save and load the plan of `prepare`, so that a resumed one need not ask again.

A plan holds for a key of the data set's folder, which changes when any of its files does.
"""

from __future__ import annotations

import gzip
import hashlib
import json
from dataclasses import astuple
from pathlib import Path
from typing import Any

from ichlite.atomic_files import replacing
from ichlite.data.audit import Finding
from ichlite.data.readers.dicom_folder import list_files
from ichlite.data.readers.index import ImageRecord, Index
from ichlite.errors import InputError, StoreError

FILE = "plan.jsonl.gz"
SCHEMA = "ichlite-plan/1"


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


def write_plan(folder: Path, index: Index, key: str) -> None:
    """Write an index, and the key of the files it was read from, whole or not at all."""
    head = {
        "schema": SCHEMA,
        "key": key,
        "kind": index.kind,
        "label_level": index.label_level,
        "hu_range": index.hu_range,
        "images": len(index.images),
    }
    with replacing(folder / FILE) as part, gzip.open(part, "wt", encoding="utf-8") as file:
        file.write(json.dumps(head) + "\n")
        for image in index.images:
            file.write(json.dumps(astuple(image)) + "\n")
        for finding in index.findings:
            file.write(json.dumps(astuple(finding)) + "\n")


def read_plan(folder: Path, root: Path, key: str) -> Index | None:
    """Read the plan of a store's folder; None when there is none.

    Args:
        folder: The store's folder.
        root: The data set, or where it was unpacked.
        key: Inventory key of its files as they are now.

    Raises:
        StoreError: The plan is of other files, or cannot be read.
    """
    path = folder / FILE
    if not path.exists():
        return None
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            head = json.loads(file.readline())
            if head.get("schema") != SCHEMA or head.get("key") != key:
                raise StoreError(
                    f"{folder} was begun from other files",
                    found=f"a plan of {head.get('images')} images of kind {head.get('kind')}",
                    expected=f"one of {root} as it is now",
                    remedy="name a new folder or remove this one",
                )
            images = tuple(_image(json.loads(file.readline())) for _ in range(head["images"]))
            findings = tuple(Finding(*json.loads(line)) for line in file)
    except (OSError, EOFError, ValueError, TypeError, KeyError) as fault:
        raise StoreError(f"{path} cannot be read: {fault}", remedy="remove it") from fault
    known = head.get("hu_range")
    hu_range = None if known is None else (known[0], known[1])
    return Index(head["kind"], root, head["label_level"], images, findings, hu_range)


def _image(cells: list[Any]) -> ImageRecord:
    cells[5] = tuple(cells[5])
    cells[8] = None if cells[8] is None else tuple(cells[8])
    return ImageRecord(*cells)
