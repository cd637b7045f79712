"""Read a NIfTI volume as the series that it would be in DICOM files.

A volume says where its voxels lie and nothing of how they came about, so what the input check finds
in headers of DICOM files cannot be checked; that its numbers are Hounsfield units is taken from
their range. Both are said beside every result.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.header import OWN_REPORT
from ichlite.ct.image_checks import MAX_SIDE, MIN_SIDE
from ichlite.ct.nifti import (
    AIR_HU,
    SUFFIXES,
    NiftiGeometry,
    NiftiVolume,
    check_type,
    is_own_lesion_map,
    need_nibabel,
    read_nifti_geometry,
    read_nifti_volume,
)
from ichlite.ct.stack import stack_slices
from ichlite.ct.tensor import GRID, resize_hu
from ichlite.errors import HounsfieldError, InputError, MissingExtra, UnreadableFile
from ichlite.records import HeadVolume, PixelLayout, SkippedFile, SliceHeader, Vector3

NOTES = (
    "a NIfTI volume: its values are taken for Hounsfield units",
    "a NIfTI volume: no tube voltage, kernel, contrast or age to check",
)
"""Notes that every result of a NIfTI volume carries."""

LEAST_AIR = 0.01
"""Least share of air among a volume's voxels; in a head scan it is around 0.5."""

_RIGHT_ANGLE = 1e-2
"""Cosine up to which rows and columns are perpendicular; the input check has the same."""

_TO_LPS = np.array([-1.0, -1.0, 1.0])
"""DICOM counts to the left and back, NIfTI to the right and front."""

_DIGITS = 4
"""Of places in mm: what 32-bit numbers of a header hold of them."""

_NO_LAYOUT = PixelLayout("", 0, None, 16, 16, 15, 1)


def volumes_among(
    skipped: Iterable[SkippedFile],
) -> tuple[list[str], tuple[SkippedFile, ...]]:
    """Separate NIfTI volumes, known by their file names, from other files that are not DICOM.

    Args:
        skipped: Files that `find_series` could not use.

    Returns:
        Two values: paths of the volumes that exist, and the other files.

    Example:
        >>> from ichlite.samples import GE_HEAD
        >>> volumes_among([SkippedFile("gone.nii", "does not exist")])
        ([], (SkippedFile(file='gone.nii', reason='does not exist', may_be_ct=False, frame=None),))
    """
    volumes: list[str] = []
    others: list[SkippedFile] = []
    for one in skipped:
        if one.file.lower().endswith(SUFFIXES) and Path(one.file).is_file():
            volumes.append(one.file)
        else:
            others.append(one)
    return volumes, tuple(others)


def read_volumes(paths: Iterable[str]) -> Iterable[HeadVolume | SkippedFile]:
    """Read NIfTI volumes one after the other; a volume that is in two files is read once.

    Args:
        paths: Paths of .nii or .nii.gz files.

    Yields:
        The volume of each file; or a `SkippedFile` that says why it is not read: it is a copy, a
        lesion map of ichlite, or cannot be read.
    """
    known: dict[str, str] = {}
    for path in paths:
        try:
            need_nibabel()
            if is_own_lesion_map(Path(path)):
                yield SkippedFile(path, OWN_REPORT)
                continue
            volume = read_nifti(path)
        except (InputError, MissingExtra) as error:
            reason = str(error).removeprefix(path).lstrip(": ")
            yield SkippedFile(path, reason, may_be_ct=True)
            continue
        except MemoryError:
            yield SkippedFile(path, "its voxels do not fit into memory", may_be_ct=True)
            continue
        first = known.setdefault(volume.series.series_uid, path)
        yield volume if first == path else SkippedFile(path, f"a copy of {first}")


def read_nifti(path: str) -> HeadVolume:
    """Read a NIfTI volume as HU on the model's 256x256 grid, as if it were a DICOM series.

    Study and series UIDs are derived from the voxels and their positions: they are the same for the
    same volume in whatever file, stored in whatever order. Slice k from the feet has the path
    `PATH#k`.

    Args:
        path: A .nii or .nii.gz file.

    Raises:
        MissingExtra: nibabel is not installed; it comes with `ichlite[nifti]`.
        UnreadableFile: The file is not a single NIfTI volume, is damaged or too large, or does not
            state its orientation.
        HounsfieldError: The values cannot be HU.
    """
    need_nibabel()
    file = Path(path)
    geometry = read_nifti_geometry(file)
    _check_geometry(geometry, path)
    volume = read_nifti_volume(file)
    check_type(volume, file)
    hu = _on_grid(volume, file)
    headers = _headers(geometry, path, _digest(geometry, hu))
    series = stack_slices(headers, lambda header: header.instance_uid)
    return HeadVolume(series, hu, NOTES)


def _check_geometry(geometry: NiftiGeometry, path: str) -> None:
    """Raise UnreadableFile where left, right, front or back is not known, or nothing is axial."""
    if not geometry.stated:
        raise UnreadableFile(
            f"{path} does not say which side is left; expected a qform or sform code"
        )
    sides = geometry.rows, geometry.columns
    if not all(MIN_SIDE <= side <= MAX_SIDE for side in sides):
        raise UnreadableFile(
            f"{path} has slices of a size that CT does not have",
            found=f"{sides[0]}x{sides[1]}",
        )
    down, right = geometry.affine[:3, 1], geometry.affine[:3, 2]
    cosine = float(down @ right / (np.linalg.norm(down) * np.linalg.norm(right)))
    if abs(cosine) > _RIGHT_ANGLE:
        raise UnreadableFile(
            f"{path} is sheared: rows and columns are not perpendicular",
            found=f"{np.degrees(np.arccos(cosine)):.0f} degrees",
        )


def _on_grid(volume: NiftiVolume, path: Path) -> NDArray[np.int16]:
    """Return (slice, 256, 256) HU; HounsfieldError where the values have no air among them."""
    grid = np.empty((len(volume.stored), GRID, GRID), np.int16)
    low, high, air = np.inf, -np.inf, 0
    for k in range(len(volume.stored)):
        hu = volume.hu(k, path)
        values = volume.plane(k, path)
        low, high = min(low, float(values.min())), max(high, float(values.max()))
        air += int(np.count_nonzero(hu < AIR_HU))
        grid[k] = resize_hu(hu)
    if air < LEAST_AIR * volume.stored.size:
        raise HounsfieldError(
            f"{path} does not hold HU, which have air below {AIR_HU:g}",
            found=f"{low:.4g} to {high:.4g}",
        )
    return grid


def _digest(geometry: NiftiGeometry, hu: NDArray[np.int16]) -> str:
    """Return a hash of what is judged, by which the volume is known."""
    places = np.round(geometry.affine, _DIGITS) + 0.0  # no negative zeros
    digest = hashlib.sha256(places.tobytes())
    digest.update(hu.tobytes())
    return digest.hexdigest()


def _headers(geometry: NiftiGeometry, path: str, digest: str) -> list[SliceHeader]:
    """Return what a DICOM file would say of each slice."""
    study_uid, series_uid = _uid(f"study {digest}"), _uid(f"series {digest}")
    down, right = (_TO_LPS * geometry.affine[:3, axis] for axis in (1, 2))
    down_mm, right_mm = float(np.linalg.norm(down)), float(np.linalg.norm(right))
    orientation = (*_rounded(right / right_mm, 6), *_rounded(down / down_mm, 6))
    headers = []
    for k in range(geometry.slices):
        place = _TO_LPS * (geometry.affine @ [k, 0, 0, 1])[:3]
        headers.append(
            SliceHeader(
                path=f"{path}#{k}",
                patient_id="",
                study_uid=study_uid,
                series_uid=series_uid,
                instance_uid=_uid(f"slice {k} of {digest}"),
                rows=geometry.rows,
                columns=geometry.columns,
                layout=_NO_LAYOUT,
                pixel_spacing_mm=(round(down_mm, 6), round(right_mm, 6)),
                image_position_mm=cast("Vector3", _rounded(place, _DIGITS)),
                image_orientation=cast(
                    "tuple[float, float, float, float, float, float]", orientation
                ),
            )
        )
    return headers


def _rounded(values: NDArray[np.float64], digits: int) -> tuple[float, ...]:
    return tuple(round(float(value), digits) + 0.0 for value in values)


def _uid(name: str) -> str:
    """Return a UID that is made of a name alone (DICOM PS3.5 B.2)."""
    return f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, name).int}"
