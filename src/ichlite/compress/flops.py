"""Count the floating-point operations of one inference."""

from __future__ import annotations

import keras

from ichlite.compress.graph import freeze
from ichlite.models.blocks import CHANNELS


def one_slice(model: keras.Model, size: int) -> keras.Model:
    """A model of any batch → the same for one slice of `size` x `size` pixels."""
    windows = keras.Input(batch_shape=(1, size, size, CHANNELS), name="windows")
    return keras.Model(windows, model(windows), name=model.name)


def flops(model: keras.Model) -> int:
    """A model of fixed input shape → floating-point operations of one inference.

    Counted by TensorFlow's profiler on the frozen graph, as the paper's figures are: a
    multiply-add is 2, biases and unfolded batch normalisation included.

    Example:
        >>> from ichlite.models import build
        >>> flops(one_slice(build("light_fcn"), 256))
        187862789
    """
    from tensorflow.python.profiler.model_analyzer import profile
    from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

    options = ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return int(profile(freeze(model).graph, options=options).total_float_ops)
