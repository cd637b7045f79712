"""Prepare a data set: read its folder, write a store and its audit; resumes when killed.

The steps are the key of its files, the plan (the reader's index), the parts of pixels (`pixels`),
and the split, index and audit (`finalize_store`). Headers and pixels are read by an engine
(`workers`): any number of processes or machines. Each step leaves a whole file, and a step whose
file is there is not done again.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ichlite.atomic_files import LOCK_FILE, check_empty, check_place, held, remove_parts, replacing
from ichlite.data.archives import FOLDER as UNPACKED
from ichlite.data.archives import archives_in, remove_unpacked, unpack
from ichlite.data.audit import Finding
from ichlite.data.finalize_store import Choice, finish_store
from ichlite.data.pixels import PartTask, is_whole, make_part
from ichlite.data.readers import cq500, ct_ich, folder, rsna
from ichlite.data.readers.dicom_folder import list_files
from ichlite.data.readers.index import Index, Reader
from ichlite.data.rows import INDEX_FILE, StoreRow
from ichlite.data.store import META_FILE, PARTS_FOLDER, is_store, read_meta
from ichlite.data.store_parts import PART_IMAGES
from ichlite.data.workers import Engine, in_this_process
from ichlite.errors import InputError, StoreError, check_name

PLAN_FILE = "plan.jsonl.gz"
"""File with the images that a reader found, so that a resumed run need not read headers again."""
PLAN_SCHEMA = "ichlite-plan/2"
READERS: Mapping[str, tuple[Reader, str]] = MappingProxyType(
    {
        "rsna": (rsna.read, "paper"),
        "cq500": (cq500.read, "test"),
        "ct-ich": (ct_ich.read, "all"),
        "csv": (folder.read, "all"),
        "phantom": (folder.read_phantom, "given"),
    }
)
"""Reader of each kind of data set, and the preset of the split used when none is asked for."""

Report = Callable[[str, int, int], None]
"""Progress callback, called with the name of a stage, items done, and items in all."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """Outcome of preparing a data set.

    Attributes:
        description: Contents of `store.json`.
        done: Number of images whose parts were made in this run; 0 when all were there.
        seconds: Time taken, in seconds.
        unchanged: Whether the store was already finished with the same split.
    """

    description: Mapping[str, Any]
    done: int
    seconds: float
    unchanged: bool = False


def prepare_store(
    kind: str,
    root: Path,
    out: Path,
    *,
    preset: str | None = None,
    seed: int = 0,
    engine: Engine = in_this_process,
    report: Report = lambda _stage, _done, _total: None,
) -> Prepared:
    """Prepare a data set as a store, or resume an interrupted preparation.

    Args:
        kind: Key of `READERS`.
        root: Folder of the data set, or of its archives and tables; archives are unpacked into
            `out`.
        out: Folder of the store; not inside `root`.
        preset: Key of `split.PRESETS`; None: the usual one in `READERS`. Changing preset or seed
            draws the split anew without reading pixels again.
        seed: Random seed of the split.
        engine: Applies functions to headers and pixels, in this process or in others.
        report: Progress callback.

    Returns:
        The store's description, and how much work was done.

    Raises:
        UnknownName: No such kind or preset.
        UsageError: `out` lies inside `root`, or the split `given` is asked for and the set
            prescribes none.
        InputError: The folder is not such a data set, or no image of it can be read.
        StoreError: `out` holds something else.
        OSError: `out` cannot be written.
    """
    check_name("kind of data set", kind, READERS)
    reader, usual = READERS[kind]
    choice = Choice(usual if preset is None else preset, seed)
    check_place(root, out)
    if is_store(root):
        raise InputError(
            f"{root} is a prepared store already",
            expected="the folder of a data set",
            remedy="train on the store, or evaluate on it",
        )
    start_s = time.monotonic()
    key = inventory_key(root, kind)
    finished = _finished(out, key, choice)
    if finished is not None:
        remove_unpacked(out)
        return Prepared(finished, 0, time.monotonic() - start_s, unchanged=True)
    _check_new_or_begun(out)
    out.mkdir(parents=True, exist_ok=True)
    with held(out):
        index = _planned(reader, root, out, key, engine, report)
        done = _make_parts(out, index, engine, report)
        description = finish_store(out, index, choice, key)
        remove_unpacked(out)
    return Prepared(description, done, time.monotonic() - start_s)


def _finished(out: Path, key: str, choice: Choice) -> dict[str, Any] | None:
    """Return the description of a whole store of the same files and split, if it is here."""
    if not (out / META_FILE).exists():
        return None
    meta = read_meta(out)
    if meta.get("generator", {}).get("files") != key:
        raise StoreError(
            f"{out} holds another store",
            found=f"kind {meta.get('kind')}, {meta.get('images')} images of other or older files",
            remedy="name a new folder or remove this one",
        )
    same = (meta["split"], meta["seed"]) == (choice.preset, choice.seed)
    images = int(meta["images_found"])
    whole = all(is_whole(out / PARTS_FOLDER, number) for number in range(-(-images // PART_IMAGES)))
    return meta if same and whole and (out / INDEX_FILE).exists() else None


def _check_new_or_begun(out: Path) -> None:
    """Raise unless the folder is new, empty, or was begun by `prepare`."""
    names = {entry.name for entry in out.iterdir()} if out.exists() else set()
    if not names & {LOCK_FILE, PLAN_FILE, META_FILE}:
        check_empty(out)


def _planned(
    reader: Reader, root: Path, out: Path, key: str, engine: Engine, report: Report
) -> Index:
    """Return the plan that was begun, or a new one from the reader."""
    remove_parts(out)
    archives = archives_in(root)
    source = out / UNPACKED if archives else root
    index = read_plan(out, source, key)
    if archives and (index is None or _tasks(out, index)):
        unpack(archives, out, key, partial(report, "unpacking archives"))
    if index is None:
        try:
            index = reader(source, partial(report, "reading headers"), engine)
        except InputError:
            remove_unpacked(out)
            raise
        write_plan(out, index, key)
    return index


def _tasks(out: Path, index: Index) -> list[PartTask]:
    """Return the parts that are still to make."""
    folder_ = out / PARTS_FOLDER
    return [
        PartTask(
            folder_,
            first // PART_IMAGES,
            index.root,
            tuple(image.source for image in index.images[first : first + PART_IMAGES]),
        )
        for first in range(0, len(index.images), PART_IMAGES)
        if not is_whole(folder_, first // PART_IMAGES)
    ]


def _make_parts(out: Path, index: Index, engine: Engine, report: Report) -> int:
    (out / PARTS_FOLDER).mkdir(exist_ok=True)
    remove_parts(out / PARTS_FOLDER)
    tasks = _tasks(out, index)
    total = sum(len(task.sources) for task in tasks)
    done = 0
    for images in engine(make_part, tasks):
        done += images
        report("preparing slices", done, total)
    lost = _tasks(out, index)
    if lost:
        raise StoreError(
            f"{len(lost)} parts that were made are not to be found on this machine",
            found=f"no whole part {lost[0].number} in {out / PARTS_FOLDER}",
            expected="storage that all machines share under one path",
        )
    remove_parts(out / PARTS_FOLDER)  # of workers that were killed while they wrote
    return done


def inventory_key(root: Path, kind: str) -> str:
    """Return a SHA-256 over the names, sizes and modification times of the files of a data set.

    Args:
        root: Folder of the data set.
        kind: Kind of data set, which is hashed too.

    Raises:
        InputError: The folder is not there or cannot be listed.
    """
    if not root.is_dir():
        what = "is not a folder" if root.exists() else "does not exist"
        raise InputError(f"{root} {what}", expected="the folder of the data set")
    digest = hashlib.sha256(kind.encode())
    for name, size, changed_ns in list_files(root):
        digest.update(f"\0{name}\0{size}\0{changed_ns}".encode(errors="surrogateescape"))
    return digest.hexdigest()


def write_plan(folder: Path, index: Index, key: str) -> None:
    """Write the images that a reader found, and the key of the files read, in one atomic step.

    Args:
        folder: Folder of the store.
        index: Images and findings of the data set.
        key: Inventory key of the data set's files.
    """
    head = {
        "schema": PLAN_SCHEMA,
        "key": key,
        "kind": index.kind,
        "label_level": index.label_level,
        "hu_range": index.hu_range,
        "images": len(index.images),
    }
    with replacing(folder / PLAN_FILE) as part, gzip.open(part, "wt", encoding="utf-8") as file:
        file.write(json.dumps(head) + "\n")
        for image in index.images:
            file.write(json.dumps(astuple(image)) + "\n")
        for finding in index.findings:
            file.write(json.dumps(astuple(finding)) + "\n")


def read_plan(folder: Path, root: Path, key: str) -> Index | None:
    """Read back what `write_plan` wrote to a store's folder; None if nothing was written.

    Args:
        folder: Folder of the store.
        root: Folder of the data set, or of its unpacked files.
        key: Inventory key of its files as they are now.

    Raises:
        StoreError: The plan was made from other files, or cannot be read.
    """
    path = folder / PLAN_FILE
    if not path.exists():
        return None
    try:
        with gzip.open(path, "rt", encoding="utf-8") as file:
            head = json.loads(file.readline())
            if head.get("schema") != PLAN_SCHEMA or head.get("key") != key:
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


def _image(cells: list[Any]) -> StoreRow:
    cells[5] = tuple(cells[5])
    cells[6] = None if cells[6] is None else tuple(cells[6])
    return StoreRow(*cells)
