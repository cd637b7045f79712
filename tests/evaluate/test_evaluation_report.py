"""The report of judged cases: the contract's keys, and every number in its place."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET

from ichlite.contracts.codec import convert_document, read_document, to_json_value
from ichlite.contracts.evaluation import Evaluation
from ichlite.evaluate.evaluation_report import markdown, write_report
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.evaluate.summary import summarise
from ichlite.labels import CLASSES, NAMES

METRICS = {
    "roc_auc", "average_precision", "sensitivity", "specificity", "accuracy",
    "balanced_accuracy", "positives",
}  # fmt: skip
HALF = dict.fromkeys(CLASSES, 0.5)


@pytest.fixture(scope="module")
def judged() -> Judged:
    rng = np.random.default_rng(0)
    labels = np.zeros((60, 6), np.uint8)
    labels[:20, 2] = labels[10:30, 5] = 1  # intraparenchymal and subdural; no epidural at all
    labels[:, 0] = labels[:, 1:].max(axis=1)
    probabilities = np.clip(0.3 * rng.random((60, 6)) + 0.5 * labels, 0, 1)
    patients = np.repeat(np.arange(12), 5).astype(str)
    return Judged(
        Cases(labels, probabilities, patients),
        Cases(labels[::5], probabilities[::5], patients[::5]),
    )


def summary_of(judged: Judged, **options: Any) -> Evaluation:
    return summarise(judged, data="toys", slice_thresholds=HALF, scan_thresholds=HALF, **options)


def test_summary_keeps_the_contract(judged: Judged) -> None:
    summary = summary_of(judged)
    written = to_json_value(summary)
    assert convert_document(Evaluation, written) == summary
    assert {"data", "slices", "per_class", "mean", "any", "all_negative_accuracy"} <= set(written)
    assert list(written["per_class"]) == list(NAMES)
    for row in [*written["per_class"].values(), written["mean"], written["any"]]:
        assert set(row) >= METRICS
    assert summary.slices == 60
    assert summary.scan.scans == 12
    assert summary.per_class["subdural"].positives == 20
    assert summary.per_class["subdural"].roc_auc == 1.0
    assert summary.per_class["epidural"].roc_auc is None
    assert summary.any.positives == 30
    assert summary.all_negative_accuracy == pytest.approx(1 - 40 / 300)


def test_thresholds_are_used_where_they_belong(judged: Judged) -> None:
    never, always = dict.fromkeys(CLASSES, 1.1), dict.fromkeys(CLASSES, 0.0)
    summary = summarise(judged, data="toys", slice_thresholds=never, scan_thresholds=always)
    assert summary.any.sensitivity == 0.0
    assert summary.scan.any.sensitivity == 1.0
    assert summary.scan.any.specificity == 0.0


def test_a_subtype_left_out_of_training_has_no_metrics(judged: Judged) -> None:
    whole = summary_of(judged, bootstrap=20)
    summary = summary_of(judged, bootstrap=20, left_out=("subdural",))
    for table in summary.tables.values():
        row = table.per_class["subdural"]
        assert {getattr(row, metric) for metric in METRICS - {"positives"}} == {None}
        assert set(row.undefined.values()) == {"left out of training"}
        assert set(row.intervals.values()) == {None}
        assert "subdural" in table.mean.undefined["roc_auc"]
    assert summary.any == whole.any
    for name in ("specificity", "accuracy"):
        rest = [getattr(summary.per_class[one], name) for one in NAMES if one != "subdural"]
        assert getattr(summary.mean, name) == pytest.approx(np.mean(rest))


def test_intervals_only_when_asked(judged: Judged) -> None:
    assert summary_of(judged).any.roc_auc_95 is UNSET
    low, high = summary_of(judged, bootstrap=20).any.roc_auc_95
    assert low <= high <= 1.0


def test_report_writes_tables_and_plots(judged: Judged, tmp_path: Path) -> None:
    summary = summary_of(judged, bootstrap=20)
    files = write_report(tmp_path / "report", summary, judged)
    assert all(file.stat().st_size > 0 for file in files)
    assert {f.name for f in files} == {
        "metrics.json", "metrics.md", "metrics.csv", "roc-slice.png", "roc-scan.png",
        "precision-recall-slice.png", "precision-recall-scan.png",
    }  # fmt: skip
    assert read_document(Evaluation, (tmp_path / "report" / "metrics.json").read_text()) == summary
    with (tmp_path / "report" / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [r["unit"] for r in rows] == ["slice"] * 7 + ["scan"] * 7
    subdural = next(r for r in rows if r["class"] == "subdural")
    assert float(subdural["roc_auc"]) == 1.0
    assert next(r for r in rows if r["class"] == "epidural")["roc_auc"] == "undefined"


def test_markdown_says_what_is_undefined_and_the_baseline(judged: Judged) -> None:
    page = markdown(summary_of(judged))
    assert "- epidural: roc auc is undefined, no positive image" in page
    assert "Answering no to everything: mean accuracy 0.8667." in page
    assert "| Class |" in page or "| class |" in page
