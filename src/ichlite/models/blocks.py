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
"""Number of CT windows of a slice, which are the channels of the model's input."""


def windows_input(size: int | None) -> Any:
    """Return a model's symbolic input (batch, size, size, 3).

    Args:
        size: Side of the image in pixels; None accepts any size.
    """
    return keras.Input((size, size, CHANNELS), name="windows")


def conv_bn(
    x: Any, filters: int, kernel: int, *, strides: int = 1, momentum: float, name: str
) -> Any:
    """Apply a convolution with bias, "same" padding, and batch normalisation.

    Args:
        x: Feature map (batch, row, column, channel).
        filters: Number of output channels.
        kernel: Side of the kernel in pixels.
        strides: Stride in both directions.
        momentum: Momentum of batch normalisation's running statistics.
        name: Name of the convolution layer; `_bn` is appended for the normalisation.
    """
    x = keras.layers.Conv2D(filters, kernel, strides, padding="same", name=name)(x)
    return keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)


def depthwise_bn(x: Any, kernel: int, *, strides: int = 1, momentum: float, name: str) -> Any:
    """Apply a depthwise convolution with bias, "same" padding, and batch normalisation.

    Args:
        x: Feature map (batch, row, column, channel).
        kernel: Side of the kernel in pixels.
        strides: Stride in both directions.
        momentum: Momentum of batch normalisation's running statistics.
        name: Name of the convolution layer; `_bn` is appended for the normalisation.
    """
    x = keras.layers.DepthwiseConv2D(kernel, strides, padding="same", name=name)(x)
    return keras.layers.BatchNormalization(momentum=momentum, name=f"{name}_bn")(x)


def standardised(x: Any, mean: NDArray[np.floating[Any]], spread: NDArray[np.floating[Any]]) -> Any:
    """Subtract a mean from each channel and divide by a standard deviation of at least 0.001.

    Args:
        x: Tensor whose last axis is the channel.
        mean: (channel,) means.
        spread: (channel,) standard deviations.
    """
    variance = np.maximum(np.asarray(spread, np.float64), 1e-3) ** 2
    return keras.layers.Normalization(mean=mean, variance=variance, name="standardised")(x)


def relu(x: Any, name: str) -> Any:
    """Apply a rectified linear unit (ReLU) to a feature map."""
    return keras.layers.ReLU(name=name)(x)


def halve(x: Any, name: str) -> Any:
    """Halve both sides of a feature map (batch, row, column, channel) by 2x2 max pooling."""
    return keras.layers.MaxPooling2D(2, name=name)(x)


def classifier(image: Any, features: Any, *, dropout: float, name: str) -> keras.Model:
    """Build a model that ends in global average pooling, dropout and one logit for each subtype.

    Args:
        image: Symbolic input of the model.
        features: Last feature map; its layer is named `features`, so that export finds it.
        dropout: Share of pooled features dropped in training.
        name: Name of the model.

    Returns:
        A model with logits (batch, 5), subtypes in the order of `labels.NAMES`.
    """
    x = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    x = keras.layers.Dropout(dropout, name="dropout")(x)
    logits = keras.layers.Dense(len(NAMES), name="logits")(x)
    return keras.Model(image, logits, name=name)
