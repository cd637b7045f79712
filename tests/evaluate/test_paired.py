"""Two models on the same patients: no difference of a model to itself, a real one is seen."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.evaluate.made_scores import made_scores

from ichlite.contracts.codec import document_text, read_document
from ichlite.contracts.evaluation import Comparison
from ichlite.errors import InputError
from ichlite.evaluate.intervals import interval
from ichlite.evaluate.metrics import roc_auc
from ichlite.evaluate.paired import compare
from ichlite.evaluate.predictions import Judged
from ichlite.evaluate.summary import ROWS, redraw_cases
from ichlite.infer.decision import Calibration, Rule


def judged(**made: float) -> Judged:
    return made_scores(**made).judged(Calibration(), Rule())  # type: ignore[arg-type]


def test_a_model_does_not_differ_from_itself() -> None:
    one = judged()
    found = compare([one], [one], draws=50)
    assert list(found.slices) == list(found.scans) == list(ROWS)
    for part in (found.slices, found.scans):
        for row in part.values():
            assert (row.difference, row.interval, row.p) == (0.0, (0.0, 0.0), 1.0)


def test_a_better_model_is_told_from_chance_and_the_sides_may_change() -> None:
    good, poor = judged(skill=4.0), judged(skill=0.5)
    found = compare([good], [poor], draws=200)
    row = found.slices["any"]
    assert row.roc_auc == roc_auc(good.slices.labels[:, 0], good.slices.probabilities[:, 0])
    assert row.difference == row.roc_auc - row.other_roc_auc > 0.1
    assert row.interval[0] > 0
    assert row.p == pytest.approx(2 / 201)
    turned = compare([poor], [good], draws=200).slices["any"]
    assert turned.difference == -row.difference
    assert turned.interval == pytest.approx((-row.interval[1], -row.interval[0]), abs=1e-5)
    assert turned.p == row.p
    assert read_document(Comparison, document_text(found)) == found


def test_pairing_is_narrower_than_two_intervals() -> None:
    """Two models that share their luck differ by less than either varies."""
    table = made_scores(skill=1.0)
    noise = np.random.default_rng(9).normal(0, 0.05, table.logits.shape).astype(np.float32)
    close = replace(table, logits=table.logits + noise)
    one, other = (each.judged(Calibration(), Rule()) for each in (table, close))
    low, high = compare([one], [other], draws=200).slices["any"].interval
    half = dict.fromkeys(ROWS, 0.5)
    alone = interval(redraw_cases(one.slices, half, 200, 0)[:, 0, 0])
    assert high - low < 0.3 * (alone[1] - alone[0])


def test_chance_is_called_chance_about_as_often_as_said() -> None:
    ps = [
        compare([judged(seed=2 * i, skill=1.0)], [judged(seed=2 * i + 1, skill=1.0)], draws=100)
        .scans["any"]
        .p
        for i in range(25)
    ]
    assert np.mean(np.array(ps) < 0.05) < 0.25
    assert np.mean(ps) > 0.25


def test_seeds_are_averaged() -> None:
    ours, theirs = [judged(seed=i) for i in range(3)], [judged(seed=9)]
    found = compare(ours, theirs, draws=20).scans["any"]
    mean = np.mean([roc_auc(o.scans.labels[:, 0], o.scans.probabilities[:, 0]) for o in ours])
    assert found.roc_auc == pytest.approx(mean)


def test_other_cases_are_refused_and_undefined_is_said() -> None:
    table = made_scores()
    labels = table.labels.copy()
    labels[:, 1] = 0
    labels[:, 0] = labels[:, 1:].max(axis=1)
    none = replace(table, labels=labels).judged(Calibration(), Rule())
    row = compare([none], [none], draws=10).slices["epidural"]
    assert (row.difference, row.p, row.reason) == (None, None, "undefined on these cases")
    with pytest.raises(InputError, match="are not the same"):
        compare([none], [table.judged(Calibration(), Rule())], draws=10)
    with pytest.raises(InputError, match="are not the same"):
        compare([judged(patients=20)], [judged(patients=40)], draws=10)
