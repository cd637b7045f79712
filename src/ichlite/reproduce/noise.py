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

from ichlite.evaluate.intervals import Interval

LEVEL = 0.95
LEAST_SEEDS = 2
TEST = (
    "difference of the means over seeds; standard error from the variance of the seeds, pooled "
    "over all groups of the table; two-sided 95 % Student interval; told if it leaves out zero"
)


@dataclass(frozen=True, slots=True)
class Comparison:
    """Difference between two groups of runs, with its interval over seeds.

    Attributes:
        difference: Mean of the first minus mean of the second (or minus a fixed number).
        interval: 95 % interval over seeds; None with fewer than two seeds on a side.
    """

    difference: float
    interval: Interval | None


def compare(
    first: Sequence[float],
    second: Sequence[float] | float,
    others: Sequence[Sequence[float]] = (),
) -> Comparison | None:
    """Compare the scores of one group's seeds with those of another, or with a fixed number.

    Args:
        first: Score of each seed.
        second: Score of each seed of the other group, or a fixed number; it is subtracted.
        others: Scores of further groups, which contribute to the estimate of the variance between
            seeds.

    Returns:
        The difference and its interval; None when a side has no scores.

    Source:
        Fisher's least significant difference: Student's interval with the variance within groups;
        Box, Hunter and Hunter, Statistics for Experimenters (2005), chapters 3 and 4.

    Example:
        >>> told(compare([0.90, 0.91, 0.92], [0.80, 0.81, 0.82]).interval)
        True
        >>> told(compare([0.90, 0.91, 0.92], 0.95).interval)
        False
        >>> compare([0.90], [0.80]).interval is None
        True
    """
    sides = [first] if isinstance(second, float) else [first, second]
    if not all(sides):
        return None
    difference = float(np.mean(first) - np.mean(second))
    if min(map(len, sides)) < LEAST_SEEDS:
        return Comparison(difference, None)
    # SciPy's ttest_ind knows two groups; here further ones tell of the variance, too.
    groups = [np.asarray(one, np.float64) for one in (*sides, *others) if len(one)]
    squares = sum(float(np.sum((one - one.mean()) ** 2)) for one in groups)
    freedom = sum(len(one) - 1 for one in groups)
    error = sqrt(squares / freedom * sum(1 / len(side) for side in sides))
    low, high = (difference + float(end) * error for end in student.interval(LEVEL, freedom))
    return Comparison(difference, (low, high))


def told(interval: Interval | None, *, least: float = 0.0, most: float = 0.0) -> bool | None:
    """Decide from an interval whether a quantity is above a limit; None where that is open.

    Args:
        interval: Interval of the quantity; None if unknown.
        least: Returns True if the whole interval is above this.
        most: Returns False if the whole interval is below this.

    Example:
        >>> told((0.01, 0.03)), told((-0.02, 0.005)), told((-0.02, 0.005), most=0.01)
        (True, None, False)
    """
    if interval is None:
        return None
    return True if interval[0] > least else False if interval[1] < most else None


def points(interval: Interval) -> str:
    """Return an interval of shares as text in percentage points.

    Example:
        >>> points((-0.01, 0.025))
        '-1.00 to +2.50'
    """
    return f"{interval[0] * 100:+.2f} to {interval[1] * 100:+.2f}"
