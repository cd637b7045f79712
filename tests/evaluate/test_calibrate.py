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
from ichlite.infer.decision import Calibration, calibrate


def alone(labels: np.ndarray, logits: np.ndarray) -> tuple[float, float]:
    """The sigmoid of one subtype, by itself."""
    slopes, biases = platt(labels[:, None], logits[:, None])
    return float(slopes[0]), float(biases[0])


def drawn(slope: float, bias: float, count: int = 40_000) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    logits = rng.normal(-1, 2, count)
    return rng.random(count) < 1 / (1 + np.exp(-(slope * logits + bias))), logits


@pytest.mark.parametrize(("slope", "bias"), [(1.0, 0.0), (0.4, -2.0), (2.5, 1.0)])
def test_finds_the_sigmoid_that_drew_the_labels(slope: float, bias: float) -> None:
    labels, logits = drawn(slope, bias)
    assert alone(labels, logits) == pytest.approx((slope, bias), abs=0.06)


def test_is_the_logistic_regression_of_scikit_learn() -> None:
    labels, logits = drawn(0.6, -1.0)
    model = LogisticRegression(C=1e9, tol=1e-8).fit(logits[:, None], labels)
    expected = (model.coef_[0, 0], model.intercept_[0])
    assert alone(labels, logits) == pytest.approx(expected, abs=2e-3)


def test_logits_that_are_one_number_stay_as_they_are() -> None:
    labels = np.tile(np.array([[0], [1], [0]], np.uint8), (1, 5))
    calibration = fit_calibration(labels, np.full((3, 5), -7.0, np.float32))
    assert calibration == Calibration()


def test_subtypes_with_few_bleeds_lean_on_the_others_and_those_with_many_do_not() -> None:
    one, other = drawn(0.5, -1.0), drawn(1.5, 1.0)
    labels, logits = (np.column_stack(pair) for pair in zip(one, other, strict=True))
    few, _ = platt(labels[:40], logits[:40])
    many, _ = platt(labels, logits)
    assert few[1] / few[0] == pytest.approx(1, abs=0.1)
    assert many == pytest.approx([0.5, 1.5], abs=0.08)


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
    slope, bias = alone(np.array([0, 0, 1, 1]), np.array([-3.0, -2.0, 2.0, 3.0]))
    assert SLOPE_RANGE[0] <= slope <= SLOPE_RANGE[1]
    assert np.isfinite(bias)


def test_scores_worse_than_chance_are_not_turned_round() -> None:
    labels, logits = drawn(-1.0, 0.0)
    slope, bias = alone(labels, logits)
    assert slope == pytest.approx(SLOPE_RANGE[0])
    p = 1 / (1 + np.exp(-(slope * logits + bias)))
    assert p.mean() == pytest.approx(labels.mean(), abs=1e-3)


def test_one_class_alone_is_left_as_it_is() -> None:
    logits = np.tile(np.arange(4, dtype=np.float32)[:, None], (1, 5))
    assert fit_calibration(np.zeros((4, 5), np.uint8), logits) == Calibration()


@settings(max_examples=60)
@given(
    arrays(np.uint8, 12, elements=st.integers(0, 1)),
    arrays(np.float32, 12, elements=st.floats(-100, 100, width=32)),
)
def test_always_finite_and_rising(labels: np.ndarray, logits: np.ndarray) -> None:
    five = np.tile(labels[:, None], (1, 5)), np.tile(logits[:, None], (1, 5))
    calibration = fit_calibration(*five)
    slopes = 1 / np.array(calibration.temperature)
    assert (slopes >= SLOPE_RANGE[0] * 0.999).all()
    assert (slopes <= SLOPE_RANGE[1] * 1.001).all()
    assert np.isfinite(calibration.bias).all()
