"""Cut small crops around lesions, which the first training steps use.

A bleed is a few pixels of 65,536; aimed crops show the network what it looks like first. Half of
a batch holds a lesion, half comes from slices without any bleed, inside the head.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import GRID
from ichlite.data.store_parts import CELLS, CellArray, SliceArray
from ichlite.errors import StoreError

CELL_PIXELS = GRID // CELLS
"""Side of a lesion cell in pixels of the grid."""
HEAD_HU = -200
"""HU above which a pixel counts as part of the head."""
TRIES = 8
"""Attempts to place a crop on the head before any place is accepted, as above the head."""
EDGE_PIXELS = 16
"""Least distance, in pixels, from a lesion's centre to the edge of its crop."""


class CropSampler:
    """Sampler of random crops from the training split, half of them around lesions.

    Args:
        labels: (image, 5) 0/1.
        lesion: (image, 2) row and column of the largest bleed's centre, NaN without one.
        size: Side of a crop in pixels.

    Raises:
        StoreError: No slice with a lesion position, or none without a bleed.
    """

    def __init__(
        self, labels: NDArray[np.uint8], lesion: NDArray[np.float32], *, size: int
    ) -> None:
        bleeding = labels.any(axis=1)
        self.positive = np.flatnonzero(bleeding & np.isfinite(lesion).all(axis=1))
        self.negative = np.flatnonzero(~bleeding)
        if len(self.positive) == 0 or len(self.negative) == 0:
            raise StoreError(
                "lesion-aimed crops need slices with a lesion position and slices without a bleed",
                found=f"{len(self.positive)} and {len(self.negative)}",
                remedy="train with --crop-steps 0",
            )
        self.labels = labels
        self.lesion = lesion
        self.size = size

    def batch(
        self,
        hu: NDArray[np.int16] | SliceArray,
        cells: NDArray[np.uint8] | CellArray,
        rows: NDArray[np.int64],
        count: int,
        rng: np.random.Generator,
    ) -> tuple[NDArray[np.int16], NDArray[np.uint8], NDArray[np.int64]]:
        """Draw a batch of crops, with their lesion cells and the images that they are from.

        Args:
            hu: (row of the store, row, column) int16, HU.
            cells: (row of the store, row / 8, column / 8) uint8, as
                `data.store_parts.LesionCells`.
            rows: The store's row of each training image, in the order of `labels`.
            count: Crops; the first half, rounded up, hold a lesion.
            rng: Source of all random numbers.

        Returns:
            (count, size, size) int16 HU; (count, size / 8, size / 8) uint8 cells; (count,) indices
            of the training images. A crop with a lesion keeps all labels of its slice.
        """
        wanted = -(-count // 2)
        images = np.concatenate(
            [rng.choice(self.positive, wanted), rng.choice(self.negative, count - wanted)]
        )
        crops = np.empty((count, self.size, self.size), np.int16)
        side = self.size // CELL_PIXELS
        crop_cells = np.empty((count, side, side), np.uint8)
        for number, image in enumerate(images):
            frame = hu[rows[image]]
            aimed = number < wanted
            row, column = self._near_lesion(image, rng) if aimed else self._in_head(frame, rng)
            top, left = corner(frame.shape, row, column, self.size)
            crops[number] = frame[top : top + self.size, left : left + self.size]
            top, left = top // CELL_PIXELS, left // CELL_PIXELS
            crop_cells[number] = cells[rows[image]][top : top + side, left : left + side]
        return crops, crop_cells, images

    def _near_lesion(self, image: int, rng: np.random.Generator) -> tuple[int, int]:
        reach = self.size // 2 - EDGE_PIXELS
        row, column = np.rint(self.lesion[image]).astype(int) + rng.integers(-reach, reach + 1, 2)
        return int(row), int(column)

    def _in_head(self, frame: NDArray[np.int16], rng: np.random.Generator) -> tuple[int, int]:
        rows, columns = rng.integers(0, frame.shape, (TRIES, 2)).T
        hits = np.flatnonzero(frame[rows, columns] > HEAD_HU)
        first = int(hits[0]) if len(hits) else 0
        return int(rows[first]), int(columns[first])


def corner(shape: tuple[int, ...], row: int, column: int, size: int) -> tuple[int, int]:
    """Return the top left corner of a square crop around a point, moved inside the slice.

    Args:
        shape: Rows and columns of the slice, each at least `size`.
        row: Row of the centre.
        column: Column of the centre.
        size: Side in pixels.

    Returns:
        Row and column of the first pixel, each a multiple of 8 (`CELL_PIXELS`).

    Example:
        >>> corner((256, 256), 0, 250, 64)
        (0, 192)
    """
    top = min(max(row - size // 2, 0), shape[0] - size)
    left = min(max(column - size // 2, 0), shape[1] - size)
    return top // CELL_PIXELS * CELL_PIXELS, left // CELL_PIXELS * CELL_PIXELS
