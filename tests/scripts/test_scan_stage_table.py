"""The table of scan stages: today's rule is that of reading; no fold learns from itself."""

from __future__ import annotations

import numpy as np
import pytest
from scripts.scan_stage_table import (
    RULES,
    TODAY,
    Views,
    distinct,
    document_of,
    exceeds_noise,
    head_method,
    print_table,
    rule_method,
    run_method,
    stage_method,
)
from tests.made_features import made_features

from ichlite.evaluate.calibrate import fit_calibration
from ichlite.infer.decision import decide
from ichlite.models.features import join_features


@pytest.fixture(scope="module")
def folds() -> list[Views]:
    learn, test = (made_features(scans=10, seed=s, first=s * 100) for s in (8, 9))
    return [
        Views(made_features(scans=10, seed=s, first=s * 20), None, learn, test) for s in range(3)
    ]


def test_a_rule_decides_as_reading_does(folds: list[Views]) -> None:
    rest = join_features([folds[1].held, folds[2].held])
    calibration = fit_calibration(rest.labels[:, 1:], rest.logits)
    table = folds[0].held
    for name, rule in RULES.items():
        slices, scans = rule_method(name, rule).judge(folds, 0, 0)(table)
        for scan, found in zip(table.scans(), scans, strict=True):
            decision = decide(table.logits[scan], calibration, rule)
            assert list(decision.scan.values()) == pytest.approx(found.tolist())
            read = [list(one.values()) for one in decision.slices]
            np.testing.assert_allclose(slices[scan], read)


@pytest.mark.long
@pytest.mark.parametrize("method", [
    rule_method(TODAY, RULES[TODAY]),
    stage_method("temporal_conv", "features", "stacked", 2),
    head_method("hierarchical", 2),
], ids=lambda method: method.name)  # fmt: skip
def test_a_fold_does_not_learn_from_its_own_patients(method, folds: list[Views]) -> None:
    """Another truth of the fold's patients gives the same scores."""
    from dataclasses import replace

    held = replace(folds[0].held, labels=folds[0].held.labels[::-1].copy())
    changed = [replace(folds[0], held=held), *folds[1:]]
    table = folds[0].held
    for one, other in zip(
        method.judge(folds, 0, 1)(table), method.judge(changed, 0, 1)(table), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=1e-6)


@pytest.mark.long
def test_a_document_has_a_row_a_method(folds: list[Views], capsys) -> None:
    methods = [rule_method(TODAY, RULES[TODAY]), stage_method("gru", "logits", "stacked", 2)]
    results = {one.name: run_method(one, [folds, folds], 2) for one in methods}
    assert not exceeds_noise({"difference": 0.02, "interval_95": (0.01, 0.03)}, 0.011)
    assert exceeds_noise({"difference": 0.02, "interval_95": (0.01, 0.03)}, 0.009)
    today, gru = document_of(results, TODAY, draws=50)
    assert (len(today["seeds"]), len(gru["seeds"])) == (2, 4)
    assert "difference" not in today
    assert set(gru["difference"]) == {"scans any", "scans mean", "slices any", "slices mean"}
    assert 0 <= gru["interval_95"]["scans any"][0] <= gru["mean"]["scans any"] <= 1
    print_table("scans", [today, gru])
    assert capsys.readouterr().out.count("\n| gru, logits, stacked |") == 1


def test_phantoms_that_one_network_sees_count_once(folds: list[Views]) -> None:
    assert len(distinct([views.learn for views in folds])) == 1
    assert len(distinct([views.held for views in folds])) == 3
