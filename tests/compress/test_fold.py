"""Folding: every architecture gives the same logits without its batch normalisation."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from tests.compress.trained import as_if_trained

from ichlite.compress.fold import fold
from ichlite.models import MODELS, build


@pytest.mark.parametrize("name", MODELS)
def test_a_folded_model_says_the_same(name: str) -> None:
    model = as_if_trained(build(name, size=64))
    folded = fold(model)
    images = np.random.default_rng(1).random((3, 64, 64, 3), np.float32)
    for one, other in zip(
        keras.tree.flatten(folded(images)), keras.tree.flatten(model(images)), strict=True
    ):
        np.testing.assert_allclose(one, other, atol=5e-5)
    kinds = [type(layer) for layer in folded.layers]
    assert keras.layers.BatchNormalization not in kinds
    assert {"features", "logits"} <= {layer.name for layer in folded.layers}


def test_what_follows_no_convolution_stays() -> None:
    image = keras.Input((8, 8, 3))
    x = keras.layers.BatchNormalization(name="first")(image)
    x = keras.layers.Conv2D(4, 1, activation="relu", name="conv")(x)
    x = keras.layers.BatchNormalization(name="after_relu")(x)
    model = as_if_trained(keras.Model(image, x))
    folded = fold(model)
    assert [layer.name for layer in folded.layers[1:]] == ["first", "conv", "after_relu"]
    images = np.random.default_rng(1).random((2, 8, 8, 3), np.float32)
    np.testing.assert_allclose(folded(images), model(images), atol=1e-6)
