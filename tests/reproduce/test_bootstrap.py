"""The quick bootstrap gives what the plain one of `evaluate.intervals` gives, draw by draw."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ichlite.evaluate.intervals import patient_bootstrap
from ichlite.evaluate.metrics import Scores, score_class
from ichlite.labels import NAMES
from ichlite.reproduce.bootstrap import METRICS, ROWS, interval, redraw


def data(seed: int, slices: int, patients: int, levels: int) -> tuple[np.ndarray, ...]:
    """Labels, probabilities with ties, and patients; epidural has no positive."""
    rng = np.random.default_rng(seed)
    labels = (rng.random((slices, 5)) < 0.3).astype(np.uint8)
    labels[:, 0] = 0
    probabilities = np.round(rng.random((slices, 5)) * levels) / levels
    return labels, probabilities, rng.integers(0, patients, slices).astype(str)


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.integers(5, 60), st.integers(2, 9), st.sampled_from([1, 3, 1000]))
def test_equals_the_plain_bootstrap(seed: int, slices: int, patients: int, levels: int) -> None:
    labels, probabilities, owner = data(seed, slices, patients, levels)
    found = redraw(labels, probabilities, owner, draws=30, seed=seed)
    assert found.shape == (30, len(ROWS), len(METRICS))
    for column in range(len(NAMES)):
        for place, metric in enumerate(METRICS):

            def plain(y: np.ndarray, p: np.ndarray, metric: str = metric) -> float | None:
                scores: Scores = score_class(y, p)
                value: float | None = getattr(scores, metric)
                return value

            expected = patient_bootstrap(
                plain, labels[:, column], probabilities[:, column], owner, draws=30, seed=seed
            )
            got = interval(found[:, column, place])
            if expected is None:
                assert got is None
            else:
                assert got == pytest.approx(expected, abs=2e-6)


def test_mean_is_over_the_defined_subtypes() -> None:
    labels, probabilities, owner = data(1, 200, 20, 1000)
    found = redraw(labels, probabilities, owner, draws=20)
    assert np.isnan(found[:, 0, METRICS.index("roc_auc")]).all()
    assert found[:, -1, 0] == pytest.approx(found[:, 1:5, 0].mean(axis=1), abs=1e-6)
    assert found[:, -1, 3] == pytest.approx(found[:, :5, 3].mean(axis=1), abs=1e-6)


def test_the_same_seed_draws_the_same_patients_for_every_model() -> None:
    labels, probabilities, owner = data(2, 300, 30, 1000)
    first = redraw(labels, probabilities, owner, draws=50, seed=0)
    assert np.array_equal(first, redraw(labels, probabilities, owner, draws=50, seed=0), True)
    assert not np.array_equal(first, redraw(labels, probabilities, owner, draws=50, seed=1), True)


def test_interval_needs_half_of_the_draws() -> None:
    assert interval([np.nan, np.nan, 1.0]) is None
    assert interval([np.nan, 1.0, 1.0]) == (1.0, 1.0)
