"""Labels, scores and patients in, 95 % intervals out, by drawing patients with replacement.

Slices of one patient are alike, so drawing slices would give intervals far too narrow.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

Metric = Callable[[NDArray[np.uint8], NDArray[np.float64]], float | None]
Interval = tuple[float, float]
LEAST_SHARE = 0.5
"""Fewer defined draws than this, and the interval is None: it would describe the lucky ones."""


def patient_bootstrap(
    metric: Metric,
    labels: ArrayLike,
    scores: ArrayLike,
    patients: Sequence[str] | NDArray[np.str_],
    *,
    draws: int = 1000,
    seed: int = 0,
) -> Interval | None:
    """Percentile interval of a metric over redrawn patients.

    Args:
        metric: Labels and scores (image,) → a number, None where undefined.
        labels: (image,) 0/1.
        scores: (image,).
        patients: (image,) whose image it is.
        draws: Of as many patients as there are.
        seed: Of the draws.

    Returns:
        (2.5th, 97.5th percentile); None when the metric is undefined in half of the draws.

    Source:
        Efron and Tibshirani, An Introduction to the Bootstrap (1993), chapter 13; by cluster as
        in Field and Welsh, J. R. Statist. Soc. B 69 (2007) 369-390.

    Example:
        >>> from ichlite.evaluate.metrics import roc_auc
        >>> patient_bootstrap(roc_auc, [0, 1] * 9, [0.1, 0.9] * 9, list("abcdefghi") * 2, draws=20)
        (1.0, 1.0)
    """
    y, s = np.asarray(labels, np.uint8), np.asarray(scores, np.float64)
    _, owner = np.unique(np.asarray(patients), return_inverse=True)
    order = np.argsort(owner, kind="stable")
    of_patient = np.split(order, np.flatnonzero(np.diff(owner[order])) + 1) if len(y) else []
    rng = np.random.default_rng(seed)
    values = []
    for _ in range(draws if of_patient else 0):
        drawn = rng.integers(0, len(of_patient), len(of_patient))
        images = np.concatenate([of_patient[patient] for patient in drawn])
        value = metric(y[images], s[images])
        if value is not None:
            values.append(value)
    if not values or len(values) < LEAST_SHARE * draws:
        return None
    low, high = np.percentile(values, [2.5, 97.5])
    return float(low), float(high)
