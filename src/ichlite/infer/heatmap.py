"""Say where a bundle's map sees blood: in which cells, and pixel by pixel in [0, 1].

An activation map is the model's own arithmetic: it pools its last features by their mean, so each
place of its last grid has logits of its own whose mean is the slice's logits. That grid is coarse
(LightFCN: 4x4 for 256x256 pixels), so such a map points to a region, never to an edge.

A lesion map has 32x32 cells and was trained on outlines of bleeds. Its probabilities are calibrated
by nothing: blood and no blood weigh alike in training, though blood is rare.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import GRID

LESION_LEVEL = 0.5
"""Probability from which a cell of a lesion map is shown as blood."""

TISSUE_HU = (0, 110)
"""Range of HU, water to clotted blood, of pixels that may be blood."""

LEAST_TISSUE = 0.5
"""Share of pixels in `TISSUE_HU` below which a cell is bone or air and is never marked as blood."""


def holds_tissue(hu: NDArray[np.int16], rows: int, columns: int) -> NDArray[np.bool_]:
    """Return which cells of a lesion map cover tissue that may be blood, not mostly bone or air.

    Args:
        hu: (slice, 256, 256) int16 HU.
        rows: Rows of the map; a divisor of 256.
        columns: Columns of the map; a divisor of 256.

    Returns:
        (slice, rows, columns) bool.

    Example:
        >>> bone = np.full((1, 256, 256), 900, np.int16)
        >>> bone[0, :8, :4] = 60
        >>> holds_tissue(bone, 32, 32)[0, 0, :2].tolist()
        [True, False]
    """
    low, high = TISSUE_HU
    tissue = (hu >= low) & (hu <= high)
    cells = tissue.reshape(len(hu), rows, GRID // rows, columns, GRID // columns)
    return np.asarray(cells.mean(axis=(2, 4)) >= LEAST_TISSUE)


def enlarged(cells: NDArray[np.float32]) -> NDArray[np.float32]:
    """Enlarge a slice's map of one subtype to the 256x256 grid by bilinear interpolation.

    Args:
        cells: (row, column) float32 in [0, 1], one value for each cell of the map.

    Returns:
        (256, 256) float32 in [0, 1], bilinear between the centres of the cells.

    Example:
        >>> enlarged(np.array([[0.0, 1.0]], np.float32))[0, [0, 127, 255]].round(2).tolist()
        [0.0, 0.5, 1.0]
    """
    return np.clip(_enlarge(_enlarge(cells.astype(np.float64)).T).T, 0.0, 1.0).astype(np.float32)


def _enlarge(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a grid enlarged to 256 rows, linear between centres of places and flat beyond."""
    places = len(grid)
    centre = np.clip((np.arange(GRID) + 0.5) * places / GRID - 0.5, 0, places - 1)
    before = np.minimum(centre.astype(int), max(places - 2, 0))
    after = np.minimum(before + 1, places - 1)
    share = (centre - before)[:, None]
    return np.asarray(grid[before] * (1 - share) + grid[after] * share)
