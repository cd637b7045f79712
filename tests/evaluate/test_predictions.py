"""Judging a store: slices where slices are labelled, scans always, `any` as the store says."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.evaluate.evaluation_report import markdown
from ichlite.evaluate.predictions import BARE, judge_logits
from ichlite.evaluate.summary import summarise
from ichlite.infer.decision import Calibration
from ichlite.labels import CLASSES

HALF = dict.fromkeys(CLASSES, 0.5)


def test_scan_labels_give_scan_metrics_alone(tmp_path: Path) -> None:
    path = make_store(tmp_path / "store", patients=10).path
    meta = json.loads((path / "store.json").read_text())
    (path / "store.json").write_text(json.dumps({**meta, "label_level": "scan"}))
    store = Store.open(path)
    rows = np.arange(len(store))
    logits = np.where(store.labels > 0, 3.0, -3.0).astype(np.float32)
    judged = judge_logits(logits, store, rows, Calibration(), BARE)
    assert judged.slices.labels.shape == (0, 6)
    summary = summarise(judged, data="toys", slice_thresholds=HALF, scan_thresholds=HALF)
    assert summary.slices == 0
    assert summary.patients == summary.scan.scans == 10
    assert summary.rsna_log_loss is None
    assert summary.any.undefined["roc_auc"]
    assert summary.scan.any.roc_auc == 1.0
    assert "undefined" in markdown(summary)


def test_any_is_what_the_store_says(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=3)
    store.any[:] = 1  # readers may agree on a bleed and not on its subtype
    logits = np.zeros((len(store), 5), np.float32)
    judged = judge_logits(logits, store, np.arange(len(store)), Calibration(), BARE)
    assert judged.slices.labels[:, 0].all()
    assert not judged.slices.labels[:, 1:].all()
