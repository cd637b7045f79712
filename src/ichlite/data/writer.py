"""Write a prepared store slice by slice, for sets that are generated.

Sets that are read from files are made by `prepare`, which resumes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import replacing_folder, write_json
from ichlite.ct.tensor import GRID
from ichlite.data.rows import StoreRow, pixel_sha256, write_index
from ichlite.data.store import META_FILE, PARTS_FOLDER, SCHEMA
from ichlite.data.store_parts import CELLS, PART_IMAGES, part_path, write_part
from ichlite.errors import StoreError


class StoreWriter:
    """Context manager that writes a store image by image, so that it is complete or absent.

    Args:
        path: Folder to make; it must not exist, or be empty.
        kind: Kind of store, such as `phantom`.
        seed: Random seed of the generator, for `store.json`.
        generator: JSON-serialisable description of how the images were made.
        hu_range: Lowest and highest HU that are known, as in `Store.hu_range`; None: all are.

    Attributes:
        images: Number of images written so far.
        hash: Hash of the finished store, as in `store.json`; empty until then.

    Raises:
        StoreError: `path` holds something already.

    Example:
        >>> import tempfile
        >>> from ichlite.data.store import Store
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
        hu_range: tuple[int, int] | None = None,
    ) -> None:
        self.path = Path(path)
        self.kind, self.seed, self.generator = kind, seed, dict(generator or {})
        self.hu_range = hu_range
        self.images = 0
        self.patients: set[str] = set()
        self.hash = ""
        self._outlined = True
        self._rows: list[list[str]] = []
        self._waiting: list[tuple[NDArray[np.int16], NDArray[np.uint8]]] = []
        self._written = 0

    def add(
        self,
        hu: NDArray[np.int16],
        rows: Sequence[StoreRow],
        lesion_cells: NDArray[np.uint8] | None = None,
    ) -> None:
        """Append images and their rows.

        Args:
            hu: (n, 256, 256) int16 HU.
            rows: n rows, in the same order as `hu`.
            lesion_cells: (n, 32, 32) uint8, in the same order; see `store_parts.LesionCells`. A
                store has cells of all of its images or of none.

        Raises:
            StoreError: Shape, dtype or labels are wrong.
        """
        if hu.shape != (len(rows), GRID, GRID) or hu.dtype != np.int16:
            raise StoreError(
                "these images do not fit a store",
                found=f"{hu.dtype} {hu.shape}",
                expected=f"int16 ({len(rows)}, {GRID}, {GRID})",
            )
        if lesion_cells is None:
            self._outlined = False
            lesion_cells = np.zeros((len(rows), CELLS, CELLS), np.uint8)
        for image, row, cells in zip(hu, rows, lesion_cells, strict=True):
            self._rows.append(row.cells(self.images, pixel_sha256(image)))
            self.patients.add(row.patient)
            self._waiting.append((image.copy(), cells.copy()))
            self.images += 1
            if len(self._waiting) == PART_IMAGES:
                self._write_waiting()

    def _write_waiting(self) -> None:
        number = self._written // PART_IMAGES
        hu, cells = (np.stack(column) for column in zip(*self._waiting, strict=True))
        write_part(part_path(self.part / PARTS_FOLDER, number), hu, cells)
        self._written += len(self._waiting)
        self._waiting = []

    def _finish(self) -> None:
        """Write what waits, the index and the description."""
        if self._waiting:
            self._write_waiting()
        self.hash = write_index(self.part, self._rows)
        description = {
            "schema": SCHEMA,
            "kind": self.kind,
            "label_level": "slice",
            "lesion_cells": self._outlined,
            **({} if self.hu_range is None else {"hu_range": self.hu_range}),
            "images": self.images,
            "patients": len(self.patients),
            "seed": self.seed,
            "hash": self.hash,
            "generator": self.generator,
        }
        write_json(self.part / META_FILE, description)

    def __enter__(self) -> StoreWriter:
        self._folder = ExitStack()
        self.part = self._folder.enter_context(replacing_folder(self.path))
        (self.part / PARTS_FOLDER).mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._folder.__exit__(kind, error, trace)
            return
        with self._folder:
            self._finish()
