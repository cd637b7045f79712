"""Calibrate logits to probabilities: a temperature and a bias a subtype (Platt scaling).

A loss with margins or focal weights makes probabilities that are none; so do phantoms whose share
of bleeds is not a clinic's. Platt scaling corrects the first. The second it cannot.

Where a subtype has few bleeds, its own fit says little. So the subtypes' parameters are drawn
towards each other, by a penalty that some hundred bleeds outweigh.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize

from ichlite.infer.decision import Calibration, sigmoid
from ichlite.labels import NAMES

SLOPE_RANGE = (0.05, 20.0)
"""Limits of a slope, 1 / temperature; a slope at the lower one means that the logits hardly tell
the labels apart."""
BIAS_RANGE = (-2000.0, 2000.0)
SLOPES_ALIKE, BIASES_ALIKE = 300.0, 10.0
"""Penalties, in nats, of a log slope and of a bias that lie 1 from their mean over the subtypes.
Chosen by the log loss of slices out of fold (docs/log.md)."""


def fit_calibration(labels: NDArray[np.uint8], logits: NDArray[np.float32]) -> Calibration:
    """Fit the temperature and bias of each subtype: p = sigmoid(logit / temperature + bias).

    A subtype without both classes, or whose logits are one number, keeps temperature 1 and bias 0.

    Args:
        labels: (image, 5) 0/1.
        logits: (image, 5) of the model that will be calibrated, in its precision.

    Returns:
        Temperatures and biases, subtypes in the order of `labels.NAMES`.
    """
    temperature, bias = np.ones(len(NAMES)), np.zeros(len(NAMES))
    bleeds = np.asarray(labels).astype(bool)
    told = bleeds.any(axis=0) & ~bleeds.all(axis=0) & (np.ptp(logits, axis=0) > 0)
    if told.any():
        slopes, bias[told] = platt(labels[:, told], logits[:, told])
        temperature[told] = 1 / slopes
    return Calibration(tuple(temperature.tolist()), tuple(bias.tolist()))


def platt(
    labels: NDArray[np.uint8], logits: NDArray[np.floating]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit a sigmoid to each column of logits (Platt scaling), shrinking columns to their mean.

    Targets are a little inside 0 and 1, so that separable data, too, have a finite solution.

    Args:
        labels: (image, subtype) 0/1, both of which occur in each column.
        logits: (image, subtype), not all equal in any column.

    Returns:
        Slopes and biases (subtype,): p = sigmoid(slope * logit + bias). Slopes are positive: a
        model worse than chance is not turned round.

    Source:
        Platt, Advances in Large Margin Classifiers (1999) 61-74; the penalty is ours.

    Example:
        >>> labels, logits = np.array([[0], [1], [0], [1]]), np.array([[-1.0], [-1], [1], [1]])
        >>> slopes, biases = platt(labels, logits)
        >>> slopes.round(3).tolist(), bool(abs(biases[0]) < 1e-4)
        ([0.05], True)
    """
    y = np.asarray(labels).astype(bool)
    positives = y.sum(axis=0)
    negatives = len(y) - positives
    target = np.where(y, (positives + 1) / (positives + 2), 1 / (negatives + 2))
    # About the mean logit, slope and bias hardly depend on each other, and the search is short.
    middle = np.mean(logits, axis=0, dtype=np.float64)
    z = np.asarray(logits, np.float64) - middle

    def loss(theta: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        """Return the penalised mean log loss and its gradient."""
        log_slopes, centred = theta.reshape(2, -1)
        slopes = np.exp(log_slopes)
        s = slopes * z + centred
        wrong = sigmoid(s) - target
        apart = log_slopes - log_slopes.mean()
        biases = centred - slopes * middle
        biases_apart = biases - biases.mean()
        value = np.sum(np.logaddexp(0.0, s) - target * s)
        value += SLOPES_ALIKE * np.sum(apart**2) + BIASES_ALIKE * np.sum(biases_apart**2)
        pull = 2 * BIASES_ALIKE * biases_apart
        gradient = np.concatenate([
            slopes * ((wrong * z).sum(axis=0) - pull * middle) + 2 * SLOPES_ALIKE * apart,
            wrong.sum(axis=0) + pull,
        ])  # fmt: skip
        return float(value) / len(y), gradient / len(y)

    columns = y.shape[1]
    found = minimize(
        loss,
        np.concatenate([np.zeros(columns), middle]),
        jac=True,
        method="L-BFGS-B",
        bounds=[tuple(np.log(SLOPE_RANGE))] * columns + [BIAS_RANGE] * columns,
        options={"maxiter": 1000, "ftol": 1e-14, "gtol": 1e-9},
    )
    log_slopes, centred = found.x.reshape(2, -1)
    slopes = np.exp(log_slopes).clip(*SLOPE_RANGE)
    return slopes, centred - slopes * middle


def expected_calibration_error(
    labels: ArrayLike, probabilities: ArrayLike, *, bins: int = 10
) -> float:
    """Return the expected calibration error: mean gap between probability and observed frequency.

    Args:
        labels: (image,) 0/1.
        probabilities: (image,) in [0, 1].
        bins: Number of bins of equal width over [0, 1]; each counts by its number of images.

    Returns:
        Error in [0, 1]; lower is better.

    Example:
        >>> expected_calibration_error(np.array([0, 1]), np.array([0.5, 0.5]))
        0.0
    """
    p = np.asarray(probabilities, np.float64)
    place = np.minimum((p * bins).astype(int), bins - 1)
    gaps = np.bincount(place, p - np.asarray(labels, np.float64), minlength=bins)
    return float(np.abs(gaps).sum() / len(place))
