"""Intervals: by patients, equal to redrawing lists of images, none where they would say nothing."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ichlite.evaluate.intervals import (
    METRICS,
    interval,
    redraw,
    why_no_interval,
    wilson,
    with_mean,
)
from ichlite.evaluate.metrics import roc_auc, score_class

Metric = Callable[[np.ndarray, np.ndarray], float | None]


def plainly(
    metric: Metric, labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, *, draws: int,
    seed: int,
) -> list[float]:  # fmt: skip
    """The metric of each redraw, from lists of the drawn patients' images; NaN where undefined."""
    _, owner = np.unique(patients, return_inverse=True)
    images_of = [np.flatnonzero(owner == one) for one in range(owner.max() + 1)]
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws):
        drawn = rng.integers(0, len(images_of), len(images_of))
        images = np.concatenate([images_of[one] for one in drawn])
        value = metric(labels[images], scores[images])
        values.append(np.nan if value is None else value)
    return values


def data(seed: int, slices: int, patients: int, levels: int) -> tuple[np.ndarray, ...]:
    """Labels, probabilities with ties, and patients; the first column has no positive."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((slices, 5)) < 0.3).astype(np.uint8)
    labels[:, 0] = 0
    probabilities = np.round(rng.random((slices, 5)) * levels) / levels
    return labels, probabilities, rng.integers(0, patients, slices).astype(str)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(5, 60), st.integers(2, 9), st.sampled_from([1, 3, 1000]))
def test_equals_redrawing_lists_of_images(
    seed: int, slices: int, patients: int, levels: int
) -> None:
    labels, probabilities, owner = data(seed, slices, patients, levels)
    found = redraw(labels, probabilities, owner, draws=30, seed=seed)
    assert found.shape == (30, 5, len(METRICS))
    for column in range(5):
        for place, name in enumerate(METRICS):

            def metric(y: np.ndarray, p: np.ndarray, name: str = name) -> float | None:
                scores = score_class(y, p)
                value: float | None = getattr(scores, name)
                return value

            expected = plainly(
                metric, labels[:, column], probabilities[:, column], owner, draws=30, seed=seed
            )
            np.testing.assert_allclose(found[:, column, place], expected, atol=2e-6)


def test_one_patients_slices_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 30)
    # A patient's slices share their luck.
    labels = np.tile([0, 1], 300)
    scores = np.repeat(rng.normal(size=20), 30) + 0.1 * rng.normal(size=600) + labels
    wide, narrow = (
        interval(redraw(labels[:, None], scores[:, None], owners.astype(str), draws=200)[:, 0, 0])
        for owners in (patients, np.arange(600))
    )
    assert wide[0] < roc_auc(labels, scores) < wide[1]
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_mean_is_over_the_defined_columns() -> None:
    labels, probabilities, owner = data(1, 200, 20, 1000)
    found = with_mean(redraw(labels, probabilities, owner, draws=20))
    assert np.isnan(found[:, 0, METRICS.index("roc_auc")]).all()
    assert found[:, -1, 0] == pytest.approx(found[:, 1:5, 0].mean(axis=1), abs=1e-6)
    assert found[:, -1, 3] == pytest.approx(found[:, :5, 3].mean(axis=1), abs=1e-6)


def test_the_same_seed_draws_the_same_patients_for_every_model() -> None:
    labels, probabilities, owner = data(2, 300, 30, 1000)
    first = redraw(labels, probabilities, owner, draws=50, seed=0)
    assert np.array_equal(first, redraw(labels, probabilities, owner, draws=50, seed=0), True)
    assert not np.array_equal(first, redraw(labels, probabilities, owner, draws=50, seed=1), True)


def test_a_case_may_have_a_threshold_of_its_own() -> None:
    labels, probabilities, owner = data(3, 100, 10, 1000)
    one = redraw(labels, probabilities, owner, draws=5, threshold=0.3)
    each = redraw(labels, probabilities, owner, draws=5, threshold=np.full(labels.shape, 0.3))
    np.testing.assert_array_equal(one, each)


def test_interval_needs_half_of_the_draws() -> None:
    assert interval([np.nan, np.nan, 1.0]) is None
    assert interval([np.nan, 1.0, 1.0]) == (1.0, 1.0)
    assert redraw(np.zeros((0, 5)), np.zeros((0, 5)), [], draws=3).shape == (3, 5, len(METRICS))


def test_what_cannot_vary_has_no_interval() -> None:
    assert set(why_no_interval([0, 1, 0, 1], ["a"] * 4)) == set(METRICS)
    few = why_no_interval([0, 1, 1, 0], ["a", "b", "b", "c"])
    assert set(few) == {"roc_auc", "sensitivity", "balanced_accuracy"}
    few = why_no_interval([0, 1, 1, 0], ["a", "b", "c", "a"])
    assert set(few) == {"roc_auc", "specificity", "balanced_accuracy"}
    assert why_no_interval([0, 1, 0, 1], ["a", "a", "b", "b"]) == {}


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_stays_inside(counts: tuple[int, int]) -> None:
    count, cases = counts
    low, high = wilson(count, cases)
    assert 0 <= low <= count / cases <= high <= 1
    assert high - low > 0
    mirrored = wilson(cases - count, cases)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)
    assert wilson(2 * count, 2 * cases)[1] - wilson(2 * count, 2 * cases)[0] < high - low


def test_wilson_by_hand() -> None:
    # 34 of 36: Newcombe's calculator and Wilson's formula by hand.
    assert wilson(34, 36) == pytest.approx((0.8186, 0.9846), abs=5e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=5e-4)
    assert wilson(0, 0) is None
