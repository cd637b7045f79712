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
"""Places that are told one by one; the others are counted."""

_MIDDLE = 0.08
"""Share of the head's width beside its middle that counts as neither side."""

_BOTH = 0.25
"""Share of the marked cells on the smaller side, from which a place is on both."""

_SIDES = {"L": "left", "R": "right"}


@dataclass(frozen=True, slots=True)
class MarkedPlace:
    """Slices, one after the other, in which a lesion map marks blood.

    Attributes:
        first, last: Indices of its slices.
        cells: In all of them.
        side: `left` or `right` of the patient, `both sides`, or `middle`; None where the sides of
            the picture are not known.
        subtype: The most likely one, by the probabilities of its slices.
    """

    first: int
    last: int
    cells: int
    side: str | None
    subtype: str

    def words(self) -> str:
        """Return what is to be said of it.

        Example:
            >>> MarkedPlace(7, 12, 40, "left", "subdural").words()
            'slices 8 to 13, left, most like subdural'
            >>> MarkedPlace(7, 7, 2, None, "epidural").words()
            'slice 8, most like epidural'
        """
        one = self.first == self.last
        where = f"slice {self.first + 1}" if one else f"slices {self.first + 1} to {self.last + 1}"
        return ", ".join(filter(None, [where, self.side, f"most like {self.subtype}"]))


def marked_cells(scan: Analysed) -> NDArray[np.bool_] | None:
    """Return where a scan's lesion map marks blood, (slice, row, column); None without one."""
    values = scan.lesion_map
    return None if values is None else values.max(axis=-1) >= LESION_LEVEL


def side_of(marked: NDArray[np.bool_], head: Box, marks: Marks | None) -> str | None:
    """Return on which side of the patient marked cells are.

    Args:
        marked: (slice, row, column) or (row, column).
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


def likeliest_subtype(scan: Analysed, first: int, last: int) -> str:
    """Return the subtype with the highest mean probability in slices, both ends included."""
    some = scan.slices[first : last + 1]
    return max(NAMES, key=lambda name: sum(one.probabilities[name] for one in some))


def marked_places(
    scan: Analysed, marked: NDArray[np.bool_], head: Box, marks: Marks | None
) -> tuple[MarkedPlace, ...]:
    """Return the runs of slices in which blood is marked, the largest first.

    Args:
        scan: The result.
        marked: (slice, row, column), as `marked_cells` gives it.
        head: As in `side_of`.
        marks: The same.
    """
    cells = marked.sum(axis=(1, 2))
    found = [
        MarkedPlace(
            first=first,
            last=last,
            cells=int(cells[first : last + 1].sum()),
            side=side_of(marked[first : last + 1], head, marks),
            subtype=likeliest_subtype(scan, first, last),
        )
        for first, last in _runs((cells > 0).tolist(), scan.breaks)
    ]
    return tuple(sorted(found, key=lambda place: -place.cells))


def marked_words(places: Sequence[MarkedPlace]) -> str:
    """Return a sentence on the marked places, the largest first.

    Example:
        >>> marked_words([MarkedPlace(7, 12, 40, "left", "subdural")])
        'Marked: slices 8 to 13, left, most like subdural.'
        >>> marked_words([])
        'No place is marked in the lesion map.'
    """
    if not places:
        return "No place is marked in the lesion map."
    told = "; ".join(place.words() for place in places[:MOST_TOLD])
    rest = len(places) - MOST_TOLD
    more = f"; {rest} smaller place{'s' * (rest > 1)}" if rest > 0 else ""
    return f"Marked: {told}{more}."


def _runs(marked: Sequence[bool], breaks: Sequence[int]) -> list[tuple[int, int]]:
    """Return the first and last index of each run of marked slices, none across a gap."""
    runs: list[tuple[int, int]] = []
    for index, is_marked in enumerate(marked):
        if not is_marked:
            continue
        if runs and runs[-1][1] == index - 1 and index - 1 not in breaks:
            runs[-1] = runs[-1][0], index
        else:
            runs.append((index, index))
    return runs
