"""Make a folded model feel int8's rounding while it trains.

Quantization-aware training (Jacob 2018): weights and activations are rounded to the 255 or 256
steps that int8 will have, and gradients pass as if they were not. Weights are scaled per output
channel by their largest, activations per tensor by a running range; zero is always on the grid.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from ichlite.compress.fold import CONVOLUTIONS, readers_of

WEIGHT_STEPS = 127
ACTIVATION_STEPS = 255
RANGE_MOMENTUM = 0.95
FEATURE_MAP_AXES = 4
_TINY = 1e-8


class FakeQuant(keras.layers.Layer):  # type: ignore[misc]
    """Layer that rounds a feature map to the 256 levels of int8, over a running range."""

    def build(self, shape: Any) -> None:
        """Create the two weights that hold the running range, both 0 at first."""
        del shape
        self.low = self.add_weight(shape=(), initializer="zeros", trainable=False, name="low")
        self.high = self.add_weight(shape=(), initializer="zeros", trainable=False, name="high")
        self.built = True

    def call(self, x: Any, training: bool = False) -> Any:
        """Return the feature map rounded to int8 levels.

        Args:
            x: Feature map of any shape.
            training: Whether the running range is first updated from this map.
        """
        if training:
            # The first batch sets the range; it grows at once and shrinks slowly.
            self._follow(self.low, ops.minimum(ops.min(x), 0.0), ops.minimum)
            self._follow(self.high, ops.maximum(ops.max(x), 0.0), ops.maximum)
        step = ops.maximum((self.high - self.low) / ACTIVATION_STEPS, _TINY)
        zero = ops.round(self.low / step)
        rounded = ops.clip(ops.round(x / step), zero, zero + ACTIVATION_STEPS) * step
        return _straight_through(rounded, ops.clip(x, self.low, self.high))

    def _follow(self, end: Any, seen: Any, outer: Any) -> None:
        """Move an end of the range towards what a batch shows."""
        slow = RANGE_MOMENTUM * end + (1.0 - RANGE_MOMENTUM) * seen
        end.assign(outer(slow, seen))


class FakeQuantConv2D(keras.layers.Conv2D):  # type: ignore[misc]
    """Convolution whose kernel is rounded to int8 levels, with one scale per output channel."""

    def convolution_op(self, inputs: Any, kernel: Any) -> Any:
        """Convolve with the rounded kernel."""
        return super().convolution_op(inputs, fake_kernel(kernel, (0, 1, 2)))


class FakeQuantDepthwiseConv2D(keras.layers.DepthwiseConv2D):  # type: ignore[misc]
    """Depthwise convolution whose kernel is rounded to int8 levels, with one scale per channel."""

    def call(self, inputs: Any) -> Any:
        """Convolve with the rounded kernel, and add the bias."""
        outputs = ops.depthwise_conv(
            inputs,
            fake_kernel(self.kernel, (0, 1)),
            strides=self.strides,
            padding=self.padding,
            data_format=self.data_format,
        )
        return outputs + self.bias if self.use_bias else outputs


class FakeQuantDense(keras.layers.Dense):  # type: ignore[misc]
    """Dense layer whose kernel is rounded to int8 levels, as the convolution it is exported as."""

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Multiply by the rounded kernel, and add the bias."""
        del training
        return ops.matmul(inputs, fake_kernel(self.kernel, (0,))) + self.bias


def fake_kernel(kernel: Any, axes: tuple[int, ...]) -> Any:
    """Round a kernel to 255 symmetric levels per channel, with a straight-through gradient.

    Args:
        kernel: Float kernel of any shape.
        axes: Axes that share one scale: all but the output channel's.
    """
    largest = ops.max(ops.abs(kernel), axis=axes, keepdims=True)
    step = ops.maximum(largest / WEIGHT_STEPS, _TINY)
    return _straight_through(ops.round(kernel / step) * step, kernel)


def quantization_aware(folded: keras.Model) -> keras.Model:
    """Return a model of the same weights that rounds where int8 inference will round.

    Feature maps are rounded after the windows, after each ReLU and addition, and after each
    convolution that no ReLU follows; pooling picks values that are rounded already.

    Args:
        folded: Functional model without batch normalisation (see `fold`).

    Returns:
        A model of the same input and output; `take_weights` brings its weights back.
    """

    def make(layer: Any) -> Any:
        """Return the layer that takes the place of one."""
        config = layer.get_config()
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            return FakeQuantDepthwiseConv2D.from_config(config)
        if isinstance(layer, keras.layers.Conv2D):
            return FakeQuantConv2D.from_config(config)
        if isinstance(layer, keras.layers.Dense):
            return FakeQuantDense.from_config(config)
        return layer.__class__.from_config(config)

    def call(layer: Any, *args: Any, **kwargs: Any) -> Any:
        """Return what comes out of a layer of the new model."""
        y = layer(*args, **kwargs)
        return FakeQuant(name=f"{layer.name}_rounded")(y) if layer.name in rounded else y

    rounded = {layer.name for layer in folded.layers if _is_rounded(folded, layer)}
    aware = keras.models.clone_model(folded, clone_function=make, call_function=call)
    take_weights(aware, folded)
    return aware


def take_weights(model: keras.Model, source: keras.Model) -> None:
    """Copy weights from another model into the layers that have the same names.

    Args:
        model: Model whose layers receive the weights.
        source: Model whose weights are copied.
    """
    names = {layer.name for layer in source.layers}
    for layer in model.layers:
        if layer.name in names:
            layer.set_weights([np.asarray(one) for one in source.get_layer(layer.name).weights])


def _is_rounded(model: keras.Model, layer: Any) -> bool:
    """Return whether the int8 file rounds what a layer puts out."""
    if len(layer.output.shape) != FEATURE_MAP_AXES:
        return False  # what follows the maps is float32 in the file (`flatbuffer.tidy`)
    if isinstance(layer, (keras.layers.ReLU, keras.layers.Add)):
        return True
    readers = readers_of(model, layer)
    return isinstance(layer, CONVOLUTIONS) and not any(
        isinstance(reader, keras.layers.ReLU) for reader in readers
    )


def _straight_through(rounded: Any, passing: Any) -> Any:
    """Return the rounded value with the gradient of `passing`."""
    return passing + ops.stop_gradient(rounded - passing)
