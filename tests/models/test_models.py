"""What is special to one architecture; the laws that all keep are in tests/test_contracts.py."""

from __future__ import annotations

import keras
import pytest

from ichlite.errors import UnknownName
from ichlite.models import build, light_fcn, mobilenet_v2, sfcn_depthwise


def test_unknown_model_lists_the_choices() -> None:
    choices = "light_fcn, lesion_fcn, sfcn, sfcn_depthwise, mobilenet_v2"
    with pytest.raises(UnknownName, match=choices):
        build("resnet")


def test_light_fcn_is_the_figure() -> None:
    model = light_fcn()
    shapes = {layer.name: layer.output.shape[1:] for layer in model.layers}
    assert shapes["stem"] == (128, 128, 32)
    for number, expansion in enumerate((32, 64, 128, 256, 512), start=1):
        side = 256 // 2**number
        assert shapes[f"block{number}_expand"] == (side, side, expansion)
        assert shapes[f"block{number}_add"] == (side, side, 32)
        # Linear bottleneck: what is added was not cut off at zero.
        (projected, _) = model.get_layer(f"block{number}_add").input
        assert projected._keras_history.operation.name == f"block{number}_project_bn"
    assert shapes["features"] == (4, 4, 64)


def test_light_fcn_widths_are_parameters() -> None:
    # The pattern that also fits parameters and FLOPs: five blocks of 192, a head of 128.
    one = light_fcn(expansions=(192,) * 5, head_width=128)
    assert one.get_layer("block5_expand").filters == 192
    assert light_fcn(width=16).get_layer("block1_project").filters == 16


def test_every_convolution_has_a_bias_and_a_norm() -> None:
    model = light_fcn()
    kinds = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)
    convolutions = [layer for layer in model.layers if isinstance(layer, kinds)]
    norms = [x for x in model.layers if isinstance(x, keras.layers.BatchNormalization)]
    assert len(convolutions) == len(norms) == 17
    assert all(layer.use_bias for layer in convolutions)


def test_only_the_first_depthwise_convolution_strides() -> None:
    model = sfcn_depthwise()
    strides = [model.get_layer(f"conv{n}_depthwise").strides[0] for n in range(1, 6)]
    assert strides == [2, 1, 1, 1, 1]


def test_mobilenet_scales() -> None:
    assert mobilenet_v2(width_multiplier=0.35, size=64).count_params() < 500_000
