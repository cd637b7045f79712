"""Loading: what is no Keras model is said to be none, in one line; older files are still read."""

from __future__ import annotations

from contextlib import suppress
from importlib import import_module
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from ichlite.ct.tensor import model_input
from ichlite.errors import InputError
from ichlite.infer.bundle import load_bundle
from ichlite.infer.runtime import Runtime
from ichlite.models import light_fcn
from ichlite.models.outputs import slice_logits
from ichlite.models.saved import load
from ichlite.train.checkpoint import resume, save
from ichlite.train.recipe import Recipe
from ichlite.train.setup import prepare_model

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.long
def test_a_damaged_file_is_no_model(tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    light_fcn(expansions=(8,), width=8, head_width=8).save(path)
    assert load(path).count_params() > 0
    content = bytearray(path.read_bytes())
    for place in range(100, len(content), 997):
        damaged = content.copy()
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with suppress(InputError):  # a byte that nobody looks at may have changed
            load(path)
    path.write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="is no Keras model"):
        load(path)


@keras.saving.register_keras_serializable(package="ichlite")
class SubtypeGain(keras.layers.Layer):
    """The layer of its own that `lesion_fcn` had, as files of then name it."""

    def build(self, shape: Any) -> None:
        self.gain = self.add_weight(
            shape=shape[-1:], initializer="ones", constraint="non_neg", name="gain"
        )
        self.built = True

    def call(self, logits: Any) -> Any:
        return logits * self.gain


@pytest.mark.long
def test_a_file_of_before_stock_layers_is_read_and_its_run_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe = Recipe(model="lesion_fcn", expansions=(8,) * 5, width=8)
    x = np.random.default_rng(0).random((2, 256, 256, 3), np.float32)
    truth = {"logits": np.full((2, 5), 9.0, np.float32)}
    with monkeypatch.context() as then:
        module = import_module("ichlite.models.lesion_fcn")
        then.setattr(module, "subtype_gain", lambda: SubtypeGain(name="map_gain"))
        old = prepare_model(recipe, total=10)
    old.compile(old.optimizer, {"logits": "mse", "lesion_map": None})
    old.train_on_batch(x, truth)
    old.compile(old.optimizer)
    save(old, tmp_path / "last.keras")

    def check(new: keras.Model) -> None:
        assert type(new.get_layer("map_gain")) is keras.layers.EinsumDense
        assert not np.array_equal(new.get_layer("map_gain").get_weights(), np.ones((1, 5)))
        for key, value in old(x).items():
            np.testing.assert_array_equal(new(x)[key], value)
        for one, other in zip(new.optimizer.variables, old.optimizer.variables, strict=True):
            np.testing.assert_array_equal(one, other)

    check(load(tmp_path / "last.keras", compiled=True))
    fresh = prepare_model(recipe, total=10)
    resume(tmp_path / "last.keras", fresh)
    check(fresh)


def test_the_embedded_model_is_that_of_the_run_in_models() -> None:
    model, runtime = load(ROOT / "models" / "lesion_fcn-run-all"), Runtime(load_bundle())
    rng = np.random.default_rng(0)
    for hu in rng.integers(-1000, 1000, (3, 256, 256), np.int16):
        expected = np.asarray(slice_logits(model(model_input(hu)[None])))[0]
        np.testing.assert_allclose(runtime.run_hu(hu)[0], expected, atol=0.05)
