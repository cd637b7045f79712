"""Write an evaluation: Markdown and CSV tables, ROC and precision-recall plots."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from msgspec import UNSET

from ichlite.contracts.codec import document_text
from ichlite.contracts.evaluation import Comparison, Evaluation, MetricRow, MetricTable
from ichlite.evaluate.metrics import METRICS
from ichlite.evaluate.plots import CURVES, plot_curves
from ichlite.evaluate.pointing import pointing_lines
from ichlite.evaluate.predictions import Judged

TITLES: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "average_precision": "AP",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced accuracy",
    "expected_calibration_error": "ECE",
    "roc_auc_of_logits": "ROC AUC of raw logits",
}


def write_report(folder: Path, summary: Evaluation, judged: Judged) -> tuple[Path, ...]:
    """Write an evaluation into a folder as JSON, Markdown, CSV and plots.

    Args:
        folder: Folder to write to, made if it is missing.
        summary: Evaluation, from `summary.summarise` or `folds.summarise_folds`.
        judged: Labels and probabilities that the evaluation is of, for the curves.

    Returns:
        Paths of metrics.json, metrics.md, metrics.csv and four plots.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "metrics.json": document_text(summary),
        "metrics.md": markdown(summary),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    header, *body = table(summary, "slice")
    if summary.scan is not UNSET:
        body += table(summary.scan, "scan")[1:]
    with (folder / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows([header, *body])
    drawn = f"{summary.seeds[0].scores}, out of fold" if summary.seeds else summary.data
    plots = [
        plot_curves(cases, curve, folder / f"{curve}-{kind}.png", f"{kind}s of {drawn}")
        for kind, cases in (("slice", judged.slices), ("scan", judged.scans))
        for curve in CURVES
    ]
    return (*(folder / name for name in files), folder / "metrics.csv", *plots)


def table(part: MetricTable, unit: str) -> list[list[str]]:
    """Format a table of metrics as rows of text cells.

    Args:
        part: Metrics of slices or of scans.
        unit: What was measured, `slice` or `scan`, for the first column.

    Returns:
        A header and a row for each class, of equal length; an undefined metric is the word
        `undefined`, an interval that would say nothing the word `none`.
    """
    body = [[unit, name, *_cells(row).values()] for name, row in part.rows.items()]
    return [["unit", "class", *_cells(part.any)], *body]


def _cells(row: MetricRow) -> dict[str, str]:
    """Return the cells of a row, by their column."""
    cells = {"positives": str(row.positives)}
    cells |= {metric: _number(getattr(row, metric)) for metric in METRICS}
    if row.roc_auc_95 is not UNSET:
        low, high = row.roc_auc_95 or (None, None)
        cells |= {"roc_auc_low": _number(low, "none"), "roc_auc_high": _number(high, "none")}
    if row.seed_sd is not UNSET:
        cells["roc_auc_seed_sd"] = _number(row.seed_sd["roc_auc"], "none")
    if row.roc_auc_of_logits is not UNSET:
        cells["roc_auc_of_logits"] = _number(row.roc_auc_of_logits)
    return cells


def markdown(summary: Evaluation) -> str:
    """Format an evaluation as a Markdown page with one table for slices and one for scans."""
    scans = "" if summary.scan is UNSET else f"{summary.scan.scans:,} scans, "
    parts = [
        f"# {summary.data}",
        "",
        f"{summary.slices:,} slices, {scans}{summary.patients:,} patients.",
        *(f"\n{line}" for line in summary.notes or ()),
        *(f"\n**Warning: {line}.**" for line in summary.warnings or ()),
    ]
    for unit, part in summary.tables.items():
        header, *body = [row[1:] for row in table(part, unit)]
        header = [TITLES.get(cell, cell.replace("_", " ")) for cell in header]
        parts += ["", f"## {unit.capitalize()}s", "", _line(header), "|" + "---|" * len(header)]
        parts += [_line(row) for row in body]
        parts += [
            "",
            f"Answering no to everything: mean accuracy {_number(part.all_negative_accuracy)}.",
        ]
        reasons = sorted({
            f"{name}: {metric.replace('_', ' ')} is undefined, {why}"
            for name, row in part.per_class.items()
            for metric, why in row.undefined.items()
        })  # fmt: skip
        reasons += _without_interval(part.rows)
        parts += ["", *(f"- {reason}" for reason in reasons)] if reasons else []
    parts += ["", f"RSNA weighted log loss of slices: {_number(summary.rsna_log_loss)}."]
    if summary.pointing is not UNSET:
        parts += pointing_lines(summary.pointing)
    if summary.against is not UNSET:
        parts += _against(summary.against)
    return "\n".join(parts) + "\n"


def _without_interval(rows: Mapping[str, MetricRow]) -> list[str]:
    """Return a line for each class and reason whose intervals would say nothing."""
    why: dict[tuple[str, str], list[str]] = {}
    for name, row in rows.items():
        for metric, reason in (row.no_interval or {}).items():
            why.setdefault((name, reason), []).append(metric.replace("_", " "))
    return [
        f"{name}: no 95 % interval of {', '.join(metrics)}, {reason}"
        for (name, reason), metrics in why.items()
    ]


def _against(against: Comparison) -> list[str]:
    """Return the lines of a comparison with another model."""
    header = ["unit", "class", "ROC AUC", "of the other", "difference", "low", "high", "p"]
    found = [
        (unit, name, one)
        for unit, part in (("slice", against.slices), ("scan", against.scans))
        for name, one in part.items()
    ]
    body = [
        [
            unit, name, _number(one.roc_auc), _number(one.other_roc_auc), _number(one.difference),
            *(_number(end, "none") for end in one.interval or (None, None)), _number(one.p, "none"),
        ]
        for unit, name, one in found
    ]  # fmt: skip
    reasons = [
        f"- {unit}s, {name}: no interval, {one.reason}" for unit, name, one in found if one.reason
    ]
    return [
        "",
        f"## Against {against.model}",
        "",
        f"Differences of ROC AUC on the same {against.patients:,} patients; 95 % intervals and "
        f"two-sided p from {against.draws:,} redraws of them, the same for both models.",
        "",
        _line(header),
        "|" + "---|" * len(header),
        *(_line(row) for row in body),
        *(["", *reasons] if reasons else []),
    ]


def _line(cells: list[str]) -> str:
    """Return cells as a line of a Markdown table."""
    return "| " + " | ".join(cells) + " |"


def _number(value: float | None, absent: str = "undefined") -> str:
    """Return a number with four digits, or the word that says why there is none."""
    return absent if value is None or not np.isfinite(value) else f"{value:.4f}"
