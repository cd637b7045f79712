"""Fused batch normalisation: what Keras' own would have computed, learned and kept."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from numpy.typing import NDArray

from ichlite.errors import UsageError
from ichlite.models import build
from ichlite.train.recipe import Recipe
from ichlite.train.setup import fuse_normalization, prepare_model


def trained(*, fused: bool) -> tuple[list[float], list[NDArray[np.float32]]]:
    keras.utils.set_random_seed(3)
    model = build("light_fcn", width=8, expansions=(8, 8, 8), dropout=0.0, size=64)
    if fused:
        fuse_normalization(model)
    model.compile(keras.optimizers.SGD(0.05), "mse", jit_compile=False)
    rng = np.random.default_rng(1)
    x = rng.random((4, 64, 64, 3), np.float32)
    y = rng.random((4, 5), np.float32)
    losses = [float(model.train_on_batch(x, y)) for _ in range(3)]
    return losses, model.get_weights()


@pytest.mark.long
@pytest.mark.skipif(keras.backend.backend() != "tensorflow", reason="a kernel of TensorFlow")
def test_fused_layers_train_as_plain_ones_do() -> None:
    plain_losses, plain = trained(fused=False)
    fused_losses, fused = trained(fused=True)
    np.testing.assert_allclose(fused_losses, plain_losses, rtol=1e-4)
    for one, other in zip(fused, plain, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4)


def test_the_saved_model_has_plain_layers(tmp_path) -> None:  # type: ignore[no-untyped-def]
    model = build("light_fcn", width=8, expansions=(8, 8, 8), size=64)
    fuse_normalization(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    x = np.random.default_rng(0).random((2, 64, 64, 3), np.float32)
    np.testing.assert_array_equal(loaded.predict_on_batch(x), model.predict_on_batch(x))


@pytest.mark.parametrize(
    ("name", "pixels"), [("light_fcn", 32), ("lesion_fcn", 72), ("sfcn_depthwise", 56)]
)
def test_crops_that_a_model_cannot_take_are_refused(name: str, pixels: int) -> None:
    recipe = Recipe(model=name, crop_steps=1, crop_size=pixels)
    with pytest.raises(UsageError, match=f"{name} cannot be trained on crops of {pixels} pixels"):
        prepare_model(recipe, 10)


@pytest.mark.parametrize("name", ["light_fcn", "lesion_fcn", "sfcn", "mobilenet_v2"])
def test_the_default_crops_fit_every_model(name: str) -> None:
    assert prepare_model(Recipe(model=name, crop_steps=1), 10).name == name
