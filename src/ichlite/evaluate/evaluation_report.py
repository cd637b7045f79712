"""Write an evaluation: Markdown and CSV tables, ROC and precision-recall plots."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from ichlite.evaluate.metrics import METRICS
from ichlite.evaluate.plots import CURVES, plot_curves
from ichlite.evaluate.pointing import pointing_lines
from ichlite.evaluate.predictions import Judged
from ichlite.labels import ANY, NAMES

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


def write_report(folder: Path, summary: Mapping[str, Any], judged: Judged) -> tuple[Path, ...]:
    """Write the files of a report into a folder.

    Args:
        folder: Made when missing.
        summary: From `summary.summarise`.
        judged: What it was made from, for the curves.

    Returns:
        The files: metrics.json, metrics.csv, metrics.md, and four plots.
    """
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "metrics.json": json.dumps(summary, indent=2, allow_nan=False) + "\n",
        "metrics.md": markdown(summary),
    }
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    with (folder / "metrics.csv").open("w", newline="") as file:
        csv.writer(file).writerows(table(summary, "slice") + table(summary["scan"], "scan")[1:])
    seeds = summary.get("seeds", ())
    drawn = f"{seeds[0]['scores']}, out of fold" if seeds else summary["data"]
    plots = [
        plot_curves(cases, curve, folder / f"{curve}-{kind}.png", f"{kind}s of {drawn}")
        for kind, cases in (("slice", judged.slices), ("scan", judged.scans))
        for curve in CURVES
    ]
    return (*(folder / name for name in files), folder / "metrics.csv", *plots)


def table(part: Mapping[str, Any], unit: str) -> list[list[str]]:
    """Return the table of a summary, or of its `scan` part, as text.

    Args:
        part: With `per_class`, `mean` and `any`.
        unit: `slice` or `scan`.

    Returns:
        A header and a row for each class, of equal length; an undefined metric is the word
        `undefined`, an interval that would say nothing the word `none`.
    """
    rows = {
        **{name: part["per_class"][name] for name in NAMES},
        "mean": part["mean"],
        ANY: part[ANY],
    }
    extra = {key for key in ("roc_auc_95", "seed_sd", "roc_auc_of_logits") if key in part[ANY]}
    header = ["unit", "class", "positives", *METRICS]
    header += ["roc_auc_low", "roc_auc_high"] if "roc_auc_95" in extra else []
    header += ["roc_auc_seed_sd"] if "seed_sd" in extra else []
    header += ["roc_auc_of_logits"] if "roc_auc_of_logits" in extra else []
    body = []
    for name, row in rows.items():
        cells = [unit, name, str(row["positives"]), *(_number(row[m]) for m in METRICS)]
        if "roc_auc_95" in extra:
            cells += [_number(end, "none") for end in row["roc_auc_95"] or (None, None)]
        if "seed_sd" in extra:
            cells.append(_number(row["seed_sd"]["roc_auc"], "none"))
        if "roc_auc_of_logits" in extra:
            cells.append(_number(row["roc_auc_of_logits"]))
        body.append(cells)
    return [header, *body]


def markdown(summary: Mapping[str, Any]) -> str:
    """Return a summary as a Markdown page with one table for slices and one for scans."""
    scan = summary["scan"]
    parts = [
        f"# {summary['data']}",
        "",
        f"{summary['slices']:,} slices, {scan['scans']:,} scans, {summary['patients']:,} patients.",
        *(f"\n{line}" for line in summary.get("notes", ())),
        *(f"\n**Warning: {line}.**" for line in summary.get("warnings", ())),
    ]
    for title, part, unit in (("Slices", summary, "slice"), ("Scans", scan, "scan")):
        header, *body = [row[1:] for row in table(part, unit)]
        header = [TITLES.get(cell, cell.replace("_", " ")) for cell in header]
        parts += ["", f"## {title}", "", _line(header), "|" + "---|" * len(header)]
        parts += [_line(row) for row in body]
        parts += [
            "",
            f"Answering no to everything: mean accuracy {_number(part['all_negative_accuracy'])}.",
        ]
        reasons = sorted({
            f"{name}: {metric.replace('_', ' ')} is undefined, {why}"
            for name, row in part["per_class"].items()
            for metric, why in row["undefined"].items()
        })  # fmt: skip
        reasons += _without_interval({**part["per_class"], "mean": part["mean"], ANY: part[ANY]})
        parts += ["", *(f"- {reason}" for reason in reasons)] if reasons else []
    parts += ["", f"RSNA weighted log loss of slices: {_number(summary['rsna_log_loss'])}."]
    if "pointing" in summary:
        parts += pointing_lines(summary["pointing"])
    if "against" in summary:
        parts += _against(summary["against"])
    return "\n".join(parts) + "\n"


def _without_interval(rows: Mapping[str, Any]) -> list[str]:
    """Return a line for each class and reason whose intervals would say nothing."""
    why: dict[tuple[str, str], list[str]] = {}
    for name, row in rows.items():
        for metric, reason in row.get("no_interval", {}).items():
            why.setdefault((name, reason), []).append(metric.replace("_", " "))
    return [
        f"{name}: no 95 % interval of {', '.join(metrics)}, {reason}"
        for (name, reason), metrics in why.items()
    ]


def _against(against: Mapping[str, Any]) -> list[str]:
    """Return the lines of a comparison with another model."""
    header = ["unit", "class", "ROC AUC", "of the other", "difference", "low", "high", "p"]
    body = [
        [
            unit, name, _number(one["roc_auc"]), _number(one["other_roc_auc"]),
            _number(one["difference"]),
            *(_number(end, "none") for end in one["interval"] or (None, None)),
            _number(one["p"], "none"),
        ]
        for unit, part in (("slice", "slices"), ("scan", "scans"))
        for name, one in against[part].items()
    ]  # fmt: skip
    reasons = [
        f"- {unit}s, {name}: no interval, {one['reason']}"
        for unit, part in (("slice", "slices"), ("scan", "scans"))
        for name, one in against[part].items()
        if one["reason"]
    ]
    return [
        "",
        f"## Against {against['model']}",
        "",
        f"Differences of ROC AUC on the same {against['patients']:,} patients; 95 % intervals and "
        f"two-sided p from {against['draws']:,} redraws of them, the same for both models.",
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
