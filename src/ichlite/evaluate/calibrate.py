"""Validation logits and labels in, temperature and bias a subtype out (Platt scaling).

A loss with margins or focal weights makes probabilities that are none; so do phantoms whose share
of bleeds is not a clinic's. Platt scaling corrects the first. The second it cannot.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichlite.infer.decision import Calibration
from ichlite.labels import NAMES

STEPS = 100
TOLERANCE = 1e-9
SLOPE_RANGE = (0.05, 20.0)
"""Of 1 / temperature; a slope outside says that logits and labels have little to do."""


def fit_calibration(labels: NDArray[np.uint8], logits: NDArray[np.float32]) -> Calibration:
    """Labels and logits (image, 5) → calibration: p = sigmoid(logit / temperature + bias).

    A subtype without both classes keeps temperature 1 and bias 0.

    Args:
        labels: 0/1.
        logits: Of the model that will be calibrated, in its precision.

    Returns:
        Temperatures and biases, subtypes in the order of `labels.NAMES`.
    """
    pairs = [platt(labels[:, i], logits[:, i]) for i in range(len(NAMES))]
    return Calibration(
        temperature=tuple(1.0 / slope for slope, _ in pairs),
        bias=tuple(bias for _, bias in pairs),
    )


def platt(labels: NDArray[np.uint8], logits: NDArray[np.float32]) -> tuple[float, float]:
    """One subtype's labels and logits (image,) → slope and bias of the most likely sigmoid.

    Targets are a little inside 0 and 1, so that separable data, too, have a finite answer.

    Returns:
        (slope, bias): p = sigmoid(slope * logit + bias); (1, 0) when a class is absent or all
        logits are one number.

    Source:
        Platt, Advances in Large Margin Classifiers (1999) 61-74; Newton's method as in Lin, Lin
        and Weng, Machine Learning 68 (2007) 267-276.

    Example:
        >>> slope, bias = platt(np.array([0, 1, 0, 1]), np.array([-1.0, -1.0, 1.0, 1.0]))
        >>> abs(bias) < 1e-6, slope
        (True, 0.05)
    """
    y = np.asarray(labels).astype(bool)
    z = np.asarray(logits, np.float64)
    positives = int(y.sum())
    negatives = len(y) - positives
    if positives == 0 or negatives == 0 or np.ptp(z) == 0:
        return 1.0, 0.0
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    design = np.column_stack([z, np.ones_like(z)])
    theta = np.array([1.0, 0.0])
    for _ in range(STEPS):
        step = _newton_step(design, target, theta)
        theta = theta + step
        if np.abs(step).max() < TOLERANCE:
            break
    slope = float(np.clip(theta[0], *SLOPE_RANGE))
    if slope != theta[0]:
        theta[1] = _bias(z * slope, target)
    return slope, float(theta[1])


def _loss(
    design: NDArray[np.float64], target: NDArray[np.float64], theta: NDArray[np.float64]
) -> float:
    s = design @ theta
    return float(np.sum(np.logaddexp(0.0, s) - target * s))


def _newton_step(
    design: NDArray[np.float64], target: NDArray[np.float64], theta: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The Newton step, halved until the loss falls."""
    p = _sigmoid(design @ theta)
    gradient = design.T @ (p - target)
    curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-12 * np.eye(design.shape[1])
    step = -np.linalg.solve(curvature, gradient)
    before = _loss(design, target, theta)
    while _loss(design, target, theta + step) > before and np.abs(step).max() > TOLERANCE:
        step = step / 2
    return np.asarray(step)


def _bias(s: NDArray[np.float64], target: NDArray[np.float64]) -> float:
    """Bias that makes the mean probability right, slope fixed; by bisection."""
    low, high = -50.0 - float(s.max()), 50.0 - float(s.min())
    for _ in range(STEPS):
        middle = (low + high) / 2
        low, high = (middle, high) if _sigmoid(s + middle).mean() < target.mean() else (low, middle)
    return (low + high) / 2


def _sigmoid(s: NDArray[np.float64]) -> NDArray[np.float64]:
    small = np.exp(-np.abs(s))
    return np.asarray(np.where(s >= 0, 1.0, small) / (1.0 + small))


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10
) -> float:
    """Labels and probabilities (image,) → mean gap of probability and frequency over equal bins.

    Example:
        >>> expected_calibration_error(np.array([0, 1]), np.array([0.5, 0.5]))
        0.0
    """
    p = np.asarray(probabilities, np.float64)
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.bincount(place, p - np.asarray(labels, np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(place))
