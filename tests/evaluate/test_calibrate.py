"""Calibration: finds the sigmoid that made the data, never turns scores round, always finite."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.linear_model import LogisticRegression

from ichlite.evaluate.calibrate import (
    SLOPE_RANGE,
    expected_calibration_error,
    fit_calibration,
    platt,
)
from ichlite.evaluate.metrics import roc_auc
from ichlite.infer.decision import calibrate


def drawn(slope: float, bias: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, count)
    return rng.random(count) < 1 / (1 + np.exp(-(slope * logits + bias))), logits


@pytest.mark.parametrize(("slope", "bias"), [(1.0, 0.0), (0.4, -2.0), (2.5, 1.0)])
def test_finds_the_sigmoid_that_drew_the_labels(slope: float, bias: float) -> None:
    labels, logits = drawn(slope, bias)
    assert platt(labels, logits) == pytest.approx((slope, bias), abs=0.06)


def test_is_the_logistic_regression_of_scikit_learn() -> None:
    labels, logits = drawn(0.6, -1.0)
    model = LogisticRegression(C=1e9, tol=1e-8).fit(logits[:, None], labels)
    expected = (model.coef_[0, 0], model.intercept_[0])
    assert platt(labels, logits) == pytest.approx(expected, abs=2e-3)


def test_logits_that_are_one_number_stay_as_they_are() -> None:
    assert platt(np.array([0, 1, 0]), np.full(3, -7.0)) == (1.0, 0.0)


def test_margins_over_confidence_is_taken_back() -> None:
    labels, logits = drawn(0.3, -1.0)
    five = np.tile(labels[:, None], (1, 5))
    raw = 1 / (1 + np.exp(-logits))
    fitted = calibrate(
        np.tile(logits[:, None], (1, 5)), fit_calibration(five, five * 0 + logits[:, None])
    )
    assert expected_calibration_error(labels, raw) > 0.05
    assert expected_calibration_error(labels, fitted[:, 0]) < 0.01
    assert roc_auc(labels, fitted[:, 0]) == pytest.approx(roc_auc(labels, raw))


def test_separable_data_have_a_finite_answer() -> None:
    slope, bias = platt(np.array([0, 0, 1, 1]), np.array([-3.0, -2.0, 2.0, 3.0]))
    assert SLOPE_RANGE[0] <= slope <= SLOPE_RANGE[1]
    assert np.isfinite(bias)


def test_scores_worse_than_chance_are_not_turned_round() -> None:
    labels, logits = drawn(-1.0, 0.0)
    slope, bias = platt(labels, logits)
    assert slope == SLOPE_RANGE[0]
    p = 1 / (1 + np.exp(-(slope * logits + bias)))
    assert p.mean() == pytest.approx(labels.mean(), abs=1e-3)


def test_one_class_alone_is_left_as_it_is() -> None:
    assert platt(np.zeros(4), np.arange(4.0)) == (1.0, 0.0)
    calibration = fit_calibration(np.zeros((4, 5), np.uint8), np.zeros((4, 5), np.float32))
    assert calibration.temperature == (1.0,) * 5
    assert calibration.bias == (0.0,) * 5


@settings(max_examples=60)
@given(
    arrays(np.uint8, 12, elements=st.integers(0, 1)),
    arrays(np.float32, 12, elements=st.floats(-100, 100, width=32)),
)
def test_always_finite_and_rising(labels: np.ndarray, logits: np.ndarray) -> None:
    slope, bias = platt(labels, logits)
    assert SLOPE_RANGE[0] <= slope <= SLOPE_RANGE[1]
    assert np.isfinite(bias)
