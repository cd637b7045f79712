"""A tiny prepared store, quick to make and to learn: discs with a bright bar a subtype."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ichlite.data.rows import StoreRow
from ichlite.data.store import Store
from ichlite.data.store_parts import cells_of
from ichlite.data.writer import StoreWriter
from ichlite.labels import NAMES

SLICES = 6
SPLIT_OF = ("train", "train", "train", "validation", "test")


def make_store(
    path: Path, *, patients: int = 20, seed: int = 0, kind: str = "toy", prefix: str = "p"
) -> Store:
    """Make a store of `SLICES` slices a patient, outlined; each subtype bleeds in its own row."""
    rng = np.random.default_rng(seed)
    rows, columns = np.mgrid[:256, :256]
    head = (rows - 128) ** 2 + (columns - 128) ** 2 < 90**2
    with StoreWriter(path, kind=kind, seed=seed) as writer:
        for patient in range(patients):
            bleeds = rng.permutation(len(NAMES))[: patient % 3]
            for number in range(SLICES):
                hu = np.where(head, rng.integers(20, 45, head.shape), -1000).astype(np.int16)
                labels = np.zeros(len(NAMES), int)
                covered = np.zeros((len(NAMES), 256, 256), bool)
                lesion = None
                if number >= 3:
                    for subtype in bleeds:
                        row, column = 80 + 20 * subtype, int(rng.integers(90, 160))
                        covered[subtype, row - 6 : row + 6, column - 20 : column + 20] = True
                        hu[covered[subtype]] = 75
                        labels[subtype] = 1
                        lesion = (float(row), float(column))
                name = f"{prefix}{patient:02d}"
                row_of = StoreRow(
                    f"{name}-{number}", name, name, name, 5.0 * number, tuple(labels), lesion,
                    SPLIT_OF[patient % len(SPLIT_OF)],
                )  # fmt: skip
                writer.add(hu[None], [row_of], cells_of(covered, labels)[None])
    return Store.open(path)
