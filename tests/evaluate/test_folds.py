"""Pooled folds: each scan judged by what other folds say; files that disagree are refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET
from tests.evaluate.made_scores import SLICES, made_scores

from ichlite.contracts.codec import document_text, read_document, to_json_value
from ichlite.contracts.evaluation import Evaluation
from ichlite.errors import UnknownName
from ichlite.evaluate.calibrate import fit_calibration
from ichlite.evaluate.evaluation_report import markdown, write_report
from ichlite.evaluate.folds import (
    calibrate_named,
    judge_out_of_fold,
    summarise_folds,
)
from ichlite.evaluate.metrics import roc_auc
from ichlite.evaluate.seeds import Seed
from ichlite.infer.decision import Rule, decide
from ichlite.labels import CLASSES, NAMES


def seed_of(**made: Any) -> Seed:
    return Seed(f"s{made.get('seed', 0)}.csv", made_scores(**made))


def test_a_fold_is_calibrated_and_called_by_the_others() -> None:
    table = made_scores(patients=20, folds=2, offset=3.0)
    found = judge_out_of_fold(table, rule=Rule())
    rest = table.fold != "1"
    calibration = fit_calibration(table.labels[rest, 1:], table.logits[rest])
    names = np.unique(table.series)
    for scan in names[:4]:
        rows = np.flatnonzero(table.series == scan)
        if table.fold[rows[0]] != "1":
            continue
        expected = decide(table.logits[rows], calibration, Rule())
        place = int(np.flatnonzero(names == scan)[0])
        assert found.judged.scans.probabilities[place].tolist() == [
            expected.scan[key] for key in CLASSES
        ]
        np.testing.assert_array_equal(
            found.judged.slices.probabilities[rows],
            [[p[k] for k in CLASSES] for p in expected.slices],
        )
        assert found.scan_thresholds["any"][place] == found.by_fold["1"]["scan"]["any"]
        assert (found.slice_thresholds["any"][rows] == found.by_fold["1"]["slice"]["any"]).all()
    assert found.judged.scans.patients.tolist() == names.tolist()
    np.testing.assert_array_equal(found.judged.slices.labels, table.labels)


def test_what_a_fold_holds_does_not_touch_its_own_calibration_or_threshold() -> None:
    table = made_scores(patients=20, folds=2)
    held = table.fold == "1"
    turned = replace(table, logits=np.where(held[:, None], -table.logits, table.logits))
    before, after = (judge_out_of_fold(one) for one in (table, turned))
    assert before.by_fold["1"] == after.by_fold["1"]
    assert before.by_fold["2"] != after.by_fold["2"]


def test_raw_logits_are_pooled_as_they_are() -> None:
    seed = seed_of(offset=4.0)
    document, _ = summarise_folds([seed])
    raw = roc_auc(seed.table.labels[:, 0], seed.table.logits.max(axis=1))
    assert document.any.roc_auc_of_logits == raw
    assert document.seeds[0].any.roc_auc_of_logits == raw
    assert document.scan.any.roc_auc_of_logits is UNSET
    none, _ = summarise_folds([seed], calibrate="none")
    assert none.any.roc_auc != document.any.roc_auc
    with pytest.raises(UnknownName, match="expected one of cross, none"):
        calibrate_named("all")


def test_document_keeps_the_contract() -> None:
    seeds = [seed_of(seed=i, folds=4) for i in range(3)]
    document, judged = summarise_folds(seeds, bootstrap=30)
    assert read_document(Evaluation, document_text(document)) == document
    written = to_json_value(document)
    assert {"data", "folds", "slices", "scans", "patients", "per_class", "mean", "any"} <= {
        *written
    }
    assert (document.folds, document.slices, document.scans) == (4, 40 * SLICES, 40)
    assert len(judged) == len(document.seeds) == 3
    for part in (written, written["scan"]):
        for name in (*NAMES, "mean", "any"):
            row = part["per_class"][name] if name in NAMES else part[name]
            assert set(row) >= {
                "roc_auc", "average_precision", "sensitivity", "specificity", "positives",
                "expected_calibration_error", "seed_sd", "intervals", "no_interval",
            }  # fmt: skip
    by_seed = [one.scan.any.roc_auc for one in document.seeds]
    assert document.scan.any.roc_auc == pytest.approx(np.mean(by_seed))
    assert document.scan.any.seed_sd["roc_auc"] == pytest.approx(np.std(by_seed, ddof=1))
    low, high = document.any.intervals["roc_auc"]
    assert low < document.any.roc_auc < high
    for one in document.seeds:
        assert set(to_json_value(one)) == {
            "scores", "per_class", "mean", "any", "all_negative_accuracy", "rsna_log_loss", "scan",
            "thresholds_by_fold",
        }  # fmt: skip
        low, high = one.any.intervals["sensitivity"]
        assert low <= one.any.sensitivity <= high


def test_one_seed_has_no_spread_and_is_its_own_mean(tmp_path: Path) -> None:
    document, judged = summarise_folds([seed_of()], bootstrap=20)
    assert document.any.seed_sd is UNSET
    assert document.any == document.seeds[0].any
    page = markdown(document)
    assert "Platt" in page
    assert "roc auc of logits" in page.lower() or "ROC AUC of raw logits" in page
    assert all(file.stat().st_size for file in write_report(tmp_path, document, judged[0]))


def test_intervals_of_one_patients_bleeds_are_none_and_said() -> None:
    table = made_scores(patients=20, folds=2)
    alone = np.where(table.patient == "P00", table.labels[:, 1], 0)
    labels = table.labels.copy()
    labels[:, 1] = alone
    labels[:, 0] = labels[:, 1:].max(axis=1)
    document, _ = summarise_folds([Seed("s.csv", replace(table, labels=labels))], bootstrap=50)
    row = document.per_class["epidural"]
    assert row.intervals["roc_auc"] is None
    assert row.roc_auc_95 is None
    assert row.no_interval["roc_auc"] == "all positives are of one patient"
    assert row.intervals["specificity"] is not None
    assert "epidural: no 95 % interval of roc auc, sensitivity" in markdown(document)
