"""Judged slices and scans in, the report's numbers as one JSON document out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from ichlite.evaluate.intervals import patient_bootstrap
from ichlite.evaluate.judge import CLASSES, Cases, Judged
from ichlite.evaluate.metrics import (
    Scores,
    all_negative_accuracy,
    mean_scores,
    roc_auc,
    rsna_log_loss,
    score_class,
)
from ichlite.labels import ANY, NAMES


def summarise(
    judged: Judged,
    *,
    data: str,
    slice_thresholds: Mapping[str, float],
    scan_thresholds: Mapping[str, float],
    bootstrap: int = 0,
    seed: int = 0,
) -> dict[str, Any]:
    """Judged slices and scans → every number of the report.

    Args:
        judged: From `judge.judge_rows` or the RSNA reader.
        data: What was judged, for the reader.
        slice_thresholds: Class → threshold of a slice.
        scan_thresholds: Class → threshold of a scan.
        bootstrap: Draws of patients for the 95 % intervals of the AUCs; 0: none.
        seed: Of the draws.

    Returns:
        JSON-ready: `data`, `slices`, `per_class`, `mean`, `any`, `all_negative_accuracy`,
        `rsna_log_loss` (None without slices), `thresholds`, `scan`, `patients`.
    """
    slices = _table(judged.slices, slice_thresholds, bootstrap, seed)
    scans = _table(judged.scans, scan_thresholds, bootstrap, seed)
    return {
        "data": data,
        "slices": len(judged.slices.labels),
        "patients": len(set(judged.scans.patients.tolist())),
        **slices,
        "all_negative_accuracy": all_negative_accuracy(judged.slices.labels[:, 1:]),
        "rsna_log_loss": rsna_log_loss(judged.slices.labels, judged.slices.probabilities)
        if len(judged.slices.labels)
        else None,
        "thresholds": {name: slice_thresholds[name] for name in CLASSES},
        "scan": {
            "scans": len(judged.scans.labels),
            **scans,
            "all_negative_accuracy": all_negative_accuracy(judged.scans.labels[:, 1:]),
            "thresholds": {name: scan_thresholds[name] for name in CLASSES},
        },
    }


def _table(
    cases: Cases, thresholds: Mapping[str, float], bootstrap: int, seed: int
) -> dict[str, Any]:
    labels, probabilities = cases.labels_of(), cases.probabilities_of()
    scores = {
        name: score_class(labels[name], probabilities[name], threshold=thresholds[name])
        for name in CLASSES
    }
    rows = {name: _row(scores[name]) for name in CLASSES}
    if bootstrap:
        for name in CLASSES:
            rows[name]["roc_auc_95"] = patient_bootstrap(
                roc_auc,
                labels[name],
                probabilities[name],
                cases.patients,
                draws=bootstrap,
                seed=seed,
            )
    return {
        "per_class": {name: rows[name] for name in NAMES},
        "mean": _row(mean_scores({name: scores[name] for name in NAMES})),
        ANY: rows[ANY],
    }


def _row(scores: Scores) -> dict[str, Any]:
    row = asdict(scores)
    row["undefined"] = dict(scores.undefined)
    return row
