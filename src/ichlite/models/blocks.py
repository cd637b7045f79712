"""Build the few blocks that the architectures share.

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
    """Return the symbolic input (batch, size, size, 3); a size of None takes any."""
    return keras.Input((size, size, CHANNELS), name="windows")


def conv_bn(
    x: Any, filters: int, kernel: int, *, strides: int = 1, momentum: float, name: str
) -> Any:
    """Apply a convolution with bias and batch normalisation."""
    x = keras.layers.Conv2D(filters, kernel, strides, padding="same", name=name)(x)
    return keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)


def depthwise_bn(x: Any, kernel: int, *, strides: int = 1, momentum: float, name: str) -> Any:
    """Apply a depthwise convolution with bias and batch normalisation."""
    x = keras.layers.DepthwiseConv2D(kernel, strides, padding="same", name=name)(x)
    return keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)


def standardised(x: Any, mean: NDArray[np.floating[Any]], spread: NDArray[np.floating[Any]]) -> Any:
    """Subtract the mean of each channel and divide by its spread, or 0.001 if that is larger."""
    variance = np.maximum(np.asarray(spread, np.float64), 1e-3) ** 2
    return keras.layers.Normalization(mean=mean, variance=variance, name="standardised")(x)


def relu(x: Any, name: str) -> Any:
    """Return the positive part of a feature map."""
    return keras.layers.ReLU(name=name)(x)


def halve(x: Any, name: str) -> Any:
    """Return the maxima of the 2x2 tiles of a feature map (batch, row, column, channel)."""
    return keras.layers.MaxPooling2D(2, name=name)(x)


def classifier(image: Any, features: Any, *, dropout: float, name: str) -> keras.Model:
    """Build a model that ends in a global average pool, dropout, and one logit a subtype.

    Args:
        image: The model's symbolic input.
        features: Last feature map; its layer is named `features`, so that export finds it.
        dropout: Share of pooled features dropped in training.
        name: Of the model.

    Returns:
        A model with logits (batch, 5), subtypes in the order of `labels.NAMES`.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(len(NAMES), name="logits")(x)
    return keras.Model(image, logits, name=name)
