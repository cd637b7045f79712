"""Evaluate folds pooled: every scan is scored once, by a model that never saw its patient.

The models of the folds are calibrated differently, so their scores are not on one scale. Each
fold's logits are brought to probabilities, and called positive, by what the other folds say.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import UnknownName
from ichlite.evaluate.calibrate import fit_calibration
from ichlite.evaluate.metrics import METRICS, roc_auc
from ichlite.evaluate.operating_points import thresholds
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.evaluate.scores import ScoreTable
from ichlite.evaluate.seeds import Seed
from ichlite.evaluate.summary import (
    MEAN,
    ROWS,
    case_table,
    counts,
    redraw_cases,
    scan_facts,
    slice_facts,
)
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import ANY, CLASSES, NAMES

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
    """One seed, judged.

    Attributes:
        judged: Slices by name of their image, scans by series.
        slice_thresholds, scan_thresholds: For each class the threshold of every case, that of its
            fold.
        by_fold: For each fold, then for `slice` and `scan`, the threshold of each class.
    """

    judged: Judged
    slice_thresholds: Mapping[str, NDArray[np.float64]]
    scan_thresholds: Mapping[str, NDArray[np.float64]]
    by_fold: Mapping[str, Mapping[str, Mapping[str, float]]]


def calibrate_named(name: str) -> Calibrate:
    """Return the way to calibrate that a name stands for.

    Raises:
        UnknownName: There is none.
    """
    if name not in get_args(Calibrate):
        raise UnknownName("--calibrate", name, list(get_args(Calibrate)))
    return cast("Calibrate", name)


def judge_out_of_fold(
    table: ScoreTable, *, calibrate: Calibrate = "cross", rule: Rule = STANDARD
) -> OutOfFold:
    """Judge each fold by what the other folds say.

    Args:
        table: With at least two folds, each patient in one.
        calibrate: `cross`: Platt's parameters of each fold are fitted on the others; `none`: the
            sigmoid of the raw logits.
        rule: From slices to scans; its thresholds are not used.

    Returns:
        Slices in the order of the table, scans in that of their series.
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
    """Fit Platt's parameters on the slices of tables that have labels of their own."""
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
) -> tuple[dict[str, Any], list[Judged]]:
    """Measure pooled folds: each seed, their mean, and their spread.

    Args:
        seeds: Scores of the same folds, from `seeds.read_seeds`.
        calibrate: See `judge_out_of_fold`.
        rule: See `judge_out_of_fold`.
        bootstrap: Draws of patients for the 95 % intervals; 0: none.
        seed: Random seed of the draws.

    Returns:
        The JSON-ready document, and what each seed says: that of `summary.summarise`, means over
        the seeds, with `seed_sd` in every row where there are several; `seeds` has one such
        document each.
    """
    found = [judge_out_of_fold(one.table, calibrate=calibrate, rule=rule) for one in seeds]
    parts = [
        _Part(
            [getattr(one.judged, f"{kind}s") for one in found],
            [getattr(one, f"{kind}_thresholds") for one in found],
            bootstrap,
            seed,
        )
        for kind in ("slice", "scan")
    ]
    by_seed = [part.tables() for part in parts]
    for one, table in zip(seeds, by_seed[0], strict=True):
        _add_raw_aucs(table, one.table)
    facts = [slice_facts, scan_facts]
    pooled = [
        {
            **part.mean_of(tables),
            **_mean_facts([about(cases) for cases in part.cases]),
        }
        for part, tables, about in zip(parts, by_seed, facts, strict=True)
    ]
    scans = len(found[0].judged.scans.labels)
    document = {
        "data": f"out-of-fold scores {', '.join(one.name for one in seeds)}",
        "folds": len(seeds[0].table.fold_numbers),
        "scans": scans,
        **counts(found[0].judged),
        **pooled[0],
        "scan": {"scans": scans, **pooled[1]},
        "calibrate": calibrate,
        "rule": rule.as_dict(),
        "threshold_rule": THRESHOLD_RULE,
        "notes": [NOTES[calibrate]],
        "seeds": [
            {
                "scores": one.name,
                **slices,
                **slice_facts(judged.judged.slices),
                "scan": {"scans": scans, **table, **scan_facts(judged.judged.scans)},
                "thresholds_by_fold": judged.by_fold,
            }
            for one, judged, slices, table in zip(seeds, found, *by_seed, strict=True)
        ],
    }
    return document, [one.judged for one in found]


class _Part:
    """The slices or the scans of every seed, measured."""

    def __init__(
        self,
        cases: list[Cases],
        limits: list[Mapping[str, NDArray[np.float64]]],
        draws: int,
        seed: int,
    ) -> None:
        self.cases = cases
        self._limits = limits
        self._redraws = [
            redraw_cases(one, limit, draws, seed)
            for one, limit in zip(cases, limits, strict=True)
            if draws
        ]

    def tables(self) -> list[dict[str, Any]]:
        """Return the table of each seed."""
        redraws = self._redraws or repeat(None, len(self.cases))
        return [
            case_table(one, limit, drawn)
            for one, limit, drawn in zip(self.cases, self._limits, redraws, strict=True)
        ]

    def mean_of(self, tables: list[dict[str, Any]]) -> dict[str, Any]:
        """Return the mean over seeds, with intervals from the mean of the same redraws."""
        mean = None
        if self._redraws:
            mean = np.mean(np.stack(self._redraws), axis=0)
        pooled = case_table(self.cases[0], self._limits[0], mean)
        for name in ROWS:
            row, rows = _row_of(pooled, name), [_row_of(table, name) for table in tables]
            for key in (*METRICS, "roc_auc_of_logits"):
                if key in rows[0]:
                    values = [one[key] for one in rows if one[key] is not None]
                    row[key] = float(np.mean(values)) if values else None
            if len(tables) > 1:
                row["seed_sd"] = {key: _sd([one[key] for one in rows]) for key in METRICS}
        return pooled


def _row_of(table: dict[str, Any], name: str) -> dict[str, Any]:
    """Return the row of a class, or of the mean, in a table of `summary.case_table`."""
    row: dict[str, Any] = table["per_class"][name] if name in NAMES else table[name]
    return row


def _sd(values: list[float | None]) -> float | None:
    """Return the standard deviation over the seeds where a metric is defined."""
    defined = [value for value in values if value is not None]
    return float(np.std(defined, ddof=1)) if len(defined) > 1 else None


def _mean_facts(facts: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the mean over seeds of what is said beside a table."""
    return {
        key: None if facts[0][key] is None else float(np.mean([one[key] for one in facts]))
        for key in facts[0]
    }


def _add_raw_aucs(table: dict[str, Any], scores: ScoreTable) -> None:
    """Add the ROC AUC of raw logits, pooled as they are, to each row of a table of slices."""
    labels, logits = scores.labels[scores.by_slice], scores.logits[scores.by_slice]
    columns = {ANY: logits.max(axis=1), **dict(zip(NAMES, logits.T, strict=True))}
    found = {name: roc_auc(labels[:, i], columns[name]) for i, name in enumerate(CLASSES)}
    subtypes = [value for name in NAMES if (value := found[name]) is not None]
    found[MEAN] = float(np.mean(subtypes)) if subtypes else None
    for name, value in found.items():
        _row_of(table, name)["roc_auc_of_logits"] = value


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
