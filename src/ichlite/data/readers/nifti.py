"""Read a slice of a NIfTI volume as HU on the 256x256 grid.

Slices are counted from the feet to the head, and each lies as an axial DICOM image does: rows from
front to back, columns from the patient's right to the left. How the file stores them is read from
its affine, so every stored order gives the same slices.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.hounsfield import HU_MAX, HU_MIN
from ichlite.ct.tensor import MAX_SLICES, resize_hu
from ichlite.errors import HounsfieldError, UnreadableFile

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

_AXIAL = ("S", "P", "L")
"""Where slice, row and column numbers grow: to the head, to the back, to the patient's left."""

_AIR_HU = -500.0
"""A data type that holds nothing below this cannot hold air, so its values are not HU."""


@dataclass(frozen=True, slots=True)
class Geometry:
    """The size of a volume and how it lies, from its header alone.

    Attributes:
        slices, rows, columns: Size of the axial images.
        positions_mm: Position of each slice along the slice normal, feet to head.
        stored: For each slice, feet to head, its index along the file's own slice axis.
        stated: Whether the file says how it lies; if not, nibabel's reading of its axes is used.
    """

    slices: int
    rows: int
    columns: int
    positions_mm: tuple[float, ...]
    stored: tuple[int, ...]
    stated: bool


@dataclass(frozen=True, slots=True)
class _Volume:
    """Stored values, (slice, row, column) as `_AXIAL`, and what makes HU of them."""

    stored: NDArray[Any]
    slope: float
    intercept: float

    def plane(self, k: int, path: Path) -> NDArray[np.float64]:
        """Return the scaled (row, column) values of slice `k`; errors name `path`."""
        if not 0 <= k < len(self.stored):
            raise UnreadableFile(
                f"{path} has no slice {k}", expected=f"0 to {len(self.stored) - 1}"
            )
        plane = np.asarray(self.stored[k], np.float64)
        return np.asarray(plane * self.slope + self.intercept)


def read_nifti_geometry(path: Path) -> Geometry:
    """Read the geometry of a volume, and no voxel.

    Args:
        path: A .nii or .nii.gz file.

    Returns:
        Slices, their size and positions.

    Raises:
        UnreadableFile: No NIfTI volume, or an affine that places nothing.
    """
    with _translated(path):
        image = _load(path)
        transform = _to_axial(image, path)
        shape = _shape(image, path)
        turned = _affine(image) @ _inverse(transform, shape)
        header = cast("Any", image.header)
        stated = bool(header["qform_code"] or header["sform_code"])
    slice_axis = int(np.flatnonzero(transform[:, 0] == 0)[0])
    count = shape[slice_axis]
    order = range(count) if transform[slice_axis, 1] > 0 else range(count - 1, -1, -1)
    sides = [shape[int(np.flatnonzero(transform[:, 0] == axis)[0])] for axis in (1, 2)]
    normal = np.cross(turned[:3, 1], turned[:3, 2])
    normal *= np.sign(normal @ turned[:3, 0]) / np.linalg.norm(normal)
    origins = turned[:3, 3][None] + np.arange(count)[:, None] * turned[:3, 0][None]
    return Geometry(
        slices=count,
        rows=sides[0],
        columns=sides[1],
        positions_mm=tuple(round(float(place), 6) for place in origins @ normal),
        stored=tuple(order),
        stated=stated,
    )


def read_nifti_slice(path: Path, k: int) -> NDArray[np.int16]:
    """Read the HU of one slice on the model's grid.

    The last volume is kept, so that reading its slices in order decodes it once.

    Args:
        path: A .nii or .nii.gz file.
        k: From 0 at the feet.

    Returns:
        (256, 256) int16 HU in [-1024, 3071]; scaled by scl_slope and scl_inter, halves round up.

    Raises:
        UnreadableFile: No NIfTI volume, damaged, or without that slice.
        HounsfieldError: Values that cannot be HU.
    """
    with _translated(path):
        volume = _open_volume(*_state(path), *_state(path))
        _check_type(volume, path)
        values = volume.plane(k, path)
    if not np.isfinite(values).all():
        raise HounsfieldError(
            f"{path} slice {k} has values that are no number", expected="HU", code="missing_rescale"
        )
    hu = np.floor(np.clip(values, HU_MIN, HU_MAX) + 0.5).astype(np.int16)
    return resize_hu(hu)


def read_mask_plane(path: Path, k: int, volume: Path) -> NDArray[np.bool_]:
    """Read where a slice of a volume is marked.

    A mask's voxels are its volume's, whatever its own affine says.

    Args:
        path: A .nii or .nii.gz file, marked where it is above 0.
        k: From 0 at the feet, as in `read_nifti_slice`.
        volume: The volume that the mask was drawn on; it says how both lie.

    Returns:
        (row, column) bool, in the volume's own matrix.

    Raises:
        UnreadableFile: No NIfTI volume, damaged, without that slice, or of another shape.
    """
    with _translated(path):
        values = _open_volume(*_state(path), *_state(volume)).plane(k, path)
    return np.asarray(values > 0)


_State = tuple[str, int, int]
"""A file's path, time of change in ns and bytes: whether what was read of it still holds."""


def _state(path: Path) -> _State:
    status = path.stat()
    return os.fspath(path), status.st_mtime_ns, status.st_size


@lru_cache(maxsize=1)
def _open_volume(
    file: str, _changed_ns: int, _size: int, like: str, _like_changed_ns: int, _like_size: int
) -> _Volume:
    """Return a file's stored values, turned to axial by the affine of `like`."""
    from nibabel.orientations import apply_orientation

    image, model = _load(Path(file)), _load(Path(like))
    shape = _shape(image, Path(file))
    if shape != _shape(model, Path(like)):
        raise UnreadableFile(
            f"{file} does not fit {like}", found=f"shape {shape}", expected=f"{model.shape}"
        )
    proxy = cast("Any", image.dataobj)
    stored = np.asanyarray(proxy.get_unscaled()).reshape(shape, order="F")
    if stored.dtype.kind not in "iuf":
        raise UnreadableFile(f"{file} does not hold numbers", found=f"{stored.dtype}")
    turned = apply_orientation(stored, _to_axial(model, Path(like)))
    return _Volume(turned, float(proxy.slope), float(proxy.inter))


def _check_type(volume: _Volume, path: Path) -> None:
    """Raise HounsfieldError when the data type, scaled, cannot hold air."""
    kind = volume.stored.dtype
    if kind.kind not in "iu":
        return
    limits = np.iinfo(kind)
    ends = (volume.slope * limits.min, volume.slope * limits.max)
    if min(ends) + volume.intercept > _AIR_HU:
        raise HounsfieldError(
            f"{path} does not hold HU",
            found=f"{kind} with slope {volume.slope:g}, intercept {volume.intercept:g}",
            expected="a scale that reaches air, -1000 HU",
            code="missing_rescale",
        )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Raise UnreadableFile, in one line, for what nibabel raises for bad files."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    faults = (ImageFileError, HeaderDataError, ValueError, EOFError, OSError, zlib.error)
    try:
        with np.errstate(all="ignore"):  # header fields of damaged files may be any number
            yield
    except (*faults, OverflowError, MemoryError) as fault:
        found = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        raise UnreadableFile(
            f"{path} cannot be read as a NIfTI volume", found=found, code="undecodable_pixels"
        ) from fault


def _load(path: Path) -> Nifti1Image:
    """Return nibabel's image, NIfTI-1 or NIfTI-2 (a subclass), voxels unread."""
    from nibabel.loadsave import load
    from nibabel.nifti1 import Nifti1Image

    image = load(path)
    if not isinstance(image, Nifti1Image):
        raise UnreadableFile(f"{path} is not a NIfTI volume", found=type(image).__name__)
    return image


def _shape(image: Nifti1Image, path: Path) -> tuple[int, int, int]:
    """Return the sizes of the three axes; UnreadableFile when it is not one volume of a scan."""
    sizes = tuple(int(size) for size in image.shape)
    if len(sizes) < 3 or any(size != 1 for size in sizes[3:]) or min(sizes) < 1:
        raise UnreadableFile(f"{path} is not one volume", found=f"shape {sizes}")
    return cast("tuple[int, int, int]", sizes[:3])


def _affine(image: Nifti1Image) -> NDArray[np.float64]:
    """Return the affine from voxel numbers to mm to the right, front and head."""
    return np.asarray(image.affine, np.float64)


def _to_axial(image: Nifti1Image, path: Path) -> NDArray[np.float64]:
    """Return (3, 2): which of slice, row and column each stored axis becomes, and its sign."""
    from nibabel.orientations import axcodes2ornt, io_orientation, ornt_transform

    affine = _affine(image)
    lies = io_orientation(affine) if np.isfinite(affine).all() else np.full((3, 2), np.nan)
    if np.isnan(lies).any():
        raise UnreadableFile(f"{path} does not say how it lies", found="a singular affine")
    transform = np.asarray(ornt_transform(lies, axcodes2ornt(_AXIAL)), np.float64)
    shape = _shape(image, path)
    count = shape[int(np.flatnonzero(transform[:, 0] == 0)[0])]
    if count > MAX_SLICES:
        raise UnreadableFile(f"{path} cannot be one scan", found=f"{count} slices")
    return transform


def _inverse(transform: NDArray[np.float64], shape: tuple[int, int, int]) -> NDArray[np.float64]:
    """Return the affine from turned voxel numbers back to stored ones."""
    from nibabel.orientations import inv_ornt_aff

    return np.asarray(inv_ornt_aff(transform, shape), np.float64)
