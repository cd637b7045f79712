"""Shrinking: each step leaves the form it promises, and fine-tuning makes it good."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from msgspec import UNSET
from tests.compress.trained import as_if_trained, shrink
from tests.toy import make_store

from ichlite.compress.channels import expansions
from ichlite.compress.constraints import kernels_of
from ichlite.compress.fake_quant import (
    FakeQuant,
    fake_kernel,
    quantization_aware,
    take_weights,
)
from ichlite.compress.fine_tune import fine_tune
from ichlite.compress.fold import fold
from ichlite.compress.settings import Shrinking, Tuning
from ichlite.ct.tensor import model_input
from ichlite.data.store import Store
from ichlite.errors import UsageError
from ichlite.infer.bundle import load_bundle
from ichlite.models import light_fcn
from ichlite.models.saved import predict
from ichlite.train import run_manifest
from ichlite.train.recipe import Recipe

STEPS = "pruned", "clustered"
TUNING = Tuning(steps=4, batch_size=4, learning_rate=1e-3)


def gap(one: keras.Model, other: keras.Model, store: Store) -> float:
    rows = store.rows("validation")
    return float(np.abs(predict(one, store, rows) - predict(other, store, rows)).mean())


@pytest.mark.long
def test_all_at_once_leaves_every_form(store: Store, model: keras.Model) -> None:
    before = [np.asarray(one).copy() for one in model.weights]
    seen: list[str] = []
    steps: list[int] = []
    small = shrink(
        model, store, Recipe(), Shrinking((0.5,), None, 0.5, 8, True), TUNING,
        report=seen.append, on_step=lambda step, _: steps.append(step),
    )  # fmt: skip
    assert [line.split(":")[0] for line in seen] == [
        "fewer channels", "sparsity 50%", "8 values a layer",
    ]  # fmt: skip
    assert steps == [*range(1, 5)] * len(Shrinking((0.5,), None, 0.5, 8, True).steps)
    assert [block.width for block in expansions(small)] == [8, 8, 8]
    kinds = {type(layer) for layer in small.layers}
    assert not kinds & {keras.layers.BatchNormalization, FakeQuant}
    for kernel in kernels_of(small):
        values = np.asarray(kernel, np.float64)
        largest = np.abs(values).reshape(-1, values.shape[-1]).max(axis=0)
        if values.ndim == 4 and values.shape[-1] > 1:
            assert len(np.unique(np.round(127 * values / np.maximum(largest, 1e-9)))) <= 8
    for variable, values in zip(model.weights, before, strict=True):
        np.testing.assert_array_equal(np.asarray(variable), values)


def test_nothing_asked_is_nothing_done(store: Store, model: keras.Model) -> None:
    assert shrink(model, store, Recipe(), Shrinking(), TUNING) is model


@pytest.mark.long
def test_fine_tuning_comes_back_to_the_teacher(store: Store, model: keras.Model) -> None:
    student = fold(model)
    rng = np.random.default_rng(0)
    for kernel in kernels_of(student):
        kernel.assign_add(rng.normal(0, 0.05, kernel.shape))
    before = gap(student, model, store)
    told: list[float] = []
    tuning = Tuning(steps=40, batch_size=8, learning_rate=2e-3, teacher_weight=1.0)
    fine_tune(
        student, store, Recipe(), tuning, teacher=model, on_step=lambda _, loss: told.append(loss)
    )
    assert gap(student, model, store) < 0.6 * before
    assert len(told) == 40
    assert np.mean(told[-10:]) < np.mean(told[:5])


@pytest.mark.long
def test_crops_come_before_frames(store: Store) -> None:
    student = light_fcn(expansions=(8, 8), width=4, head_width=8, size=None)
    teacher = keras.models.clone_model(student)
    told: list[int] = []
    tuning = Tuning(steps=1, crop_steps=2, batch_size=2)
    before = np.asarray(student.weights[0]).copy()
    fine_tune(
        student, store, Recipe(), tuning, teacher=teacher, on_step=lambda step, _: told.append(step)
    )
    assert told == [1, 2, 3]
    assert not np.array_equal(np.asarray(student.weights[0]), before)


def test_feature_maps_have_256_values_and_an_exact_zero() -> None:
    import tensorflow as tf

    layer = FakeQuant()
    x = tf.constant(np.random.default_rng(0).uniform(-0.37, 1.91, (4, 9, 9, 3)), tf.float32)
    layer(x, training=True)
    rounded = np.asarray(layer(x))
    assert 200 < len(np.unique(rounded)) <= 256
    assert np.abs(rounded - x).max() <= (1.91 + 0.37) / 255
    assert float(layer(tf.zeros((1, 2, 2, 1)))[0, 0, 0, 0]) == 0.0
    with tf.GradientTape() as tape:
        inside_and_out = tf.Variable([0.5, 99.0, -99.0])
        total = tf.reduce_sum(layer(inside_and_out))
    np.testing.assert_array_equal(tape.gradient(total, inside_and_out), [1, 0, 0])


@pytest.mark.long
@pytest.mark.parametrize("seed", range(3))
def test_a_model_that_rounds_says_nearly_the_same(store: Store, seed: int) -> None:
    keras.utils.set_random_seed(seed)
    plain = fold(as_if_trained(light_fcn(expansions=(16, 16), width=8, head_width=16), seed))
    aware = quantization_aware(plain)
    rows = store.rows("train")[:32]
    aware(np.stack([model_input(store.hu[row]) for row in rows]), training=True)
    assert 0 < gap(aware, plain, store) < 0.02
    before = [np.asarray(one).copy() for one in kernels_of(plain)]
    take_weights(plain, aware)
    for one, other in zip(kernels_of(plain), before, strict=True):
        np.testing.assert_array_equal(np.asarray(one), other)


def test_rounded_kernels_have_int8_steps_and_whole_gradients() -> None:
    import tensorflow as tf

    kernel = tf.Variable(np.random.default_rng(0).normal(size=(3, 3, 4, 6)).astype(np.float32))
    with tf.GradientTape() as tape:
        rounded = fake_kernel(kernel, (0, 1, 2))
        total = tf.reduce_sum(rounded * 2.0)
    np.testing.assert_allclose(tape.gradient(total, kernel), 2.0)
    largest = np.abs(kernel.numpy()).max(axis=(0, 1, 2))
    steps = rounded.numpy() / (largest / 127)
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-3)
    assert np.abs(steps).max() == pytest.approx(127)


def test_weights_come_back_by_name(model: keras.Model) -> None:
    plain = fold(model)
    aware = quantization_aware(plain)
    for kernel in kernels_of(aware):
        kernel.assign(np.asarray(kernel) + 1)
    take_weights(plain, aware)
    for one, other in zip(kernels_of(plain), kernels_of(aware), strict=True):
        np.testing.assert_array_equal(np.asarray(one), np.asarray(other))


@pytest.mark.parametrize(
    "wrong",
    [
        {"steps": 0},
        {"crop_steps": -1},
        {"seed": 2**32},
        {"batch_size": 0},
        {"learning_rate": 0.0},
        {"temperature": float("nan")},
        {"teacher_weight": 1.5},
        {"seed": -1},
    ],
)
def test_impossible_tunings_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=next(iter(wrong)).replace("_", "-")):
        Tuning(**wrong)


@pytest.mark.long
def test_the_command_writes_what_passes_and_nothing_else(
    ichlite: Callable[..., Any], store: Store, model: keras.Model, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    model.save(run / "best.keras")
    run_manifest.write_manifest(run, run_manifest.describe(Recipe(), store, store_name="toy"))
    words = ("compress", run, store.path)
    quick = ("--steps", 4, "--batch-size", 4, "--keep-channels", 0.5, "--clusters", 16)
    free = ("--max-auc-drop", 1, "--max-subtype-drop", 1)
    done = ichlite(*words, tmp_path / "small", *quick, *free, "--json")
    assert done.exit_code == 0, done.err
    document = json.loads(done.out)
    assert document["compression"]["keep_channels"] == [0.5]
    assert document["compression"]["tuning"]["steps"] == 4
    assert document["gate"]["max_mean_drop"] == 1
    assert document["cost"]["bytes"] == document["model_bytes"]
    card = (tmp_path / "small" / "model-card.md").read_text()
    assert "What that did: 0.5 of the expansion channels kept; 16 values a layer" in card
    ruin = ("--steps", 2, "--batch-size", 2, "--learning-rate", 1, "--clusters", 4)
    bad = ichlite(*words, tmp_path / "bad", *ruin)
    assert bad.exit_code == 1
    assert "the accuracy gate" in bad.err
    assert "--qat" in bad.err
    assert "--max-auc-drop" in bad.err
    assert not (tmp_path / "bad").exists()
    two = ("--precision", "float16", "--precision", "int8", "--every-step")
    done = ichlite(*words, tmp_path / "two", *quick, *free, *two, "--name", "toy", "--json")
    assert done.exit_code == 0, done.err
    assert [Path(one["bundle"]).relative_to(tmp_path / "two") for one in json.loads(done.out)] == [
        Path("pruned/float16"), Path("pruned/int8"),
        Path("clustered/float16"), Path("clustered/int8"),
    ]  # fmt: skip
    pruned, shared = (load_bundle(tmp_path / "two" / step / "int8") for step in STEPS)
    assert (pruned.name, shared.name) == ("toy-pruned-int8", "toy-clustered-int8")
    assert pruned.manifest.compression.clusters is None
    assert "--clusters" not in pruned.manifest.command
    assert shared.manifest.command == (
        "ichlite compress RUN STORE OUT --precision int8 --keep-channels 0.5 --clusters 16 "
        "--steps 4 --batch-size 4 --max-auc-drop 1.0 --max-subtype-drop 1.0 "
        "--name toy-clustered-int8"
    )
    assert shared.manifest.quantization is not UNSET
    assert load_bundle(tmp_path / "two/pruned/float16").manifest.quantization is UNSET
    other = make_store(tmp_path / "other", patients=12)
    elsewhere = ichlite("compress", run, other.path, tmp_path / "wrong")
    assert elsewhere.exit_code == 1
    assert "was not trained on" in elsewhere.err
    assert ichlite(*words, tmp_path / "wrong", "--teacher", run).exit_code == 2
    crops = ichlite(*words, tmp_path / "wrong", *quick, "--crop-steps", 2)
    assert crops.exit_code == 2
    assert "images of any size" in crops.err
    mixed = ("--qat", "--precision", "int8", "--precision", "float32")
    for wrong in (mixed, ("--qat", "--precision", "float32"), ("--precision", "int4")):
        assert ichlite(*words, tmp_path / "wrong", *wrong).exit_code == 2
    assert not (tmp_path / "wrong").exists()
