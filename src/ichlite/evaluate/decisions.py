"""Choose calibration, rule and operating points of a shipped model from scores out of fold.

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
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from msgspec import UNSET, UnsetType, structs
from numpy.typing import NDArray

from ichlite.contracts.bundle import (
    BALANCED,
    OPERATING_POINTS,
    CalibrationSpec,
    DecisionSpec,
    Estimate,
    Evidence,
    OperatingPointName,
    Origin,
    PointEvidence,
    Predictive,
    Share,
)
from ichlite.errors import InputError
from ichlite.evaluate.folds import calibration_of
from ichlite.evaluate.intervals import wilson
from ichlite.evaluate.operating_points import (
    LEAST,
    OperatingThresholds,
    operating_thresholds,
    thresholds,
)
from ichlite.evaluate.predictions import Cases
from ichlite.evaluate.scores import ScoreTable
from ichlite.evaluate.seeds import Seed, read_seeds
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
class Decisions:
    """Calibration, rule and operating points that turn the logits of a model into calls.

    Attributes:
        calibration: Temperature and bias of each subtype (Platt scaling).
        rule: How slices become a scan, with the thresholds of the operating point `balanced`.
        slice_thresholds: Class → threshold of a single slice (Youden).
        points: Operating point → its threshold of `any` and its sensitivity and specificity, in
            the order of `OPERATING_POINTS`.
        origin: Scores that all this was chosen by, with their hash.
    """

    calibration: Calibration
    rule: Rule
    slice_thresholds: Mapping[str, float]
    points: Mapping[OperatingPointName, PointEvidence]
    origin: Origin

    def thresholds(self, point: OperatingPointName) -> dict[str, float]:
        """Return the scan threshold of each class at an operating point.

        Only that of `any` differs between operating points.
        """
        return {**self.rule.thresholds, ANY: self.points[point].threshold}

    @property
    def specs(self) -> tuple[CalibrationSpec, DecisionSpec]:
        """The entries `calibration` and `decision` for the manifest of a bundle."""
        decision = decision_spec(
            self.rule,
            self.thresholds(BALANCED),
            self.slice_thresholds,
            RULE,
            operating_points={name: self.thresholds(name) for name in OPERATING_POINTS},
            evidence=Evidence(data=self.origin, points=self.points),
        )
        return calibration_spec(self.calibration, SPLIT), decision


def calibration_spec(calibration: Calibration, split: str) -> CalibrationSpec:
    """Make the entry `calibration` of a bundle's manifest.

    Args:
        calibration: Temperature and bias of each subtype.
        split: Name of the split that they were fitted on, or `out of fold`.
    """
    return CalibrationSpec(temperature=calibration.temperature, bias=calibration.bias, split=split)


def decision_spec(
    rule: Rule,
    thresholds: Mapping[str, float],
    slice_thresholds: Mapping[str, float],
    threshold_rule: str,
    *,
    operating_points: Mapping[OperatingPointName, Mapping[str, float]] | UnsetType = UNSET,
    evidence: Evidence | UnsetType = UNSET,
) -> DecisionSpec:
    """Make the entry `decision` of a bundle's manifest.

    Args:
        rule: How slices become a scan; its thresholds are not used.
        thresholds: Class → threshold of a scan at the operating point `balanced`.
        slice_thresholds: Class → threshold of a single slice.
        threshold_rule: How the thresholds were chosen, in words.
        operating_points: Operating point → thresholds of a scan; unset for `balanced` alone.
        evidence: Measured sensitivity and specificity of the operating points; unset where they
            were not measured out of fold.
    """
    return DecisionSpec(
        **structs.asdict(rule.spec),
        thresholds=thresholds,
        slice_thresholds=slice_thresholds,
        threshold_rule=threshold_rule,
        operating_points=operating_points,
        evidence=evidence,
    )


def decisions_from_files(paths: Sequence[Path]) -> Decisions:
    """Choose calibration, rule and operating points from files of out-of-fold scores.

    Args:
        paths: Files or folders of scores, one for each seed.

    Raises:
        InputError: See `seeds.read_seeds` and `decisions_from_scores`.
    """
    return decisions_from_scores(read_seeds(paths))


def decisions_from_scores(seeds: Sequence[Seed]) -> Decisions:
    """Choose calibration, rule and operating points from out-of-fold scores.

    Args:
        seeds: Scores of one or several seeds on the same folds, from `seeds.read_seeds`.

    Returns:
        The decisions, with their sensitivity and specificity: on these scores, and nested, where
        each fold is judged by what the other folds choose.

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
    points = {
        name: PointEvidence(
            threshold=getattr(chosen.operating, name),
            frozen=_estimate([frozen[place]]),
            nested=_estimate(nested[place]),
            by_fold=by_fold[place],
        )
        for place, name in enumerate(OPERATING_POINTS)
    }
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
    """Counts of scans called positive and negative, the mean over seeds."""

    hits: float
    positives: int
    left_alone: float
    negatives: int


def _choose(tables: Sequence[ScoreTable], where: str) -> _Chosen:
    """Choose calibration, rule and thresholds by all scans of some folds."""
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
    """Judge slices and scans of all seeds, one seed after the other."""
    judged = [table.judged(calibration, rule) for table in tables]
    return _stacked([one.slices for one in judged]), _stacked([one.scans for one in judged])


def _stacked(cases: Sequence[Cases]) -> Cases:
    """Return the cases of all seeds, one seed after the other."""
    return Cases(
        np.concatenate([one.labels for one in cases]),
        np.concatenate([one.probabilities for one in cases]),
        np.concatenate([one.patients for one in cases]),
    )


def _calls(tables: Sequence[ScoreTable], chosen: _Chosen, point: str) -> _Calls:
    """Count what an operating point calls rightly."""
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
    """Return how many are true."""
    return int(those.sum())


def _estimate(calls: Sequence[_Calls]) -> Estimate:
    """Return sensitivity, specificity and predictive values of the calls of all folds, pooled."""
    sensitivity = _share(sum(one.hits for one in calls), sum(one.positives for one in calls))
    specificity = _share(sum(one.left_alone for one in calls), sum(one.negatives for one in calls))
    return Estimate(
        sensitivity=sensitivity,
        specificity=specificity,
        predictive=tuple(predictive(sensitivity.value, specificity.value, p) for p in PREVALENCES),
    )


def _share(count: float, cases: int) -> Share:
    """Return a share of cases with its interval."""
    # `_choose` has made sure that both kinds of scans are there.
    low, high = wilson(count, cases) or (0.0, 1.0)
    return Share(value=count / cases, low=low, high=high, count=count, cases=cases)


def predictive(sensitivity: float, specificity: float, prevalence: float) -> Predictive:
    """Return the positive and negative predictive value of a test at a prevalence (Bayes).

    Args:
        sensitivity: Sensitivity of the test, in [0, 1].
        specificity: Specificity of the test, in [0, 1].
        prevalence: Share of scans with a bleed, in [0, 1].

    Returns:
        Both values; one is None where no scan is called so.

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
        prevalence=prevalence,
        ppv=hit / (hit + alarm) if hit + alarm > 0 else None,
        npv=left / (left + missed) if left + missed > 0 else None,
    )


def _origin(seeds: Sequence[Seed], scans: Cases) -> Origin:
    """Return which scores these are, with a hash over all that was decided by."""
    table = seeds[0].table
    digest = hashlib.sha256()
    for seed in seeds:
        for column in ("image", "patient", "fold"):
            digest.update("\n".join(getattr(seed.table, column).tolist()).encode())
        digest.update(seed.table.labels.tobytes())
        digest.update(seed.table.logits.astype("<f4").tobytes())
    return Origin(
        scores=tuple(seed.name for seed in seeds),
        sha256=digest.hexdigest(),
        folds=len(table.fold_numbers),
        slices=len(table),
        scans=len(scans.labels) // len(seeds),
        bleeding_scans=_count(scans.labels_of()[ANY].astype(bool)) // len(seeds),
        patients=len(np.unique(table.patient)),
        recipe=str(table.recipe[0]),
    )
