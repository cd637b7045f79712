"""Choose thresholds that turn probabilities into calls, each by a stated rule."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichlite.evaluate.metrics import roc_curve

RULE = "youden: highest sensitivity + specificity on the validation split"
FALLBACK = 0.5
"""Threshold of a class whose cases are all positive or all negative."""
LEAST = 0.95
"""Least sensitivity of `high_sensitivity`, and least specificity of `high_specificity`."""
_EQUAL = 1e-12


def youden_threshold(labels: ArrayLike, probabilities: ArrayLike) -> float | None:
    """Return the threshold with the highest sum of sensitivity and specificity (Youden).

    It lies half-way between the lowest probability that is called positive and the next lower one.
    Among equally good thresholds it is the most sensitive one.

    Args:
        labels: (case,) 0/1.
        probabilities: (case,) in [0, 1].

    Returns:
        Threshold in (0, 1); None when all cases are positive, or none is.

    Source:
        Youden, Cancer 3 (1950) 32-35.

    Example:
        >>> youden_threshold([0, 0, 1, 1], [0.1, 0.2, 0.6, 0.9])
        0.4
    """
    curve = roc_curve(labels, probabilities)
    return None if curve is None else _threshold_at(_youden(*curve), probabilities)


@dataclass(frozen=True, slots=True)
class OperatingThresholds:
    """The thresholds of one class at three operating points, from the most to the least sensitive.

    Attributes:
        high_sensitivity: Most specific threshold with a sensitivity of at least `LEAST`.
        balanced: Threshold with the highest sum of both (Youden).
        high_specificity: Most sensitive threshold with a specificity of at least `LEAST`.
    """

    high_sensitivity: float
    balanced: float
    high_specificity: float


def operating_thresholds(labels: ArrayLike, probabilities: ArrayLike) -> OperatingThresholds | None:
    """Choose the thresholds of one class at the three operating points.

    They are never out of order: where Youden's threshold is more sensitive (more specific) than
    that of `high_sensitivity` (`high_specificity`), it takes its place. A class whose highest
    probability is 1 and of a negative has no threshold of specificity `LEAST` in [0, 1];
    `high_specificity` is 1 then.

    Args:
        labels: (case,) 0/1.
        probabilities: (case,) in [0, 1].

    Returns:
        Thresholds in [0, 1], each half-way between two probabilities; None when all cases are
        positive, or none is.

    Example:
        >>> operating_thresholds([0, 1, 0, 1, 1], [0.1, 0.2, 0.3, 0.6, 0.8])
        OperatingThresholds(high_sensitivity=0.15..., balanced=0.44..., high_specificity=0.44...)
    """
    curve = roc_curve(labels, probabilities)
    if curve is None:
        return None
    false, true = curve
    balanced = _youden(false, true)
    sensitive = int(np.argmax(true >= LEAST - _EQUAL))
    sensitive = int(np.flatnonzero(false <= false[sensitive] + _EQUAL)[-1])
    specific = int(np.flatnonzero(1 - false >= LEAST - _EQUAL)[-1])
    specific = int(np.argmax(true >= true[specific] - _EQUAL))
    return OperatingThresholds(
        *(
            _threshold_at(place, probabilities)
            for place in (max(sensitive, balanced), balanced, min(specific, balanced))
        )
    )


def _youden(false: NDArray[np.float64], true: NDArray[np.float64]) -> int:
    """Return the place of highest sensitivity + specificity on the curve; of equals, the last."""
    gain = true - false
    return int(np.flatnonzero(gain >= gain.max() - _EQUAL)[-1])


def _threshold_at(place: int, probabilities: ArrayLike) -> float:
    """Return the threshold of a place on the ROC curve, half-way between two probabilities."""
    distinct = np.unique(np.asarray(probabilities, np.float64))[::-1]
    lowest_called = distinct[place - 1] if place > 0 else 1.0
    next_lower = distinct[place] if place < len(distinct) else 0.0
    middle = (lowest_called + next_lower) / 2
    # Between neighbouring floats there is no middle.
    return float(middle if middle > next_lower else lowest_called)


def thresholds(
    labels: Mapping[str, ArrayLike], probabilities: Mapping[str, ArrayLike]
) -> dict[str, float]:
    """Return the Youden threshold of each class; 0.5 where its cases have a single label.

    Args:
        labels: Class → (case,) 0/1.
        probabilities: Class → (case,) in [0, 1].

    Example:
        >>> thresholds({"any": [1, 1]}, {"any": [0.2, 0.3]})
        {'any': 0.5}
    """
    found = {name: youden_threshold(labels[name], probabilities[name]) for name in labels}
    return {name: FALLBACK if value is None else value for name, value in found.items()}
