"""Fold batch normalisation into the layers before it, so that the function stays the same.

At inference batch normalisation is a factor and a summand a channel, which the convolution before
it can carry itself. What follows (clusters, fake quantization) works on the weights that the
`.tflite` file will hold, and those are the folded ones.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

CONVOLUTIONS = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)


def fold(model: keras.Model) -> keras.Model:
    """Fold each batch normalisation into the convolution that it directly follows.

    Args:
        model: Functional; its input and its layers' names stay as they are.

    Returns:
        A new model: the same logits to float32 rounding, fewer layers. A normalisation that follows
        something else stays.

    Example:
        >>> from ichlite.models import light_fcn
        >>> fold(light_fcn()).count_params()
        77893
    """
    folded = {conv.name: norm for norm, conv in _pairs(model)}
    gone = {norm.name for norm in folded.values()}

    def make(layer: Any) -> Any:
        """Return the layer that takes the place of one."""
        config = layer.get_config()
        if layer.name in folded:
            config["use_bias"] = True
        return layer.__class__.from_config(config)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what comes out of a layer of the new model."""
        return args[0] if layer.name in gone else layer(*args, **kwargs)

    plain = keras.models.clone_model(model, clone_function=make, call_function=call)
    for layer in plain.layers:
        if layer.name in folded:
            conv = model.get_layer(layer.name)
            layer.set_weights(_folded_weights(conv, folded[layer.name]))
        elif layer.weights:
            layer.set_weights(model.get_layer(layer.name).get_weights())
    return plain


def _pairs(model: keras.Model) -> list[tuple[Any, Any]]:
    """Return each normalisation with the linear convolution whose only reader it is."""
    pairs = []
    for norm in model.layers:
        if not isinstance(norm, keras.layers.BatchNormalization):
            continue
        before = [node.operation for node in parents_of(norm)]
        if (
            len(before) == 1
            and isinstance(before[0], CONVOLUTIONS)
            and before[0].activation is keras.activations.linear
            and len(readers_of(model, before[0])) == 1
        ):
            pairs.append((norm, before[0]))
    return pairs


def parents_of(layer: Any) -> list[Any]:
    """Return the graph nodes whose outputs a layer of a functional model takes as input."""
    return list(layer._inbound_nodes[0].parent_nodes)


def readers_of(model: keras.Model, layer: Any) -> list[Any]:
    """Return the layers of a functional model that take the output of one layer as input."""
    own = {id(node) for nodes in model._nodes_by_depth.values() for node in nodes}
    return [node.operation for node in layer._outbound_nodes if id(node) in own]


def _folded_weights(conv: Any, norm: Any) -> list[Any]:
    """Return kernel and bias of a convolution that does what its normalisation did, too."""
    kernel = np.asarray(conv.kernel, np.float64)
    variance = np.asarray(norm.moving_variance, np.float64)
    factor = 1.0 / np.sqrt(variance + norm.epsilon)
    if norm.scale:
        factor = factor * np.asarray(norm.gamma, np.float64)
    bias = np.asarray(conv.bias, np.float64) if conv.use_bias else np.zeros(len(factor))
    bias = (bias - np.asarray(norm.moving_mean, np.float64)) * factor
    if norm.center:
        bias = bias + np.asarray(norm.beta, np.float64)
    if isinstance(conv, keras.layers.DepthwiseConv2D):
        # (row, column, channel, multiplier): a factor for each pair of the last two.
        factor = factor.reshape(kernel.shape[2:])
    return [(kernel * factor).astype(np.float32), bias.astype(np.float32)]
