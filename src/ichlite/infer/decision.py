"""Decide what the logits of a scan's slices mean, for each slice and for the scan.

The order of steps, each on the output of the one before:

1. calibrate: p = sigmoid(logit / temperature + bias), per subtype;
2. smooth: weighted mean of the *probabilities* of neighbouring slices. Probabilities and not
   logits, because they are bounded: one slice with an artefact cannot drown its neighbours.
   Across a gap there are no neighbours: what lies in it is unknown, not quiet;
3. `any` of a slice: by the rule `any_rule`, never below the largest subtype;
4. scan: by the rule `scan_rule`, on each subtype and on `any`. `peak` and `noisy_or` go by
   millimetres of head and not by slices, so that a thin slice counts for less than a thick one;
5. urgent: scan `any` at or above its threshold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichlite.contracts.values import AnyRule, RuleSpec, ScanRule
from ichlite.errors import InputError, check_name
from ichlite.labels import ANY, CLASSES, NAMES

TOP_SLICES = 3
"""Number of slices that `top3_mean` averages: a bleed of 1 cm shows on two to four 5 mm slices."""

PEAK_MM = 5.0
"""Length of head that `peak` averages over, in mm: a slice of the usual distance (ADR 32)."""

EVIDENCE_MM = 30.0
"""Length of head that `noisy_or` takes as one piece of evidence, in mm, where a bundle does not say
it: of 5 to 40 mm what calibrates scans best out of fold. The order of scans does not depend on
it."""

HEAD_MM = 120.0
"""Length of a whole head, in mm. `noisy_or` takes the part that a shorter scan does not show to
look like the part that it shows: missing slices take no evidence away."""

USUAL_SPACING_MM = 5.0
"""Length of head, in mm, that a slice stands for where its position is not known."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """Parameters of p = sigmoid(logit / temperature + bias), for each subtype.

    Attributes:
        temperature: Positive divisors of the logits, five in the order of `labels.SUBTYPES`.
        bias: Numbers added after the division, in the same order.
    """

    temperature: tuple[float, ...] = (1.0,) * len(NAMES)
    bias: tuple[float, ...] = (0.0,) * len(NAMES)


@dataclass(frozen=True, slots=True)
class Rule:
    """How probabilities of slices become those of their scan, and when a scan is positive.

    The default is the rule that carries its threshold best to other scanners (ADR 32).

    Attributes:
        neighbour_weights: Weights of the slices around a slice, itself in the middle; an odd count.
            At the ends of a scan the weights that are left are scaled to sum to 1.
        any_rule: `max`: the largest subtype; `noisy_or`: 1 - product of (1 - p).
        scan_rule: `max`: the highest slice; `top3_mean`: mean of the three highest slices;
            `peak`: mean over the `evidence_mm` of head whose slices are highest;
            `noisy_or`: 1 - product of (1 - p) ** (mm that the slice stands for / `evidence_mm`),
            where what is missing of `HEAD_MM` counts as looking like what is shown.
        evidence_mm: Length of head that `peak` averages over, or that `noisy_or` counts as one
            piece of evidence; over 0.
        thresholds: Class (`any` or a subtype) → probability from which a scan is positive for it.
    """

    neighbour_weights: tuple[float, ...] = (0.25, 0.5, 0.25)
    any_rule: AnyRule = "noisy_or"
    scan_rule: ScanRule = "peak"
    evidence_mm: float = PEAK_MM
    thresholds: Mapping[str, float] = field(default_factory=lambda: {ANY: 0.5})

    def __post_init__(self) -> None:
        check_name("any_rule", self.any_rule, get_args(AnyRule))
        check_name("scan_rule", self.scan_rule, get_args(ScanRule))

    @property
    def spec(self) -> RuleSpec:
        """The rule without its thresholds, as JSON documents contain it."""
        return RuleSpec(
            neighbour_weights=self.neighbour_weights,
            any_rule=self.any_rule,
            scan_rule=self.scan_rule,
            evidence_mm=self.evidence_mm,
        )

    def threshold(self, name: str) -> float:
        """Return the probability from which a scan is positive for `any` or for a subtype.

        Args:
            name: `any` or the name of a subtype.

        Example:
            >>> Rule(thresholds={"any": 0.3}).threshold("any")
            0.3
        """
        return self.thresholds[name]


@dataclass(frozen=True, slots=True)
class Decision:
    """Calibrated probabilities of a scan and its slices, and whether the scan is urgent.

    Attributes:
        slices: For each slice, class (`any` and each subtype) → smoothed probability.
        scan: Class → probability of the whole scan.
        urgent: Whether the scan's probability of `any` reaches its threshold. False is no
            all-clear: the caller must know whether the slices show a whole head.
    """

    slices: tuple[Mapping[str, float], ...]
    scan: Mapping[str, float]
    urgent: bool


def calibrate(logits: NDArray[np.floating], calibration: Calibration) -> NDArray[np.float64]:
    """Convert logits to calibrated probabilities: sigmoid(logit / temperature + bias).

    Args:
        logits: (..., 5), subtypes in the order of `labels.SUBTYPES`.
        calibration: Temperature and bias of each subtype.

    Returns:
        (..., 5) float64 in [0, 1].

    Raises:
        InputError: A logit is NaN or infinite; it is never read as a negative.

    Example:
        >>> calibrate(np.zeros((1, 5)), Calibration(bias=(0, 0, 0, 0, -800.0))).tolist()
        [[0.5, 0.5, 0.5, 0.5, 0.0]]
    """
    values = np.asarray(logits, np.float64)
    if not np.isfinite(values).all():
        raise InputError(
            "the model gave no number for a slice",
            found="NaN or infinity",
            expected="finite logits",
            remedy="this scan has no result; please report it",
        )
    scores = values / np.asarray(calibration.temperature) + np.asarray(calibration.bias)
    return sigmoid(scores)


def sigmoid(scores: ArrayLike) -> NDArray[np.float64]:
    """Return the logistic function 1 / (1 + exp(-x)) of each score, without overflow.

    Example:
        >>> sigmoid([-1000.0, 0.0, 1000.0]).tolist()
        [0.0, 0.5, 1.0]
    """
    values = np.asarray(scores, np.float64)
    with np.errstate(over="ignore", under="ignore"):
        small = np.exp(-np.abs(values))
        return np.asarray(np.where(values >= 0, 1.0, small) / (1.0 + small))


def smooth(
    probabilities: NDArray[np.float64], weights: tuple[float, ...], breaks: Sequence[int] = ()
) -> NDArray[np.float64]:
    """Smooth probabilities along the scan by a weighted mean over adjacent slices.

    Args:
        probabilities: (slice, 5), in order along the slice normal.
        weights: Weights of a slice and its neighbours: an odd number of them, the slice's own,
            which is positive, in the middle.
        breaks: Indices of slices whose successor is not the next slice of the head, ascending: a
            gap lies between them, or both lie at one place. Nothing is averaged across a break.

    Returns:
        Same shape; weights that fall off an end or across a break are left out and the rest scaled
        to sum to 1.

    Example:
        >>> smooth(np.array([[0.0], [1.0], [0.0]]), (0.25, 0.5, 0.25)).ravel().round(3).tolist()
        [0.333, 0.5, 0.333]
    """
    if breaks:
        runs = np.split(probabilities, np.asarray(breaks) + 1)
        return np.concatenate([smooth(run, weights) for run in runs])
    slices, half = len(probabilities), len(weights) // 2
    total = np.zeros_like(probabilities)
    used = np.zeros((slices, 1))
    for shift, weight in zip(range(-half, half + 1), weights, strict=True):
        first, last = max(0, -shift), min(slices, slices - shift)
        if first < last:
            total[first:last] += weight * probabilities[first + shift : last + shift]
            used[first:last] += weight
    return np.clip(total / used, 0.0, 1.0)


def any_probability(probabilities: NDArray[np.float64], rule: AnyRule) -> NDArray[np.float64]:
    """Return the probability of any bleed in each slice, never below its largest subtype.

    Args:
        probabilities: (slice, 5) in [0, 1], of the subtypes.
        rule: `max` (the largest subtype) or `noisy_or` (1 - product of 1 - p).

    Returns:
        (slice,) in [0, 1].

    Example:
        >>> any_probability(np.array([[0.5, 0.5, 0.0, 0.0, 0.0]]), "noisy_or").tolist()
        [0.75]
    """
    largest = probabilities.max(axis=-1)
    if rule == "max":
        return np.asarray(largest)
    # Rounding may leave the product one step short of the largest subtype.
    return np.asarray(np.maximum(largest, 1.0 - np.prod(1.0 - probabilities, axis=-1)))


def scan_probability(
    probabilities: NDArray[np.float64], rule: Rule, extents_mm: NDArray[np.float64] | None = None
) -> NDArray[np.float64]:
    """Combine the probabilities of a scan's slices into one for the scan, for each class.

    Args:
        probabilities: (slice, class) in [0, 1], smoothed.
        rule: Rule whose `scan_rule` and `evidence_mm` are used.
        extents_mm: (slice,) length of head that each slice stands for, from `slice_extents_mm`;
            None for 5 mm each. `peak` and `noisy_or` use it.

    Returns:
        (class,) float64 in [0, 1].

    Example:
        >>> column = np.array([[0.1], [0.9], [0.6], [0.3]])
        >>> for name in ("max", "top3_mean", "peak", "noisy_or"):
        ...     rule = Rule(scan_rule=name, evidence_mm=10.0)
        ...     print(name, scan_probability(column, rule).round(3).tolist())
        max [0.9]
        top3_mean [0.6]
        peak [0.75]
        noisy_or [1.0]
    """
    if extents_mm is None:
        extents_mm = np.full(len(probabilities), USUAL_SPACING_MM)
    if rule.scan_rule == "noisy_or":
        pieces = extents_mm / rule.evidence_mm * max(1.0, HEAD_MM / extents_mm.sum())
        with np.errstate(divide="ignore"):
            doubts = np.log1p(-probabilities) * pieces[:, None]
        return np.asarray(-np.expm1(doubts.sum(axis=0)))
    order = np.argsort(-probabilities, axis=0, kind="stable")
    highest_first = np.take_along_axis(probabilities, order, axis=0)
    if rule.scan_rule == "peak":
        reached = np.minimum(extents_mm[order].cumsum(axis=0), rule.evidence_mm)
        weights = np.diff(reached, axis=0, prepend=0.0)
        mean = (weights * highest_first).sum(axis=0) / weights.sum(axis=0)
        return np.asarray(np.minimum(mean, highest_first[0]))  # rounding may pass it
    kept = highest_first[: 1 if rule.scan_rule == "max" else TOP_SLICES]
    return np.asarray(kept.mean(axis=0))


def slice_extents_mm(
    positions_mm: Sequence[float] | NDArray[np.floating], breaks: Sequence[int] = ()
) -> NDArray[np.float64]:
    """Return the length of head that each slice stands for: half of the way to each neighbour.

    Args:
        positions_mm: (slice,) along the slice normal, ascending; none of them NaN.
        breaks: Indices of slices before a gap, as `smooth` takes them. No slice stands for what
            lies in a gap.

    Returns:
        (slice,) mm, over 0. A slice at an end extends as far outwards as towards its neighbour; one
        without a neighbour stands for the median distance of the others, or for 5 mm.

    Example:
        >>> slice_extents_mm([0.0, 5.0, 10.0, 12.0, 30.0], breaks=(3,)).tolist()
        [5.0, 5.0, 3.5, 2.0, 5.0]
    """
    places = np.asarray(positions_mm, np.float64)
    gaps = np.diff(places)
    gaps[list(breaks)] = np.nan
    near = gaps[np.isfinite(gaps)]
    usual = float(np.median(near)) if len(near) else USUAL_SPACING_MM
    below, above = np.append(np.nan, gaps), np.append(gaps, np.nan)
    below, above = np.where(np.isnan(below), above, below), np.where(np.isnan(above), below, above)
    extents = (below + above) / 2
    return np.where(np.isnan(extents), usual, extents)


def decide(
    logits: NDArray[np.floating],
    calibration: Calibration,
    rule: Rule,
    breaks: Sequence[int] = (),
    positions_mm: Sequence[float] | NDArray[np.floating] | None = None,
) -> Decision:
    """Decide from the logits of a scan's slices: probabilities, and whether the scan is urgent.

    Args:
        logits: (slice, 5), slices in order along the slice normal, subtypes in the order of
            `labels.SUBTYPES`.
        calibration: Temperature and bias of each subtype, of the bundle.
        rule: How slices become a scan, and the thresholds, of the bundle.
        breaks: Indices of slices whose successor is not adjacent, as `smooth` takes them.
        positions_mm: (slice,) along the slice normal, ascending; None where unknown.

    Raises:
        InputError: There are no slices, not five subtypes, or a logit is not finite.

    Example:
        >>> rule = Rule(thresholds={"any": 0.5})
        >>> decision = decide(np.full((4, 5), -5.0), Calibration(), rule)
        >>> decision.urgent, round(decision.scan["any"], 3)
        (False, 0.033)
    """
    if logits.ndim != 2 or len(logits) == 0 or logits.shape[1] != len(NAMES):
        raise InputError(
            "no decision on these logits",
            found=f"shape {logits.shape}",
            expected=f"(slices, {len(NAMES)}) with at least one slice",
        )
    subtypes = smooth(calibrate(logits, calibration), rule.neighbour_weights, breaks)
    table = np.column_stack([any_probability(subtypes, rule.any_rule), subtypes])
    extents_mm = None if positions_mm is None else slice_extents_mm(positions_mm, breaks)
    scan = dict(zip(CLASSES, scan_probability(table, rule, extents_mm).tolist(), strict=True))
    return Decision(
        slices=tuple(dict(zip(CLASSES, row, strict=True)) for row in table.tolist()),
        scan=scan,
        urgent=scan[ANY] >= rule.threshold(ANY),
    )
