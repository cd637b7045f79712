"""A number that is left out tells of a slice where zones meet, and of nothing elsewhere."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from ichlite.ct.gaps import find_gaps
from ichlite.ct.series import find_series
from ichlite.samples import GE_HEAD

COUNT = 28


def found_of(
    left_out: int, *, renumbered: bool = False, turned: bool = False
) -> tuple[list[str], tuple[int, ...]]:
    """Return what is found of the GE head, of 4 and 7 mm, without one slice (from 1; 0: whole)."""
    (series,), _ = find_series([str(file) for file in GE_HEAD.files])
    kept = [i for i in range(COUNT) if i != left_out - 1]
    numbers = [series.slices[i].instance_number or 0 for i in kept]
    assert numbers == [i + 1 for i in kept]
    if turned:
        numbers = [COUNT + 1 - number for number in numbers]
    return find_gaps(
        [series.positions_mm[i] for i in kept],
        [series.slices[i].slice_thickness_mm for i in kept],
        range(1, len(kept) + 1) if renumbered else numbers,
    )


@pytest.mark.parametrize("turned", [False, True])
def test_any_inner_slice_that_is_missing_from_a_head_of_two_zones_is_told(turned: bool) -> None:
    assert found_of(0, turned=turned) == ([], ())
    for number in range(2, COUNT):
        lines, breaks = found_of(number, turned=turned)
        assert len(lines) == 1, number
        assert breaks == (number - 2,)
    (line,), _ = found_of(14)
    assert line == (
        "a slice is missing where zones of slices meet; found InstanceNumbers 13 and 15; "
        "expected 14 between them"
    )


@pytest.mark.parametrize(("left_out", "renumbered"), [(1, False), (COUNT, False), (14, True)])
def test_what_nothing_tells_of(left_out: int, renumbered: bool) -> None:
    """An end, and a slice that others cover, numbered anew."""
    assert found_of(left_out, renumbered=renumbered) == ([], ())


@pytest.mark.parametrize(
    "numbers",
    [
        [*range(1, 6), *range(7, 12)],  # one is left out where slices follow each other as usual
        [*range(1, 11)][::-1],
        [*range(1, 20, 2)],  # every other series has them
        [1, 2, 3, 4, 5, 101, 102, 103, 104, 105],  # two acquisitions
        [1, 2, 3, 4, 5, 1, 2, 3, 4, 5],
        [3, 1, 4, 15, 9, 2, 6, 5, 35, 8],
        [1, 2, None, 5, 6, 7, 8, 9, 10, 11],
        [10**30, *range(2, 11)],
        [7] * 10,
        [],
    ],
)
def test_numbers_alone_tell_nothing(numbers: Sequence[int | None]) -> None:
    positions = [5.0 * i for i in range(10)]
    assert find_gaps(positions, [5.0] * 10, numbers) == ([], ())
    zones = [*(2.5 * i for i in range(5)), *(15.0 + 5 * i for i in range(5))]
    if numbers != [*range(1, 6), *range(7, 12)]:
        assert find_gaps(zones, [2.5] * 5 + [5.0] * 5, numbers) == ([], ())
