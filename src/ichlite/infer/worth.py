"""Say when a bundle's own manifest does not show that its model is better than chance.

What a model is worth is known from its manifest alone: from the operating points out of fold,
where there are any, else from the evaluation on the test split. A model that is not shown to tell
scans or slices with a bleed from others still answers, and its answers look like any other's: so
whoever reads with it is told.
"""

from __future__ import annotations

from math import sqrt

from msgspec import UNSET

from ichlite.contracts.bundle import BALANCED, BundleManifest, PointEvidence
from ichlite.contracts.evaluation import Evaluation, MetricRow

LEAST_ROC_AUC = 0.6
"""Least lower end of the 95 % interval of the ROC AUC by slice. Chance is 0.5; slices of one
patient are alike, and an interval that takes them for independent is too narrow."""
LEAST_SUM = 1.0
"""Sum that the lower ends of sensitivity and specificity by scan must exceed: chance is 1."""

_Z = 1.959964
"""Standard deviations of a two-sided 95 % interval."""


def doubts(manifest: BundleManifest) -> tuple[str, ...]:
    """Return a warning where a bundle's figures do not show its model to be better than chance.

    Args:
        manifest: Manifest of the bundle, with its evaluation.

    Returns:
        A tuple of one line; empty where the model is shown to be better than chance.

    Example:
        >>> from ichlite.infer.bundle import load_bundle
        >>> doubts(load_bundle().manifest)
        ()
    """
    evidence, metrics = manifest.decision.evidence, manifest.metrics
    if evidence is not UNSET and BALANCED in evidence.points:
        why = _by_scan(evidence.points[BALANCED])
    elif metrics is not UNSET:
        why = _by_slice(metrics)
    else:
        why = "its manifest has no figures"
    if why is None:
        return ()
    name = f"{manifest.name} {manifest.version}"
    return (f"model {name} is not shown to be better than chance: {why}",)


def lower_end(roc_auc: float, positives: int, negatives: int) -> float:
    """Return the lower end of the 95 % interval of a ROC AUC of independent cases.

    Args:
        roc_auc: Area under the ROC curve, in [0, 1].
        positives: Number of cases with a bleed, over 0.
        negatives: Number of cases without, over 0.

    Source:
        Hanley and McNeil, Radiology 143 (1982) 29-36.

    Example:
        >>> round(lower_end(0.9, 50, 200), 3), round(lower_end(0.9, 2, 8), 3)
        (0.841, 0.591)
    """
    both_positive = roc_auc / (2 - roc_auc)
    both_negative = 2 * roc_auc**2 / (1 + roc_auc)
    variance = (
        roc_auc * (1 - roc_auc)
        + (positives - 1) * (both_positive - roc_auc**2)
        + (negatives - 1) * (both_negative - roc_auc**2)
    ) / (positives * negatives)
    return roc_auc - _Z * sqrt(max(0.0, variance))


def _by_scan(point: PointEvidence) -> str | None:
    """Say why the operating point is no evidence, None where it is."""
    hits, rests = point.nested.sensitivity, point.nested.specificity
    if hits.low + rests.low > LEAST_SUM:
        return None
    return (
        f"out of fold, by scan, sensitivity {hits.value:.2f} (95 % from {hits.low:.2f}) and "
        f"specificity {rests.value:.2f} (from {rests.low:.2f})"
    )


def _by_slice(metrics: Evaluation) -> str | None:
    """Say why the evaluation is no evidence, None where it is."""
    row = metrics.any
    negatives = metrics.slices - row.positives
    if row.roc_auc is None or not (row.positives > 0 and negatives > 0):
        return f"no ROC AUC of any bleed on {metrics.data}"
    low = _said_lower_end(row)
    if low is None:
        low = lower_end(row.roc_auc, row.positives, negatives)
    if low >= LEAST_ROC_AUC:
        return None
    return (
        f"ROC AUC of any bleed {row.roc_auc:.2f} (95 % from {low:.2f}) on {metrics.slices:,} "
        f"slices of {metrics.data}"
    )


def _said_lower_end(row: MetricRow) -> float | None:
    """Return the lower end of the interval over redrawn patients, None where it was not made."""
    if row.roc_auc_95:
        return row.roc_auc_95[0]
    interval = row.intervals.get("roc_auc") if row.intervals else None
    return None if interval is None else interval[0]
