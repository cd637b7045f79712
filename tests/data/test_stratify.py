"""Dealing groups to sides: room is kept, groups stay whole, the rarest label is spread first."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.data.stratify import deal


@given(
    st.lists(st.integers(0, 1), min_size=1, max_size=40),
    st.lists(st.integers(1, 9), min_size=1, max_size=5),
    st.integers(0, 3),
)
def test_single_patients_fill_every_side_to_the_last_place(
    bleeds: list[int], parts: list[int], seed: int
) -> None:
    rooms = [len(bleeds) * part // sum(parts) for part in parts]
    rooms[0] += len(bleeds) - sum(rooms)
    labels = {str(k): (bleed,) for k, bleed in enumerate(bleeds)}
    dealt = deal({name: [name] for name in labels}, labels, rooms, seed=seed)
    counts = Counter(dealt.values())
    assert [counts[side] for side in range(len(rooms))] == rooms


def test_a_group_that_fits_nowhere_goes_where_most_room_is() -> None:
    members = {"a": ["a", "b", "c"], "d": ["d"]}
    assert deal(members, {}, [1, 2, 1], seed=0)["a"] == 1


@pytest.mark.parametrize("seed", range(8))
def test_patients_without_known_labels_are_spread_too(seed: int) -> None:
    names = [str(k) for k in range(40)]
    labels = {name: (int(k < 10),) for k, name in enumerate(names[:20])}
    dealt = deal({name: [name] for name in names}, labels, [20, 20], seed=seed)
    for part in (names[:10], names[10:20], names[20:]):
        counts = Counter(dealt[name] for name in part)
        assert counts == {0: len(part) // 2, 1: len(part) // 2}


@pytest.mark.parametrize("seed", range(8))
def test_a_rare_label_reaches_small_sides_where_it_can(seed: int) -> None:
    names = [str(k) for k in range(40)]
    labels = {name: (int(k < 12), int(k < 3)) for k, name in enumerate(names)}
    dealt = deal({name: [name] for name in names}, labels, [32, 4, 4], seed=seed)
    assert Counter(dealt[name] for name in names[:3]) == {0: 1, 1: 1, 2: 1}
    assert sorted(Counter(dealt[name] for name in names[:12]).values()) in ([1, 1, 10], [1, 2, 9])


def test_no_groups_give_nothing() -> None:
    assert deal({}, {}, [0, 0, 0], seed=0) == {}
