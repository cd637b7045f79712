"""Build SFCN, the paper's baseline in two dimensions, plain and with separable convolutions."""

from __future__ import annotations

from collections.abc import Sequence

import keras

from ichlite.models.blocks import classifier, conv_bn, depthwise_bn, halve, relu, windows_input


def sfcn(
    *,
    widths: Sequence[int] = (32, 64, 128, 256, 256),
    head_width: int = 64,
    dropout: float = 0.1,
    bn_momentum: float = 0.99,
    size: int | None = 256,
) -> keras.Model:
    """Build SFCN: 3x3 convolutions with a halving each, and a 1x1 head.

    Args:
        widths: Channels of each 3x3 convolution.
        head_width: Channels of the last feature map.
        dropout: Share of pooled features dropped in training.
        bn_momentum: Momentum of batch normalisation's running statistics.
        size: Side of the input in pixels; None takes any size.

    Returns:
        A model from windows in [0, 1], (batch, size, size, 3), to logits (batch, 5).

    Source:
        Peng et al., Medical Image Analysis 68 (2021) 101871; Lankireddy et al., section 3.3.

    Example:
        >>> sfcn().count_params()
        998469
    """
    image = windows_input(size)
    x = image
    for number, width in enumerate(widths, start=1):
        x = conv_bn(x, width, 3, momentum=bn_momentum, name=f"conv{number}")
        x = halve(x, f"conv{number}_pool")
        x = relu(x, f"conv{number}_relu")
    x = conv_bn(x, head_width, 1, momentum=bn_momentum, name="head")
    features = relu(x, "features")
    return classifier(image, features, dropout=dropout, name="sfcn")


def sfcn_depthwise(
    *,
    widths: Sequence[int] = (32, 64, 128, 256, 256),
    head_width: int = 64,
    dropout: float = 0.1,
    bn_momentum: float = 0.99,
    size: int | None = 256,
) -> keras.Model:
    """Build SFCN with depthwise 3x3 then pointwise 1x1 convolutions; the first has stride 2.

    Args:
        widths: Channels after each separable convolution.
        head_width: Channels of the last feature map.
        dropout: Share of pooled features dropped in training.
        bn_momentum: Momentum of batch normalisation's running statistics.
        size: Side of the input in pixels; None takes any size.

    Returns:
        A model from windows in [0, 1], (batch, size, size, 3), to logits (batch, 5).

    Source:
        Lankireddy et al., MLMI 2022, section 3.3, model 2; Howard et al., arXiv 1704.04861.

    Example:
        >>> sfcn_depthwise().count_params()
        136111
    """
    image = windows_input(size)
    x = image
    for number, width in enumerate(widths, start=1):
        name = f"conv{number}"
        strides = 2 if number == 1 else 1
        x = depthwise_bn(x, 3, strides=strides, momentum=bn_momentum, name=f"{name}_depthwise")
        x = relu(x, f"{name}_depthwise_relu")
        x = conv_bn(x, width, 1, momentum=bn_momentum, name=f"{name}_pointwise")
        x = halve(x, f"{name}_pool")
        x = relu(x, f"{name}_relu")
    x = conv_bn(x, head_width, 1, momentum=bn_momentum, name="head")
    features = relu(x, "features")
    return classifier(image, features, dropout=dropout, name="sfcn_depthwise")
