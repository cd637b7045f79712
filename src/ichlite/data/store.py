"""Open a prepared store: slices, labels and split in one folder, read at random.

`parts/00000.h5 …` hold (n, 256, 256) int16 HU; `index.csv` one row an image; `store.json` says what
it is, and its hash. `store.json` is written last: a folder without it is no store yet.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.data.rows import INDEX_FILE, SPLITS, UNUSED, index_hash, read_index
from ichlite.data.split import check_leakage
from ichlite.data.store_parts import CellArray, LesionCells, SliceArray, Slices
from ichlite.errors import StoreError
from ichlite.labels import ANY, NAMES

SCHEMA = "ichlite-store/2"
META_FILE = "store.json"
PARTS_FOLDER = "parts"
TEXTS = ("image", "patient", "study", "series", "pixel_sha256", "split")


def is_store(folder: Path) -> bool:
    """Return whether a folder has the files by which a prepared store is known."""
    return all((folder / name).is_file() for name in (META_FILE, INDEX_FILE))


@dataclass(frozen=True, slots=True)
class Store:
    """A prepared store: labelled slices with their split, read from disk when indexed.

    Attributes:
        path: Folder of the store; of joined stores, that of the first.
        folders: Folders of all joined stores, in order; else `path` alone.
        hu: (N, 256, 256) int16 HU, read when indexed.
        labels: (N, 5) uint8, columns as `labels.NAMES`.
        any: (N,) uint8, 1 for any haemorrhage.
        image, patient, study, series, split, pixel_sha256: (N,) text.
        position_mm: (N,) float32, NaN where unknown.
        lesion: (N, 2) float32 row and column of the largest bleed in pixels of the 256 grid; NaN
            where there is none or it is unknown.
        lesion_cells: (N, 32, 32) uint8 cells that hold a bleed, read when indexed; see
            `store_parts.LesionCells`.
        cells_known: (N,) bool: whether a slice's bleeds were outlined, or it has none.
        origin: (N,) number of the joined store that each row is from; 0 in a single store.
        meta: Contents of `store.json`.
    """

    path: Path
    folders: tuple[Path, ...]
    hu: SliceArray
    labels: NDArray[np.uint8]
    any: NDArray[np.uint8]
    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    study: NDArray[np.str_]
    series: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    lesion: NDArray[np.float32]
    lesion_cells: CellArray
    cells_known: NDArray[np.bool_]
    origin: NDArray[np.int64]
    pixel_sha256: NDArray[np.str_]
    split: NDArray[np.str_]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def hash(self) -> str:
        """Hash of the store's index, as stated in `store.json`."""
        return str(self.meta["hash"])

    @property
    def label_level(self) -> str:
        """`slice` if labels describe each slice, `scan` if they describe its whole scan."""
        return str(self.meta.get("label_level", "slice"))

    @property
    def hu_range(self) -> tuple[int, int] | None:
        """Lowest and highest HU that were measured in every slice; None if there is no limit.

        Values beyond the range are filled in, in stores that were made from pictures of one CT
        window.
        """
        stores = self.meta.get("stores") or [self.meta]
        known = [one["hu_range"] for one in stores if one.get("hu_range")]
        if not known:
            return None
        return max(int(low) for low, _ in known), min(int(high) for _, high in known)

    @classmethod
    def open(cls, path: Path) -> Store:
        """Open the store in a folder; slices are read, and checked against their hashes, when used.

        Args:
            path: Folder of the store.

        Raises:
            StoreError: It is missing, incomplete, changed since it was written, or its split leaks.
        """
        path = Path(path)
        meta = read_meta(path)
        columns = read_index(path)
        if index_hash(path) != meta.get("hash"):
            raise StoreError(
                f"{path} changed since it was written",
                expected=f"an index of hash {meta.get('hash')}",
                remedy="make it again",
            )
        check_leakage(
            columns["patient"], columns["series"], columns["pixel_sha256"], columns["split"]
        )
        try:
            return cls._of(path, columns, meta)
        except ValueError as fault:
            raise StoreError(
                f"the index of {path} has cells that cannot be read: {fault}",
                remedy="make the store again",
            ) from fault

    @classmethod
    def _of(cls, path: Path, columns: dict[str, list[str]], meta: dict[str, Any]) -> Store:
        spots = [_numbers(columns["lesion_row"]), _numbers(columns["lesion_column"])]
        slots = np.array(columns["slot"], np.int64)
        hu = Slices(path / PARTS_FOLDER, slots, columns["pixel_sha256"])
        cells = LesionCells(hu, stored=bool(meta.get("lesion_cells")))
        lesion = np.stack(spots, 1)
        any_bleed = np.array(columns[ANY], np.uint8)
        return cls(
            path=path,
            folders=(path,),
            hu=hu,
            labels=np.array([columns[n] for n in NAMES], np.uint8).T.reshape(-1, len(NAMES)),
            any=any_bleed,
            position_mm=_numbers(columns["position_mm"]),
            lesion=lesion,
            lesion_cells=cells,
            cells_known=(any_bleed == 0) | (cells.stored & np.isfinite(lesion).all(axis=1)),
            origin=np.zeros(len(any_bleed), np.int64),
            meta=MappingProxyType(meta),
            **{name: np.array(columns[name], np.str_) for name in TEXTS},
        )

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of a split, ascending.

        Args:
            split: `train`, `validation`, `test` or `unused`.

        Raises:
            StoreError: There is no such split.
        """
        if split not in (*SPLITS, UNUSED):
            raise StoreError(f"there is no split {split!r}", expected=f"one of {', '.join(SPLITS)}")
        return np.flatnonzero(self.split == split).astype(np.int64)

    def verify(self) -> None:
        """Read every slice and compare it with its hash.

        Raises:
            StoreError: A slice cannot be read, or has changed since it was written.
        """
        for row in range(len(self)):
            self.hu[row]


def read_meta(path: Path) -> dict[str, Any]:
    """Read the contents of `store.json` in a store's folder.

    Args:
        path: Folder of the store.

    Raises:
        StoreError: The folder is no store, or one of another schema.
    """
    file = path / META_FILE
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise StoreError(
            f"{path} is not a prepared store",
            found=f"no readable {META_FILE}",
            remedy="make one with `ichlite prepare` or `ichlite phantom`; the same command again "
            "finishes one that was interrupted",
        ) from fault
    except ValueError as fault:
        raise StoreError(f"{file} is not JSON", remedy="make the store again") from fault
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        found = meta.get("schema") if isinstance(meta, dict) else type(meta).__name__
        raise StoreError(
            f"{file} is of schema {found}, not {SCHEMA}", remedy="make the store again"
        )
    return meta


def _numbers(cells: list[str]) -> NDArray[np.float32]:
    return np.array([float(c) if c else np.nan for c in cells], np.float32)
