"""Build MobileNetV2, untrained, with five subtype logits, as a network of comparison."""

from __future__ import annotations

import keras

from ichlite.models.blocks import CHANNELS, classifier, windows_input


def mobilenet_v2(
    *,
    width_multiplier: float = 1.0,
    dropout: float = 0.1,
    bn_momentum: float = 0.99,
    size: int | None = 256,
) -> keras.Model:
    """Build MobileNetV2 without downloaded weights.

    Args:
        width_multiplier: Scales every channel count (the paper's alpha).
        dropout: Share of pooled features dropped in training.
        bn_momentum: Momentum of batch normalisation's running statistics (Keras' default is 0.999).
        size: Side of the input in pixels; None takes any size.

    Returns:
        A model from windows in [0, 1], (batch, size, size, 3), to logits (batch, 5).

    Source:
        Sandler et al., CVPR 2018, table 2, as `keras.applications.MobileNetV2` builds it.

    Example:
        >>> mobilenet_v2().count_params()
        2264389
    """
    image = windows_input(size)
    body = keras.applications.MobileNetV2(
        input_shape=(size, size, CHANNELS),
        alpha=width_multiplier,
        include_top=False,
        weights=None,
        input_tensor=image,
    )
    for layer in body.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = bn_momentum
    features = keras.layers.Identity(name="features")(body.output)
    return classifier(image, features, dropout=dropout, name="mobilenet_v2")
