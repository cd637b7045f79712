"""Intervals: by patients, wider than by slices, and none where the metric is mostly undefined."""

from __future__ import annotations

import numpy as np

from ichlite.evaluate.intervals import patient_bootstrap
from ichlite.evaluate.metrics import roc_auc


def test_one_patients_slices_are_drawn_together() -> None:
    rng = np.random.default_rng(0)
    patients = np.repeat(np.arange(20), 30)
    # A patient's slices share their luck.
    scores = np.repeat(rng.normal(size=20), 30) + 0.1 * rng.normal(size=600)
    labels = np.tile([0, 1], 300)
    scores = scores + labels
    wide = patient_bootstrap(roc_auc, labels, scores, patients.astype(str), draws=200)
    narrow = patient_bootstrap(roc_auc, labels, scores, np.arange(600).astype(str), draws=200)
    assert wide[0] < roc_auc(labels, scores) < wide[1]
    assert wide[1] - wide[0] > 1.5 * (narrow[1] - narrow[0])


def test_seed_makes_the_interval() -> None:
    labels, scores = [0, 1, 0, 1] * 5, np.random.default_rng(1).random(20)
    patients = [str(i // 2) for i in range(20)]
    one, again, other = (
        patient_bootstrap(roc_auc, labels, scores, patients, draws=50, seed=s) for s in (1, 1, 2)
    )
    assert one == again != other


def test_none_where_most_draws_are_undefined() -> None:
    assert patient_bootstrap(roc_auc, [0, 0], [0.1, 0.2], ["a", "b"], draws=10) is None
    assert patient_bootstrap(roc_auc, [], [], [], draws=10) is None
