"""Calibration, rule and operating points of a shipped model, from scores out of fold.

The shipped model is trained on all folds, so nothing is left to choose its thresholds by: they come
from models of the same recipe that never saw the patient. What ships is one model, not the mean of
several, so the scores of several seeds stand beside each other as single models gave them, and are
not averaged; counts are divided by the seeds, so that intervals are those of the scans there are.

Two estimates stand beside each threshold. `frozen` is what the threshold itself does on the scores
that it was chosen by; `nested` is what the whole procedure does on patients whom it has not seen:
calibration and threshold from the other folds, applied to the one left out.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import InputError
from ichlite.evaluate.folds import (
    Seed,
    calibration_of,
    read_seeds,
)
from ichlite.evaluate.intervals import wilson
from ichlite.evaluate.operating_points import (
    LEAST,
    OperatingThresholds,
    operating_thresholds,
    thresholds,
)
from ichlite.evaluate.predictions import Cases
from ichlite.evaluate.scores import ScoreTable
from ichlite.infer.bundle_manifest import BALANCED, OPERATING_POINTS
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import ANY

PREVALENCES = (0.01, 0.05, 0.20)
SPLIT = "out of fold"
RULE = (
    f"any: high_sensitivity has a sensitivity of at least {LEAST}, high_specificity a specificity "
    f"of at least {LEAST}, balanced the highest sum of both (youden); subtypes: youden; all out of "
    "fold, by scan"
)


@dataclass(frozen=True, slots=True)
class Share:
    """A share of scans, with its 95 % interval by Wilson.

    Attributes:
        value, low, high: In [0, 1].
        count: Scans that count; the mean over seeds.
        cases: All scans.
    """

    value: float
    low: float
    high: float
    count: float
    cases: int


@dataclass(frozen=True, slots=True)
class Predictive:
    """What a call is worth where so many scans bleed; None where nothing is called so.

    Attributes:
        prevalence: Share of scans with a bleed.
        ppv: Share of flagged scans that bleed.
        npv: Share of others that do not.
    """

    prevalence: float
    ppv: float | None
    npv: float | None


@dataclass(frozen=True, slots=True)
class Estimate:
    """Sensitivity and specificity for any bleed by scan, and what follows from them."""

    sensitivity: Share
    specificity: Share
    predictive: tuple[Predictive, ...]


@dataclass(frozen=True, slots=True)
class OperatingPoint:
    """One threshold of a scan's `any`.

    Attributes:
        name: One of `OPERATING_POINTS`.
        threshold: Frozen, from all folds.
        frozen: What it does on the scores that it was chosen by.
        nested: What a threshold from the other folds does on the fold left out.
        by_fold: Fold → the threshold that the other folds chose.
    """

    name: str
    threshold: float
    frozen: Estimate
    nested: Estimate
    by_fold: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Origin:
    """The scores that decisions come from.

    Attributes:
        scores: Names of the files or folders, one a seed.
        sha256: Over the slices, labels, folds and logits of all of them.
        folds, slices, scans, bleeding_scans, patients: How many.
        recipe: Hash of what trained the models; empty where the scores do not say.
    """

    scores: tuple[str, ...]
    sha256: str
    folds: int
    slices: int
    scans: int
    bleeding_scans: int
    patients: int
    recipe: str


@dataclass(frozen=True, slots=True)
class Decisions:
    """Everything that turns the logits of a shipped model into calls.

    Attributes:
        calibration: Per subtype (Platt).
        rule: From slices to scans; its thresholds are those of `balanced`.
        slice_thresholds: Class → threshold of a slice (Youden).
        points: In the order of `OPERATING_POINTS`.
        origin: What it all comes from.
    """

    calibration: Calibration
    rule: Rule
    slice_thresholds: Mapping[str, float]
    points: tuple[OperatingPoint, ...]
    origin: Origin

    def thresholds(self, point: str) -> dict[str, float]:
        """Return an operating point's threshold of each class."""
        (any_threshold,) = (one.threshold for one in self.points if one.name == point)
        return {**self.rule.thresholds, ANY: any_threshold}

    def as_dict(self) -> dict[str, Any]:
        """Return the parts of a bundle's manifest: `calibration` and `decision`."""
        return {
            "calibration": {
                "temperature": list(self.calibration.temperature),
                "bias": list(self.calibration.bias),
                "split": SPLIT,
            },
            "decision": {
                **self.rule.as_dict(),
                "thresholds": self.thresholds(BALANCED),
                "slice_thresholds": dict(self.slice_thresholds),
                "threshold_rule": RULE,
                "operating_points": {name: self.thresholds(name) for name in OPERATING_POINTS},
                "evidence": {
                    "data": asdict(self.origin),
                    "points": {one.name: _evidence(one) for one in self.points},
                },
            },
        }


def decisions_from_files(paths: Sequence[Path]) -> Decisions:
    """Read the out-of-fold scores of one or several seeds and decide; see `decisions_from_scores`.

    Raises:
        InputError: See `folds.read_seeds` and `decisions_from_scores`.
    """
    return decisions_from_scores(read_seeds(paths))


def decisions_from_scores(seeds: Sequence[Seed]) -> Decisions:
    """Choose calibration, rule and operating points from scores out of fold.

    Args:
        seeds: Of the same folds, from `folds.read_seeds`.

    Returns:
        The decisions, with what they do on these scores.

    Raises:
        InputError: All scans bleed, or none does, in all folds or in all but one.
    """
    tables = [seed.table for seed in seeds]
    chosen = _choose(tables, "all folds")
    frozen = [_calls(tables, chosen, name) for name in OPERATING_POINTS]
    nested: list[list[_Calls]] = [[] for _ in OPERATING_POINTS]
    by_fold: list[dict[str, float]] = [{} for _ in OPERATING_POINTS]
    for fold in tables[0].fold_numbers:
        held = tables[0].fold == fold
        others = _choose([table.take(~held) for table in tables], f"the folds beside {fold}")
        left_out = [table.take(held) for table in tables]
        for place, name in enumerate(OPERATING_POINTS):
            nested[place].append(_calls(left_out, others, name))
            by_fold[place][fold] = getattr(others.operating, name)
    points = tuple(
        OperatingPoint(
            name,
            getattr(chosen.operating, name),
            _estimate([frozen[place]]),
            _estimate(nested[place]),
            by_fold[place],
        )
        for place, name in enumerate(OPERATING_POINTS)
    )
    return Decisions(
        chosen.calibration,
        chosen.rule,
        chosen.slice_thresholds,
        points,
        _origin(seeds, chosen.scans),
    )


@dataclass(frozen=True, slots=True)
class _Chosen:
    """What some folds choose.

    Attributes:
        scans: The scans that it was chosen by, one seed after the other.
    """

    calibration: Calibration
    rule: Rule
    slice_thresholds: Mapping[str, float]
    operating: OperatingThresholds
    scans: Cases


@dataclass(frozen=True, slots=True)
class _Calls:
    """Scans called positive and negative, counted; the mean over seeds."""

    hits: float
    positives: int
    left_alone: float
    negatives: int


def _choose(tables: Sequence[ScoreTable], where: str) -> _Chosen:
    calibration = calibration_of(*tables)
    slices, scans = _judged(tables, calibration, Rule())
    labels, probabilities = scans.labels_of(), scans.probabilities_of()
    operating = operating_thresholds(labels[ANY], probabilities[ANY])
    if operating is None:
        raise InputError(
            f"the scores choose no operating points: {where} have scans of one kind alone",
            found=f"{int(labels[ANY].sum())} of {len(labels[ANY])} scans with a bleed",
            expected="scans with a bleed and scans without",
            remedy="make fewer folds, stratified by bleeds",
        )
    limits = {**thresholds(labels, probabilities), ANY: operating.balanced}
    return _Chosen(
        calibration,
        Rule(thresholds=limits),
        thresholds(slices.labels_of(), slices.probabilities_of()),
        operating,
        scans,
    )


def _judged(
    tables: Sequence[ScoreTable], calibration: Calibration, rule: Rule
) -> tuple[Cases, Cases]:
    """Slices and scans of all seeds, one seed after the other."""
    judged = [table.judged(calibration, rule) for table in tables]
    return _stacked([one.slices for one in judged]), _stacked([one.scans for one in judged])


def _stacked(cases: Sequence[Cases]) -> Cases:
    return Cases(
        np.concatenate([one.labels for one in cases]),
        np.concatenate([one.probabilities for one in cases]),
        np.concatenate([one.patients for one in cases]),
    )


def _calls(tables: Sequence[ScoreTable], chosen: _Chosen, point: str) -> _Calls:
    _, scans = _judged(tables, chosen.calibration, chosen.rule)
    truth = scans.labels_of()[ANY].astype(bool)
    called = scans.probabilities_of()[ANY] >= getattr(chosen.operating, point)
    seeds = len(tables)
    return _Calls(
        _count(called & truth) / seeds,
        _count(truth) // seeds,
        _count(~called & ~truth) / seeds,
        _count(~truth) // seeds,
    )


def _count(those: NDArray[np.bool_]) -> int:
    return int(those.sum())


def _estimate(calls: Sequence[_Calls]) -> Estimate:
    """The calls of all folds, pooled."""
    sensitivity = _share(sum(one.hits for one in calls), sum(one.positives for one in calls))
    specificity = _share(sum(one.left_alone for one in calls), sum(one.negatives for one in calls))
    return Estimate(
        sensitivity,
        specificity,
        tuple(predictive(sensitivity.value, specificity.value, p) for p in PREVALENCES),
    )


def _share(count: float, cases: int) -> Share:
    # `_choose` has made sure that both kinds of scans are there.
    low, high = wilson(count, cases) or (0.0, 1.0)
    return Share(count / cases, low, high, count, cases)


def predictive(sensitivity: float, specificity: float, prevalence: float) -> Predictive:
    """Return the predictive values of a test where so many are ill (Bayes).

    Example:
        >>> worth = predictive(0.9, 0.9, 0.1)
        >>> round(worth.ppv, 3), round(worth.npv, 3)
        (0.5, 0.988)
        >>> predictive(0.0, 1.0, 0.1).ppv is None
        True
    """
    hit, alarm = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
    missed, left = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
    return Predictive(
        prevalence,
        hit / (hit + alarm) if hit + alarm > 0 else None,
        left / (left + missed) if left + missed > 0 else None,
    )


def _origin(seeds: Sequence[Seed], scans: Cases) -> Origin:
    table = seeds[0].table
    digest = hashlib.sha256()
    for seed in seeds:
        for column in ("image", "patient", "fold"):
            digest.update("\n".join(getattr(seed.table, column).tolist()).encode())
        digest.update(seed.table.labels.tobytes())
        digest.update(seed.table.logits.astype("<f4").tobytes())
    return Origin(
        tuple(seed.name for seed in seeds),
        digest.hexdigest(),
        len(table.fold_numbers),
        len(table),
        len(scans.labels) // len(seeds),
        _count(scans.labels_of()[ANY].astype(bool)) // len(seeds),
        len(np.unique(table.patient)),
        str(table.recipe[0]),
    )


def _evidence(point: OperatingPoint) -> dict[str, Any]:
    document = asdict(point)
    del document["name"]
    return document
