"""A trained Keras model in, the graph of a bundle out: one slice → logits and activation map.

The model ends in global average pooling and a dense layer. Both are linear, so a 1x1 convolution
with the dense weights on the last feature map gives a class activation map whose mean over space
is exactly the logits. The map costs nothing and needs no gradients.
"""

from __future__ import annotations

from typing import Any

import keras

from ichlite.ct.tensor import GRID
from ichlite.errors import InputError
from ichlite.labels import NAMES
from ichlite.models.blocks import CHANNELS

FEATURES, LOGITS, CAM = "features", "logits", "cam"


def with_activation_map(model: keras.Model) -> keras.Model:
    """A model whose output is logits → the model of one slice whose outputs are `logits` and `cam`.

    Args:
        model: With a layer `features` (last feature map) and a dense layer `logits` on its pool.

    Returns:
        (1, 256, 256, 3) → {"logits": (1, 5), "cam": (1, h, w, 5)}; logits are the mean of cam.

    Raises:
        InputError: The model has no such layers.
    """
    check_layers(model)
    kernel, bias = model.get_layer(LOGITS).get_weights()
    body = keras.Model(model.input, model.get_layer(FEATURES).output)
    windows = keras.Input(batch_shape=(1, GRID, GRID, CHANNELS), name="windows")
    head = keras.layers.Conv2D(len(NAMES), 1, name=CAM)
    cam = head(body(windows))
    head.set_weights([kernel[None, None], bias])
    logits = keras.layers.GlobalAveragePooling2D(name=LOGITS)(cam)
    return keras.Model(windows, {LOGITS: logits, CAM: cam}, name=model.name)


def check_layers(model: keras.Model) -> None:
    """Model → nothing.

    Raises:
        InputError: It lacks the layers named, or is no functional model.
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
    """A model of fixed input shape → a TensorFlow concrete function of it, weights as constants."""
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    spec = tf.TensorSpec(model.inputs[0].shape, tf.float32, name="windows")
    serve = tf.function(lambda windows: model(windows, training=False), jit_compile=False)
    return convert_variables_to_constants_v2(serve.get_concrete_function(spec))
