"""Training a scan stage: it learns what a rule cannot see, and the seed decides everything."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.made_features import made_features

from ichlite.errors import InputError, UnknownName, UsageError
from ichlite.models.scan_stage import MASK, SCAN_LOGITS, SLICE_LOGITS, SLICES
from ichlite.train.head_training import (
    StageRecipe,
    fit_scan_stage,
    joined_sources,
    padded,
    score_scan_stage,
    vary,
)

QUICK = StageRecipe(use="features", steps=3, scans=4, width=8)


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    ill, well = scores[labels > 0], scores[labels == 0]
    return float((ill[:, None] > well).mean())


@pytest.mark.long
def test_it_learns_that_a_bleed_crosses_slices() -> None:
    learn, test = (made_features(scans=40, slices=8, seed=seed) for seed in (1, 2))
    recipe = StageRecipe(steps=60, learning_rate=0.02, vary=False)
    model = fit_scan_stage(recipe, [learn])
    found = score_scan_stage(model, test, "logits")
    labels = np.array([test.labels[scan].max(axis=0) for scan in test.scans()])
    highest = np.array([test.logits[scan].max() for scan in test.scans()])
    assert auc(labels[:, 0], highest) < 0.2
    assert auc(labels[:, 0], found.scans[:, 0]) > 0.9
    assert auc(test.labels[:, 0], found.slices.max(axis=1)) > 0.9


@pytest.mark.long
def test_a_seed_says_it_all() -> None:
    table = made_features(scans=6)
    one, same, other = (
        score_scan_stage(fit_scan_stage(replace(QUICK, seed=seed), [table]), table, "features")
        for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(one.scans, same.scans, atol=1e-6)
    assert np.abs(one.scans - other.scans).max() > 1e-4


@pytest.mark.long
def test_scores_do_not_depend_on_company() -> None:
    table = made_features(scans=5)
    model = fit_scan_stage(QUICK, [table])
    together = score_scan_stage(model, table, "features")
    rows = table.scans()[3]
    alone = score_scan_stage(model, table.take(rows), "features")
    np.testing.assert_allclose(alone.slices, together.slices[rows], atol=1e-5)
    np.testing.assert_allclose(alone.scans[0], together.scans[3], atol=1e-5)


def test_scans_of_one_length_and_another_become_one_batch() -> None:
    table = made_features(scans=2, slices=8)
    first, second = table.scans()
    inputs, truth = padded([(table, first), (table, second[:4])], "logits", 10)
    assert inputs[SLICES].shape[:2] == (2, 10)
    assert inputs[MASK][..., 0].sum(axis=1).tolist() == [8, 4]
    assert not inputs[SLICES][1, 4:].any()
    assert not truth[SLICE_LOGITS][1, 4:].any()
    expected = table.labels[second[:4]].max(axis=0)
    assert truth[SCAN_LOGITS][1].tolist() == expected.tolist()


def test_a_varied_scan_is_a_part_of_it_in_order() -> None:
    rng = np.random.default_rng(0)
    lengths = set()
    for _ in range(200):
        kept = vary(np.arange(30), rng)
        lengths.add(len(kept))
        assert len(set(np.diff(kept).tolist())) == 1
        assert kept[0] <= 6
        assert kept[-1] >= 22
    assert min(lengths) < 15
    assert max(lengths) == 30
    assert vary(np.arange(3), rng).tolist() == [0, 1, 2]
    assert vary(np.arange(1), rng).tolist() == [0]


def test_a_scan_that_several_networks_see_is_several_scans() -> None:
    table = made_features(scans=3)
    (joined,) = joined_sources([table, table], [])
    assert len(joined.scans()) == 6
    assert len(joined_sources([table], [table])) == 2


def test_what_cannot_be_trained_on_is_refused() -> None:
    table = made_features(scans=2)
    with pytest.raises(InputError, match="same outputs"):
        fit_scan_stage(QUICK, [table, made_features(scans=2, width=3)])
    with pytest.raises(InputError, match="slices in every source"):
        fit_scan_stage(QUICK, [table, table.take(np.arange(0))])
    with pytest.raises(InputError, match="slices in every source"):
        fit_scan_stage(QUICK, [])
    with pytest.raises(UnknownName, match="temporal_conv"):
        fit_scan_stage(replace(QUICK, kind="lstm"), [table])
    with pytest.raises(UsageError, match="0 steps"):
        StageRecipe(steps=0)
