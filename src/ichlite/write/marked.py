"""Say in words where a scan's lesion map marks blood: which slices, which side, most like what."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.infer.heatmap import LESION_LEVEL
from ichlite.infer.results import Analysed
from ichlite.labels import NAMES
from ichlite.write.pictures import Box, Marks

MOST_TOLD = 3
"""Number of marked places that are described one by one; further ones are counted."""

LEAST_KIND = 0.15
"""Probability of the likeliest subtype below which a place is described as of no clear kind."""

_MIDDLE = 0.08
"""Share of the head's width beside its middle that counts as neither side."""

_BOTH = 0.25
"""Share of the marked cells on the smaller side, from which a place is on both."""

_SIDES = {"L": "left", "R": "right"}

Cell = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class MarkedPlace:
    """A connected place that a lesion map marks as blood: touching cells of one or several slices.

    Attributes:
        first: Index, from the feet, of its first slice.
        cells: Number of marked cells in each of its slices, from `first` on.
        centres: Row and column of their centre in each slice, in cells of the map.
        side: `left` or `right` of the patient, `both sides`, or `middle`; None where the sides of
            the picture are not known.
        subtype: Most likely subtype by the probabilities of its slices; None where none is clear.
    """

    first: int
    cells: tuple[int, ...]
    centres: tuple[tuple[float, float], ...]
    side: str | None
    subtype: str | None

    @property
    def last(self) -> int:
        """Index of its last slice."""
        return self.first + len(self.cells) - 1

    def words(self) -> str:
        """Describe the place in words: its slices, side and most likely subtype.

        Example:
            >>> MarkedPlace(7, (4, 9), ((3.0, 4.0),) * 2, "left", "subdural").words()
            'slices 8 to 9, left, most like subdural'
            >>> MarkedPlace(7, (2,), ((3.0, 4.0),), None, None).words()
            'slice 8, of no clear kind'
        """
        one = self.first == self.last
        where = f"slice {self.first + 1}" if one else f"slices {self.first + 1} to {self.last + 1}"
        kind = f"most like {self.subtype}" if self.subtype else "of no clear kind"
        return ", ".join(filter(None, [where, self.side, kind]))


def side_of(marked: NDArray[np.bool_], head: Box, marks: Marks | None) -> str | None:
    """Return on which side of the patient the marked cells of a lesion map are.

    Args:
        marked: (slice, row, column) or (row, column) bool, whether each cell is marked.
        head: Top, bottom, left and right of the head, as shares of the map.
        marks: Letters of the patient's sides at the left, right, top and bottom of the picture.

    Returns:
        `left`, `right`, `both sides` or `middle`; None where nothing is marked, or the sides of the
        picture are not known.
    """
    columns = np.nonzero(marked)[-1]
    if marks is None or not {*marks[:2]} <= {*_SIDES} or not len(columns):
        return None
    middle, width = (head[2] + head[3]) / 2, head[3] - head[2]
    off = ((columns + 0.5) / marked.shape[-1] - middle) / max(width, 1e-6)
    if abs(off.mean()) < _MIDDLE and np.abs(off).mean() < 2 * _MIDDLE:
        return "middle"
    on_left = float((off < 0).mean())
    if min(on_left, 1 - on_left) >= _BOTH:
        return "both sides"
    return _SIDES[marks[0] if on_left > 0.5 else marks[1]]


def marked_places(
    scan: Analysed, lesion_map: NDArray[np.float32], head: Box, marks: Marks | None
) -> tuple[MarkedPlace, ...]:
    """Return the connected places that a lesion map marks as blood, the largest first.

    Args:
        scan: Result of the scan.
        lesion_map: (slice, row, column, subtype) float32 in [0, 1], its `Analysed.lesion_map`.
        head: See `side_of`.
        marks: See `side_of`.
    """
    marked = lesion_map.max(axis=-1) >= LESION_LEVEL
    found = [_place(scan, cells, marked.shape, head, marks) for cells in _touching(scan, marked)]
    return tuple(sorted(found, key=lambda place: -sum(place.cells)))


def marked_words(places: Sequence[MarkedPlace]) -> str:
    """Describe marked places in one sentence; those beyond `MOST_TOLD` are counted only.

    Args:
        places: Marked places, at least one, the largest first.

    Example:
        >>> marked_words([MarkedPlace(7, (4, 9), ((3.0, 4.0),) * 2, "left", "subdural")])
        'slices 8 to 9, left, most like subdural.'
    """
    told = "; ".join(place.words() for place in places[:MOST_TOLD])
    rest = len(places) - MOST_TOLD
    more = f"; {rest} smaller place{'s' * (rest > 1)}" if rest > 0 else ""
    return f"{told}{more}."


def _place(
    scan: Analysed, cells: list[Cell], shape: tuple[int, ...], head: Box, marks: Marks | None
) -> MarkedPlace:
    """Return the place that cells make up."""
    table = np.array(cells)
    first, last = table[:, 0].min(), table[:, 0].max()
    of_slices = [table[table[:, 0] == index, 1:] for index in range(first, last + 1)]
    counts = tuple(len(one) for one in of_slices)
    alone = np.zeros(shape, bool)
    alone[tuple(table.T)] = True
    likely = {
        name: np.average(
            [one.probabilities[name] for one in scan.slices[first : last + 1]], weights=counts
        )
        for name in NAMES
    }
    subtype = max(NAMES, key=lambda name: likely[name])
    return MarkedPlace(
        first=int(first),
        cells=counts,
        centres=tuple((float(r), float(c)) for r, c in (one.mean(0) + 0.5 for one in of_slices)),
        side=side_of(alone, head, marks),
        subtype=subtype if likely[subtype] >= LEAST_KIND else None,
    )


def _touching(scan: Analysed, marked: NDArray[np.bool_]) -> list[list[Cell]]:
    """Return the groups of marked cells that touch, by a side or a corner, none across a gap."""
    left = {(int(k), int(r), int(c)) for k, r, c in np.argwhere(marked)}
    steps = [
        (k, r, c)
        for k in (-1, 0, 1)
        for r in (-1, 0, 1)
        for c in (-1, 0, 1)
        if (k, r, c) != (0,) * 3
    ]
    groups = []
    while left:
        group = [left.pop()]
        for slice_, row, column in group:  # it grows while it is gone through
            for k, r, c in steps:
                if min(slice_, slice_ + k) in scan.breaks and k:
                    continue
                cell = slice_ + k, row + r, column + c
                if cell in left:
                    left.remove(cell)
                    group.append(cell)
        groups.append(sorted(group))
    return groups
