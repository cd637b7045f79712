"""Names of architectures in; untrained models of them, as files that runtimes load, out.

How long a model takes does not depend on what it has learned, so random weights will do. They are
the same every time, statistics of batch normalisation included, so that a runtime that folds those
wrongly is found out.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.bench.contender import Contender
from ichlite.bench.runtimes import RUNTIMES
from ichlite.compress.flatbuffer import tidy
from ichlite.compress.flops import flops, one_slice
from ichlite.compress.graph import with_activation_map
from ichlite.compress.quantize import PRECISIONS, to_tflite
from ichlite.ct.tensor import GRID
from ichlite.models import build
from ichlite.quiet import STDERR, STDOUT, native_output_held

SEED = 0


def architecture_contenders(
    name: str, runtimes: Sequence[str], slices: NDArray[np.float32], folder: Path
) -> Iterator[Contender]:
    """An architecture → each precision under each runtime that has it, their files written.

    Args:
        name: Key of `models.MODELS`.
        runtimes: Keys of `RUNTIMES`.
        slices: (slice, 256, 256, 3) windows, to calibrate int8 with.
        folder: Where the files go.

    Raises:
        UnknownName: No such model.
    """
    keras.utils.set_random_seed(SEED)
    model = build(name, size=GRID)
    _vary_statistics(model)
    params, operations = model.count_params(), flops(one_slice(model, GRID))
    graph = with_activation_map(model)
    for precision in PRECISIONS:
        tflite = folder / f"{name}.{precision}.tflite"
        tflite.write_bytes(tidy(to_tflite(graph, precision, slices)))
        for runtime in runtimes:
            kind = RUNTIMES[runtime]
            if precision not in kind.precisions:
                continue
            path = tflite.with_suffix(kind.suffix)
            if kind.suffix == ".onnx":
                _to_onnx(graph, path)
            elif kind.suffix == ".keras":
                graph.save(path)
            yield Contender(name, precision, runtime, path, params, operations)


def _vary_statistics(model: keras.Model) -> None:
    """Give every batch normalisation weights as after training, not those that do nothing."""
    random = np.random.default_rng(SEED)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            width = len(layer.get_weights()[0])
            near_one = random.uniform(0.5, 1.5, (2, width))
            near_zero = random.normal(0, 0.1, (2, width))
            layer.set_weights([near_one[0], near_zero[0], near_zero[1], near_one[1]])


def _to_onnx(model: keras.Model, path: Path) -> None:
    """A model of one slice → an ONNX file of it, batch 1, by Keras' own exporter."""
    one = keras.InputSpec(shape=model.inputs[0].shape, dtype="float32", name="windows")
    with native_output_held(STDOUT, STDERR), warnings.catch_warnings():
        # Keras' patch of tf2onnx for numpy 2 asks numpy for a name that it warns of.
        warnings.simplefilter("ignore", FutureWarning)
        model.export(path, format="onnx", verbose=False, input_signature=[one])
