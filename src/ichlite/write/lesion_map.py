"""Write a scan's lesion map as a NIfTI volume that lies over the head in any viewer."""

from __future__ import annotations

import gzip
import os
import re
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import replacing, unwritable
from ichlite.ct.nifti import LESION_MAP_TITLE, SUFFIXES, need_nibabel
from ichlite.ct.tensor import GRID
from ichlite.errors import IchliteError, InputError, UnknownName, UsageError
from ichlite.infer.bundle import Bundle
from ichlite.infer.results import Analysed, ScanResult
from ichlite.labels import NAMES, SUBTYPES

_LEAST_STEP_MM = 0.1
"""Slices nearer than this are at one place."""

_EVEN = 0.1
"""Share of the step by which a slice may lie off its place among even ones."""

Stack = tuple[NDArray[np.float32], NDArray[np.float64]]


class LesionMaps:
    """A writer of lesion maps into a folder: one .nii.gz file a scan, named by its series UID.

    Args:
        folder: Folder to write to; it is made with the first map.
        bundle: Bundle that judges the scans.

    Attributes:
        written: Paths of the files that were written.
        problems: Why the maps of other scans could not be written.

    Raises:
        MissingExtra: nibabel is not installed; it comes with `ichlite[nifti]`.
        UsageError: The bundle has no lesion map.
    """

    def __init__(self, folder: Path, bundle: Bundle) -> None:
        need_nibabel()
        if bundle.map.kind != "lesion":
            raise UsageError(
                f"bundle {bundle.label} has no lesion map",
                found=f"a map of kind {bundle.map.kind}",
            )
        self.folder = folder
        self.written: list[Path] = []
        self.problems: list[IchliteError] = []

    def add(self, scan: ScanResult) -> None:
        """Write the lesion map of a scan; where that fails, add the reason to `problems`.

        Args:
            scan: Result, read with `keep_pixels`; one that was not analysed is ignored.
        """
        if not isinstance(scan, Analysed):
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            path = self.folder / f"{_file_name(scan.series, self.written)}.nii.gz"
            write_lesion_map(scan, path)
            self.written.append(path)
        except OSError as error:
            self.problems.append(unwritable(self.folder, error))
        except IchliteError as error:
            self.problems.append(error)


def write_lesion_map(scan: Analysed, path: Path, subtype: str | None = None) -> None:
    """Write a scan's lesion map as a NIfTI volume, whole or not at all.

    Args:
        scan: Result, read with `keep_pixels` by a bundle with a lesion map.
        path: A .nii or .nii.gz file.
        subtype: Name of a subtype, for a volume of three axes; None for all five along a fourth.

    Raises:
        MissingExtra: nibabel is not installed; it comes with `ichlite[nifti]`.
        UsageError: There is no lesion map, or the subtype or kind of file is not known.
        InputError: The position of the scan is not known.
        IchliteError: The file cannot be written.
    """
    need_nibabel()
    from nibabel.nifti1 import Nifti1Image

    if not path.name.lower().endswith(SUFFIXES):
        raise UsageError(f"{path} is no name of a NIfTI file", expected=" or ".join(SUFFIXES))
    if subtype is not None and subtype not in NAMES:
        raise UnknownName("subtype", subtype, list(NAMES))
    values, affine = _even(scan, *_stack(scan))
    if subtype is not None:
        values = values[..., NAMES.index(subtype)]
    image = Nifti1Image(np.ascontiguousarray(np.swapaxes(values, 0, 2)), affine[:, [2, 1, 0, 3]])
    named = subtype or " ".join(one.abbreviation for one in SUBTYPES)
    image.header["descrip"] = f"{LESION_MAP_TITLE}: {named}".encode("ascii")
    image.header["cal_max"] = 1.0
    image.header.set_xyzt_units("mm")
    data = image.to_bytes()
    if path.name.lower().endswith(".gz"):
        data = gzip.compress(data, mtime=0)
    try:
        with replacing(Path(os.path.realpath(path))) as part:
            part.write_bytes(data)
    except (OSError, ValueError) as error:
        raise unwritable(path, error) from error


def _file_name(series: str, taken: Iterable[Path]) -> str:
    """Return a file name for a series UID, which may be any text, that no other series has."""
    name = re.sub(r"[^0-9A-Za-z.-]", "_", series)[:64].strip(".") or "series"
    names = {path.name for path in taken}
    wanted, number = name, 2
    while f"{wanted}.nii.gz" in names:
        wanted, number = f"{name}-{number}", number + 1
    return wanted


def _stack(scan: Analysed) -> Stack:
    """Return the map of each slice, and where its cells lie: index (slice, row, column) → mm.

    Raises:
        UsageError: The scan has no lesion map.
        InputError: Where it lies is not known.
    """
    values = scan.lesion_map
    if values is None:
        found = "a bundle without one" if scan.activation_maps is not None else "no pixels"
        raise UsageError("there is no lesion map", found=found, remedy="read with keep_pixels=True")
    if scan.affine is None:
        raise InputError(f"where series {scan.series} lies is not known, so its map has no place")
    affine = scan.affine.copy()
    for axis in (1, 2):
        pixels = GRID / values.shape[axis]
        affine[:3, 3] += affine[:3, axis] * (pixels - 1) / 2
        affine[:3, axis] *= pixels
    return values, affine


def _even(scan: Analysed, values: NDArray[np.float32], affine: NDArray[np.float64]) -> Stack:
    """Return slices at even distances: NIfTI knows no others.

    Where they are not, each place takes the nearest slice; in a gap, where nothing was judged, 0.
    """
    positions = np.array([one.position_mm for one in scan.slices], np.float64)
    steps = np.diff(positions)
    steps = steps[steps > _LEAST_STEP_MM]
    count = len(positions)
    if not len(steps):
        return values[:1], affine
    even = np.linspace(positions[0], positions[-1], count)
    if np.abs(positions - even).max() <= _EVEN * steps.min():
        return values, affine
    places = round((positions[-1] - positions[0]) / steps.min()) + 1
    even = np.linspace(positions[0], positions[-1], places)
    distances = np.abs(even[:, None] - positions)
    nearest = distances.argmin(axis=1)
    spread = values[nearest]
    for before in scan.breaks:
        inside = (even > positions[before]) & (even < positions[before + 1])
        spread[inside & (distances.min(axis=1) > np.median(steps) / 2)] = 0
    affine[:3, 0] *= (count - 1) / (places - 1)
    return spread, affine
