"""Build LightFCN, the paper's network, from slices in three windows to subtype logits.

Widths are a reconstruction: the paper's figure 1 is not in its text. The doubling sequence meets
its parameters (86.8 K), FLOPs (189 M) and file size (312 KB) together.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ichlite.models.blocks import classifier, conv_bn, depthwise_bn, halve, relu, windows_input


def light_fcn(
    *,
    expansions: Sequence[int] = (32, 64, 128, 256, 512),
    width: int = 32,
    head_width: int = 64,
    dropout: float = 0.1,
    bn_momentum: float = 0.99,
    size: int | None = 256,
) -> keras.Model:
    """Build LightFCN: a stride-2 stem, five inverted residual blocks, a 1x1 head.

    Args:
        expansions: Channels inside each block; one block and one halving an entry.
        width: Channels between blocks (the linear bottleneck).
        head_width: Channels of the last feature map.
        dropout: Share of pooled features dropped in training.
        bn_momentum: Momentum of batch normalisation's running statistics.
        size: Side of the input in pixels; None takes any size.

    Returns:
        A model from windows in [0, 1], (batch, size, size, 3), to logits (batch, 5).

    Source:
        Lankireddy et al., MLMI 2022, section 2.1 and figure 1.

    Example:
        >>> light_fcn().count_params()
        86853
    """
    image = windows_input(size)
    *_, features = light_body(
        image, expansions=expansions, width=width, head_width=head_width, momentum=bn_momentum
    )
    return classifier(image, features, dropout=dropout, name="light_fcn")


def light_body(
    image: Any, *, expansions: Sequence[int], width: int, head_width: int, momentum: float
) -> list[Any]:
    """Build LightFCN's layers from the stem to the last feature map.

    Args:
        image: The symbolic input (batch, size, size, 3).
        expansions: Channels inside each block.
        width: Channels between blocks.
        head_width: Channels of the last feature map.
        momentum: Momentum of batch normalisation's running statistics.

    Returns:
        Each block's output before its halving, sides size / 2, size / 4 …, then the last feature
        map, whose layer is named `features`.
    """
    x = conv_bn(image, width, 3, strides=2, momentum=momentum, name="stem")
    x = relu(x, "stem_relu")
    maps = []
    for number, expansion in enumerate(expansions, start=1):
        maps.append(expansion_block(x, expansion, momentum=momentum, name=f"block{number}"))
        x = halve(maps[-1], f"block{number}_pool")
    x = conv_bn(x, head_width, 1, momentum=momentum, name="head")
    return [*maps, relu(x, "features")]


def expansion_block(x: Any, expansion: int, *, momentum: float, name: str) -> Any:
    """Apply an inverted residual block: 1x1 expansion, 3x3 depthwise, 1x1 projection, addition.

    Args:
        x: Feature map (batch, row, column, channel); the output has the same shape.
        expansion: Channels inside the block.
        momentum: Momentum of batch normalisation's running statistics.
        name: Prefix of the layers' names.
    """
    width = x.shape[-1]
    y = conv_bn(x, expansion, 1, momentum=momentum, name=f"{name}_expand")
    y = relu(y, f"{name}_expand_relu")
    y = depthwise_bn(y, 3, momentum=momentum, name=f"{name}_depthwise")
    y = relu(y, f"{name}_depthwise_relu")
    y = conv_bn(y, width, 1, momentum=momentum, name=f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([y, x])
