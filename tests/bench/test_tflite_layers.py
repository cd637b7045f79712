"""Layers of a file against counting by hand, and the memory that its tensors take."""

from __future__ import annotations

import keras
import pytest
from tests.bench.documents import FILE

from ichlite.bench.tflite_layers import arena_bytes, layers_of
from ichlite.compress.graph import with_map
from ichlite.compress.model_cost import flops, one_slice
from ichlite.compress.quantize import to_tflite
from ichlite.errors import InputError
from ichlite.models import build


def test_a_layer_counted_by_hand() -> None:
    image = keras.Input(batch_shape=(1, 8, 6, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", bias_initializer="ones")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", bias_initializer="ones")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    content = to_tflite(keras.Model(image, x), "float32")
    conv, depthwise, pool = layers_of(content)
    assert (conv.kind, conv.output_shape) == ("CONV_2D", (1, 8, 6, 4))
    assert conv.flops == 8 * 6 * 4 * (2 * 3 * 3 * 3 + 1)
    assert (conv.input_bytes, conv.output_bytes) == (8 * 6 * 3 * 4, 8 * 6 * 4 * 4)
    assert conv.weight_bytes == (3 * 3 * 3 * 4 + 4) * 4
    assert conv.bytes == conv.input_bytes + conv.weight_bytes + conv.output_bytes
    assert depthwise.flops == 8 * 6 * 4 * (2 * 3 * 3 + 1)
    assert pool.flops == 4 * 3 * 4 * 4


def test_light_fcns_layers_are_its_graph() -> None:
    model = build("light_fcn")
    layers = layers_of(to_tflite(with_map(model), "float32"))
    kinds = [layer.kind for layer in layers]
    # The stem, two in each of five blocks, the head and the map; one depthwise a block.
    assert (kinds.count("CONV_2D"), kinds.count("DEPTHWISE_CONV_2D")) == (13, 5)
    assert (kinds.count("ADD"), kinds.count("MAX_POOL_2D"), kinds.count("MEAN")) == (5, 5, 1)
    # TensorFlow's profiler counts normalisation, which is folded here.
    counted = sum(layer.flops for layer in layers)
    assert 0.96 < counted / flops(one_slice(model, 256)) < 1


def test_what_cannot_be_counted_is_refused() -> None:
    image = keras.Input(batch_shape=(1, 8))
    model = keras.Model(image, keras.ops.sin(image))
    with pytest.raises(InputError, match="the operations of SIN cannot be counted"):
        layers_of(to_tflite(model, "float32"))


def test_the_arena_holds_what_lives_at_once_but_not_everything() -> None:
    content = FILE.read_bytes()
    layers = layers_of(content)
    # An addition may write where it reads, so not what it reads and writes together.
    at_once = max(max(layer.input_bytes, layer.output_bytes) for layer in layers)
    assert at_once <= arena_bytes(content) < sum(layer.output_bytes for layer in layers)
