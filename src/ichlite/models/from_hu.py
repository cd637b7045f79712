"""Compute windows on the device, in front of a model that takes windows.

The windows are those of `ct.windows.apply_windows`, to float32 rounding; a batch in HU is a sixth
of the bytes of its windows.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from ichlite.ct.windows import PAPER_WINDOWS


class Windows(keras.layers.Layer):  # type: ignore[misc]
    """Keras layer that converts HU (batch, row, column) to three windows (…, 3), float32 in [0, 1].

    Example:
        >>> hu = np.array([[[0, 40], [80, 3071]]], np.int16)
        >>> np.asarray(Windows()(hu))[..., 0].tolist()
        [[[0.0, 0.5], [1.0, 1.0]]]
    """

    def __init__(self) -> None:
        # Float32 whatever the layers after it compute in: HU are too fine for bfloat16.
        super().__init__(name="windows_of_hu", dtype="float32", trainable=False)
        self.low_hu = np.array([window.low_hu for window in PAPER_WINDOWS], np.float32)
        self.high_hu = np.array([window.high_hu for window in PAPER_WINDOWS], np.float32)

    def call(self, hu: Any) -> Any:
        """Return the three windows of HU slices.

        Args:
            hu: (batch, row, column) HU.
        """
        x = ops.expand_dims(ops.cast(hu, "float32"), -1)
        x = ops.minimum(ops.maximum(x, self.low_hu), self.high_hu)
        return (x - self.low_hu) / (self.high_hu - self.low_hu)


def from_hu(model: keras.Model) -> keras.Model:
    """Wrap a model of windows as a model of HU that shares its weights.

    Args:
        model: Model of windows (batch, size, size, 3).

    Returns:
        A model from int16 HU (batch, size, size) to the same outputs. It serves training and
        scoring; save the wrapped model instead.

    Example:
        >>> from ichlite.models import light_fcn
        >>> from_hu(light_fcn()).input_shape
        (None, 256, 256)
    """
    hu = keras.Input(model.input_shape[1:3], dtype="int16", name="hu")
    return keras.Model(hu, model(Windows()(hu)), name=f"{model.name}_from_hu")
