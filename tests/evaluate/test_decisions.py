"""Decisions from scores out of fold: promises kept, honest estimates, a manifest that reads."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET, structs
from tests.evaluate.made_scores import SLICES, made_scores

from ichlite.compress.card import decision_lines
from ichlite.contracts.bundle import OPERATING_POINTS
from ichlite.contracts.codec import document_text, read_document, to_json_value
from ichlite.errors import InputError
from ichlite.evaluate.decisions import (
    PREVALENCES,
    Decisions,
    decisions_from_files,
    decisions_from_scores,
    predictive,
)
from ichlite.evaluate.folds import calibration_of
from ichlite.evaluate.intervals import wilson
from ichlite.evaluate.scores import write_scores
from ichlite.evaluate.seeds import Seed
from ichlite.infer.bundle import calibration_of as calibration_in
from ichlite.infer.bundle import rule_of
from ichlite.infer.decision import decide
from ichlite.labels import CLASSES


def seeds(count: int = 1, **made: float) -> list[Seed]:
    return [Seed(f"s{i}.csv", made_scores(seed=i, **made)) for i in range(count)]  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def decisions() -> Decisions:
    return decisions_from_scores(seeds(2, patients=60, folds=3, skill=1.5))


def test_points_keep_their_promise_on_the_scores_that_chose_them(decisions: Decisions) -> None:
    points = decisions.points
    assert tuple(points) == OPERATING_POINTS
    assert points["high_sensitivity"].frozen.sensitivity.value >= 0.95
    assert points["high_specificity"].frozen.specificity.value >= 0.95
    ordered = [point.threshold for point in points.values()]
    assert ordered == sorted(ordered)
    for point in points.values():
        for estimate in (point.frozen, point.nested):
            assert (estimate.sensitivity.cases, estimate.specificity.cases) == (24, 36)
            for share in (estimate.sensitivity, estimate.specificity):
                assert 0 <= share.low <= share.value <= share.high <= 1
            assert [one.prevalence for one in estimate.predictive] == list(PREVALENCES)
        assert set(point.by_fold) == {"1", "2", "3"}


def test_frozen_is_what_reading_with_the_manifest_does(decisions: Decisions) -> None:
    written = [read_document(type(one), document_text(one)) for one in decisions.specs]
    calibration, rule = calibration_in(written[0]), rule_of(written[1])
    document = to_json_value(written[1])
    assert document["thresholds"] == document["operating_points"]["balanced"]
    hits = 0
    for seed in seeds(2, patients=60, folds=3, skill=1.5):
        table = seed.table
        for scan in np.unique(table.series):
            rows = np.flatnonzero(table.series == scan)
            rows = rows[np.argsort(table.position_mm[rows])]
            hits += (
                decide(table.logits[rows], calibration, rule).urgent and table.labels[rows].any()
            )
    assert hits / 2 == decisions.points["balanced"].frozen.sensitivity.count
    for name in OPERATING_POINTS:
        assert set(document["operating_points"][name]) == set(CLASSES)
        evidence = document["evidence"]["points"][name]
        assert set(evidence) == {"threshold", "frozen", "nested", "by_fold"}


@pytest.mark.long
def test_the_nested_estimate_knows_no_fold_that_it_judges() -> None:
    """Scores without any skill: the frozen threshold looks better than chance, the nested not."""
    gaps = []
    for luck in range(8):
        table = made_scores(patients=30, folds=5, skill=0.0, seed=luck)
        balanced = decisions_from_scores([Seed("s.csv", table)]).points["balanced"]
        frozen, nested = (
            one.sensitivity.value + one.specificity.value - 1
            for one in (balanced.frozen, balanced.nested)
        )
        gaps.append(frozen - nested)
        assert frozen >= 0
    assert np.mean(gaps) > 0.05


def test_a_seed_more_adds_no_scans() -> None:
    one = decisions_from_scores(seeds(1, folds=2)).points["balanced"].frozen
    twice = (
        decisions_from_scores([*seeds(1, folds=2), *seeds(1, folds=2)]).points["balanced"].frozen
    )
    for kind in ("sensitivity", "specificity"):
        share = getattr(twice, kind)
        assert share.cases == getattr(one, kind).cases
        assert (share.low, share.high) == wilson(share.count, share.cases)


def test_seeds_stand_beside_each_other_and_are_not_averaged() -> None:
    tables = [seed.table for seed in seeds(2, folds=2)]
    average = replace(tables[0], logits=(tables[0].logits + tables[1].logits) / 2)
    assert calibration_of(*tables) != calibration_of(average)
    assert decisions_from_scores(seeds(2, folds=2)).calibration == calibration_of(*tables)


def test_folds_of_one_kind_choose_nothing() -> None:
    table = made_scores(patients=10, folds=2)
    bleeding = np.isin(table.patient, table.patient[table.labels[:, 0] == 1])
    sorted_by_bleed = replace(table, fold=np.where(bleeding, "1", "2"))
    with pytest.raises(InputError, match="the folds beside 1 have scans of one kind alone"):
        decisions_from_scores([Seed("s.csv", sorted_by_bleed)])


def test_from_files_says_which(tmp_path: Path) -> None:
    for seed in seeds(2):
        write_scores(tmp_path / seed.name, seed.table)
    found = decisions_from_files([tmp_path / "s0.csv", tmp_path / "s1.csv"])
    origin = found.origin
    assert origin.scores == ("s0.csv", "s1.csv")
    assert (origin.folds, origin.slices, origin.scans, origin.bleeding_scans, origin.patients) == (
        2, 40 * SLICES, 40, 16, 40,
    )  # fmt: skip
    assert origin.sha256 != decisions_from_files([tmp_path / "s0.csv"]).origin.sha256


def test_card_has_a_row_for_each_point(decisions: Decisions) -> None:
    lines = decision_lines(decisions.specs[1])
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == 2 + len(OPERATING_POINTS)
    assert len({row.count("|") for row in rows}) == 1
    assert "PPV / NPV at 1 % | PPV / NPV at 5 % | PPV / NPV at 20 %" in rows[0]
    assert "60 scans of 60 patients, 24 with a bleed, in 3 folds, 2 seeds" in "\n".join(lines)
    assert " of 24" in rows[2]
    assert decision_lines(structs.replace(decisions.specs[1], evidence=UNSET)) == []


@given(st.floats(0, 1), st.floats(0, 1), st.sampled_from(PREVALENCES))
def test_predictive_values_are_bayes(
    sensitivity: float, specificity: float, prevalence: float
) -> None:
    found = predictive(sensitivity, specificity, prevalence)
    for value in (found.ppv, found.npv):
        assert value is None or 0 <= value <= 1
    if sensitivity + specificity > 1 + 1e-9:
        assert found.ppv is None or found.ppv >= prevalence - 1e-9
        assert found.npv is None or found.npv >= 1 - prevalence - 1e-9
