"""The slice headers of one series in; one `Series`, sorted feet to head, with its faults, out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.mixtures import find_mixtures
from ichlite.records import Series, SliceHeader

_T = TypeVar("_T", bound=Hashable)

REPEAT_TOLERANCE_MM = 0.01
"""Two slices nearer than this are at one position."""

GAP_RATIO = 1.7
"""A distance this many times its neighbours' is a gap; one missing slice makes it 2."""

WHOLE_REPEAT_SHARE = 0.8
"""When this share of the positions occurs more than once, the series holds two whole scans."""

_NEIGHBOURS = 6
_SAME_RATIO = 1.1
_OVERLAP_RATIO = 4.5


def stack_slices(
    headers: Sequence[SliceHeader],
    order_of_equals: Callable[[SliceHeader], str],
    faults: Sequence[str] = (),
    notes: Sequence[str] = (),
) -> Series:
    """Slice headers with one SeriesInstanceUID in; the series out.

    Args:
        headers: At least one, in any order.
        order_of_equals: Text by which slices are ordered that share position and SOPInstanceUID.
        faults: Known already; come first.
        notes: Known already; come first.

    Returns:
        Slices by position along the slice normal, then by SOPInstanceUID; `faults` names what keeps
        them from being one whole volume: two patients, studies, matrices, pixel spacings or
        orientations, unknown positions, gaps, two whole scans in one (see also `find_mixtures`).
    """
    found_faults = [*faults, *find_mixtures(headers)]
    found_notes = list(notes)
    known = _positions(headers)
    if known is None:
        ordered = sorted(headers, key=lambda one: (one.instance_number or 0, one.instance_uid))
        positions: tuple[float, ...] = ()
        spacing_mm = None
        if len(headers) > 1:
            found_faults.append(
                "the order of the slices is not known; found slices without ImagePositionPatient "
                "or ImageOrientationPatient; expected both in each"
            )
    else:
        keyed = sorted(
            zip(known, headers, strict=True),
            key=lambda pair: (pair[0], pair[1].instance_uid),
        )
        keyed = _order_equals(keyed, order_of_equals)
        positions = tuple(position for position, _ in keyed)
        ordered = [header for _, header in keyed]
        found_faults += _gaps(np.array(positions))
        faults_of_repeats, notes_of_repeats = _repeats(np.array(positions))
        found_faults += faults_of_repeats
        found_notes += notes_of_repeats
        spacing_mm = float(np.median(np.diff(positions))) if len(positions) > 1 else None
    return Series(
        study_uid=_commonest(header.study_uid for header in headers),
        series_uid=headers[0].series_uid,
        patient_id=_commonest(header.patient_id for header in headers),
        slices=tuple(ordered),
        positions_mm=positions,
        slice_spacing_mm=spacing_mm,
        faults=tuple(found_faults),
        notes=tuple(found_notes),
    )


def slice_normal(
    orientation: tuple[float, float, float, float, float, float],
) -> NDArray[np.float64]:
    """Row and column direction cosines in; the unit slice normal that points to the head out.

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
    """Each slice's position along one common normal, in mm; None when a header lacks it."""
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


def _order_equals(
    keyed: list[tuple[float, SliceHeader]], order_of_equals: Callable[[SliceHeader], str]
) -> list[tuple[float, SliceHeader]]:
    """Order slices by their content where position and SOPInstanceUID are the same."""
    counts = Counter((position, header.instance_uid) for position, header in keyed)
    if max(counts.values()) == 1:
        return keyed
    return sorted(
        keyed,
        key=lambda pair: (
            pair[0],
            pair[1].instance_uid,
            order_of_equals(pair[1]) if counts[pair[0], pair[1].instance_uid] > 1 else "",
        ),
    )


def _gaps(positions_mm: NDArray[np.float64]) -> list[str]:
    """A line for each place where slices are missing.

    Spacing may change from one zone to the next (thin at the skull base, thick above), and two
    acquisitions may overlap, so distances are compared with those near them, and a distance that
    occurs twice on one side is no gap.
    """
    distinct = _distinct(positions_mm)
    distances = np.diff(distinct)
    if len(distances) < 3:
        return []
    faults = []
    for index, distance in enumerate(distances):
        sides = [
            side
            for side in (
                distances[max(0, index - _NEIGHBOURS) : index][::-1],
                distances[index + 1 : index + 1 + _NEIGHBOURS],
            )
            if len(side)
        ]
        nearest = max(side[0] for side in sides)
        usual = max(np.sort(side)[-2:][0] for side in sides)
        recurs = usual * _SAME_RATIO >= distance
        # Beside a thicker zone "usual" is too large. The nearest distance then decides, unless it
        # is so small that it is the offset between two overlapping acquisitions.
        beside_a_zone = GAP_RATIO * nearest < distance < _OVERLAP_RATIO * nearest and not recurs
        if distance > GAP_RATIO * usual or beside_a_zone:
            faults.append(
                f"slices are missing after {distinct[index]:.1f} mm; "
                f"found a distance of {distance:.1f} mm; expected about {min(usual, nearest):.1f}"
            )
    return faults


def _repeats(positions_mm: NDArray[np.float64]) -> tuple[list[str], list[str]]:
    """Faults and notes about positions that occur more than once."""
    distinct = _distinct(positions_mm)
    repeated = len(positions_mm) - len(distinct)
    if repeated == 0:
        return [], []
    positions = "1 position" if len(distinct) == 1 else f"{len(distinct)} positions"
    found = f"{len(positions_mm)} slices at {positions}"
    if len(distinct) == 1:
        return [f"all slices are at one position; found {found}; expected one slice a position"], []
    if repeated >= WHOLE_REPEAT_SHARE * len(distinct):
        return [f"two scans in one series; found {found}; expected one slice a position"], []
    return [], [f"some slices share a position; found {found}"]


def _distinct(positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    if len(positions_mm) == 0:
        return positions_mm
    fresh = np.concatenate([[True], np.diff(positions_mm) >= REPEAT_TOLERANCE_MM])
    distinct: NDArray[np.float64] = positions_mm[fresh]
    return distinct


def _commonest(values: Iterable[_T]) -> _T:
    """The value that occurs most; of several, the first in order of their text."""
    counts = Counter(values)
    return min(counts, key=lambda value: (-counts[value], str(value)))
