"""Differences against the noise of the seeds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ttest_ind

from ichlite.reproduce.noise import compare, told

shares = st.lists(st.integers(0, 1000).map(lambda n: n / 1000), min_size=2, max_size=6)


@given(shares, shares)
def test_agrees_with_the_pooled_t_test(first: list[float], second: list[float]) -> None:
    found = compare(first, second)
    assert found is not None
    assert found.interval is not None
    if len(set(first)) == 1 or len(set(second)) == 1:
        return  # SciPy warns of constant samples
    test = ttest_ind(first, second)
    assert found.interval == pytest.approx(test.confidence_interval(0.95), abs=1e-9)
    beyond = told(found.interval) is not None
    assert beyond == (test.pvalue < 0.05) or abs(test.pvalue - 0.05) < 1e-9


@given(shares, shares)
def test_swapping_turns_the_sign(first: list[float], second: list[float]) -> None:
    one, other = compare(first, second), compare(second, first)
    assert one is not None
    assert other is not None
    assert one.difference == pytest.approx(-other.difference)
    assert one.interval is not None
    assert other.interval is not None
    assert one.interval == pytest.approx([-end for end in reversed(other.interval)])


def test_one_seed_tells_nothing() -> None:
    for first, second in (([0.9], [0.1, 0.1, 0.1]), ([0.9, 0.9, 0.9], [0.1]), ([0.9], 0.1)):
        found = compare(first, second)
        assert found is not None
        assert told(found.interval) is None
    assert compare([], [0.1]) is None


def test_seeds_that_are_all_alike_have_an_interval_of_no_length() -> None:
    found = compare([0.5, 0.5], [0.25, 0.25])
    assert found is not None
    assert found.interval == (0.25, 0.25)


def test_other_groups_tell_how_much_seeds_differ() -> None:
    first, second = [0.80, 0.82], [0.76, 0.78]
    found = [
        compare(first, second, others)
        for others in ([], [[0.5, 0.5], [0.6, 0.6], [0.7]], [[0.2, 0.9]])
    ]
    alone, quiet, loud = (one.interval for one in found if one is not None)
    assert (told(alone), told(quiet), told(loud)) == (None, True, None)
    assert len({one.difference for one in found if one is not None}) == 1
    # Squares of 4 * 0.01^2 over 2 and over 4 degrees of freedom, Student's 97.5th percentiles.
    assert alone is not None
    assert quiet is not None
    assert (alone[1] - alone[0]) / 2 == pytest.approx(4.3027 * (2e-4) ** 0.5, rel=1e-4)
    assert (quiet[1] - quiet[0]) / 2 == pytest.approx(2.7764 * 1e-2, rel=1e-4)


def test_against_a_fixed_number() -> None:
    for fixed, above in ((0.85, True), (0.91, None), (0.97, False)):
        found = compare([0.90, 0.91, 0.92], fixed)
        assert found is not None
        assert told(found.interval) is above
