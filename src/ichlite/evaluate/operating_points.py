"""Validation labels and probabilities in, the threshold of each class out, by a stated rule."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from ichlite.evaluate.metrics import roc_curve

RULE = "youden: highest sensitivity + specificity on the validation split"
FALLBACK = 0.5
"""Where validation has one class only."""


def youden_threshold(labels: ArrayLike, probabilities: ArrayLike) -> float | None:
    """Labels and probabilities (case,) → the threshold of highest sensitivity + specificity.

    It lies half-way between the lowest probability that is called positive and the next lower one,
    so that neither stands on it. Of equals, the most sensitive one: a miss costs more than a look.

    Returns:
        In (0, 1); None when a class is absent.

    Source:
        Youden, Cancer 3 (1950) 32-35.

    Example:
        >>> youden_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])
        0.4
    """
    curve = roc_curve(labels, probabilities)
    if curve is None:
        return None
    false, true = curve
    gain = true - false
    best = int(np.flatnonzero(gain >= gain.max() - 1e-12)[-1])
    distinct = np.unique(np.asarray(probabilities, np.float64))[::-1]
    lowest_called = distinct[best - 1] if best > 0 else 1.0
    next_lower = distinct[best] if best < len(distinct) else 0.0
    return float((lowest_called + next_lower) / 2)


def thresholds(
    labels: Mapping[str, ArrayLike], probabilities: Mapping[str, ArrayLike]
) -> dict[str, float]:
    """Each class's labels and probabilities → its threshold; 0.5 where a class is absent.

    Example:
        >>> thresholds({"any": [1, 1]}, {"any": [0.2, 0.3]})
        {'any': 0.5}
    """
    found = {name: youden_threshold(labels[name], probabilities[name]) for name in labels}
    return {name: FALLBACK if value is None else value for name, value in found.items()}
