"""Build the graph of a bundle from a trained Keras model: logits of one slice, and a map of them.

A model with a lesion map gives that. Any other ends in global average pooling and a dense layer.
Both are linear, so a 1x1 convolution with the dense weights on the last feature map gives a class
activation map whose mean over space is exactly the logits. Neither needs gradients.
"""

from __future__ import annotations

from typing import Any

import keras

from ichlite.ct.tensor import GRID
from ichlite.errors import InputError
from ichlite.labels import NAMES
from ichlite.models.blocks import CHANNELS
from ichlite.models.outputs import (
    FEATURES,
    LESION_MAP,
    LOGITS,
    MAP_GAIN,
    POOLED_LOGITS,
    has_lesion_map,
)

CAM = "cam"


def with_map(model: keras.Model) -> keras.Model:
    """Build the graph to export, of one slice, with outputs `logits` and `lesion_map` or `cam`.

    Args:
        model: Model with a layer `features` (last feature map) and a dense layer on its global
            average: `logits`, or `pooled_logits` in a model with a lesion map.

    Returns:
        A model from windows (1, 256, 256, 3) to {"logits": (1, 5), "cam": (1, h, w, 5)}, where
        logits are the mean of the class activation map `cam`; or, of a model with a lesion map, to
        {"logits", "lesion_map"} as that model computes them.

    Raises:
        InputError: The model lacks these layers.
    """
    check_layers(model)
    windows = keras.Input(batch_shape=(1, GRID, GRID, CHANNELS), name="windows")
    features = model.get_layer(FEATURES).output
    if not has_lesion_map(model):
        cam, logits = _pooled(model.get_layer(LOGITS), keras.Model(model.input, features)(windows))
        return keras.Model(windows, {LOGITS: logits, CAM: cam}, name=model.name)
    body = keras.Model(model.input, [features, model.output[LESION_MAP]])
    features, lesion_map = body(windows)
    _, pooled = _pooled(model.get_layer(POOLED_LOGITS), features)
    strongest = keras.layers.GlobalMaxPooling2D(name="map_strongest")(lesion_map)
    gain = keras.ops.convert_to_numpy(model.get_layer(MAP_GAIN).kernel)
    logits = keras.layers.Add(name=LOGITS)([pooled, strongest * gain])
    return keras.Model(windows, {LOGITS: logits, LESION_MAP: lesion_map}, name=model.name)


def _pooled(dense: Any, features: Any) -> tuple[Any, Any]:
    """Return the activation map of a dense layer on pooled features, and the map's mean."""
    kernel, bias = dense.get_weights()
    head = keras.layers.Conv2D(len(NAMES), 1, name=CAM)
    cam = head(features)
    head.set_weights([kernel[None, None], bias])
    return cam, keras.layers.GlobalAveragePooling2D(name=dense.name)(cam)


def check_layers(model: keras.Model) -> None:
    """Raise an error if a model lacks the layers that export needs.

    Raises:
        InputError: A layer is missing, or the model is Sequential instead of functional.
    """
    names = {layer.name for layer in model.layers}
    if not {FEATURES, LOGITS} <= names:
        raise InputError(
            f"{model.name} cannot be exported",
            found=f"layers {', '.join(sorted(names)[-3:])}",
            expected=f"layers named {FEATURES} and {LOGITS}, as the models of ichlite have",
        )
    if isinstance(model, keras.Sequential):
        raise InputError(
            f"{model.name} cannot be exported",
            found="a Sequential model",
            expected="a functional one, as the models of ichlite are",
        )


def freeze(model: keras.Model) -> Any:
    """Return a model as a TensorFlow graph function with its weights as constants.

    Args:
        model: Model of fixed input shape.
    """
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec(model.inputs[0].shape, tf.float32, name="windows")
    serve = tf.function(lambda windows: model(windows, training=False), jit_compile=False)
    return convert_variables_to_constants_v2(serve.get_concrete_function(spec))
