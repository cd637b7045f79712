"""Draws: the shares that were asked for at every step, every image once a pass of its group."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.errors import StoreError, UsageError
from ichlite.train.draw import Draw, dealt

ORIGIN = np.repeat([0, 1], [50, 20])
BLEEDING = np.arange(70) % 5 == 0


def test_each_step_has_the_shares() -> None:
    draw = Draw(ORIGIN, BLEEDING, 20, shares=(0.75, 0.25), bleeding_share=0.4, seed=3)
    for step in range(30):
        images = draw.images(step)
        assert np.bincount(ORIGIN[images]).tolist() == [15, 5]
        assert BLEEDING[images[ORIGIN[images] == 0]].sum() == 6
        assert BLEEDING[images[ORIGIN[images] == 1]].sum() == 2


def test_a_group_takes_every_image_once_a_pass() -> None:
    draw = Draw(ORIGIN, BLEEDING, 20, shares=(0.5, 0.5), seed=1)
    seen = np.concatenate([draw.images(step) for step in range(5)])
    times = np.bincount(seen, minlength=70)
    assert (times[:50] == 1).all()
    assert times[50:].sum() == 50
    assert times[50:].min() >= 2
    assert times[50:].max() <= 3


@given(st.integers(1, 64), st.lists(st.floats(0.01, 1.0), min_size=1, max_size=5))
def test_parts_sum_to_the_count_and_are_near_their_share(count: int, shares: list[float]) -> None:
    parts = dealt(count, tuple(shares))
    assert sum(parts) == count
    for part, share in zip(parts, shares, strict=True):
        assert abs(part - count * share / sum(shares)) < 1 + 1e-6


def test_what_cannot_be_drawn_is_refused() -> None:
    with pytest.raises(UsageError, match="2 shares"):
        Draw(np.array([0, 1, 2]), np.zeros(3, bool), 4, shares=(0.5, 0.5))
    with pytest.raises(StoreError, match="no bleeding image"):
        Draw(np.zeros(3, int), np.zeros(3, bool), 4, bleeding_share=0.5)
    with pytest.raises(UsageError, match="without one bleeding image a step"):
        Draw(np.zeros(3, int), np.ones(3, bool), 4, bleeding_share=0.01)
