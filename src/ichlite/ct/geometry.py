"""Say where the voxels of a volume lie in the patient."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.stack import slice_normal
from ichlite.records import Series

_TO_RAS = np.array([-1.0, -1.0, 1.0])
"""DICOM counts to the left and back, neuroimaging to the right and front."""


def grid_affine(series: Series, cells: int) -> NDArray[np.float64] | None:
    """Return the affine of a volume in RAS+ (right, front, head) mm, as NIfTI and nibabel use it.

    Slices of a tilted gantry are shifted against each other, which no single affine can express:
    the line from the first slice to the last stands for all.

    Args:
        series: Series of the volume, upright, as `read_volume` returns it.
        cells: Rows and columns of each slice on the resized square grid, such as 256.

    Returns:
        (4, 4) float64 that maps an index (slice, row, column, 1) to mm; None where the position of
        the first or last slice, the pixel size or the orientation is not known.

    Source:
        DICOM PS3.3 C.7.6.2.1.1.
    """
    first, last = series.slices[0], series.slices[-1]
    if (
        first.image_orientation is None
        or first.pixel_spacing_mm is None
        or first.image_position_mm is None
        or last.image_position_mm is None
    ):
        return None
    right, down = np.array(first.image_orientation).reshape(2, 3)
    row_mm, column_mm = first.pixel_spacing_mm
    side = max(first.rows, first.columns)
    pixels = side / cells
    step = slice_normal(first.image_orientation) * (series.slice_spacing_mm or 1.0)
    if len(series.slices) > 1:
        ends = np.subtract(last.image_position_mm, first.image_position_mm)
        step = ends / (len(series.slices) - 1)
    # The middle of the first cell, in pixels of the file: it covers several, and a slice that is
    # not square was padded to one.
    top = (pixels - 1) / 2 - (side - first.rows) // 2
    left = (pixels - 1) / 2 - (side - first.columns) // 2
    corner = np.array(first.image_position_mm) + down * row_mm * top + right * column_mm * left
    affine = np.eye(4)
    for axis, vector in enumerate((step, down * row_mm * pixels, right * column_mm * pixels)):
        affine[:3, axis] = _TO_RAS * vector
    affine[:3, 3] = _TO_RAS * corner
    return affine
