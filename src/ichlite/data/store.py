"""The prepared store: slices, labels and split in one folder, written once, read by mapping.

`hu.npy` (N, 256, 256) int16 HU; `index.csv`, one row an image; `store.json`, what it is and its
hash. A store is whole or absent: it is written in a folder of its own and renamed at the end.
"""

from __future__ import annotations

import csv
import hashlib
import json
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import StoreError
from ichlite.labels import NAMES

SCHEMA = "ichlite-store/1"
GRID = 256
SPLITS = ("train", "validation", "test")
COLUMNS: tuple[str, ...] = (
    "image",
    "patient",
    "study",
    "series",
    "position_mm",
    *NAMES,
    "lesion_row",
    "lesion_column",
    "split",
)
_CHUNK = 1 << 22


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One image's line in `index.csv`.

    Attributes:
        image: Unique name.
        patient, study, series: Where it came from.
        position_mm: Along the slice normal; None when unknown.
        labels: 0 or 1 for each subtype, in the order of `labels.NAMES`.
        lesion: (row, column) of the largest bleed in 256-grid pixels; None when there is none or
            it is not known.
        split: `train`, `validation` or `test`.
    """

    image: str
    patient: str
    study: str
    series: str
    position_mm: float | None
    labels: tuple[int, ...]
    lesion: tuple[float, float] | None
    split: str

    def cells(self) -> list[str]:
        """Return the row as the text cells of `index.csv`."""
        position = "" if self.position_mm is None else f"{self.position_mm:.3f}"
        spot = ("", "") if self.lesion is None else tuple(f"{v:.1f}" for v in self.lesion)
        ids = [self.image, self.patient, self.study, self.series, position]
        return [*ids, *(str(int(v)) for v in self.labels), *spot, self.split]


class StoreWriter:
    """Writes a store image by image; use as a context manager.

    Args:
        path: Folder to make; must not exist, or be empty.
        kind: `phantom`, `rsna`, …
        seed: Of the generator, None for real data.
        generator: Anything JSON-able that says how it was made.

    Attributes:
        images: Written so far.
        hash: Of the finished store, as in `store.json`; empty before.

    Raises:
        StoreError: `path` holds something already.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp()) / "store"
        >>> row = StoreRow("a", "p", "s", "t", 1.0, (0, 0, 0, 0, 1), (10.0, 20.0), "train")
        >>> with StoreWriter(folder, kind="phantom", seed=1) as writer:
        ...     writer.add(np.zeros((1, 256, 256), np.int16), [row])
        >>> Store.open(folder).labels.tolist()
        [[0, 0, 0, 0, 1]]
    """

    def __init__(
        self,
        path: Path,
        *,
        kind: str,
        seed: int | None = None,
        generator: Mapping[str, Any] | None = None,
    ) -> None:
        self.path = Path(path)
        if self.path.exists() and (not self.path.is_dir() or any(self.path.iterdir())):
            raise StoreError(
                f"{self.path} is not empty", remedy="name a new folder or remove this one"
            )
        self.part = self.path.with_name(self.path.name + ".part")
        self.kind, self.seed, self.generator = kind, seed, dict(generator or {})
        self.images = 0
        self.patients: set[str] = set()
        if self.part.exists():
            shutil.rmtree(self.part)
        self.part.mkdir(parents=True)
        self.hash = ""
        self._pixels = (self.part / "hu.npy").open("wb+")
        self._header()
        self._index = (self.part / "index.csv").open("w", newline="", encoding="utf-8")
        self._lines = csv.writer(self._index, lineterminator="\n")
        self._lines.writerow(COLUMNS)

    def _header(self) -> None:
        """Write the .npy header for the images so far, of constant length."""
        shape = (self.images, GRID, GRID)
        text = f"{{'descr': '<i2', 'fortran_order': False, 'shape': {shape}, }}"
        self._pixels.seek(0)
        self._pixels.write(b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little"))
        self._pixels.write(text.ljust(117).encode("ascii") + b"\n")

    def add(self, hu: NDArray[np.int16], rows: Sequence[StoreRow]) -> None:
        """Append images and their rows.

        Args:
            hu: (n, 256, 256) int16 HU.
            rows: n rows, same order.

        Raises:
            StoreError: Shapes, type or labels do not fit.
        """
        if hu.shape != (len(rows), GRID, GRID) or hu.dtype != np.int16:
            raise StoreError(
                "images do not fit the store",
                found=f"{hu.dtype} {hu.shape}",
                expected=f"int16 ({len(rows)}, {GRID}, {GRID})",
            )
        for row in rows:
            if len(row.labels) != len(NAMES) or row.split not in SPLITS:
                raise StoreError(
                    f"row of image {row.image} does not fit the store",
                    found=f"{len(row.labels)} labels, split {row.split!r}",
                    expected=f"{len(NAMES)} labels, split one of {', '.join(SPLITS)}",
                )
            self._lines.writerow(row.cells())
            self.patients.add(row.patient)
        self._pixels.write(np.ascontiguousarray(hu, "<i2").tobytes())
        self.images += len(rows)

    def finish(self) -> None:
        """Complete the header, hash, describe and rename the store into place."""
        self._header()
        self._pixels.close()
        self._index.close()
        self.hash = store_hash(self.part)
        description = {
            "schema": SCHEMA,
            "kind": self.kind,
            "images": self.images,
            "patients": len(self.patients),
            "seed": self.seed,
            "hash": self.hash,
            "generator": self.generator,
        }
        text = json.dumps(description, indent=1, sort_keys=True) + "\n"
        (self.part / "store.json").write_text(text, encoding="utf-8")
        if self.path.exists():
            self.path.rmdir()
        self.part.replace(self.path)

    def abandon(self) -> None:
        """Remove what was written."""
        self._pixels.close()
        self._index.close()
        shutil.rmtree(self.part, ignore_errors=True)

    def __enter__(self) -> StoreWriter:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.finish()
        else:
            self.abandon()


def store_hash(path: Path) -> str:
    """Return the SHA-256 over the bytes of `hu.npy`, then `index.csv`."""
    digest = hashlib.sha256()
    for name in ("hu.npy", "index.csv"):
        with (path / name).open("rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    return digest.hexdigest()


@dataclass(frozen=True, slots=True)
class Store:
    """A prepared store, or a selection of one.

    Attributes:
        path: The folder.
        hu: (N, 256, 256) int16 HU; mapped from disk for a whole store.
        labels: (N, 5) uint8, columns as `labels.NAMES`.
        image, patient, study, series, split: (N,) text.
        position_mm: (N,) float32, NaN where unknown.
        lesion: (N, 2) float32 row and column, NaN where none.
        meta: `store.json`.
    """

    path: Path
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    study: NDArray[np.str_]
    series: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    lesion: NDArray[np.float32]
    split: NDArray[np.str_]
    meta: Mapping[str, Any]

    def __len__(self) -> int:
        return len(self.labels)

    @property
    def hash(self) -> str:
        """The hash that `store.json` states."""
        return str(self.meta["hash"])

    @classmethod
    def open(cls, path: Path, *, verify: bool = False) -> Store:
        """Return the store at `path`.

        Args:
            path: Its folder.
            verify: Also compare the hash, which reads every byte.

        Raises:
            StoreError: It is missing, incomplete or inconsistent.
        """
        path = Path(path)
        meta = _read_meta(path)
        rows = _read_index(path)
        try:
            hu = np.load(path / "hu.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as fault:
            raise StoreError(
                f"{path / 'hu.npy'} cannot be read", found=fault, remedy="make it again"
            ) from fault
        if hu.shape != (len(rows["image"]), GRID, GRID) or hu.dtype != np.int16:
            raise StoreError(
                f"{path}: hu.npy does not fit index.csv",
                found=f"{hu.dtype} {hu.shape}",
                expected=f"int16 ({len(rows['image'])}, {GRID}, {GRID})",
                remedy="make it again",
            )
        if verify and store_hash(path) != meta.get("hash"):
            raise StoreError(
                f"{path} changed since it was written", expected=f"hash {meta.get('hash')}"
            )
        return cls(
            path=path,
            hu=hu,
            labels=np.array([rows[n] for n in NAMES], np.uint8).T.reshape(-1, len(NAMES)),
            image=np.array(rows["image"], np.str_),
            patient=np.array(rows["patient"], np.str_),
            study=np.array(rows["study"], np.str_),
            series=np.array(rows["series"], np.str_),
            position_mm=_numbers(rows["position_mm"]),
            lesion=np.stack([_numbers(rows["lesion_row"]), _numbers(rows["lesion_column"])], 1),
            split=np.array(rows["split"], np.str_),
            meta=MappingProxyType(meta),
        )

    def rows(self, split: str) -> NDArray[np.int64]:
        """Return the row numbers of a split, ascending."""
        return np.flatnonzero(self.split == split).astype(np.int64)

    def select(self, split: str) -> Store:
        """Return the images of one split (read into memory unless they are contiguous).

        Raises:
            StoreError: There is no such split.
        """
        if split not in SPLITS:
            raise StoreError(f"no split {split!r}", expected=f"one of {', '.join(SPLITS)}")
        return self.take(self.rows(split))

    def take(self, rows: NDArray[np.int64]) -> Store:
        """Return the store of these rows, in this order."""
        contiguous = len(rows) > 0 and bool(np.all(np.diff(rows) == 1))
        hu = self.hu[int(rows[0]) : int(rows[-1]) + 1] if contiguous else self.hu[rows]
        return Store(
            path=self.path,
            hu=hu,
            labels=self.labels[rows],
            image=self.image[rows],
            patient=self.patient[rows],
            study=self.study[rows],
            series=self.series[rows],
            position_mm=self.position_mm[rows],
            lesion=self.lesion[rows],
            split=self.split[rows],
            meta=self.meta,
        )


def _read_meta(path: Path) -> dict[str, Any]:
    file = path / "store.json"
    try:
        meta = json.loads(file.read_text(encoding="utf-8"))
    except OSError as fault:
        raise StoreError(
            f"{path} is not a prepared store",
            found="no readable store.json",
            remedy="make one with `ichlite phantom`",
        ) from fault
    except ValueError as fault:
        raise StoreError(f"{file} is not JSON", remedy="make it again") from fault
    if not isinstance(meta, dict) or meta.get("schema") != SCHEMA:
        found = meta.get("schema") if isinstance(meta, dict) else type(meta).__name__
        raise StoreError(f"{file} has another schema", found=found, expected=SCHEMA)
    return meta


def _read_index(path: Path) -> dict[str, list[str]]:
    file = path / "index.csv"
    try:
        with file.open(newline="", encoding="utf-8") as lines:
            table = list(csv.reader(lines))
    except OSError as fault:
        raise StoreError(f"{file} cannot be read", remedy="make it again") from fault
    if not table or tuple(table[0]) != COLUMNS:
        raise StoreError(f"{file} has other columns", expected=", ".join(COLUMNS))
    if any(len(row) != len(COLUMNS) for row in table):
        raise StoreError(f"{file} has rows of another length", remedy="make it again")
    columns: Iterable[tuple[str, ...]] = zip(*table[1:], strict=True)
    cells = [list(c) for c in columns] or [[] for _ in COLUMNS]
    return dict(zip(COLUMNS, cells, strict=True))


def _numbers(cells: list[str]) -> NDArray[np.float32]:
    return np.array([float(c) if c else np.nan for c in cells], np.float32)
