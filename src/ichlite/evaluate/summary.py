"""Summarise an evaluation, by slice and by scan, as one JSON document."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, fields
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichlite.evaluate.intervals import (
    FEW_DRAWS,
    METRICS,
    ONE_PATIENT,
    interval,
    redraw,
    why_no_interval,
    with_mean,
)
from ichlite.evaluate.metrics import (
    Scores,
    all_negative_accuracy,
    mean_scores,
    rsna_log_loss,
    score_class,
)
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.labels import ANY, CLASSES, NAMES

MEAN = "mean"
LEFT_OUT = "left out of training"
MEASURED = tuple(f.name for f in fields(Scores) if f.name not in {"positives", "undefined"})
ROWS: tuple[str, ...] = (*CLASSES, MEAN)
"""Rows of a table; the mean is that of the subtypes."""
Thresholds = Mapping[str, ArrayLike]
"""For each class the probability from which a case counts as positive: a number, or one a case."""


def summarise(
    judged: Judged,
    *,
    data: str,
    slice_thresholds: Mapping[str, float],
    scan_thresholds: Mapping[str, float],
    bootstrap: int = 0,
    seed: int = 0,
    left_out: Sequence[str] = (),
) -> dict[str, Any]:
    """Compute every number of the report.

    Args:
        judged: From `predictions.judge_rows` or `rsna_archive.judge_archive`.
        data: What was judged, for the reader.
        slice_thresholds: Threshold of a slice for each class.
        scan_thresholds: Threshold of a scan for each class.
        bootstrap: Draws of patients for the 95 % intervals; 0: none.
        seed: Random seed of the draws.
        left_out: Subtypes that the model was not trained for; their metrics are None.

    Returns:
        JSON-ready: `data`, `slices`, `per_class`, `mean`, `any`, `all_negative_accuracy`,
        `rsna_log_loss` (None without slices), `thresholds`, `scan`, `patients`.
    """
    tables = [
        case_table(
            cases,
            limits,
            redraw_cases(cases, limits, bootstrap, seed, left_out) if bootstrap else None,
            left_out,
        )
        for cases, limits in (
            (judged.slices, slice_thresholds),
            (judged.scans, scan_thresholds),
        )
    ]
    return {
        "data": data,
        **counts(judged),
        **tables[0],
        **slice_facts(judged.slices),
        "thresholds": {name: slice_thresholds[name] for name in CLASSES},
        "scan": {
            "scans": len(judged.scans.labels),
            **tables[1],
            **scan_facts(judged.scans),
            "thresholds": {name: scan_thresholds[name] for name in CLASSES},
        },
    }


def counts(judged: Judged) -> dict[str, int]:
    """Return how many slices and patients were judged."""
    return {
        "slices": len(judged.slices.labels),
        "patients": len(set(judged.scans.patients.tolist())),
    }


def slice_facts(slices: Cases) -> dict[str, Any]:
    """Return what is said of slices beside their table."""
    found = len(slices.labels) > 0
    return {
        **scan_facts(slices),
        "rsna_log_loss": rsna_log_loss(slices.labels, slices.probabilities) if found else None,
    }


def scan_facts(scans: Cases) -> dict[str, Any]:
    """Return what is said of scans beside their table."""
    return {"all_negative_accuracy": all_negative_accuracy(scans.labels[:, 1:])}


def case_table(
    cases: Cases,
    thresholds: Thresholds,
    redraws: NDArray[np.float32] | None = None,
    left_out: Sequence[str] = (),
) -> dict[str, Any]:
    """Measure every class, and the mean of the subtypes.

    Args:
        cases: Slices or scans.
        thresholds: Threshold, or thresholds, of each class.
        redraws: From `redraw_cases`, for intervals; None: none.
        left_out: Subtypes that the model was not trained for.

    Returns:
        `per_class`, `mean` and `any`, each row with its metrics and, redrawn, `intervals` (the
        ends for each metric, or None), `no_interval` (why, for each without) and `roc_auc_95`.
    """
    labels, probabilities = cases.labels_of(), cases.probabilities_of()
    scores = {
        name: score_class(labels[name], probabilities[name], threshold=thresholds[name])
        for name in CLASSES
    }
    for name in left_out:
        scores[name] = Scores(
            **dict.fromkeys(MEASURED),
            positives=scores[name].positives,
            undefined=dict.fromkeys(MEASURED, LEFT_OUT),
        )
    scores[MEAN] = mean_scores({name: scores[name] for name in NAMES})
    rows = {name: _row(one) for name, one in scores.items()}
    if redraws is not None:
        for place, name in enumerate(ROWS):
            rows[name] |= _intervals(
                rows[name], redraws[:, place], labels.get(name), cases.patients
            )
    return {
        "per_class": {name: rows[name] for name in NAMES},
        MEAN: rows[MEAN],
        ANY: rows[ANY],
    }


def redraw_cases(
    cases: Cases, thresholds: Thresholds, draws: int, seed: int, left_out: Sequence[str] = ()
) -> NDArray[np.float32]:
    """Return the metrics of each row in each redraw of the patients: (draw, row, metric)."""
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


def _intervals(
    row: Mapping[str, Any],
    redraws: NDArray[np.float32],
    labels: NDArray[np.uint8] | None,
    patients: NDArray[np.str_],
) -> dict[str, Any]:
    """Return the intervals of a row, and why some metrics have none."""
    if labels is not None:
        reasons = why_no_interval(labels, patients)
    elif len(np.unique(patients)) == 1:  # the mean of the subtypes has no labels of its own
        reasons = dict.fromkeys(METRICS, ONE_PATIENT)
    else:
        reasons = {}
    found: dict[str, tuple[float, float] | None] = {}
    why: dict[str, str] = {}
    for place, metric in enumerate(METRICS):
        found[metric] = None if metric in reasons else interval(redraws[:, place])
        if found[metric] is None and row[metric] is not None:
            why[metric] = reasons.get(metric, FEW_DRAWS)
    return {"intervals": found, "no_interval": why, "roc_auc_95": found["roc_auc"]}


def _row(scores: Scores) -> dict[str, Any]:
    """Return metrics ready for JSON."""
    row = asdict(scores)
    row["undefined"] = dict(scores.undefined)
    return row
