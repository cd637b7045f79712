"""Laws that every model and every loss keeps; a new one is tested by being in its table."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichlite.compress.graph import with_map
from ichlite.models import MODELS, build
from ichlite.models.outputs import has_lesion_map, slice_logits
from ichlite.models.saved import load
from ichlite.train.checkpoint import save
from ichlite.train.losses import (
    LOSSES,
    Asymmetric,
    Bce,
    ClassBalanced,
    DistributionBalanced,
    Focal,
    Ldam,
    asymmetric,
    bce,
    class_balanced,
    class_balanced_weights,
    distribution_balanced,
    focal,
    ldam,
    ldam_margins,
)
from ichlite.train.recipe import Recipe
from ichlite.train.setup import prepare_model

PARAMS = {
    "light_fcn": 86_853,
    "lesion_fcn": 87_343,
    "sfcn": 998_469,
    "sfcn_depthwise": 136_111,
    "mobilenet_v2": 2_264_389,
}
POSITIVES, IMAGES = (2_709, 29_860, 21_586, 29_299, 38_864), 267_279
"""The paper's training split."""
MARGINS = ldam_margins(POSITIVES).tolist()
WEIGHTS = class_balanced_weights(POSITIVES, IMAGES).tolist()
FUNCTIONS = {
    "bce": bce,
    "focal": lambda y, z: focal(y, z, gamma=2.0),
    "ldam": lambda y, z: ldam(y, z, margins=MARGINS),
    "class_balanced": lambda y, z: class_balanced(y, z, weights=WEIGHTS),
    "asymmetric": asymmetric,
    "distribution_balanced": lambda y, z: distribution_balanced(
        y, z, positives=POSITIVES, images=IMAGES
    ),
    "ldam_drw": lambda y, z: ldam(y, z, margins=MARGINS, weights=WEIGHTS),
}
OBJECTS = {
    "bce": Bce(),
    "focal": Focal(gamma=2.0),
    "ldam": Ldam(margins=MARGINS),
    "class_balanced": ClassBalanced(weights=WEIGHTS),
    "asymmetric": Asymmetric(),
    "distribution_balanced": DistributionBalanced(positives=POSITIVES, images=IMAGES),
    "ldam_drw": Ldam(margins=MARGINS, weights=WEIGHTS),
}
FORGIVES = {"asymmetric": 0}
"""Losses that let go of a label that the model is sure is wrong, and which label."""

every_model = pytest.mark.parametrize("name", MODELS)
every_loss = pytest.mark.parametrize("name", LOSSES)

labels_5 = arrays(np.int64, (4, 5), elements=st.integers(0, 1))
logits_5 = arrays(np.float32, (4, 5), elements=st.floats(-30, 30, width=32))


def windows(count: int, size: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).random((count, size, size, 3), np.float32)


def logits_of(model: keras.Model, x: np.ndarray) -> np.ndarray:
    return np.asarray(slice_logits(model(x)))


# Models


def test_every_model_and_loss_is_under_these_laws() -> None:
    assert set(PARAMS) == set(MODELS)
    assert set(FUNCTIONS) == set(OBJECTS) == set(LOSSES)


@every_model
def test_model_has_exactly_its_parameters(name: str) -> None:
    assert build(name).count_params() == PARAMS[name]
    assert build(name, size=None).count_params() == PARAMS[name]


@every_model
def test_model_gives_five_logits_of_any_sign(name: str) -> None:
    model = build(name, size=64)
    assert slice_logits(model.output).shape == (None, 5)
    last = model.get_layer("pooled_logits" if has_lesion_map(model) else "logits")
    assert last.activation is keras.activations.linear


@pytest.mark.long
@every_model
def test_same_weights_take_crops_and_frames(name: str) -> None:
    model = build(name, size=None)
    for size in (64, 128):
        fixed = build(name, size=size)
        fixed.set_weights(model.get_weights())
        x = windows(2, size)
        np.testing.assert_allclose(logits_of(model, x), logits_of(fixed, x), rtol=1e-4, atol=1e-5)


@every_model
def test_an_image_is_judged_by_itself(name: str) -> None:
    model = build(name, size=64)
    x = windows(3, 64)
    alone = np.concatenate([logits_of(model, x[i : i + 1]) for i in range(3)])
    np.testing.assert_allclose(logits_of(model, x), alone, rtol=1e-4, atol=1e-5)


@every_model
def test_exported_graph_keeps_the_logits(name: str) -> None:
    model = build(name)
    dense = model.get_layer("pooled_logits" if has_lesion_map(model) else "logits")
    kernel, bias = dense.get_weights()
    dense.set_weights([kernel, bias + np.arange(5)])
    x = windows(1, 256)
    both, expected = with_map(model)(x), logits_of(model, x)
    np.testing.assert_allclose(both["logits"], expected, rtol=1e-4, atol=1e-4)
    if "cam" in both:
        np.testing.assert_allclose(
            np.mean(both["cam"], axis=(1, 2)), expected, rtol=1e-4, atol=1e-4
        )


@pytest.mark.long
@every_model
def test_same_seed_same_weights(name: str) -> None:
    def weights(seed: int) -> list[np.ndarray]:
        keras.utils.set_random_seed(seed)
        return build(name, size=64).get_weights()

    one, again, other = weights(1), weights(1), weights(2)
    assert all(np.array_equal(a, b) for a, b in zip(one, again, strict=True))
    assert not all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@every_model
def test_every_weight_learns_and_stays_finite(name: str) -> None:
    keras.utils.set_random_seed(0)
    model = build(name, size=64, dropout=0.0)
    x, y = windows(4, 64), np.eye(5, dtype=np.float32)[:4]
    with tf.GradientTape() as tape:
        loss = Bce()(y, slice_logits(model(x, training=True)))
    gradients = tape.gradient(loss, model.trainable_variables)
    assert all(g is not None and np.isfinite(g).all() for g in gradients)
    assert np.abs(gradients[0]).max() > 0


_KERAS_ALONE = """
import json, sys
import keras
import numpy as np
x = np.random.default_rng(0).random((1, 256, 256, 3), np.float32)
for path in sys.argv[1:]:
    logits = keras.models.load_model(path)(x)
    logits = logits["logits"] if isinstance(logits, dict) else logits
    print(json.dumps(np.asarray(logits).tolist()))
assert not [name for name in sys.modules if name.startswith("ichlite")]
"""


@pytest.mark.long
def test_keras_alone_loads_what_training_saves_of_every_model(tmp_path: Path) -> None:
    files = sorted((Path(__file__).resolve().parents[1] / "models").glob("*/best.keras"))
    assert files
    for name in MODELS:
        files.append(tmp_path / f"{name}.keras")
        save(prepare_model(Recipe(model=name), total=10), files[-1])
    done = subprocess.run(
        [sys.executable, "-c", _KERAS_ALONE, *files], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    for path, logits in zip(files, done.stdout.splitlines()[-len(files) :], strict=True):
        np.testing.assert_allclose(
            json.loads(logits), logits_of(load(path), windows(1, 256)), rtol=1e-5, atol=1e-6
        )


@every_model
def test_dropout_and_momentum_reach_the_layers(name: str) -> None:
    model = build(name, dropout=0.3, bn_momentum=0.9, size=64)
    assert model.get_layer("dropout").rate == 0.3
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert norms
    assert {norm.momentum for norm in norms} == {0.9}


# Losses


@every_loss
@settings(max_examples=25, deadline=None)
@given(labels=labels_5, logits=logits_5)
def test_loss_is_one_finite_number_an_image_and_not_negative(
    name: str, labels: np.ndarray, logits: np.ndarray
) -> None:
    loss = np.asarray(FUNCTIONS[name](labels, logits))
    assert loss.shape == (4,)
    assert np.isfinite(loss).all()
    assert (loss >= 0).all()


@every_loss
@settings(max_examples=25, deadline=None)
@given(labels=labels_5, logits=logits_5, order=st.permutations(range(4)))
def test_loss_follows_its_image(
    name: str, labels: np.ndarray, logits: np.ndarray, order: list[int]
) -> None:
    loss = np.asarray(FUNCTIONS[name](labels, logits))
    # Vectorised float32 rounds by the place in the array, so equality is not to the last bit.
    np.testing.assert_allclose(
        FUNCTIONS[name](labels[order], logits[order]), loss[order], rtol=1e-5, atol=1e-10
    )


@every_loss
@settings(max_examples=25, deadline=None)
@given(labels=labels_5, logits=logits_5)
def test_the_truer_the_logits_the_smaller_the_loss(
    name: str, labels: np.ndarray, logits: np.ndarray
) -> None:
    truer = logits + np.where(labels == 1, 1.0, -1.0).astype(np.float32)
    before, after = FUNCTIONS[name](labels, logits), FUNCTIONS[name](labels, truer)
    # Both vanish beyond float32 where the logits are already far on the right side, and level off
    # where a loss forgives.
    assert (np.asarray(after) <= np.asarray(before) * (1 + 1e-6) + 1e-7).all()


@every_loss
@pytest.mark.parametrize("logit", [-100.0, -1.0, 0.0, 1.0, 100.0])
@pytest.mark.parametrize("label", [0, 1])
def test_gradients_are_finite(name: str, logit: float, label: int) -> None:
    z = tf.fill((2, 5), tf.constant(logit, tf.float32))
    with tf.GradientTape() as tape:
        tape.watch(z)
        loss = FUNCTIONS[name](np.full((2, 5), label), z)
    gradient = tape.gradient(loss, z).numpy()
    assert np.isfinite(loss.numpy()).all()
    assert np.isfinite(gradient).all()
    if (label == 1) == (logit == -100.0) and abs(logit) == 100.0:
        if FORGIVES.get(name) == label:
            assert np.abs(gradient).max() < 1e-6
        else:
            # Wrong by 100 must still pull: a fifth, for the mean, of the least weight.
            assert np.abs(gradient).min() > 0.02


@every_loss
def test_loss_takes_lists_and_whole_numbers(name: str) -> None:
    labels, logits = [[1, 0, 0, 1, 0]], [[2.0, -1.0, 0.0, 1.0, -3.0]]
    once = FUNCTIONS[name](labels, logits)
    arrays_too = FUNCTIONS[name](np.array(labels, bool), np.array(logits, np.float32))
    np.testing.assert_array_equal(once, arrays_too)
    assert np.asarray(FUNCTIONS[name](labels, [[2, -1, 0, 1, -3]]))[0] == np.asarray(once)[0]


@every_loss
def test_class_is_the_mean_of_the_function(name: str) -> None:
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 2, (8, 5))
    logits = rng.normal(0, 3, (8, 5)).astype(np.float32)
    whole = float(OBJECTS[name](labels, logits))
    assert whole == pytest.approx(float(np.mean(FUNCTIONS[name](labels, logits))), rel=1e-6)


@every_loss
def test_loss_trains_in_a_compiled_graph(name: str) -> None:
    rng = np.random.default_rng(4)
    labels, logits = rng.integers(0, 2, (8, 5)), rng.normal(0, 3, (8, 5)).astype(np.float32)
    model = keras.Sequential([keras.Input((5,)), keras.layers.Dense(5, "linear", use_bias=False)])
    model.layers[0].set_weights([np.eye(5, dtype=np.float32)])
    model.compile("sgd", OBJECTS[name], jit_compile=False, run_eagerly=False)
    loss = model.train_on_batch(logits, labels)
    assert float(loss) == pytest.approx(float(OBJECTS[name](labels, logits)), rel=1e-5)
    assert not np.array_equal(model.layers[0].get_weights()[0], np.eye(5))


@every_loss
def test_loss_is_rebuilt_from_its_config(name: str) -> None:
    labels, logits = [[1, 0, 0, 1, 0]], [[2.0, -1.0, 0.0, 1.0, -3.0]]
    again = keras.losses.deserialize(json.loads(json.dumps(keras.losses.serialize(OBJECTS[name]))))
    assert type(again) is LOSSES[name]
    assert float(again(labels, logits)) == float(OBJECTS[name](labels, logits))


_VALUES = """
import json, sys
import keras
import numpy as np
import ichlite.train.losses
given = json.loads(sys.argv[1])
y, z = np.array(given["labels"]), np.array(given["logits"], np.float32)
values = {n: keras.losses.deserialize(c).call(y, z) for n, c in given["losses"].items()}
model = keras.saving.load_model(given["model"], compile=False)
values["logits"] = model(np.random.default_rng(0).random((1, 64, 64, 3), np.float32))
print(keras.backend.backend())
print(json.dumps({name: np.asarray(value).tolist() for name, value in values.items()}))
"""


@pytest.mark.long
def test_tensorflow_and_jax_give_the_same_values(tmp_path: Path) -> None:
    pytest.importorskip("jax")
    assert keras.backend.backend() == "tensorflow"
    rng = np.random.default_rng(7)
    labels = rng.integers(0, 2, (64, 5)).tolist()
    logits = np.append(rng.normal(0, 5, (62, 5)), [[100.0] * 5, [-100.0] * 5], 0).tolist()
    model = build("light_fcn", expansions=(8,), width=8, size=64)
    model.save(tmp_path / "model.keras")
    here = {name: function(labels, logits) for name, function in FUNCTIONS.items()}
    here["logits"] = model(windows(1, 64))
    given = {
        "labels": labels, "logits": logits, "model": str(tmp_path / "model.keras"),
        "losses": {name: keras.losses.serialize(loss) for name, loss in OBJECTS.items()},
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", _VALUES, json.dumps(given)],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
        check=True,
    )
    backend, document = done.stdout.splitlines()[-2:]
    assert backend == "jax"
    there = json.loads(document)
    assert set(there) == set(here)
    for name, values in here.items():
        np.testing.assert_allclose(there[name], values, rtol=2e-5, atol=1e-6, err_msg=name)
