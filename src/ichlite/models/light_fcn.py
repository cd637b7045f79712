"""Three-window slices in, subtype logits out: LightFCN, the paper's network.

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
    """LightFCN: a stride-2 stem, five inverted residual blocks, a 1x1 head.

    Args:
        expansions: Channels inside each block; one block and one halving an entry.
        width: Channels between blocks (the linear bottleneck).
        head_width: Channels of the last feature map.
        dropout: Share of pooled features dropped in training.
        bn_momentum: Of the running statistics of batch normalisation.
        size: Side of the input in pixels; None takes any size.

    Returns:
        A model (batch, size, size, 3), windows in [0, 1] → logits (batch, 5).

    Source:
        Lankireddy et al., MLMI 2022, section 2.1 and figure 1.

    Example:
        >>> light_fcn().count_params()
        86853
    """
    image = windows_input(size)
    x = conv_bn(image, width, 3, strides=2, momentum=bn_momentum, name="stem")
    x = relu(x, "stem_relu")
    for number, expansion in enumerate(expansions, start=1):
        x = expansion_block(x, expansion, momentum=bn_momentum, name=f"block{number}")
        x = halve(x, f"block{number}_pool")
    x = conv_bn(x, head_width, 1, momentum=bn_momentum, name="head")
    features = relu(x, "features")
    return classifier(image, features, dropout=dropout, name="light_fcn")


def expansion_block(x: Any, expansion: int, *, momentum: float, name: str) -> Any:
    """Feature map → expand 1x1, depthwise 3x3, project 1x1 → added to the same feature map."""
    width = x.shape[-1]
    y = conv_bn(x, expansion, 1, momentum=momentum, name=f"{name}_expand")
    y = relu(y, f"{name}_expand_relu")
    y = depthwise_bn(y, 3, momentum=momentum, name=f"{name}_depthwise")
    y = relu(y, f"{name}_depthwise_relu")
    y = conv_bn(y, width, 1, momentum=momentum, name=f"{name}_project")
    return keras.layers.Add(name=f"{name}_add")([y, x])
