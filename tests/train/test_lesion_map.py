"""The lesion map's loss: worked by hand, balanced, finite, silent where nobody outlined."""

from __future__ import annotations

import json

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichlite.errors import UsageError
from ichlite.train.losses.lesion_map import LesionMap, lesion_map_loss, unpack

KNOWN = np.ones(1, np.float32)


def softplus(x: float) -> float:
    return float(np.logaddexp(0, x))


def logits(background: float, side: int = 8) -> np.ndarray:
    return np.full((1, side, side, 5), background, np.float32)


def one_cell(subtype: int, side: int = 8) -> np.ndarray:
    cells = np.zeros((1, side, side), np.uint8)
    cells[0, 2, 3] = 1 << subtype
    return cells


def test_by_hand() -> None:
    z = logits(-3.0)
    z[0, 2, 3, 4] = 1.0  # the bleed's cell
    z[0, 5, 5, 4] = 2.0  # a false one
    p = 1 / (1 + np.exp([3.0, -2.0]))
    easy = 8 * 8 * 5 - 2
    weights = np.array([easy * p[0] ** 2, p[1] ** 2])
    others = (weights * [softplus(-3), softplus(2)]).sum() / weights.sum()
    found = float(lesion_map_loss(one_cell(4), KNOWN, z)[0])
    assert found == pytest.approx(softplus(-1) + others, rel=1e-3)


def test_blood_and_the_rest_weigh_alike_however_little_blood_there_is() -> None:
    z = tf.constant(logits(0.0, 32))
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = lesion_map_loss(one_cell(4, 32), KNOWN, z)
    pull = tape.gradient(loss, z).numpy()
    assert pull[pull < 0].sum() == pytest.approx(-pull[pull > 0].sum(), rel=1e-4)


def test_a_false_cell_pulls_more_than_all_the_easy_ones() -> None:
    values = logits(-5.0, 32)
    values[0, 9, 9, 4] = 2.0
    z = tf.constant(values)
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = lesion_map_loss(one_cell(4, 32), KNOWN, z)
    pull = tape.gradient(loss, z).numpy()
    false = pull[0, 9, 9, 4]
    assert false > pull[pull > 0].sum() - false


def test_unknown_cells_teach_nothing() -> None:
    z = tf.constant(np.concatenate([logits(0.3), logits(0.3)]))
    cells = np.concatenate([one_cell(0), one_cell(0)])
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = lesion_map_loss(cells, np.array([0.0, 1.0]), z)
    pull = tape.gradient(loss, z).numpy()
    assert loss.numpy()[0] == 0
    assert loss.numpy()[1] > 0
    assert not pull[0].any()
    assert pull[1].any()


@pytest.mark.parametrize("logit", [-100.0, 0.0, 100.0])
@pytest.mark.parametrize("cells", [np.zeros((1, 8, 8), np.uint8), one_cell(2)])
def test_gradients_are_finite(logit: float, cells: np.ndarray) -> None:
    z = tf.constant(logits(logit))
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = lesion_map_loss(cells, KNOWN, z)
    pull = tape.gradient(loss, z).numpy()
    assert np.isfinite(loss.numpy()).all()
    assert np.isfinite(pull).all()
    if logit == 100.0:
        assert pull.sum() == pytest.approx(1.0, rel=1e-3)
    if logit == -100.0 and cells.any():
        assert pull[0, 2, 3, 2] == pytest.approx(-1.0, rel=1e-3)


@settings(max_examples=25, deadline=None)
@given(
    cells=arrays(np.uint8, (2, 4, 4), elements=st.integers(0, 31)),
    z=arrays(np.float32, (2, 4, 4, 5), elements=st.floats(-30, 30, width=32)),
)
def test_one_finite_number_an_image_and_not_negative(cells: np.ndarray, z: np.ndarray) -> None:
    loss = np.asarray(lesion_map_loss(cells, np.ones(2), z))
    assert loss.shape == (2,)
    assert np.isfinite(loss).all()
    assert (loss >= 0).all()
    alone = np.asarray(lesion_map_loss(cells[1:], np.ones(1), z[1:]))
    np.testing.assert_allclose(alone, loss[1:], rtol=1e-4, atol=1e-6)


def test_each_bit_is_a_subtype() -> None:
    masks = np.arange(32, dtype=np.uint8)
    bits = np.asarray(unpack(masks))
    np.testing.assert_array_equal(bits @ (1 << np.arange(5)), masks)


@pytest.mark.parametrize("shape", [(1, 4, 8), (1, 8), (2, 8, 8)])
def test_cells_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(UsageError, match="cells do not fit"):
        lesion_map_loss(np.zeros(shape, np.uint8), KNOWN, logits(0.0))


def test_the_class_is_the_weighted_mean_and_survives_its_config() -> None:
    again = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(LesionMap()))))
    z = np.random.default_rng(0).normal(0, 3, (3, 8, 8, 5)).astype(np.float32)
    cells = np.random.default_rng(1).integers(0, 32, (3, 8, 8)).astype(np.uint8)
    known = np.array([1.0, 0.0, 1.0], np.float32)
    expected = np.mean(lesion_map_loss(cells, known, z))
    assert float(again(cells, z, known)) == pytest.approx(float(expected), rel=1e-5)
