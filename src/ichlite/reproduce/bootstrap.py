"""Labels, probabilities and patients in, metrics of many redraws of the patients out, in seconds.

The draws are those of `evaluate.intervals.patient_bootstrap`, as weights of patients instead of
lists of images: counts are then one matrix product, and the ROC AUC one cumulative sum over images
that are sorted once. The same seed draws the same patients for every model, so that two models can
be compared draw by draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichlite.evaluate.intervals import LEAST_SHARE, Interval
from ichlite.labels import NAMES

METRICS: tuple[str, ...] = (
    "roc_auc", "sensitivity", "specificity", "accuracy", "balanced_accuracy",
)  # fmt: skip
ROWS: tuple[str, ...] = (*NAMES, "mean")
_BLOCK_NUMBERS = 1 << 21
"""Weights that are looked at together; 16 MB."""


def draw_patients(
    patients: Sequence[str] | NDArray[np.str_], *, draws: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Patient of each image → number of each image's patient, and how often each draw has each.

    Args:
        patients: (image,).
        draws: Of as many patients as there are, with replacement.
        seed: Of the draws.

    Returns:
        owner (image,) and weights (draw, patient).

    Example:
        >>> owner, weights = draw_patients(["b", "a", "b"], draws=4, seed=0)
        >>> owner.tolist(), weights.sum(axis=1).tolist()
        ([1, 0, 1], [2.0, 2.0, 2.0, 2.0])
    """
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    weights = np.zeros((draws, len(names)))
    for row in weights:
        row += np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
    return owner.astype(np.int64), weights


def redraw(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str] | NDArray[np.str_],
    *,
    draws: int = 1000,
    seed: int = 0,
    threshold: float = 0.5,
) -> NDArray[np.float32]:
    """Labels and probabilities (image, 5) and patients (image,) → metrics of every draw.

    Args:
        labels: 0/1, subtypes in the order of `labels.NAMES`.
        probabilities: In [0, 1].
        patients: Whose image it is.
        draws: Redraws.
        seed: Of the draws.
        threshold: A probability of at least this is called positive.

    Returns:
        (draw, row, metric): rows as `ROWS`, the mean being over the subtypes that are defined in
        that draw; metrics as `METRICS`; NaN where undefined.

    Source:
        As `evaluate.intervals.patient_bootstrap`.
    """
    y = np.asarray(labels).astype(bool)
    p = np.asarray(probabilities, np.float64)
    owner, weights = draw_patients(patients, draws=draws, seed=seed)
    found = np.full((draws, len(ROWS), len(METRICS)), np.nan)
    for column in range(len(NAMES)):
        truth, score = y[:, column], p[:, column]
        found[:, column, 0] = _roc_auc(truth, score, owner, weights)
        found[:, column, 1:] = _at_threshold(truth, score >= threshold, owner, weights)
    defined = ~np.isnan(found[:, :-1])
    total = np.where(defined, found[:, :-1], 0.0).sum(axis=1)
    found[:, -1] = _share(total, defined.sum(axis=1).astype(float))
    return found.astype(np.float32)


def interval(values: ArrayLike) -> Interval | None:
    """One number a draw, NaN where undefined → (2.5th, 97.5th percentile).

    Returns:
        None when it is undefined in half of the draws, or there are none.

    Example:
        >>> interval([0.0, 1.0, 2.0, float("nan")])
        (0.05, 1.95)
        >>> interval([]) is None
        True
    """
    numbers = np.asarray(values, np.float64)
    defined = numbers[~np.isnan(numbers)]
    if len(defined) == 0 or len(defined) < LEAST_SHARE * len(numbers):
        return None
    low, high = np.percentile(defined, [2.5, 97.5])
    return float(round(low, 6)), float(round(high, 6))


def _at_threshold(
    truth: NDArray[np.bool_],
    called: NDArray[np.bool_],
    owner: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Sensitivity, specificity, accuracy and balanced accuracy (draw, 4)."""
    kinds = (truth & called, truth & ~called, ~truth & ~called, ~truth & called)
    patients = weights.shape[1]
    counts = np.stack([np.bincount(owner[kind], minlength=patients) for kind in kinds], axis=1)
    hit, missed, left, alarmed = (weights @ counts).T
    sensitivity = _share(hit, hit + missed)
    specificity = _share(left, left + alarmed)
    accuracy = _share(hit + left, hit + missed + left + alarmed)
    return np.stack([sensitivity, specificity, accuracy, (sensitivity + specificity) / 2], axis=1)


def _roc_auc(
    truth: NDArray[np.bool_],
    score: NDArray[np.float64],
    owner: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Chance that a positive scores above a negative, ties half, in each draw (draw,)."""
    order = np.flatnonzero(~truth)[np.argsort(score[~truth], kind="stable")]
    negatives, positives = score[order], score[truth]
    below = np.searchsorted(negatives, positives, side="left")
    up_to = np.searchsorted(negatives, positives, side="right")
    found = np.empty(len(weights))
    block = max(1, _BLOCK_NUMBERS // max(1, len(score)))
    for first in range(0, len(weights), block):
        part = weights[first : first + block]
        passed = np.zeros((len(part), len(order) + 1))
        np.cumsum(part[:, owner[order]], axis=1, out=passed[:, 1:])
        of_positive = part[:, owner[truth]]
        won = (of_positive * (passed[:, below] + passed[:, up_to])).sum(axis=1) / 2
        found[first : first + block] = _share(won, of_positive.sum(axis=1) * passed[:, -1])
    return found


def _share(part: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    nowhere = np.full(whole.shape, np.nan)
    return np.asarray(np.divide(part, whole, out=nowhere, where=whole > 0))
