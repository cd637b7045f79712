"""Read a NIfTI volume: how it lies, and its values slice by slice.

Slices are counted from the feet to the head, and each lies as an axial DICOM image does: rows from
front to back, columns from the patient's right to the left. How the file stores them is read from
its affine, so every stored order gives the same slices. What the header claims is checked before
anything is unpacked by it: a small file may claim to hold any amount.
"""

from __future__ import annotations

import gzip
import math
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.hounsfield import HU_MAX, HU_MIN
from ichlite.ct.tensor import MAX_SLICES
from ichlite.errors import HounsfieldError, MissingExtra, UnreadableFile

if TYPE_CHECKING:
    from nibabel.nifti1 import Nifti1Image

_AXIAL = ("S", "P", "L")
"""Directions in which slice, row and column indices grow: to the head (superior), to the back
(posterior), to the patient's left."""

SUFFIXES = (".nii", ".nii.gz")

LESION_MAP_TITLE = "ichlite lesion map"
"""Start of the NIfTI field `descrip` of lesion maps that ichlite wrote; these are no input."""

AIR_HU = -500.0
"""HU below which a voxel is air; a volume without any such voxel does not hold HU."""

MAX_BYTES = 2**30
"""Most bytes of a volume's voxels as stored: 2000 slices of 512x512 pixels with 16 bits."""

MAX_OFFSET = 2**24
"""Most bytes before the voxels: the header and its extensions."""

_HEADER_BYTES = 540
_EXTENDER_BYTES = 4
_LEAST_EXTENSION = 8
_CHUNK = 2**20
_LONGEST_FAULT = 40


@dataclass(frozen=True, slots=True)
class NiftiGeometry:
    """Size and orientation of a NIfTI volume, turned to axial slices, from its header alone.

    Attributes:
        slices, rows, columns: Number of axial slices, and the rows and columns of each.
        positions_mm: Position of each slice along the slice normal, feet to head.
        stored: For each slice, feet to head, its index along the file's own slice axis.
        stated: Whether the header states the orientation by a qform or sform code; if not,
            nibabel's default is used.
        affine: (4, 4): index (slice, row, column, 1) → mm to the right, front and head.
    """

    slices: int
    rows: int
    columns: int
    positions_mm: tuple[float, ...]
    stored: tuple[int, ...]
    stated: bool
    affine: NDArray[np.float64] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class NiftiVolume:
    """Stored voxel values of a NIfTI volume, turned to axial slices, and their scaling.

    Attributes:
        stored: (slice, row, column) values as the file stores them, feet to head.
        slope, intercept: HU = stored * slope + intercept.
    """

    stored: NDArray[Any]
    slope: float
    intercept: float

    def plane(self, k: int, path: Path) -> NDArray[np.float64]:
        """Return the scaled values of an axial slice.

        Args:
            k: Index of the slice, from the feet.
            path: Path of the volume, for messages.

        Returns:
            (row, column) float64, not rounded or clipped.

        Raises:
            UnreadableFile: There is no such slice.
        """
        if not 0 <= k < len(self.stored):
            raise UnreadableFile(
                f"{path} has no slice {k}", expected=f"0 to {len(self.stored) - 1}"
            )
        plane = np.asarray(self.stored[k], np.float64)
        return np.asarray(plane * self.slope + self.intercept)

    def hu(self, k: int, path: Path) -> NDArray[np.int16]:
        """Return the HU of an axial slice.

        Args:
            k: Index of the slice, from the feet.
            path: Path of the volume, for messages.

        Returns:
            (row, column) int16, HU in [-1024, 3071]; halves round up.

        Raises:
            UnreadableFile: There is no such slice.
            HounsfieldError: A value is NaN or infinite.
        """
        values = self.plane(k, path)
        if not np.isfinite(values).all():
            raise HounsfieldError(
                f"{path} slice {k} has values that are no number",
                expected="HU",
                code="missing_rescale",
            )
        return np.floor(np.clip(values, HU_MIN, HU_MAX) + 0.5).astype(np.int16)


def need_nibabel() -> None:
    """Check that nibabel is installed.

    Raises:
        MissingExtra: nibabel is not installed; it comes with `ichlite[nifti]`.
    """
    try:
        import nibabel  # noqa: F401
    except ModuleNotFoundError:
        raise MissingExtra("nifti", "nibabel") from None


def read_nifti_geometry(path: Path) -> NiftiGeometry:
    """Read size and orientation of a NIfTI volume, without its voxels.

    Args:
        path: A .nii or .nii.gz file.

    Raises:
        UnreadableFile: The file is no NIfTI volume, its header claims more than a scan can have,
            or its affine is singular.
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
    return NiftiGeometry(
        slices=count,
        rows=sides[0],
        columns=sides[1],
        positions_mm=tuple(round(float(place), 6) for place in origins @ normal),
        stored=tuple(order),
        stated=stated,
        affine=turned,
    )


def read_nifti_volume(path: Path, like: Path | None = None) -> NiftiVolume:
    """Read the voxels of a NIfTI volume, turned to axial slices.

    Args:
        path: A .nii or .nii.gz file.
        like: Another volume of the same shape, such as the scan of a mask, whose affine is used
            for this one; None for its own affine.

    Raises:
        UnreadableFile: The file is no NIfTI volume, is damaged, larger than `MAX_BYTES`, or has
            another shape than `like`.
    """
    from nibabel.orientations import apply_orientation

    with _translated(path):
        image = _load(path)
        model = image if like is None else _load(like)
        shape = _shape(image, path)
        if like is not None and shape != _shape(model, like):
            raise UnreadableFile(
                f"{path} does not fit {like}", found=f"shape {shape}", expected=f"{model.shape}"
            )
        if path.name.lower().endswith(".gz"):
            _check_gzip(path, image)
        proxy = cast("Any", image.dataobj)
        stored = np.asanyarray(proxy.get_unscaled()).reshape(shape, order="F")
        if stored.dtype.kind not in "iuf":
            raise UnreadableFile(f"{path} does not hold numbers", found=f"{stored.dtype}")
        turned = apply_orientation(stored, _to_axial(model, like or path))
    return NiftiVolume(turned, float(proxy.slope), float(proxy.inter))


def is_own_lesion_map(path: Path) -> bool:
    """Return whether a file is a NIfTI lesion map that ichlite wrote.

    Args:
        path: A .nii or .nii.gz file; one that cannot be read gives False.
    """
    try:
        with _translated(path):
            said = bytes(cast("Any", _load(path).header)["descrip"].tobytes())
    except UnreadableFile:
        return False
    return said.startswith(LESION_MAP_TITLE.encode("ascii"))


def check_type(volume: NiftiVolume, path: Path) -> None:
    """Check that the integer type of a volume, after scaling, can hold the HU of air.

    Args:
        volume: Volume to check; one of floating-point values passes.
        path: Path of the volume, for messages.

    Raises:
        HounsfieldError: The lowest value that the type can hold is above `AIR_HU`.
    """
    kind = volume.stored.dtype
    if kind.kind not in "iu":
        return
    limits = np.iinfo(kind)
    ends = (volume.slope * limits.min, volume.slope * limits.max)
    if min(ends) + volume.intercept > AIR_HU:
        raise HounsfieldError(
            f"{path} does not hold HU",
            found=f"{kind} x {volume.slope:g} + {volume.intercept:g}",
            expected="air at -1000 HU",
            code="missing_rescale",
        )


@contextmanager
def _translated(path: Path) -> Iterator[None]:
    """Raise UnreadableFile, in one line, for what nibabel raises for bad files."""
    from nibabel.filebasedimages import ImageFileError
    from nibabel.spatialimages import HeaderDataError

    faults = (ImageFileError, HeaderDataError, ValueError, EOFError, OSError, zlib.error, KeyError)
    try:
        with np.errstate(all="ignore"):  # header fields of damaged files may be any number
            yield
    except (*faults, OverflowError, MemoryError) as fault:
        found = str(fault).splitlines()[0] if str(fault) else type(fault).__name__
        if str(path) in found or len(found) > _LONGEST_FAULT:
            found = f"{found.replace(str(path), 'it')[:_LONGEST_FAULT]} …"
        raise UnreadableFile(
            f"{path} cannot be read as a NIfTI volume", found=found, code="undecodable_pixels"
        ) from fault


def _load(path: Path) -> Nifti1Image:
    """Return nibabel's image, NIfTI-1 or NIfTI-2 (a subclass), voxels unread."""
    from nibabel.loadsave import load
    from nibabel.nifti1 import Nifti1Image

    _check_header(path)
    image = load(path)
    if not isinstance(image, Nifti1Image):
        raise UnreadableFile(f"{path} is not a NIfTI volume", found=type(image).__name__)
    return image


def _check_header(path: Path) -> None:
    """Raise UnreadableFile where the header claims more than a scan can have."""
    from nibabel.nifti1 import Nifti1Header
    from nibabel.nifti2 import Nifti2Header

    opened = gzip.open if path.name.lower().endswith(".gz") else open
    with opened(path, "rb") as file:
        first = file.read(_HEADER_BYTES)
    kinds = (kind for kind in (Nifti1Header, Nifti2Header) if kind.may_contain_header(first))
    kind = next(kinds, None)
    if kind is None:
        raise UnreadableFile(f"{path} is not a NIfTI volume", code="undecodable_pixels")
    size = int(kind.template_dtype.itemsize)
    header = kind(first[:size], check=False)
    if not 0 <= float(header["vox_offset"]) <= MAX_OFFSET or _voxel_bytes(header) > MAX_BYTES:
        raise UnreadableFile(
            f"{path} is larger than a scan can be",
            found=f"shape {tuple(map(int, header.get_data_shape()))}",
            expected=f"at most {MAX_BYTES >> 20} MiB",
        )
    with opened(path, "rb") as file:
        _check_extensions(path, file.read(int(header["vox_offset"])), size, header.endianness)


def _check_extensions(path: Path, start: bytes, at: int, endianness: str) -> None:
    """Raise where something between header and voxels claims to be longer than its place.

    Args:
        path: The file.
        start: All that stands before the voxels.
        at: Where the header ends.
        endianness: `<` or `>`, of the header.
    """
    at += _EXTENDER_BYTES
    if len(start) < at or not start[at - _EXTENDER_BYTES]:
        return
    while at + _EXTENDER_BYTES <= len(start):
        length = int.from_bytes(start[at : at + 4], "little" if endianness == "<" else "big")
        if not _LEAST_EXTENSION <= length <= len(start) - at:
            raise UnreadableFile(
                f"{path} is damaged: its header extensions do not fit in their place",
                code="undecodable_pixels",
            )
        at += length


def _voxel_bytes(header: Any) -> int:
    """Return the bytes of the voxels by a header."""
    count = math.prod(int(size) for size in header.get_data_shape())
    return count * int(header.get_data_dtype().itemsize)


def _check_gzip(path: Path, image: Nifti1Image) -> None:
    """Raise where a compressed file is damaged, or unpacks to more or less than its header says."""
    header = cast("Any", image.header)
    expected = int(header["vox_offset"]) + _voxel_bytes(header)
    found = 0
    with gzip.open(path, "rb") as file:  # at the end, it compares the sum
        while part := file.read(_CHUNK):
            found += len(part)
            if found > expected + _CHUNK:
                break
    if not expected <= found <= expected + _CHUNK:
        raise UnreadableFile(
            f"{path} does not unpack to the volume that its header describes",
            code="undecodable_pixels",
        )


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
