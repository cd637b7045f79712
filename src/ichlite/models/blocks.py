"""The few building blocks that the architectures share.

All maps are NHWC. Every convolution has a bias and is followed by batch normalisation, as in SFCN.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.labels import NAMES

CHANNELS = 3
"""Window channels of one slice."""


def windows_input(size: int | None) -> Any:
    """Side length in pixels (None: any) → the symbolic input (batch, size, size, 3)."""
    return keras.Input((size, size, CHANNELS), name="windows")


def conv_bn(
    x: Any, filters: int, kernel: int, *, strides: int = 1, momentum: float, name: str
) -> Any:
    """Feature map → convolution with bias → batch normalisation."""
    x = keras.layers.Conv2D(filters, kernel, strides, padding="same", name=name)(x)
    return keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)


def depthwise_bn(x: Any, kernel: int, *, strides: int = 1, momentum: float, name: str) -> Any:
    """Feature map → depthwise convolution with bias → batch normalisation."""
    x = keras.layers.DepthwiseConv2D(kernel, strides, padding="same", name=name)(x)
    return keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)


def standardised(x: Any, mean: NDArray[np.floating[Any]], spread: NDArray[np.floating[Any]]) -> Any:
    """(…, channel) → less its mean, over its spread; what never varies is not blown up."""
    variance = np.maximum(np.asarray(spread, np.float64), 1e-3) ** 2
    return keras.layers.Normalization(mean=mean, variance=variance, name="standardised")(x)


def relu(x: Any, name: str) -> Any:
    """Feature map → its positive part."""
    return keras.layers.ReLU(name=name)(x)


def halve(x: Any, name: str) -> Any:
    """Feature map (batch, h, w, c) → the maxima of its 2x2 tiles (batch, h//2, w//2, c)."""
    return keras.layers.MaxPooling2D(2, name=name)(x)


def classifier(image: Any, features: Any, *, dropout: float, name: str) -> keras.Model:
    """Last feature map → global average pool → dropout → one logit a subtype.

    Args:
        image: The model's symbolic input.
        features: Last feature map; its layer is named `features`, so that export finds it.
        dropout: Share of pooled features dropped in training.
        name: Of the model.

    Returns:
        A model (batch, size, size, 3) → logits (batch, 5), subtypes in the order of `labels.NAMES`.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(len(NAMES), name="logits")(x)
    return keras.Model(image, logits, name=name)
