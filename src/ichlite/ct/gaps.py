"""Find where slices along a head are missing, repeated or too far apart."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

REPEAT_TOLERANCE_MM = 0.01
"""Two slices nearer than this are at one position."""

GAP_RATIO = 1.7
"""Ratio of a slice distance to those beside it above which slices are missing; one missing slice
makes it 2."""

MAX_SPACING_MM = 8.0
"""Widest distance of slices, in mm; the widest median spacing of the 2,214 series in the RSNA test
table is 6 mm."""

WHOLE_REPEAT_SHARE = 0.8
"""When this share of the positions occurs more than once, the series holds two whole scans."""

_UNCOVERED_RATIO = 1.4
"""Of a distance over the mean thickness of its two slices, to what is usual in the scan or 1. Where
2.5 mm slices meet 5 mm ones it may be 1.33 in a whole scan."""

_COUNTED_SHARE = 0.8
"""When this share of the InstanceNumbers follow each other one by one, slices were counted."""

_NEIGHBOURS = 6
_SAME_RATIO = 1.1
_OVERLAP_RATIO = 4.5


def find_gaps(
    positions_mm: Sequence[float],
    thicknesses_mm: Sequence[float | None],
    numbers: Sequence[int | None] = (),
) -> tuple[list[str], tuple[int, ...]]:
    """Find gaps between slices, and positions that several slices share.

    Args:
        positions_mm: Position of each slice along the slice normal, in mm, ascending.
        thicknesses_mm: SliceThickness of the same slices, in mm; None where unknown.
        numbers: InstanceNumber of the same slices; empty when unknown.

    Returns:
        Two values: one line for each defect; and the breaks, the indices of the slices whose
        successor is not adjacent to them, because tissue lies between or both lie at one position.

    Example:
        >>> find_gaps([0.0, 5.0, 10.0, 20.0, 25.0], [5.0] * 5)[1]
        (2,)
    """
    positions = np.array(positions_mm, np.float64)
    if len(positions) < 2:
        return [], ()
    distances = np.diff(positions)
    breaks = (distances < REPEAT_TOLERANCE_MM) | (distances > MAX_SPACING_MM)
    missing, gaps = _missing(positions)
    breaks[gaps] = True
    wide = _tissue_between(distances, thicknesses_mm)
    breaks[wide] = True
    skipped, uncounted = _skipped(distances, thicknesses_mm, numbers, np.flatnonzero(breaks))
    breaks[uncounted] = True
    between = _widest(distances, [index for index in wide if index not in gaps])
    defects = [*missing, *skipped, *_repeats(positions), *_far_apart(distances), *between]
    return defects, tuple(np.flatnonzero(breaks).tolist())


def breaks_without(
    positions_mm: Sequence[float], breaks: Sequence[int], kept: Sequence[int]
) -> tuple[int, ...]:
    """Return the breaks between the slices that stay when others are removed from a series.

    A break stands where two slices follow each other that are not adjacent in the head; a removed
    slice leaves one, unless another slice lies at its position.

    Args:
        positions_mm: Position of each slice along the slice normal, in mm; empty when unknown.
        breaks: Indices of the slices before a break, as `find_gaps` gave them.
        kept: Indices of the slices that stay, ascending.

    Returns:
        Indices into `kept` of the slices before a break.

    Example:
        >>> breaks_without([0.0, 5.0, 10.0, 15.0], (), [0, 2, 3])
        (0,)
    """
    if not positions_mm:
        return tuple(range(len(kept) - 1))

    def apart(first: int, second: int) -> bool:
        return abs(positions_mm[second] - positions_mm[first]) >= REPEAT_TOLERANCE_MM

    def broken(below: int, above: int) -> bool:
        inner = range(below + 1, above)
        return (
            not apart(below, above)
            or any(apart(below, one) and apart(one, above) for one in inner)
            or any(below <= one < above and apart(one, one + 1) for one in breaks)
        )

    return tuple(index for index, pair in enumerate(pairwise(kept)) if broken(*pair))


def _missing(positions_mm: NDArray[np.float64]) -> tuple[list[str], list[int]]:
    """Find the places where slices are missing.

    Spacing may change from one zone to the next (thin at the skull base, thick above), and two
    acquisitions may overlap, so distances are compared with those near them, and a distance that
    occurs twice on one side is no gap.

    Returns:
        One line for each place, and the index of the slice before it.
    """
    distinct = _distinct(positions_mm)
    distances = np.diff(distinct)
    if len(distances) < 3:
        return [], []
    lines, before = [], []
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
            lines.append(
                f"slices are missing after {distinct[index]:.1f} mm; "
                f"found a distance of {distance:.1f} mm; expected about {min(usual, nearest):.1f}"
            )
            before.append(int(np.searchsorted(positions_mm, distinct[index + 1])) - 1)
    return lines, before


def _skipped(
    distances_mm: NDArray[np.float64],
    thicknesses_mm: Sequence[float | None],
    numbers: Sequence[int | None],
    known: NDArray[np.int64],
) -> tuple[list[str], list[int]]:
    """Find a number that is left out where zones meet, which is all that tells of a slice there.

    Slices of two zones may overlap by so much that without one of them no tissue is left out. A
    number alone says little: many are left out in whole scans. It counts where all others follow
    each other, the distance is that of neither zone or the thickness changes, and one is left out.

    Returns:
        One line for each place that is not known yet, and the index of the slice before it.
    """
    counted = [number for number in numbers if number is not None]
    if len(counted) != len(distances_mm) + 1:
        return [], []
    steps = [above - below for below, above in pairwise(counted)]
    one = max((1, -1), key=steps.count)
    if steps.count(one) < _COUNTED_SHARE * len(steps) or min(step * one for step in steps) < 1:
        return [], []
    lines, before = [], []
    for index in (index for index, step in enumerate(steps) if step == 2 * one):
        beside = [
            float(distances_mm[there])
            for there in (index - 1, index + 1)
            if 0 <= there < len(distances_mm)
        ]
        usual = any(
            1 / _SAME_RATIO <= distances_mm[index] / max(other, REPEAT_TOLERANCE_MM) <= _SAME_RATIO
            for other in beside
        )
        below, above = thicknesses_mm[index : index + 2]
        if index not in known and (below != above or not usual):
            lines.append(
                "a slice is missing where zones of slices meet; "
                f"found InstanceNumbers {counted[index]} and {counted[index + 1]}; "
                f"expected {counted[index] + one} between them"
            )
            before.append(index)
    return lines, before


def _repeats(positions_mm: NDArray[np.float64]) -> list[str]:
    """Describe, in a line, positions that occur more than once."""
    distinct = _distinct(positions_mm)
    repeated = len(positions_mm) - len(distinct)
    if repeated == 0:
        return []
    positions = "1 position" if len(distinct) == 1 else f"{len(distinct)} positions"
    found = f"found {len(positions_mm)} slices at {positions}; expected one slice a position"
    if len(distinct) == 1:
        return [f"all slices are at one position; {found}"]
    if repeated >= WHOLE_REPEAT_SHARE * len(distinct):
        return [f"the series holds two scans; {found}"]
    return [f"different images share a position, and all are judged; {found}"]


def _far_apart(distances_mm: NDArray[np.float64]) -> list[str]:
    spacing_mm = float(np.median(distances_mm))
    if spacing_mm <= MAX_SPACING_MM:
        return []
    found = f"found {spacing_mm:.6g} mm; expected at most {MAX_SPACING_MM:g}"
    return [f"the slices are too far apart; {found}"]


def _tissue_between(
    distances_mm: NDArray[np.float64], thicknesses_mm: Sequence[float | None]
) -> list[int]:
    """Find distances that leave tissue out, because their slices are too thin for them.

    Nothing else tells that every second slice is lost, or one where thin slices meet thick ones.
    """
    known = {
        index: [one for one in thicknesses_mm[index : index + 2] if one]
        for index in range(len(distances_mm))
    }
    shares = {
        index: float(distances_mm[index]) / float(np.mean(thick))
        for index, thick in known.items()
        if thick
    }
    usual = max(1.0, float(np.median(list(shares.values())))) if shares else 1.0
    return [
        index
        for index, share in shares.items()
        if share > _UNCOVERED_RATIO * usual or distances_mm[index] > GAP_RATIO * max(known[index])
    ]


def _widest(distances_mm: NDArray[np.float64], places: list[int]) -> list[str]:
    """Describe, in a line, the widest of the distances that slices are too thin for."""
    if not places:
        return []
    widest_mm = max(float(distances_mm[index]) for index in places)
    return [
        "the slices leave tissue out between them; "
        f"found a distance of {widest_mm:.1f} mm, more than the slices are thick"
    ]


def _distinct(positions_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    fresh = np.concatenate([[True], np.diff(positions_mm) >= REPEAT_TOLERANCE_MM])
    distinct: NDArray[np.float64] = positions_mm[fresh]
    return distinct
