"""Compute what a model costs: parameters, floating-point operations, and bytes of its file.

Shared and zero weights do not make a `.tflite` file smaller; they show when it is packed.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, TypedDict

from ichlite.contracts.bundle import Cost
from ichlite.ct.tensor import GRID

if TYPE_CHECKING:  # bytes are counted by the light half of `ichlite bench`, too
    import keras

GZIP_LEVEL, ZSTD_LEVEL = 9, 19


def model_cost(model: keras.Model, content: bytes) -> Cost:
    """Return the parameters and operations of a model, and the size of its `.tflite` file.

    Args:
        model: Model of any input and batch size; operations are counted for one 256x256 slice.
        content: Bytes of the `.tflite` file.
    """
    operations = flops(one_slice(model, GRID))
    return Cost(params=model.count_params(), flops_256=operations, **sizes(content))


def one_slice(model: keras.Model, size: int) -> keras.Model:
    """Return a model with its input fixed to a batch of one slice of `size` x `size` pixels."""
    import keras

    from ichlite.models.blocks import CHANNELS

    windows = keras.Input(batch_shape=(1, size, size, CHANNELS), name="windows")
    return keras.Model(windows, model(windows), name=model.name)


def flops(model: keras.Model) -> int:
    """Count the floating-point operations of one inference.

    TensorFlow's profiler counts them on the frozen graph, as the paper's figures are: a
    multiply-add is 2, biases and unfolded batch normalisation included.

    Args:
        model: Model of fixed input shape.

    Example:
        >>> from ichlite.models import build
        >>> flops(one_slice(build("light_fcn"), 256))
        187862789
    """
    from tensorflow.python.profiler.model_analyzer import profile
    from tensorflow.python.profiler.option_builder import ProfileOptionBuilder

    from ichlite.compress.graph import freeze

    options = ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return int(profile(freeze(model).graph, options=options).total_float_ops)


class Sizes(TypedDict):
    """Size of a file in bytes, plain and compressed; None where the packer is not installed."""

    bytes: int
    gzip_bytes: int
    zstd_bytes: int | None


def sizes(content: bytes) -> Sizes:
    """Return the size of a file as it is and as an archive would hold it.

    Returns:
        `bytes`, `gzip_bytes` (level 9) and `zstd_bytes` (level 19), which is None where the package
        `zstandard` is not installed: it comes with `[train]`.

    Example:
        >>> sizes(bytes(1000))["bytes"]
        1000
    """
    return {
        "bytes": len(content),
        "gzip_bytes": len(gzip.compress(content, GZIP_LEVEL, mtime=0)),
        "zstd_bytes": _zstd_bytes(content),
    }


def _zstd_bytes(content: bytes) -> int | None:
    """Return the size that zstd packs a file to; None where its package is not installed."""
    try:
        import zstandard
    except ModuleNotFoundError:
        return None
    return len(zstandard.ZstdCompressor(ZSTD_LEVEL).compress(content))
