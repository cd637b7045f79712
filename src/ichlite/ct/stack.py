"""Sort the slice headers of one series feet to head, and name what keeps them from being one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Hashable, Iterable, Sequence
from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.gaps import breaks_without, find_gaps
from ichlite.records import Series, SliceHeader

_T = TypeVar("_T", bound=Hashable)

_SPACING_TOLERANCE = 1e-3
_COSINE_TOLERANCE = 1e-3
_NAMED = 3
_TYPE_VALUES = 4
"""Of FrameType, which the standard defines (DICOM PS3.3 C.8.16.1); a device may add others."""


def stack_slices(
    headers: Sequence[SliceHeader],
    order_of_equals: Callable[[SliceHeader], str],
    defects: Sequence[str] = (),
) -> Series:
    """Make a series of the slice headers with one SeriesInstanceUID, sorted feet to head.

    Args:
        headers: Headers of the slices, at least one, in any order.
        order_of_equals: Function that returns the text by which slices are ordered that share
            position and SOPInstanceUID.
        defects: Defects that are known already, one line each; they come first.

    Returns:
        The series, its slices by position along the slice normal, then by SOPInstanceUID. `faults`
        describes attributes that the slices do not share (see `find_mixtures`), `defects` what
        makes the scan incomplete: gaps, repeated or unknown positions (see `find_gaps`).
    """
    found_defects = list(defects)
    known = _positions(headers)
    if known is None:
        ordered = sorted(headers, key=lambda one: (one.instance_number or 0, _name(one)))
        positions: tuple[float, ...] = ()
        spacing_mm = None
        breaks = tuple(range(len(headers) - 1))
        if breaks:
            found_defects.append(
                "the order of the slices is not known; found slices without ImagePositionPatient "
                "or ImageOrientationPatient; expected both in each"
            )
    else:
        keyed = sorted(zip(known, headers, strict=True), key=lambda pair: (pair[0], _name(pair[1])))
        keyed = _order_equals(keyed, order_of_equals)
        positions = tuple(position for position, _ in keyed)
        ordered = [header for _, header in keyed]
        gaps, breaks = find_gaps(
            positions,
            [header.slice_thickness_mm for header in ordered],
            [header.instance_number for header in ordered],
        )
        found_defects += gaps
        spacing_mm = float(np.median(np.diff(positions))) if len(positions) > 1 else None
    return Series(
        study_uid=_commonest(header.study_uid for header in headers),
        series_uid=headers[0].series_uid,
        patient_id=_commonest(header.patient_id for header in headers),
        slices=tuple(ordered),
        positions_mm=positions,
        slice_spacing_mm=spacing_mm,
        faults=tuple(find_mixtures(headers)),
        defects=tuple(found_defects),
        breaks=breaks,
    )


def without_slices(series: Series, dropped: Collection[int]) -> Series:
    """Remove slices from a series and mark the gaps that they leave in its `breaks`.

    Args:
        series: Series from `find_series`.
        dropped: Indices into `series.slices` of the slices to remove, not all of them.

    Returns:
        A new series of the other slices, in their order.
    """
    kept = [index for index in range(len(series.slices)) if index not in dropped]
    return replace(
        series,
        slices=tuple(series.slices[index] for index in kept),
        positions_mm=tuple(series.positions_mm[index] for index in kept if series.positions_mm),
        breaks=breaks_without(series.positions_mm, series.breaks, kept),
    )


def slice_normal(
    orientation: tuple[float, float, float, float, float, float],
) -> NDArray[np.float64]:
    """Return the unit normal of a slice, with its largest component positive (head, for axial).

    Args:
        orientation: ImageOrientationPatient: direction cosines of a row, then of a column.

    Returns:
        (3,) float64 in the patient's coordinates; (0, 0, 1) where row and column are parallel.

    Source:
        DICOM PS3.3 C.7.6.2.1.1; +x is left, +y back, +z head.

    Example:
        >>> slice_normal((1, 0, 0, 0, -1, 0)).tolist()
        [0.0, 0.0, 1.0]
    """
    normal = np.cross(orientation[:3], orientation[3:]).astype(np.float64)
    length = float(np.linalg.norm(normal))
    if length < 1e-6:
        return np.array([0.0, 0.0, 1.0])
    normal /= length
    largest = normal[np.argmax(np.abs(normal))]
    return np.asarray(normal * (-1.0 if largest < 0 else 1.0) + 0.0)


def _positions(headers: Sequence[SliceHeader]) -> list[float] | None:
    """Return each slice's position along one common normal, in mm; None when a header lacks it."""
    orientations = [header.image_orientation for header in headers]
    places = [header.image_position_mm for header in headers]
    if None in orientations or None in places:
        return None
    normal = slice_normal(_commonest(one for one in orientations if one is not None))
    # Element by element: a matrix product may round differently with the number of slices.
    return [
        round(float(x * normal[0] + y * normal[1] + z * normal[2]), 6)
        for x, y, z in (place for place in places if place is not None)
    ]


def _name(header: SliceHeader) -> tuple[str, int]:
    """Return what tells images apart: SOPInstanceUID, and the number of a frame."""
    return header.instance_uid, header.frame_number or 0


def _order_equals(
    keyed: list[tuple[float, SliceHeader]], order_of_equals: Callable[[SliceHeader], str]
) -> list[tuple[float, SliceHeader]]:
    """Order slices by their content where position and SOPInstanceUID are the same."""
    counts = Counter((position, _name(header)) for position, header in keyed)
    if max(counts.values()) == 1:
        return keyed
    return sorted(
        keyed,
        key=lambda pair: (
            pair[0],
            _name(pair[1]),
            order_of_equals(pair[1]) if counts[pair[0], _name(pair[1])] > 1 else "",
        ),
    )


def _commonest(values: Iterable[_T]) -> _T:
    """Return the value that occurs most; of several, the first in order of their text."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value)))


def find_mixtures(headers: Sequence[SliceHeader]) -> list[str]:
    """Describe the attributes in which the slices of one series differ and must not.

    These are patient, study, frame of reference, matrix, pixel spacing, orientation, tube voltage,
    kernel and rescale values. AcquisitionNumber, which axial scans count up slice by slice, and
    SliceThickness, which two-zone scans change, may differ. A missing value differs from nothing,
    except for pixel spacing and orientation.

    Args:
        headers: Headers of the slices with one SeriesInstanceUID.

    Returns:
        One line for each such attribute, without a value that could identify a patient.
    """
    spacings = [header.pixel_spacing_mm for header in headers]
    orientations = [header.image_orientation for header in headers]
    faults = [
        *_identities(headers),
        *_counted("studies", [header.study_uid for header in headers]),
        *_counted("study dates", [header.study_date for header in headers]),
        *_counted("frames of reference", [header.frame_of_reference_uid for header in headers]),
        *_listed("matrices", [f"{header.rows}x{header.columns}" for header in headers]),
    ]
    if not _all_close(spacings, _SPACING_TOLERANCE * abs((spacings[0] or (1.0, 1.0))[0])):
        faults.append("mixed pixel spacings in one series; expected 1")
    if not _all_close(orientations, _COSINE_TOLERANCE):
        faults.append("mixed orientations in one series; expected 1")
    return [
        *faults,
        *_listed("tube voltages", [_shown(header.kvp, " kV") for header in headers]),
        *_listed("convolution kernels", [header.convolution_kernel for header in headers]),
        *_listed("rescale values", [_rescale(header) for header in headers]),
        *_frame_mixtures([header for header in headers if header.frame is not None]),
    ]


def _frame_mixtures(headers: Sequence[SliceHeader]) -> list[str]:
    """Find in which things the frames of files disagree that series of single slices part by."""
    frames = [header.frame for header in headers if header.frame is not None]
    times = [_shown(frame.temporal_position, "") for frame in frames]
    types = ["\\".join(header.image_type[:_TYPE_VALUES]) or None for header in headers]
    return [
        *_listed("stacks", [frame.stack_id for frame in frames]),
        *_listed("temporal positions", times),
        *_listed("frame types", types),
    ]


def _identities(headers: Sequence[SliceHeader]) -> list[str]:
    """Describe patients who differ by PatientID, or by what else is said under one PatientID."""
    by_id = _counted("patients", [header.patient_id for header in headers])
    if by_id:
        return by_id
    said: dict[str, list[str | None]] = {
        "PatientName": [(header.patient_name or "").upper().strip("^ ") for header in headers],
        "PatientBirthDate": [header.patient_birth_date for header in headers],
        "PatientSex": [header.patient_sex for header in headers],
    }
    for keyword, values in said.items():
        count = len(set(values) - {None, ""})
        if count > 1:
            return [f"mixed patients in one series; found {count} values of {keyword}; expected 1"]
    return []


def _counted(what: str, values: Sequence[str | None]) -> list[str]:
    count = len(set(values) - {None})
    return [f"mixed {what} in one series; found {count}; expected 1"] if count > 1 else []


def _listed(what: str, values: Sequence[str | None]) -> list[str]:
    known = sorted({value for value in values if value is not None})
    if len(known) < 2:
        return []
    more = ", …" if len(known) > _NAMED else ""
    found = f"{len(known)} ({', '.join(known[:_NAMED])}{more})"
    return [f"mixed {what} in one series; found {found}; expected 1"]


def _shown(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g}{unit}"


def _rescale(header: SliceHeader) -> str | None:
    slope, intercept = header.rescale_slope, header.rescale_intercept
    return None if slope is None or intercept is None else f"x {slope:g} + {intercept:g}"


def _all_close(values: Sequence[tuple[float, ...] | None], tolerance: float) -> bool:
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return not known
    table = np.array(known)
    return bool(np.all(table.max(axis=0) - table.min(axis=0) <= tolerance))
