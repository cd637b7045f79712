"""Scan stages: their size, where they start from, what they may look at."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tests.made_features import made_features

from ichlite.errors import InputError, UnknownName
from ichlite.models.scan_stage import (
    GEOMETRY,
    MASK,
    SCAN_LOGITS,
    SLICE_LOGITS,
    SLICES,
    STAGES,
    scan_stage,
    slice_geometry,
    slice_inputs,
)

CHANNELS = 9
KINDS = pytest.mark.parametrize("kind", STAGES)


def stage(kind: str, *, moved: bool) -> keras.Model:
    """Untrained, or with weights that do something everywhere."""
    keras.utils.set_random_seed(1)
    model = scan_stage(kind, np.zeros(CHANNELS), np.ones(CHANNELS), width=8)
    if moved:
        rng = np.random.default_rng(2)
        model.set_weights([w + 0.3 * rng.standard_normal(w.shape) for w in model.get_weights()])
    return model


def run(model: keras.Model, slices: Any, count: int) -> tuple[Any, Any]:
    mask = (np.arange(slices.shape[1]) < count)[None, :, None].astype(np.float32)
    outputs = model.predict_on_batch({SLICES: slices.astype(np.float32), MASK: mask})
    return np.asarray(outputs[SLICE_LOGITS])[0, :count], np.asarray(outputs[SCAN_LOGITS])[0]


@KINDS
def test_a_stage_on_everything_has_at_most_30_thousand_parameters(kind: str) -> None:
    channels = 64 + 5 + 5 + GEOMETRY
    assert scan_stage(kind, np.zeros(channels), np.ones(channels)).count_params() <= 30_000


@KINDS
@pytest.mark.parametrize("count", [2, 6])
def test_untrained_it_averages_the_three_highest_slices(kind: str, count: int) -> None:
    slices = np.random.default_rng(0).normal(0, 3, (1, 6, CHANNELS))
    refined, scan = run(stage(kind, moved=False), slices, count)
    logits = slices[0, :count, :5]
    np.testing.assert_allclose(refined, logits, atol=1e-5)
    table = np.column_stack([logits.max(axis=1), logits])
    np.testing.assert_allclose(scan, np.sort(table, axis=0)[-3:].mean(axis=0), atol=1e-4)


@KINDS
def test_what_fills_up_a_scan_changes_nothing(kind: str) -> None:
    model = stage(kind, moved=True)
    slices = np.random.default_rng(0).normal(0, 3, (1, 7, CHANNELS))
    filled = np.concatenate([slices, np.full((1, 9, CHANNELS), 50.0)], axis=1)
    for one, other in zip(run(model, slices, 7), run(model, filled, 7), strict=True):
        np.testing.assert_allclose(one, other, atol=1e-3)


def test_a_convolution_sees_three_slices_to_either_side_and_a_gru_all() -> None:
    slices = np.random.default_rng(0).normal(0, 1, (1, 12, CHANNELS))
    changed = slices.copy()
    changed[0, 0, 5:] += 2.0
    moved = {
        kind: np.abs(run(model, slices, 12)[0] - run(model, changed, 12)[0]).max(axis=1) > 1e-5
        for kind, model in ((kind, stage(kind, moved=True)) for kind in STAGES)
    }
    assert moved["temporal_conv"].tolist() == [True] * 4 + [False] * 8
    assert moved["gru"][:6].all()
    assert moved["no_neighbours"].tolist() == [True] + [False] * 11


@pytest.mark.parametrize("kind", ["temporal_conv", "gru"])
def test_it_can_tell_feet_from_head(kind: str) -> None:
    model = stage(kind, moved=True)
    slices = np.random.default_rng(0).normal(0, 1, (1, 8, CHANNELS))
    turned, _ = run(model, slices[:, ::-1], 8)
    assert np.abs(turned[::-1] - run(model, slices, 8)[0]).max() > 1e-3


def test_geometry_of_gaps_unknown_and_equal_places() -> None:
    gap = slice_geometry(np.array([0.0, 2.5, 5.0, 15.0]))
    assert gap[:, 3].tolist() == [1, 0, 0, 1]
    assert gap[:, 4].tolist() == [0, 0, 1, 1]
    assert gap[1, 1] == pytest.approx(np.log(0.5))
    unknown = slice_geometry(np.array([1.0, np.nan, np.nan]))
    assert unknown[:, 0].tolist() == [-1, 0, 1]
    assert not unknown[:, 1:3].any()
    for places in ([3.0], [3.0, 3.0]):
        assert np.isfinite(slice_geometry(np.array(places))).all()


def test_inputs_begin_with_the_logits() -> None:
    table = made_features(scans=1, slices=6, width=4)
    (scan,) = table.scans()
    few, all_ = (slice_inputs(table, scan, use) for use in ("logits", "features"))
    assert few.shape == (6, 5 + GEOMETRY)
    assert np.array_equal(few[:, :5], table.logits)
    assert np.array_equal(all_[:, -4:], table.features)
    assert np.array_equal(all_[:, :-4], few)


def test_bad_names_and_too_few_inputs_are_refused() -> None:
    table = made_features(scans=1)
    with pytest.raises(UnknownName, match="no_neighbours, temporal_conv, gru"):
        scan_stage("transformer", np.zeros(9), np.ones(9))
    with pytest.raises(UnknownName, match="logits, features"):
        slice_inputs(table, table.scans()[0], "pixels")  # type: ignore[arg-type]
    with pytest.raises(InputError, match="too few inputs"):
        scan_stage("gru", np.zeros(4), np.ones(4))
