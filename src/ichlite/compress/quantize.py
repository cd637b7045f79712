"""Convert a Keras model to a `.tflite` file in any precision.

The converter folds batch normalisation into the convolutions before it. float16 halves the file
and computes in float32; dynamic stores int8 weights and computes with them, quantizing activations
as they come; int8 is full-integer: weights per channel, activations per tensor with ranges from the
calibration slices, input and outputs int8. Scales and zero points stand in the file.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.compress.graph import freeze
from ichlite.contracts.bundle import PRECISIONS, Precision
from ichlite.errors import IchliteError, UnknownName
from ichlite.native_output import STDERR, STDOUT, native_output_held

INT8: Precision = "int8"


def to_tflite(
    model: keras.Model, precision: str, calibration: Iterable[NDArray[np.float32]] = ()
) -> bytes:
    """Convert a model of one slice to a `.tflite` file.

    Args:
        model: Model of fixed input shape and batch size 1, on the TensorFlow backend.
        precision: One of `PRECISIONS`.
        calibration: For int8: windows (256, 256, 3) in [0, 1] of slices like those to be read.

    Returns:
        The file's bytes.

    Raises:
        UnknownName: No such precision.
        IchliteError: The model does not run on TensorFlow in this process.
    """
    check_precision(precision)
    if keras.backend.backend() != "tensorflow":
        raise IchliteError(
            "only the TensorFlow backend converts models",
            found=f"KERAS_BACKEND={keras.backend.backend()}",
            remedy="set KERAS_BACKEND=tensorflow; a .keras file is the same on every backend",
        )
    import tensorflow as tf

    with native_output_held(STDOUT, STDERR):
        converter = tf.lite.TFLiteConverter.from_concrete_functions([freeze(model)])
        if precision != "float32":
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        if precision == INT8:
            converter.representative_dataset = lambda: _as_feeds(calibration)
            converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
            converter.inference_input_type = tf.int8
            converter.inference_output_type = tf.int8
        with warnings.catch_warnings():
            # It asks for the input's statistics of TensorFlow 1; the calibration slices give them.
            warnings.filterwarnings("ignore", message="Statistics for quantized inputs")
            content: bytes = converter.convert()
    return content


def check_precision(precision: str) -> Precision:
    """Check the name of a precision and return it.

    Raises:
        UnknownName: No such precision.
    """
    if precision not in PRECISIONS:
        raise UnknownName("precision", precision, list(PRECISIONS))
    return precision


def _as_feeds(calibration: Iterable[NDArray[np.float32]]) -> Iterator[list[Any]]:
    """Yield slices as the converter wants them: lists of inputs, each a batch of one."""
    for windows in calibration:
        yield [windows[None]]
