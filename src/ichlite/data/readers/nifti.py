"""Read a slice of a NIfTI volume as HU on the 256x256 grid, and a slice of its mask.

Slices are counted from the feet to the head, as `ichlite.ct.nifti` turns them.
"""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.nifti import NiftiVolume, check_type, read_nifti_volume
from ichlite.ct.tensor import resize_hu
from ichlite.errors import UnreadableFile


def read_nifti_slice(path: Path, k: int) -> NDArray[np.int16]:
    """Read one slice of a NIfTI volume as HU on the 256x256 grid.

    The last volume is kept in memory, so that reading its slices in order decodes it once.

    Args:
        path: A .nii or .nii.gz file.
        k: Number of the slice, from 0 at the feet.

    Returns:
        (256, 256) int16 HU in [-1024, 3071]; scaled by scl_slope and scl_inter, halves round up.

    Raises:
        UnreadableFile: No NIfTI volume, damaged, or without that slice.
        HounsfieldError: Values that cannot be HU.
    """
    volume = _open_volume(*_state(path), *_state(path))
    check_type(volume, path)
    return resize_hu(volume.hu(k, path))


def read_mask_plane(path: Path, k: int, volume: Path) -> NDArray[np.bool_]:
    """Read one slice of a NIfTI mask.

    Voxels of the mask are matched to those of its volume, whatever the mask's own affine says.

    Args:
        path: A .nii or .nii.gz mask; voxels above 0 are marked.
        k: Number of the slice, from 0 at the feet, as in `read_nifti_slice`.
        volume: Volume that the mask was drawn on, whose orientation is used.

    Returns:
        (row, column) bool, in the volume's own matrix.

    Raises:
        UnreadableFile: No NIfTI volume, damaged, without that slice, or of another shape.
    """
    values = _open_volume(*_state(path), *_state(volume)).plane(k, path)
    return np.asarray(values > 0)


_State = tuple[str, int, int]
"""A file's path, time of change in ns and bytes: whether what was read of it still holds."""


def _state(path: Path) -> _State:
    try:
        status = path.stat()
    except OSError as fault:
        raise UnreadableFile(
            f"{path} cannot be read as a NIfTI volume",
            found=fault.strerror,
            code="undecodable_pixels",
        ) from fault
    return os.fspath(path), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=1)
def _open_volume(
    file: str, _changed_ns: int, _size: int, like: str, _like_changed_ns: int, _like_size: int
) -> NiftiVolume:
    """Return a file's values, turned to axial by the affine of `like`."""
    return read_nifti_volume(Path(file), Path(like))
