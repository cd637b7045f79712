"""Write and read the rows of a store, one for each image, in `index.csv`."""

from __future__ import annotations

import csv
import hashlib
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import write_csv
from ichlite.errors import StoreError
from ichlite.labels import CLASSES, NAMES

INDEX_FILE = "index.csv"
SPLITS = ("train", "validation", "test")
UNUSED = "unused"
"""Split of images that are neither trained nor tested on, such as patients without a bleed under a
preset that leaves them out."""
SIDES = (*SPLITS, UNUSED)

COLUMNS: tuple[str, ...] = (
    "slot", "image", "patient", "study", "series", "position_mm", *CLASSES,
    "lesion_row", "lesion_column", "split", "source", "source_sha256", "pixel_sha256",
)  # fmt: skip
CONSTANT = "constant"
"""Prefix that replaces the pixel hash of a slice whose pixels all have one value, such as air above
the head."""


@dataclass(frozen=True, slots=True)
class StoreRow:
    """One image with its labels and origin: a row of `index.csv`.

    Attributes:
        image: Unique name within the data set.
        patient, study, series: Names of the patient, study and series that the image belongs to.
        position_mm: Position along the slice normal, feet to head; None when unknown.
        labels: 0 or 1 for each subtype, in the order of `labels.NAMES`.
        lesion: (row, column) of the largest bleed in 256-grid pixels; None when there is none or
            it is not known.
        split: `train`, `validation`, `test` or `unused`. From a reader it is the split that the
            data set prescribes, which holds under `--split given`; `unused` for all images of a
            patient who is never trained or tested on, whatever the split; else None.
        any: 0 or 1, any haemorrhage; None: the largest of `labels`.
        source: File that the image is read from, relative to the data set's folder, with `/`; slice
            k (from 0) of a NIfTI volume is `ct_scans/049.nii#k`, a picture of a CT window
            `1.jpg#hu=-20:100`.
        source_sha256: SHA-256 of that file's bytes; empty until they are read.
    """

    image: str
    patient: str
    study: str
    series: str
    position_mm: float | None
    labels: tuple[int, ...]
    lesion: tuple[float, float] | None = None
    split: str | None = None
    any: int | None = None
    source: str = ""
    source_sha256: str = ""

    @property
    def bleeds(self) -> int:
        """1 if the image shows any haemorrhage, else 0."""
        return max(self.labels) if self.any is None else self.any

    def order(self) -> tuple[str, str, str, float, str]:
        """Return the sorting key: patient, study, series, position (unknown first), image."""
        position = float("-inf") if self.position_mm is None else self.position_mm
        return self.patient, self.study, self.series, position, self.image

    def cells(self, slot: int, pixel_sha256: str) -> list[str]:
        """Return the row as the text cells of `index.csv`.

        Args:
            slot: Number of the slice, counted through the store's parts from 0.
            pixel_sha256: Pixel hash of the slice, as `rows.pixel_sha256` returns it.

        Raises:
            StoreError: The number of labels is wrong, or the split is missing or unknown.
        """
        if len(self.labels) != len(NAMES) or self.split is None or self.split not in SIDES:
            raise StoreError(
                f"the row of image {self.image} does not fit the store",
                found=f"{len(self.labels)} labels, split {self.split!r}",
                expected=f"{len(NAMES)} labels, and a split of {', '.join(SIDES)}",
            )
        position = "" if self.position_mm is None else f"{self.position_mm:.3f}"
        spot = ("", "") if self.lesion is None else tuple(f"{v:.1f}" for v in self.lesion)
        return [
            str(slot), self.image, self.patient, self.study, self.series, position,
            *(str(int(v)) for v in (self.bleeds, *self.labels)), *spot, self.split,
            self.source, self.source_sha256, pixel_sha256,
        ]  # fmt: skip


def pixel_sha256(hu: NDArray[np.int16]) -> str:
    """Return the SHA-256 of a slice's pixels; for a constant slice, text with its value instead.

    Args:
        hu: Slice of HU, hashed as little-endian int16.

    Example:
        >>> pixel_sha256(np.full((256, 256), -1024, np.int16))
        'constant -1024'
    """
    first = hu.flat[0]
    if (hu == first).all():
        return f"{CONSTANT} {int(first)}"
    return hashlib.sha256(np.ascontiguousarray(hu, "<i2").data).hexdigest()


def write_index(folder: Path, rows: Iterable[list[str]]) -> str:
    """Write `index.csv` in one atomic step and return its SHA-256.

    Args:
        folder: Folder of the store.
        rows: Cells of each row, as `StoreRow.cells` returns them.
    """
    write_csv(folder / INDEX_FILE, COLUMNS, rows)
    return index_hash(folder)


def index_hash(folder: Path) -> str:
    """Return the SHA-256 of a store's `index.csv`, which contains the pixel hash of every slice."""
    with (folder / INDEX_FILE).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_index(folder: Path) -> dict[str, list[str]]:
    """Read `index.csv` as a list of cells for each column, by column name.

    Raises:
        StoreError: It is missing or has other columns.
    """
    path = folder / INDEX_FILE
    columns: list[list[str]] = [[] for _ in COLUMNS]
    try:
        with path.open(newline="", encoding="utf-8") as file:
            lines = csv.reader(file)
            if tuple(next(lines, ())) != COLUMNS:
                raise StoreError(
                    f"{path} has other columns than a store's index", expected=", ".join(COLUMNS)
                )
            for line in lines:
                if len(line) != len(COLUMNS):
                    raise StoreError(
                        f"{path} has a row of {len(line)} cells",
                        expected=f"{len(COLUMNS)}",
                        remedy="make the store again",
                    )
                for cells, cell in zip(columns, line, strict=True):
                    # Patients, studies and labels repeat; one text each keeps large sets small.
                    cells.append(sys.intern(cell))
    except (OSError, UnicodeDecodeError, csv.Error) as fault:
        raise StoreError(
            f"{path} cannot be read: {fault}", remedy="make the store again"
        ) from fault
    return dict(zip(COLUMNS, columns, strict=True))
