"""Turn a bundle's map into a picture of where it sees blood, pixel by pixel in [0, 1].

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
from ichlite.infer.decision import Calibration, calibrate

LESION_LEVEL = 0.5
"""Probability from which a place of a lesion map is shown."""


def heatmap(
    activation: NDArray[np.float32], calibration: Calibration, subtype: int | None = None
) -> NDArray[np.float32]:
    """Return the evidence for a bleed at each pixel, from a slice's map.

    Args:
        activation: (row, column, 5) float32 logits of each place, from `Runtime.run`.
        calibration: The bundle's for an activation map, `Calibration()` for a lesion map; turns a
            place's logits into a probability.
        subtype: Index into `labels.SUBTYPES`; None for the largest of the five.

    Returns:
        (256, 256) float32 in [0, 1], bilinear between the centres of the grid's places.

    Example:
        >>> warm = heatmap(np.zeros((4, 4, 5), np.float32), Calibration())
        >>> warm.shape, float(warm.min()), float(warm.max())
        ((256, 256), 0.5, 0.5)
    """
    probabilities = calibrate(activation, calibration)
    chosen = probabilities.max(axis=-1) if subtype is None else probabilities[..., subtype]
    enlarged = _enlarge(_enlarge(chosen).T).T
    return np.clip(enlarged, 0.0, 1.0).astype(np.float32)


def above_level(probabilities: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a lesion map with 0 in place of the probabilities that are not shown.

    Example:
        >>> above_level(np.array([0.25, 0.5, 1.0], np.float32)).tolist()
        [0.0, 0.5, 1.0]
    """
    return np.where(probabilities >= LESION_LEVEL, probabilities, np.float32(0))


def _enlarge(grid: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return a grid enlarged to 256 rows, linear between centres of places and flat beyond."""
    places = len(grid)
    centre = np.clip((np.arange(GRID) + 0.5) * places / GRID - 0.5, 0, places - 1)
    before = np.minimum(centre.astype(int), max(places - 2, 0))
    after = np.minimum(before + 1, places - 1)
    share = (centre - before)[:, None]
    return np.asarray(grid[before] * (1 - share) + grid[after] * share)
