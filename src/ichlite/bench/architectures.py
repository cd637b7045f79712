"""Build named architectures without training: count what they cost, and write files to time.

How long a model takes does not depend on what it has learned, so random weights will do, the same
every time. But batch normalisation gets weights, and statistics of real slices, as training would
give it: without them the signal dies in a deep network, which would then say the same of every
slice, whatever a runtime did to it, and compute with denormal numbers, which are slow.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.bench.runtimes import RUNTIMES, Contender
from ichlite.compress.flatbuffer import tidy
from ichlite.compress.fold import fold
from ichlite.compress.graph import with_map
from ichlite.compress.model_cost import flops, one_slice
from ichlite.compress.quantize import to_tflite
from ichlite.ct.tensor import GRID
from ichlite.models import build
from ichlite.native_output import STDERR, STDOUT, native_output_held

SEED = 0
MEASURED = ("float32", "int8")
"""Precisions in which every architecture is measured; a bundle may have another one."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Parameters, operations and file size of one model.

    Attributes:
        name: Key of `models.MODELS`.
        params: Weights and running statistics, as Keras counts.
        flops_256: Floating-point operations of one 256x256 slice, a multiply-add being 2.
        tflite_float32_bytes: Bytes of the float32 `.tflite` file as converted; for `lesion_fcn` it
            includes the lesion map.
    """

    name: str
    params: int
    flops_256: int
    tflite_float32_bytes: int


def cost(name: str) -> Cost:
    """Count the parameters, floating-point operations and file size of an untrained model.

    Args:
        name: Key of `models.MODELS`.

    Returns:
        The counts; operations are those of one 256x256 slice.

    Raises:
        UnknownName: No such model.
    """
    model = one_slice(build(name, size=GRID), GRID)
    content = to_tflite(model, "float32")
    return Cost(name, model.count_params(), flops(model), len(content))


def architecture_contenders(
    name: str, runtimes: Sequence[str], slices: NDArray[np.float32], folder: Path
) -> Iterator[Contender]:
    """Write an untrained architecture as model files and yield each with a runtime to time it.

    Args:
        name: Key of `models.MODELS`.
        runtimes: Keys of `RUNTIMES`.
        slices: (slice, 256, 256, 3) float32 windows in [0, 1], which set batch normalisation's
            running statistics and calibrate int8.
        folder: Existing folder that the model files are written to.

    Raises:
        UnknownName: No such model.
    """
    keras.utils.set_random_seed(SEED)
    model = build(name, size=GRID)
    _settle(model, slices)
    plain = fold(model)
    params, operations = plain.count_params(), flops(one_slice(plain, GRID))
    graph = with_map(model)
    for precision in MEASURED:
        tflite = folder / f"{name}.{precision}.tflite"
        tflite.write_bytes(tidy(to_tflite(graph, precision, slices)))
        for runtime in runtimes:
            kind = RUNTIMES[runtime]
            if precision not in kind.precisions:
                continue
            path = tflite.with_suffix(kind.suffix)
            if kind.suffix == ".onnx":
                _write_onnx(graph, path)
            elif kind.suffix == ".keras":
                graph.save(path)
            yield Contender(name, precision, runtime, path, params, operations)


def _settle(model: keras.Model, slices: NDArray[np.float32]) -> None:
    """Give batch normalisations weights that do something, and statistics of what reaches them."""
    random = np.random.default_rng(SEED)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, *statistics = layer.get_weights()
            gamma, beta = random.uniform(0.5, 1.5, gamma.shape), random.normal(0, 0.1, beta.shape)
            layer.set_weights([gamma, beta, *statistics])
            layer.momentum = 0.0  # the one batch decides
    model(slices, training=True)


def _write_onnx(model: keras.Model, path: Path) -> None:
    """Write a model of one slice by Keras' own exporter, batch 1."""
    one = keras.InputSpec(shape=model.inputs[0].shape, dtype="float32", name="windows")
    with native_output_held(STDOUT, STDERR), warnings.catch_warnings():
        # Keras' patch of tf2onnx for numpy 2 asks numpy for a name that it warns of.
        warnings.simplefilter("ignore", FutureWarning)
        model.export(path, format="onnx", verbose=False, input_signature=[one])
