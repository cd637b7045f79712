"""Tell whether a difference is more than the noise of the seeds.

How much seeds differ is taken from all groups of a table together, as in an analysis of variance:
two or three seeds of a single group say too little of it. Each side has to have two seeds.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np
from scipy.stats import t as student

LEVEL = 0.95
LEAST_SEEDS = 2
TEST = (
    "difference of the means over seeds; standard error from the variance of the seeds, pooled "
    "over all groups of the table; two-sided 95 % Student interval; told if it leaves out zero"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """A difference and what the seeds say of it.

    Attributes:
        difference: Mean of the first minus mean of the second (or minus a fixed number).
        low, high: 95 % interval over seeds; None with fewer than two seeds on a side.
        seeds: Of the first and of the second; 0 for a fixed number.
    """

    difference: float
    low: float | None
    high: float | None
    seeds: tuple[int, int]

    @property
    def above(self) -> bool | None:
        """True: above zero; False: below; None: within the noise, or noise unknown."""
        if self.low is None or self.high is None:
            return None
        if self.low > 0:
            return True
        return False if self.high < 0 else None


def compare(
    first: Sequence[float], second: Sequence[float], others: Sequence[Sequence[float]] = ()
) -> Comparison | None:
    """Compare the scores of two groups' seeds.

    Args:
        first: One score a seed.
        second: Likewise; from it the difference is taken.
        others: Scores of further groups, for how much seeds differ.

    Returns:
        None when a side is empty.

    Source:
        Fisher's least significant difference: Student's interval with the variance within groups;
        Box, Hunter and Hunter, Statistics for Experimenters (2005), chapters 3 and 4.

    Example:
        >>> compare([0.90, 0.91, 0.92], [0.80, 0.81, 0.82]).above
        True
        >>> compare([0.90], [0.80]).above is None
        True
    """
    if not first or not second:
        return None
    difference = float(np.mean(first) - np.mean(second))
    return _with_interval(difference, (first, second), others)


def compare_to(
    scores: Sequence[float], fixed: float, others: Sequence[Sequence[float]] = ()
) -> Comparison | None:
    """Compare the mean of a group's seeds with a fixed number.

    Args:
        scores: One a seed.
        fixed: The number.
        others: Scores of further groups, for how much seeds differ.

    Returns:
        None without scores.

    Example:
        >>> compare_to([0.90, 0.91, 0.92], 0.95).above
        False
    """
    if not scores:
        return None
    return _with_interval(float(np.mean(scores) - fixed), (scores,), others)


def _with_interval(
    difference: float, sides: Sequence[Sequence[float]], others: Sequence[Sequence[float]]
) -> Comparison:
    counts = [len(side) for side in sides]
    seeds = counts[0], counts[1] if len(counts) > 1 else 0
    if min(counts) < LEAST_SEEDS:
        return Comparison(difference, None, None, seeds)
    groups = [np.asarray(one, np.float64) for one in (*sides, *others) if len(one)]
    squares = sum(float(np.sum((one - one.mean()) ** 2)) for one in groups)
    freedom = sum(len(one) - 1 for one in groups)
    error = sqrt(squares / freedom * sum(1 / count for count in counts))
    reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * error
    return Comparison(difference, difference - reach, difference + reach, seeds)
