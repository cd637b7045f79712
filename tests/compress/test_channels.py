"""Groups of channels: what shares them is found, and what others need is left alone."""

from __future__ import annotations

from typing import Any

import keras

from ichlite.compress.channels import expansions, streams
from ichlite.models import build, light_fcn


def test_the_stream_of_light_fcn_is_made_and_read_by_every_block() -> None:
    (stream,) = streams(light_fcn(size=64))
    blocks = range(1, 6)
    assert {layer.name for layer in stream.makers} == {
        "stem",
        *(f"block{number}_project" for number in blocks),
    }
    assert {layer.name for layer in stream.readers} == {
        "head",
        *(f"block{number}_expand" for number in blocks),
    }
    normed = {layer.name for layer in stream.carriers if layer.weights}
    assert normed == {f"{layer.name}_bn" for layer in stream.makers}


def test_plain_networks_have_no_stream() -> None:
    assert streams(build("sfcn", size=64)) == streams(build("sfcn_depthwise", size=64)) == ()
    assert expansions(build("sfcn", size=64)) == ()


def test_a_channel_that_others_read_too_is_left_alone() -> None:
    image = keras.Input((8, 8, 3))
    wide = keras.layers.Conv2D(16, 1, name="wide")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="filter")(wide)
    x = keras.layers.Conv2D(4, 1, name="narrow")(x)
    both = keras.layers.Concatenate()([x, wide])
    assert expansions(keras.Model(image, both)) == ()
    assert len(expansions(keras.Model(image, x))) == 1


def test_a_depthwise_layer_that_makes_channels_hands_none_on() -> None:
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(16, 1)(image)
    x = keras.layers.DepthwiseConv2D(3, depth_multiplier=2, padding="same")(x)
    assert expansions(keras.Model(image, keras.layers.Conv2D(4, 1)(x))) == ()


def test_what_is_added_to_the_input_or_is_the_output_is_no_stream() -> None:
    image = keras.Input((8, 8, 16))

    def conv(x: Any) -> Any:
        return keras.layers.Conv2D(16, 3, padding="same")(x)

    to_input = keras.layers.Add()([image, conv(image)])
    assert streams(keras.Model(image, conv(to_input))) == ()
    first = conv(image)
    as_output = keras.layers.Add()([first, conv(first)])
    assert streams(keras.Model(image, as_output)) == ()
    assert [one.width for one in streams(keras.Model(image, conv(as_output)))] == [16]
