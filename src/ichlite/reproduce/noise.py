"""Scores of several seeds in, whether a difference is more than the noise of the seeds out.

The test: the difference of the two means, its standard error from the pooled variance over seeds,
and Student's 95 % interval. A difference is told when the interval leaves out zero; with fewer than
two seeds on a side there is no noise to compare with, and nothing is told.
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
    "difference of the means over seeds, standard error from the pooled variance of the seeds, "
    "two-sided 95 % Student interval; told if the interval leaves out zero"
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

    def shifted(self, by: float) -> Comparison:
        """The same comparison with a number added to the difference, for margins."""
        return Comparison(
            self.difference + by,
            None if self.low is None else self.low + by,
            None if self.high is None else self.high + by,
            self.seeds,
        )


def compare(first: Sequence[float], second: Sequence[float]) -> Comparison | None:
    """Scores of two groups' seeds → their difference.

    Args:
        first: One score a seed.
        second: Likewise; from it the difference is taken.

    Returns:
        None when a side is empty.

    Source:
        Student's two-sample t interval with pooled variance; Box, Hunter and Hunter, Statistics
        for Experimenters (2005), chapter 3.

    Example:
        >>> compare([0.90, 0.91, 0.92], [0.80, 0.81, 0.82]).above
        True
        >>> compare([0.90], [0.80]).above is None
        True
    """
    if not first or not second:
        return None
    difference = float(np.mean(first) - np.mean(second))
    seeds = len(first), len(second)
    if min(seeds) < LEAST_SEEDS:
        return Comparison(difference, None, None, seeds)
    freedom = sum(seeds) - 2
    squares = sum(float(np.sum((np.asarray(one) - np.mean(one)) ** 2)) for one in (first, second))
    error = sqrt(squares / freedom * (1 / seeds[0] + 1 / seeds[1]))
    return _with_interval(difference, error, freedom, seeds)


def compare_to(scores: Sequence[float], fixed: float) -> Comparison | None:
    """Scores of a group's seeds and a fixed number → the difference of their mean from it.

    Returns:
        None without scores.

    Example:
        >>> compare_to([0.90, 0.91, 0.92], 0.95).above
        False
    """
    if not scores:
        return None
    difference = float(np.mean(scores) - fixed)
    if len(scores) < LEAST_SEEDS:
        return Comparison(difference, None, None, (len(scores), 0))
    error = float(np.std(scores, ddof=1)) / sqrt(len(scores))
    return _with_interval(difference, error, len(scores) - 1, (len(scores), 0))


def _with_interval(
    difference: float, error: float, freedom: int, seeds: tuple[int, int]
) -> Comparison:
    reach = float(student.ppf((1 + LEVEL) / 2, freedom)) * error
    return Comparison(difference, difference - reach, difference + reach, seeds)
