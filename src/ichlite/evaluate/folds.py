"""Evaluate folds pooled: every scan is scored once, by a model that never saw its patient.

The models of the folds are calibrated differently, so their scores are not on one scale. Each
fold's logits are brought to probabilities, and called positive, by what the other folds say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, cast, get_args

import numpy as np
from msgspec import UNSET, structs
from numpy.typing import NDArray

from ichlite.contracts.evaluation import (
    Evaluation,
    MetricRow,
    MetricTable,
    ScanMetrics,
    SeedMetrics,
)
from ichlite.errors import check_name
from ichlite.evaluate.calibrate import fit_calibration
from ichlite.evaluate.metrics import METRICS, mean_defined, roc_auc, rsna_log_loss
from ichlite.evaluate.operating_points import thresholds
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.evaluate.scores import ScoreTable
from ichlite.evaluate.seeds import Seed
from ichlite.evaluate.summary import MEAN, Thresholds, case_table, redraw_cases, table_of
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import CLASSES, NAMES

Calibrate = Literal["cross", "none"]
THRESHOLD_RULE = "youden on the other folds"
STANDARD = Rule()
NOTES: Mapping[Calibrate, str] = {
    "cross": "Pooled out of fold: the logits of each fold's model are calibrated (Platt) and its "
    "thresholds (Youden) chosen on the other folds; then smoothed over neighbours, and the scan "
    "rule is applied. ROC AUC of raw logits is that of slices alone, uncalibrated and unsmoothed.",
    "none": "Pooled out of fold: raw logits of each fold's model, whose scales differ between "
    "folds; smoothed over neighbours, and the scan rule is applied. Thresholds (Youden) are chosen "
    "on the other folds.",
}


@dataclass(frozen=True, slots=True)
class OutOfFold:
    """Out-of-fold probabilities of one seed, with the thresholds that the other folds chose.

    Attributes:
        judged: Labels and probabilities: slices in the order of the table, scans by series UID.
        slice_thresholds, scan_thresholds: Class → (case,) threshold of every slice or scan, which
            is that of its fold.
        by_fold: Fold → `slice` and `scan` → class → threshold.
    """

    judged: Judged
    slice_thresholds: Mapping[str, NDArray[np.float64]]
    scan_thresholds: Mapping[str, NDArray[np.float64]]
    by_fold: Mapping[str, Mapping[str, Mapping[str, float]]]


def calibrate_named(name: str) -> Calibrate:
    """Check the value of the option `--calibrate`, `cross` or `none`, and return it typed.

    Raises:
        UnknownName: It is another.
    """
    check_name("--calibrate", name, get_args(Calibrate))
    return cast("Calibrate", name)


def judge_out_of_fold(
    table: ScoreTable, *, calibrate: Calibrate = "cross", rule: Rule = STANDARD
) -> OutOfFold:
    """Calibrate each fold, and choose its thresholds, on the other folds; then judge it by them.

    Args:
        table: Scores of at least two folds, each patient in one.
        calibrate: `cross`: Platt's parameters of each fold are fitted on the others; `none`: the
            sigmoid of the raw logits.
        rule: How slices become a scan; its thresholds are not used.

    Returns:
        The judged cases of all folds together: slices in the order of the table, scans sorted by
        series UID.
    """
    scan_names = np.unique(table.series)
    slices, scans = _blank(int(table.by_slice.sum())), _blank(len(scan_names))
    limits: dict[str, dict[str, dict[str, float]]] = {}
    for fold in table.fold_numbers:
        held = table.fold == fold
        rest = table.take(~held)
        calibration = calibration_of(rest) if calibrate == "cross" else Calibration()
        known, mine = (one.judged(calibration, rule) for one in (rest, table.take(held)))
        places = (held[table.by_slice], np.isin(scan_names, table.series[held]))
        limits[fold] = {}
        for kind, target, rows in zip(("slice", "scan"), (slices, scans), places, strict=True):
            before, now = (getattr(judged, f"{kind}s") for judged in (known, mine))
            limits[fold][kind] = thresholds(before.labels_of(), before.probabilities_of())
            target.fill(rows, now, limits[fold][kind])
    return OutOfFold(Judged(slices.cases(), scans.cases()), slices.limits(), scans.limits(), limits)


def calibration_of(*tables: ScoreTable) -> Calibration:
    """Fit a calibration (Platt scaling) on the slices of one or several tables of scores.

    Args:
        tables: Tables of scores; slices that have only the labels of their scan are not used.
    """
    labels = np.concatenate([table.labels[table.by_slice, 1:] for table in tables])
    logits = np.concatenate([table.logits[table.by_slice] for table in tables])
    return fit_calibration(labels, logits)


def summarise_folds(
    seeds: Sequence[Seed],
    *,
    calibrate: Calibrate = "cross",
    rule: Rule = STANDARD,
    bootstrap: int = 0,
    seed: int = 0,
) -> tuple[Evaluation, list[Judged]]:
    """Evaluate out-of-fold scores of one or several seeds, all folds pooled.

    Args:
        seeds: Scores of the same folds, from `seeds.read_seeds`.
        calibrate: See `judge_out_of_fold`.
        rule: See `judge_out_of_fold`.
        bootstrap: Number of bootstrap draws of patients for the 95 % intervals; 0 for none.
        seed: Random seed of the draws.

    Returns:
        Two values: the evaluation, whose rows are means over the seeds, with `seed_sd` where there
        are several, and whose `seeds` has each by itself; and the judged cases of each seed.
    """
    found = [judge_out_of_fold(one.table, calibrate=calibrate, rule=rule) for one in seeds]
    judged = [one.judged for one in found]
    (pooled, by_seed), (pooled_scans, scans_by_seed) = (
        _measure(
            [getattr(one, f"{kind}s") for one in judged],
            [getattr(one, f"{kind}_thresholds") for one in found],
            [_raw_aucs(one.table) if kind == "slice" else {} for one in seeds],
            bootstrap,
            seed,
        )
        for kind in ("slice", "scan")
    )
    scans = len(judged[0].scans.labels)
    losses = [rsna_log_loss(one.slices.labels, one.slices.probabilities) for one in judged]
    evaluation = Evaluation(
        **structs.asdict(pooled),
        data=f"out-of-fold scores {', '.join(one.name for one in seeds)}",
        folds=len(seeds[0].table.fold_numbers),
        slices=len(judged[0].slices.labels),
        scans=scans,
        patients=judged[0].patients,
        rsna_log_loss=mean_defined(losses),
        scan=ScanMetrics(**structs.asdict(pooled_scans), scans=scans),
        warnings=(),
        calibrate=calibrate,
        rule=rule.spec,
        threshold_rule=THRESHOLD_RULE,
        notes=(NOTES[calibrate],),
        seeds=tuple(
            SeedMetrics(
                **structs.asdict(table),
                scores=one.name,
                rsna_log_loss=loss,
                scan=ScanMetrics(**structs.asdict(of_scans), scans=scans),
                thresholds_by_fold=out_of_fold.by_fold,
            )
            for one, table, of_scans, loss, out_of_fold in zip(
                seeds, by_seed, scans_by_seed, losses, found, strict=True
            )
        ),
    )
    return evaluation, judged


def _measure(
    cases: Sequence[Cases],
    limits: Sequence[Thresholds],
    raw: Sequence[Mapping[str, float | None]],
    draws: int,
    seed: int,
) -> tuple[MetricTable, list[MetricTable]]:
    """Measure the slices or the scans of every seed.

    Args:
        cases: Of each seed.
        limits: Thresholds of each seed.
        raw: ROC AUC of raw logits of each row and seed, if any.
        draws: Redraws of the patients.
        seed: Random seed of the draws.

    Returns:
        The mean over seeds, with intervals from the mean of the same redraws; and each seed.
    """
    redraws = [redraw_cases(*one, draws, seed) for one in zip(cases, limits, strict=True) if draws]
    every: list[NDArray[np.float32] | None] = [*redraws] or [None] * len(cases)
    tables = []
    for one, limit, drawn, aucs in zip(cases, limits, every, raw, strict=True):
        rows = case_table(one, limit, drawn).rows
        rows |= {name: structs.replace(rows[name], roc_auc_of_logits=aucs[name]) for name in aucs}
        tables.append(table_of(rows, one))
    mean = np.mean(np.stack(redraws), axis=0) if redraws else None
    pooled = case_table(cases[0], limits[0], mean).rows
    return table_of(
        {name: _mean_row(row, [one.rows[name] for one in tables]) for name, row in pooled.items()},
        cases[0],
    ), tables


def _mean_row(pooled: MetricRow, rows: Sequence[MetricRow]) -> MetricRow:
    """Return a row, which has its intervals, with the mean and the spread over the seeds."""
    raw = [row.roc_auc_of_logits for row in rows if row.roc_auc_of_logits is not UNSET]
    values = {key: [getattr(row, key) for row in rows] for key in METRICS}
    return structs.replace(
        pooled,
        **{key: mean_defined(found) for key, found in values.items()},
        roc_auc_of_logits=mean_defined(raw) if raw else UNSET,
        seed_sd={key: _sd(found) for key, found in values.items()} if len(rows) > 1 else UNSET,
    )


def _sd(values: list[float | None]) -> float | None:
    """Return the standard deviation over the seeds where a metric is defined."""
    defined = [value for value in values if value is not None]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else None


def _raw_aucs(scores: ScoreTable) -> dict[str, float | None]:
    """Return the ROC AUC of raw logits of slices, pooled as they are, for each row of a table."""
    labels, logits = scores.labels[scores.by_slice], scores.logits[scores.by_slice]
    columns = [logits.max(axis=1), *logits.T]
    found = {name: roc_auc(labels[:, i], columns[i]) for i, name in enumerate(CLASSES)}
    return {**found, MEAN: mean_defined(found[name] for name in NAMES)}


@dataclass(frozen=True, slots=True)
class _Filling:
    """Cases that are filled in fold by fold, with the threshold of each."""

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float64]
    patients: NDArray[np.object_]
    thresholds: NDArray[np.float64]

    def fill(self, rows: NDArray[np.bool_], cases: Cases, limits: Mapping[str, float]) -> None:
        """Fill the rows of a fold."""
        self.labels[rows] = cases.labels
        self.probabilities[rows] = cases.probabilities
        self.patients[rows] = cases.patients
        self.thresholds[rows] = [limits[name] for name in CLASSES]

    def cases(self) -> Cases:
        """Return the cases of all folds."""
        return Cases(self.labels, self.probabilities, self.patients.astype(np.str_))

    def limits(self) -> dict[str, NDArray[np.float64]]:
        """Return the thresholds (case,) of each class."""
        return {name: self.thresholds[:, i] for i, name in enumerate(CLASSES)}


def _blank(cases: int) -> _Filling:
    """Return so many cases, to be filled in."""
    shape = (cases, len(CLASSES))
    return _Filling(
        np.zeros(shape, np.uint8), np.zeros(shape), np.empty(cases, object), np.zeros(shape)
    )
