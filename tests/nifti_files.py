"""Small NIfTI volumes for tests, from axial slices as DICOM shows them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from nibabel.nifti1 import Nifti1Image
from nibabel.orientations import axcodes2ornt
from numpy.typing import NDArray

SPACING_MM = 5.0
PIXEL_MM = 0.5
CORNER_MM = (-60.0, -70.0, -12.0)
"""Centre of the first pixel of the lowest slice, to the left, back and head: DICOM's axes."""


def write_volume(
    path: Path, slices: NDArray[Any], axes: str = "LPS", *, scale: tuple[float, float] | None = None
) -> Path:
    """(slice, row, column) as DICOM shows it → a volume whose stored axes grow towards `axes`.

    The values are stored as they are; `scale` is the slope and intercept that the header states.
    """
    stored = slices.transpose(2, 1, 0)  # column to the left, row to the back, slice to the head
    affine = np.diag([-PIXEL_MM, -PIXEL_MM, SPACING_MM, 1.0])
    affine[:3, 3] = (-CORNER_MM[0], -CORNER_MM[1], CORNER_MM[2])
    turn = axcodes2ornt(tuple("LPS"))
    image = Nifti1Image(stored, affine).as_reoriented(_transform(turn, axcodes2ornt(tuple(axes))))
    if scale is not None:
        image.header.set_slope_inter(*scale)
    path.parent.mkdir(parents=True, exist_ok=True)
    image.to_filename(path)
    return path


def _transform(start: NDArray[Any], end: NDArray[Any]) -> NDArray[Any]:
    from nibabel.orientations import ornt_transform

    return np.asarray(ornt_transform(start, end))


def lopsided(slices: int = 4, rows: int = 256, columns: int = 256) -> NDArray[np.int16]:
    """A volume in which no flip or turn goes unseen: a slope along each axis, and one corner."""
    k, row, column = np.mgrid[:slices, :rows, :columns]
    hu = 200 * k + row - 2 * column
    hu[: slices // 2, : rows // 4, : columns // 8] = 1500
    return np.asarray(hu, np.int16)
