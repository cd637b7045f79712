"""Compute confidence intervals: of metrics by redrawing patients, of shares by Wilson's score.

Slices of one patient are alike, so drawing slices would give intervals far too narrow. Draws are
weights of patients instead of lists of images: counts are then one matrix product, and the ROC AUC
one cumulative sum over images that are sorted once. The same seed draws the same patients for every
model, so that two models can be compared draw by draw.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichlite.contracts.evaluation import Interval as Interval

METRICS: tuple[str, ...] = (
    "roc_auc", "sensitivity", "specificity", "accuracy", "balanced_accuracy",
)  # fmt: skip
"""Names of the metrics that are measured in every bootstrap draw."""
LEAST_SHARE = 0.5
"""Least share of draws in which a metric must be defined for it to have an interval."""
DRAWS = 1000

ONE_PATIENT = "all images are of one patient"
ONE_POSITIVE = "all positives are of one patient"
ONE_NEGATIVE = "all negatives are of one patient"
FEW_DRAWS = "undefined in more than half of the draws"

_Z_95 = 1.959963984540054
_BLOCK_NUMBERS = 1 << 21
"""How many weights are looked at together; 16 MB."""


def draw_patients(
    patients: Sequence[str] | NDArray[np.str_], *, draws: int, seed: int
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Draw bootstrap samples of patients: as many as there are, with replacement.

    Args:
        patients: (image,) name of each image's patient.
        draws: Number of draws.
        seed: Random seed of the draws.

    Returns:
        Two arrays: owner, (image,) int64, index of each image's patient; and weights, (draw,
        patient) float64, how often each draw has each patient.

    Example:
        >>> owner, weights = draw_patients(["b", "a", "b"], draws=4, seed=0)
        >>> owner.tolist(), weights.sum(axis=1).tolist()
        ([1, 0, 1], [2.0, 2.0, 2.0, 2.0])
    """
    names, owner = np.unique(np.asarray(patients), return_inverse=True)
    rng = np.random.default_rng(seed)
    weights = np.zeros((draws, len(names)))
    for row in weights:
        if len(names):
            row += np.bincount(rng.integers(0, len(names), len(names)), minlength=len(names))
    return owner.astype(np.int64), weights


def redraw(
    labels: ArrayLike,
    probabilities: ArrayLike,
    patients: Sequence[str] | NDArray[np.str_],
    *,
    draws: int = DRAWS,
    seed: int = 0,
    threshold: ArrayLike = 0.5,
) -> NDArray[np.float32]:
    """Compute the metrics of every column in each of many bootstrap draws of the patients.

    Args:
        labels: (image, column) 0/1.
        probabilities: (image, column), higher is more suspicious.
        patients: (image,) name of each image's patient.
        draws: Number of draws.
        seed: Random seed of the draws.
        threshold: A probability of at least this is called positive; a number, or one for each
            column, or for each image and column.

    Returns:
        (draw, column, metric) float32, metrics in the order of `METRICS`; NaN where undefined.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; by cluster as
        in Field and Welsh, J. R. Statist. Soc. B 69 (2007) 369-390.

    Example:
        >>> scores = np.array([[0.1], [0.9]] * 9)
        >>> found = redraw([[0], [1]] * 9, scores, list("abcdefghi") * 2, draws=20)
        >>> interval(found[:, 0, 0])
        (1.0, 1.0)
    """
    y = np.asarray(labels).astype(bool)
    p = np.asarray(probabilities, np.float64)
    called = p >= np.broadcast_to(np.asarray(threshold, np.float64), p.shape)
    owner, weights = draw_patients(patients, draws=draws, seed=seed)
    found = np.full((draws, y.shape[1], len(METRICS)), np.nan)
    for column in range(y.shape[1]):
        truth = y[:, column]
        found[:, column, 0] = _roc_auc(truth, p[:, column], owner, weights)
        found[:, column, 1:] = _at_threshold(truth, called[:, column], owner, weights)
    return found.astype(np.float32)


def with_mean(draws: NDArray[np.float32]) -> NDArray[np.float32]:
    """Append to each bootstrap draw a column with the mean over its columns that are defined.

    Args:
        draws: (draw, column, metric) float32, from `redraw`.

    Returns:
        (draw, column + 1, metric) float32; NaN where no column is defined.
    """
    values = draws.astype(np.float64)
    defined = ~np.isnan(values)
    total = np.where(defined, values, 0.0).sum(axis=1, keepdims=True)
    mean = _share(total, defined.sum(axis=1, keepdims=True).astype(float))
    return np.concatenate([draws, mean.astype(np.float32)], axis=1)


def interval(values: ArrayLike) -> Interval | None:
    """Return the 95 % interval of a metric from its values in bootstrap draws.

    Args:
        values: (draw,) value of the metric in each draw; NaN where undefined.

    Returns:
        The 2.5th and 97.5th percentile; None where the metric is defined in fewer than half of the
        draws, or there are none.

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


def why_no_interval(
    labels: ArrayLike, patients: Sequence[str] | NDArray[np.str_]
) -> dict[str, str]:
    """Return the metrics for which a bootstrap over patients gives no interval, and why.

    That is so where all images, all positives or all negatives are of one patient.

    Args:
        labels: (image,) 0/1.
        patients: (image,) name of each image's patient.

    Returns:
        Metric, of `METRICS` → reason; empty where all have an interval.

    Example:
        >>> why_no_interval([0, 1, 0], ["a", "a", "b"])["sensitivity"]
        'all positives are of one patient'
        >>> why_no_interval([0, 1, 0, 1], ["a", "a", "b", "b"])
        {}
    """
    y, owners = np.asarray(labels).astype(bool), np.asarray(patients)
    if len(np.unique(owners)) == 1:
        return dict.fromkeys(METRICS, ONE_PATIENT)
    reasons: dict[str, str] = {}
    if len(np.unique(owners[y])) == 1:
        needing = ("roc_auc", "sensitivity", "balanced_accuracy")
        reasons |= dict.fromkeys(needing, ONE_POSITIVE)
    if len(np.unique(owners[~y])) == 1:
        needing = ("roc_auc", "specificity", "balanced_accuracy")
        reasons |= dict.fromkeys(needing, ONE_NEGATIVE)
    return reasons


def wilson(count: float, cases: int) -> Interval | None:
    """Return Wilson's 95 % interval of a share of independent cases; None without cases.

    Args:
        count: Number of cases in the share; not a whole number where it is a mean over models.
        cases: Number of all cases.

    Source:
        Wilson, J. Am. Statist. Assoc. 22 (1927) 209-212, without continuity correction.

    Example:
        >>> [round(end, 3) for end in wilson(9, 10)]
        [0.596, 0.982]
    """
    if cases == 0:
        return None
    share, z2 = count / cases, _Z_95**2 / cases
    middle = (share + z2 / 2) / (1 + z2)
    half = (_Z_95 / (1 + z2)) * float(np.sqrt(share * (1 - share) / cases + z2 / (4 * cases)))
    # At 0 and at all of the cases the interval ends there; rounding may leave it a step beside.
    low = 0.0 if count == 0 else max(0.0, middle - half)
    return low, 1.0 if count == cases else min(1.0, middle + half)


def _at_threshold(
    truth: NDArray[np.bool_],
    called: NDArray[np.bool_],
    owner: NDArray[np.int64],
    weights: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return sensitivity, specificity, accuracy and balanced accuracy in each draw (draw, 4)."""
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
    """Return the ROC AUC in each draw (draw,).

    It is the chance that a positive scores above a negative, ties counting half.
    """
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
    """Divide; NaN where there is nothing to have a share of."""
    nowhere = np.full(whole.shape, np.nan)
    return np.asarray(np.divide(part, whole, out=nowhere, where=whole > 0))
