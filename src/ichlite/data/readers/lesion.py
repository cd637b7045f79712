"""Bring the place of a bleed from a matrix of any size to the 256x256 grid."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import GRID


def on_grid(row: float, column: float, rows: int, columns: int) -> tuple[float, float]:
    """Convert a position in a slice's own matrix to the 256x256 grid of `resize_hu`.

    Args:
        row: Row in pixels; 0 is the centre of the first row.
        column: Column in pixels; 0 is the centre of the first column.
        rows: Rows of the matrix.
        columns: Columns of the matrix.

    Returns:
        (row, column) on the grid, in pixels.

    Example:
        >>> on_grid(100.5, 200.5, 512, 512)
        (50.0, 100.0)
        >>> on_grid(0, 0, 256, 128)
        (0.0, 64.0)
    """
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    scale = GRID / side
    return (row + top + 0.5) * scale - 0.5, (column + left + 0.5) * scale - 0.5


def largest_bleed(mask: NDArray[np.bool_]) -> tuple[float, float] | None:
    """Return a position inside the largest bleed of a slice, on the 256x256 grid.

    Args:
        mask: (row, column) bool, all bleeds of the slice.

    Returns:
        (row, column) of that pixel of the largest connected bleed (diagonals connect) which is
        nearest to its centroid, so that it lies inside a crescent too; None without a bleed.

    Example:
        >>> mask = np.zeros((256, 256), bool)
        >>> mask[10:13, 20:23] = mask[100, 100] = True
        >>> largest_bleed(mask)
        (11.0, 21.0)
    """
    from scipy import ndimage

    parts, count = ndimage.label(mask, structure=np.ones((3, 3)))
    if count == 0:
        return None
    sizes = np.bincount(parts.ravel())
    sizes[0] = 0
    places = np.argwhere(parts == np.argmax(sizes)).astype(np.float64)
    offsets = places - places.mean(axis=0)
    row, column = places[np.argmin((offsets**2).sum(axis=1))]
    return on_grid(float(row), float(column), *mask.shape)
