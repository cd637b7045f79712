"""Two devices train as one does, on JAX in a process of its own; windows on the device are ours."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichlite.ct.windows import PAPER_WINDOWS, apply_windows
from ichlite.models.from_hu import Windows
from ichlite.train.learner import LAG

pytestmark = pytest.mark.long

EVERY_HU = np.arange(-1024, 3072, dtype=np.int16).reshape(1, 64, 64)

_SCRIPT = """
import json, sys
from pathlib import Path
import jax, keras
import numpy as np
from ichlite.errors import IchliteError
from ichlite.data.feed import to_windows
from ichlite.models import MODELS
from ichlite.models.blocks import classifier, conv_bn, relu, windows_input
from ichlite.models.from_hu import Windows
from ichlite.models.saved import predict
from ichlite.train import checkpoint
from ichlite.train.batches import Batch
from ichlite.train.devices import available, spread
from ichlite.train.learner import Learner
from ichlite.train.recipe import Recipe
from ichlite.train.setup import compile_model, losses_of, prepare_model

def tiny(*, dropout, bn_momentum, size):
    'One convolution, quick to compile, with all that makes batches differ: norm and dropout.'
    image = windows_input(size)
    x = relu(conv_bn(image, 8, 3, strides=4, momentum=bn_momentum, name="stem"), "features")
    return classifier(image, x, dropout=dropout, name="tiny")

folder = Path(sys.argv[1])
MODELS["light_fcn"] = tiny
rng = np.random.default_rng(0)
hu = rng.integers(-100, 200, (6, 4, 64, 64)).astype(np.int16)
labels = rng.integers(0, 2, (6, 4, 5)).astype(np.float32)
recipe = Recipe(
    loss="ldam_drw", defer_share=0.5, batch_size=4, crop_steps=1, device_windows=True,
    clipnorm=1.0, ema_momentum=0.5,
)
seen = np.concatenate(labels).astype(np.uint8)
SCORED = 67

class Noise:
    def __getitem__(self, rows):
        return np.stack([np.full((64, 64), 10 * row, np.int16) for row in rows])

class Few:
    hu = Noise()

def batch_of(hu, labels):
    return Batch(hu, labels, np.zeros((4, 8, 8), np.uint8), np.ones(4, np.float32))

def train(count, recipe=recipe):
    with spread(count, recipe.batch_size) as names:
        every = losses_of(recipe, seen, 6)
        model = prepare_model(recipe, 6)
        learner = Learner(model, recipe, every, 6)
        losses = []
        for step in range(4):
            batch = learner.put(batch_of(hu[step], labels[step]))
            shares = [len(array.sharding.device_set) for array in batch]
            losses += learner.step(step, batch)
        losses += learner.finish()
        file = folder / f"{count}.keras"
        with learner.plain() as plain:
            checkpoint.save(plain, file)
            # A number of rows that two devices cannot share.
            logits = predict(learner.outer, Few, np.arange(SCORED))
        fresh = prepare_model(recipe, 6)
        checkpoint.resume(file, fresh)
        again = Learner(fresh, recipe, every, 6)
        on = {"whole": [], "resumed": []}
        for step in (4, 5):
            on["whole"] += learner.step(step, learner.put(batch_of(hu[step], labels[step])))
            on["resumed"] += again.step(step, again.put(batch_of(hu[step], labels[step])))
        on["whole"] += learner.finish()
        on["resumed"] += again.finish()
        nowhere = batch_of(hu[0], np.full((4, 5), np.nan, np.float32))
        diverged = diverge(learner, learner.put(nowhere))
    return {
        "diverged": diverged,
        "names": names, "shares": shares, "losses": losses, "logits": logits.tolist(), **on,
        "policies": sorted({layer.dtype_policy.name for layer in keras.saving.load_model(
            file, compile=False).layers}),
    }

def bare():
    'The same steps by train_on_batch of Keras, with windows of the host.'
    model = prepare_model(recipe, 6)
    compile_model(model, model.optimizer, losses_of(recipe, seen, 6)["ldam"], recipe)
    return [float(model.train_on_batch(to_windows(hu[s]), labels[s])) for s in range(3)]

def diverge(learner, batch):
    for step in range(6, 40):
        try:
            learner.step(step, batch)
        except IchliteError as failure:
            return [step, str(failure)]

every = np.arange(-1024, 3072, dtype=np.int16).reshape(1, 64, 64)
document = {
    "available": available(), "one": train(1), "two": train(2), "bare": bare(),
    "windows": np.asarray(Windows()(every)).tolist(),
}
print(json.dumps(document))
"""


@pytest.fixture(scope="module")
def jax_run(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    pytest.importorskip("jax")
    flags = "--xla_force_host_platform_device_count=2"
    done = subprocess.run(
        [sys.executable, "-c", _SCRIPT, str(tmp_path_factory.mktemp("jax"))],
        env={**os.environ, "KERAS_BACKEND": "jax", "XLA_FLAGS": flags},
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    document: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return document


def test_two_devices_train_as_one(jax_run: dict[str, Any]) -> None:
    one, two = jax_run["one"], jax_run["two"]
    assert len(jax_run["available"]) == 2
    assert (one["shares"], two["shares"]) == ([1] * 4, [2] * 4)
    assert two["names"] == jax_run["available"]
    assert len(one["losses"]) == 4
    np.testing.assert_allclose(two["losses"], one["losses"], rtol=1e-4)
    np.testing.assert_allclose(two["logits"], one["logits"], rtol=1e-2, atol=1e-3)
    assert np.shape(two["logits"]) == (67, 5)


@pytest.mark.parametrize("count", ["one", "two"])
def test_a_jax_run_goes_on_from_its_checkpoint(jax_run: dict[str, Any], count: str) -> None:
    run = jax_run[count]
    assert len(run["whole"]) == 2
    np.testing.assert_allclose(run["resumed"], run["whole"], rtol=1e-5)
    assert run["policies"] == ["float32"]


def test_the_step_on_jax_is_keras_own(jax_run: dict[str, Any]) -> None:
    np.testing.assert_allclose(jax_run["one"]["losses"][:3], jax_run["bare"], rtol=1e-4)


def test_divergence_is_found_some_steps_later_and_named_rightly(jax_run: dict[str, Any]) -> None:
    for count in ("one", "two"):
        step, message = jax_run[count]["diverged"]
        assert "diverged at step 7;" in message
        assert step == 6 + LAG


def test_windows_on_the_device_are_those_of_the_host(jax_run: dict[str, Any]) -> None:
    expected = apply_windows(EVERY_HU, PAPER_WINDOWS)
    np.testing.assert_allclose(jax_run["windows"], expected, rtol=2e-7, atol=0)
    np.testing.assert_allclose(Windows()(EVERY_HU), expected, rtol=2e-7, atol=0)


@settings(max_examples=25, deadline=None)
@given(hu=arrays(np.int16, (2, 5, 3), elements=st.integers(-32768, 32767)))
def test_windows_on_the_device_take_any_int16(hu: np.ndarray) -> None:
    np.testing.assert_allclose(Windows()(hu), apply_windows(hu, PAPER_WINDOWS), rtol=2e-7, atol=0)
