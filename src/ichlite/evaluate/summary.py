"""Summarise an evaluation, by slice and by scan, as one document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from msgspec import structs
from numpy.typing import ArrayLike, NDArray

from ichlite.contracts.evaluation import (
    Evaluation,
    Interval,
    MetricRow,
    MetricTable,
    ScanMetrics,
)
from ichlite.evaluate.intervals import (
    FEW_DRAWS,
    ONE_PATIENT,
    interval,
    redraw,
    why_no_interval,
    with_mean,
)
from ichlite.evaluate.intervals import METRICS as REDRAWN
from ichlite.evaluate.metrics import (
    METRICS,
    all_negative_accuracy,
    mean_scores,
    rsna_log_loss,
    score_class,
)
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.labels import ANY, CLASSES, NAMES

MEAN = "mean"
LEFT_OUT = "left out of training"
ROWS: tuple[str, ...] = (*CLASSES, MEAN)
"""Names of the rows of a table of metrics: the classes, and the mean over the subtypes."""
Thresholds = Mapping[str, ArrayLike]
"""Class → probability from which a case counts as positive: one number, or (case,)."""


def summarise(
    judged: Judged,
    *,
    data: str,
    slice_thresholds: Mapping[str, float],
    scan_thresholds: Mapping[str, float],
    bootstrap: int = 0,
    seed: int = 0,
    left_out: Sequence[str] = (),
) -> Evaluation:
    """Compute all metrics of an evaluation, by slice and by scan.

    Args:
        judged: Labels and probabilities, from `predictions.judge_rows` or
            `rsna_archive.judge_archive`.
        data: Description of the data, for the report.
        slice_thresholds: Class → threshold of a slice.
        scan_thresholds: Class → threshold of a scan.
        bootstrap: Number of bootstrap draws of patients for the 95 % intervals; 0 for none.
        seed: Random seed of the draws.
        left_out: Subtypes that the model was not trained for; their metrics are None.

    Returns:
        The evaluation, with the thresholds and the metrics of scans.
    """
    slices, scans = (
        structs.replace(
            case_table(
                cases,
                limits,
                redraw_cases(cases, limits, bootstrap, seed, left_out) if bootstrap else None,
                left_out,
            ),
            thresholds={name: limits[name] for name in CLASSES},
        )
        for cases, limits in (
            (judged.slices, slice_thresholds),
            (judged.scans, scan_thresholds),
        )
    )
    return Evaluation(
        **structs.asdict(slices),
        data=data,
        slices=len(judged.slices.labels),
        patients=judged.patients,
        rsna_log_loss=rsna_log_loss(judged.slices.labels, judged.slices.probabilities),
        scan=ScanMetrics(**structs.asdict(scans), scans=len(judged.scans.labels)),
    )


def case_table(
    cases: Cases,
    thresholds: Thresholds,
    redraws: NDArray[np.float32] | None = None,
    left_out: Sequence[str] = (),
) -> MetricTable:
    """Compute the metrics of slices or of scans, for each class and the mean over the subtypes.

    Args:
        cases: Labels and probabilities of slices or scans.
        thresholds: Class → threshold, one number or (case,).
        redraws: (draw, row, metric) from `redraw_cases`, for intervals; None for no intervals.
        left_out: Subtypes that the model was not trained for; their metrics are None.

    Returns:
        The table; redrawn, its rows have `intervals` (the ends for each metric, or None),
        `no_interval` (why, for each without) and `roc_auc_95`.
    """
    labels, probabilities = cases.labels_of(), cases.probabilities_of()
    rows = {
        name: score_class(labels[name], probabilities[name], threshold=thresholds[name])
        for name in CLASSES
    }
    for name in left_out:
        rows[name] = structs.replace(
            rows[name], **dict.fromkeys(METRICS), undefined=dict.fromkeys(METRICS, LEFT_OUT)
        )
    rows[MEAN] = mean_scores({name: rows[name] for name in NAMES})
    if redraws is not None:
        for place, name in enumerate(ROWS):
            rows[name] = _with_intervals(
                rows[name], redraws[:, place], labels.get(name), cases.patients
            )
    return table_of(rows, cases)


def table_of(rows: Mapping[str, MetricRow], cases: Cases) -> MetricTable:
    """Make a table of metrics from its rows.

    Args:
        rows: Name of each of `ROWS` → metrics.
        cases: Cases that they were computed from, for the accuracy of calling all negative.
    """
    return MetricTable(
        per_class={name: rows[name] for name in NAMES},
        mean=rows[MEAN],
        any=rows[ANY],
        all_negative_accuracy=all_negative_accuracy(cases.labels[:, 1:]),
    )


def redraw_cases(
    cases: Cases, thresholds: Thresholds, draws: int, seed: int, left_out: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Compute the metrics of each class, and their mean, in each bootstrap draw of the patients.

    Args:
        cases: Labels and probabilities of slices or scans.
        thresholds: Class → threshold, one number or (case,).
        draws: Number of draws.
        seed: Random seed of the draws.
        left_out: Subtypes that the model was not trained for; their metrics are NaN.

    Returns:
        (draw, row, metric) float32, rows as `ROWS`, metrics as `intervals.METRICS`; NaN where
        undefined.
    """
    count = len(cases.labels)
    limits = np.stack([np.broadcast_to(thresholds[name], count) for name in CLASSES], axis=1)
    found = redraw(
        cases.labels,
        cases.probabilities,
        cases.patients,
        draws=draws,
        seed=seed,
        threshold=limits,
    )
    found[:, [CLASSES.index(name) for name in left_out]] = np.nan
    return np.concatenate([found, with_mean(found[:, 1:])[:, -1:]], axis=1)


def _with_intervals(
    row: MetricRow,
    redraws: NDArray[np.float32],
    labels: NDArray[np.uint8] | None,
    patients: NDArray[np.str_],
) -> MetricRow:
    """Return a row with its intervals, and why some metrics have none."""
    if labels is not None:
        reasons = why_no_interval(labels, patients)
    elif len(np.unique(patients)) == 1:  # the mean of the subtypes has no labels of its own
        reasons = dict.fromkeys(REDRAWN, ONE_PATIENT)
    else:
        reasons = {}
    found: dict[str, Interval | None] = {}
    why: dict[str, str] = {}
    for place, metric in enumerate(REDRAWN):
        found[metric] = None if metric in reasons else interval(redraws[:, place])
        if found[metric] is None and getattr(row, metric) is not None:
            why[metric] = reasons.get(metric, FEW_DRAWS)
    return structs.replace(row, intervals=found, no_interval=why, roc_auc_95=found["roc_auc"])
