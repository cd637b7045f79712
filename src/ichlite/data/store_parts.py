"""Keep HU slices in compressed HDF5 files of up to 512, and read many of them as one array.

One chunk is one slice, so that training reads single random slices; bytes are shuffled by bit and
compressed with Zstandard, and a checksum of each chunk is compared whenever it is read. ADR 13 has
the measurements behind this choice.
"""

from __future__ import annotations

import io
import math
import threading
from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import replacing
from ichlite.ct.tensor import GRID
from ichlite.data.rows import pixel_sha256
from ichlite.errors import StoreError

PART_IMAGES = 512
"""Slices in one file: 25 MB, which take two seconds to make again after an interruption."""

CELLS = 32
"""Rows and columns of a slice's grid of lesion cells; one cell covers 8x8 pixels."""

LEAST_COVERED = 1 / 8
"""Share of a cell that a bleed must cover for the cell to be set."""

OPEN_FILES = 256
_HU, _CELLS = "hu", "lesion_cells"

Element = TypeVar("Element", bound=np.generic)


def part_path(folder: Path, number: int) -> Path:
    """Return the path of a store's part, an HDF5 file.

    Args:
        folder: Folder of the parts.
        number: Number of the part, from 0.
    """
    return folder / f"{number:05d}.h5"


def write_part(
    path: Path, hu: NDArray[np.int16], lesion_cells: NDArray[np.uint8] | None = None
) -> None:
    """Write slices to one HDF5 file in one atomic step.

    Args:
        path: The file; its folder exists.
        hu: (n, 256, 256) int16 HU, n at most `PART_IMAGES`.
        lesion_cells: (n, 32, 32) uint8, see `LesionCells`; None where no bleed was outlined.
    """
    import h5py
    import hdf5plugin

    # In memory first: HDF5 ends the process by a fault of memory when the disk is full.
    content = io.BytesIO()
    zstd = hdf5plugin.Blosc(cname="zstd", clevel=1, shuffle=hdf5plugin.Blosc.BITSHUFFLE)
    with h5py.File(content, "w", libver="v110") as file:
        file.create_dataset(
            _HU, data=hu, dtype="<i2", chunks=(1, GRID, GRID), fletcher32=True, **zstd
        )
        if lesion_cells is not None:
            file.create_dataset(
                _CELLS,
                data=lesion_cells,
                dtype="u1",
                chunks=(len(hu), CELLS, CELLS),
                fletcher32=True,
                **zstd,
            )
    with replacing(path) as part:
        part.write_bytes(content.getbuffer())


class RowArray(ABC, Generic[Element]):
    """An array whose items are read one by one when they are indexed.

    Attributes:
        shape: (N, …), shape of the whole array.
        dtype: Type of an element.
    """

    shape: tuple[int, ...]
    dtype: np.dtype[Element]

    @abstractmethod
    def item(self, row: int) -> NDArray[Element]:
        """Return one item of the array, read from disk.

        Args:
            row: Index of the item along the first axis.
        """

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, key: int | np.integer[Any] | slice | NDArray[Any]) -> NDArray[Element]:
        """Return (…) for a row number, (n, …) for a slice or array of row numbers, or a mask."""
        if isinstance(key, int | np.integer):
            return self.item(range(len(self))[int(key)])
        rows = np.arange(len(self))[key]
        items = np.empty((len(rows), *self.shape[1:]), self.dtype)
        for place, row in enumerate(rows.tolist()):
            items[place] = self.item(row)
        return items


SliceArray = RowArray[np.int16]
"""Array (N, 256, 256) of int16 HU whose slices are read when indexed."""


class CellArray(RowArray[np.uint8]):
    """Array (N, 32, 32) of uint8 lesion cells, read when indexed; see `LesionCells`.

    Attributes:
        stored: Whether any bleed was outlined, so that cells can be set.
    """

    stored: bool


class Slices(RowArray[np.int16]):
    """The slices of a store's parts, as one read-only array in the order of its rows.

    A slice is compared with its hash when it is first read. Safe between threads, and to send to
    another process.

    Args:
        folder: Folder of the parts.
        slots: (N,) number of each row's slice, counted through the parts from 0.
        pixel_sha256: (N,) `rows.pixel_sha256` of each row's slice.

    Attributes:
        shape: (N, 256, 256).
        dtype: int16.

    Example:
        >>> import tempfile
        >>> folder = Path(tempfile.mkdtemp())
        >>> write_part(part_path(folder, 0), np.full((3, 256, 256), 40, np.int16))
        >>> slices = Slices(folder, np.array([0, 2]), ["constant 40"] * 2)
        >>> slices.shape, int(slices[1][0, 0]), slices[np.array([0, 1])].shape
        ((2, 256, 256), 40, (2, 256, 256))
    """

    def __init__(self, folder: Path, slots: NDArray[np.int64], pixel_sha256: Sequence[str]) -> None:
        self.folder = folder
        self.slots = slots
        self.pixel_sha256 = pixel_sha256
        self.shape = (len(slots), GRID, GRID)
        self.dtype = np.dtype(np.int16)
        self._open: OrderedDict[int, Any] = OrderedDict()
        self._checked = np.zeros(len(self.slots), bool)
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type[Slices], tuple[Path, NDArray[np.int64], Sequence[str]]]:
        return Slices, (self.folder, self.slots, self.pixel_sha256)  # no open files, no lock

    def item(self, row: int) -> NDArray[np.int16]:
        """Return the HU of one slice, (256, 256) int16, after comparing it with its hash.

        Raises:
            StoreError: The slice cannot be read, or has changed.
        """
        hu: NDArray[np.int16] = self.read(row, _HU)
        if not self._checked[row]:
            if pixel_sha256(hu) != self.pixel_sha256[row]:
                raise StoreError(
                    f"slice {row} of {self.folder} changed since the store was written",
                    expected=f"pixels of hash {self.pixel_sha256[row]}",
                    remedy="make the store again in a new folder",
                )
            self._checked[row] = True
        return hu

    def read(self, row: int, dataset: str) -> NDArray[Any]:
        """Return the values of an HDF5 data set for one row, without comparing hashes.

        Args:
            row: Row of the store.
            dataset: Name of the data set in the part's file.

        Raises:
            StoreError: The file cannot be read.
        """
        number, place = divmod(int(self.slots[row]), PART_IMAGES)
        with self._lock:
            try:
                values: NDArray[Any] = self._part(number)[dataset][place]
            except (OSError, KeyError, ValueError, IndexError) as fault:
                raise StoreError(
                    f"{part_path(self.folder, number)} cannot be read",
                    found=" ".join(str(fault).split())[:120],
                    remedy="run `ichlite prepare` or `ichlite phantom` again",
                ) from fault
        return values

    def _part(self, number: int) -> Any:
        """Return the open file of a part; the least recently used one makes room."""
        found = self._open.get(number)
        if found is None:
            import h5py
            import hdf5plugin  # noqa: F401  (registers the decompressor)

            found = h5py.File(part_path(self.folder, number), "r")
            self._open[number] = found
            if len(self._open) > OPEN_FILES:
                self._open.popitem(last=False)[1].close()
        else:
            self._open.move_to_end(number)
        return found


class LesionCells(CellArray):
    """Grid cells of each slice that hold a bleed, as one read-only array in the order of rows.

    Bit k of a cell is set where subtype k of `labels.NAMES` covers enough of its 8x8 pixels.

    Args:
        slices: The store's slices, whose files hold the cells, too.
        stored: Whether the files hold cells; else no cell is set.

    Attributes:
        shape: (N, 32, 32).
        dtype: uint8.
    """

    def __init__(self, slices: Slices, *, stored: bool) -> None:
        self.slices, self.stored = slices, stored
        self.shape = (len(slices), CELLS, CELLS)
        self.dtype = np.dtype(np.uint8)

    def item(self, row: int) -> NDArray[np.uint8]:
        """Return the lesion cells of one slice, (32, 32) uint8; bit k stands for subtype k."""
        if self.stored:
            return self.slices.read(row, _CELLS)
        return np.zeros((CELLS, CELLS), np.uint8)


def cells_of(covered: NDArray[np.bool_], present: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the lesion cells of a slice whose bleeds were outlined.

    Args:
        covered: (subtype, side, side) bool, which pixels of the slice each subtype covers.
        present: (subtype,) 0/1; a subtype that the slice is not labelled with sets no cell.

    Returns:
        (32, 32) uint8, as `LesionCells`: bit k where subtype k covers an eighth of the cell, or,
        where it covers that of none, in the cell that has most of it.

    Example:
        >>> covered = np.zeros((5, 64, 64), bool)
        >>> covered[4, 2, 3] = True
        >>> int(cells_of(covered, np.array([0, 0, 0, 0, 1], np.uint8))[1, 1])
        16
    """
    kinds, side, _ = covered.shape
    times = CELLS // math.gcd(side, CELLS)
    fine = covered.repeat(times, axis=1).repeat(times, axis=2)
    block = side * times // CELLS
    share = fine.reshape(kinds, CELLS, block, CELLS, block).mean(axis=(2, 4))
    cells = np.zeros((CELLS, CELLS), np.uint8)
    for kind in np.flatnonzero(present):
        if share[kind].any():
            filled = share[kind] >= min(LEAST_COVERED, share[kind].max())
            cells |= filled.astype(np.uint8) << np.uint8(kind)
    return cells
