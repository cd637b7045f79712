"""Load a model file into one of four runtimes, ready to be timed.

All four get the same weights, the same input layout (1, 256, 256, 3) and float32 arithmetic. What
is timed is `invoke` alone: the input lies in the runtime's own memory, and outputs stay there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ichlite.infer.runtime import stored_input
from ichlite.labels import NAMES

LITERT = "litert"


class Engine(Protocol):
    """A loaded model."""

    def load(self, x: NDArray[np.float32]) -> None:
        """Take windows (1, 256, 256, 3) float32 in [0, 1]; put them where the model reads them."""

    def invoke(self) -> object:
        """Run the model on what was loaded, and nothing else."""

    def logits(self) -> NDArray[np.float32]:
        """Give the logits (5,) of the last invocation."""


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """A runtime that can be asked for.

    Attributes:
        engine: Model file and threads → engine.
        modules: What is imported before loading is timed.
        needs: Packages, as they are imported, to make its model file and to run it.
        packages: Whose versions belong to a result.
        extra: The dependency group to install; None: always there.
        suffix: Of the model file it reads.
        precisions: Those whose results agree with LiteRT's.
    """

    engine: Callable[[Path, int], Engine]
    modules: tuple[str, ...]
    needs: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str | None
    suffix: str
    precisions: tuple[str, ...] = ("float32",)


class _LiteRt:
    """LiteRT with its default delegate, XNNPACK, as `ichlite read` uses it."""

    def __init__(self, path: Path, threads: int) -> None:
        from ai_edge_litert.interpreter import Interpreter

        self._interpreter = Interpreter(model_path=str(path), num_threads=threads)
        self._interpreter.allocate_tensors()
        self._input = self._interpreter.get_input_details()[0]
        outputs = self._interpreter.get_output_details()
        self._logits = next(d["index"] for d in outputs if len(d["shape"]) == 2)
        self.invoke = self._interpreter.invoke

    def load(self, x: NDArray[np.float32]) -> None:
        self._interpreter.set_tensor(self._input["index"], stored_input(x, self._input))

    def logits(self) -> NDArray[np.float32]:
        return np.array(self._interpreter.get_tensor(self._logits)[0], np.float32)


class _Onnx:
    """ONNX Runtime on the CPU; input and outputs are bound, so nothing is copied."""

    def __init__(self, path: Path, threads: int) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
        self._binding = self._session.io_binding()
        self._names = [output.name for output in self._session.get_outputs()]
        for name in self._names:
            self._binding.bind_output(name)

    def load(self, x: NDArray[np.float32]) -> None:
        import onnxruntime

        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x))
        self._binding.bind_ortvalue_input(self._session.get_inputs()[0].name, value)

    def invoke(self) -> None:
        self._session.run_with_iobinding(self._binding)

    def logits(self) -> NDArray[np.float32]:
        outputs = self._binding.copy_outputs_to_cpu()
        return np.array(_logits_of(outputs), np.float32)


class _OpenVino:
    """OpenVINO on the CPU, reading the very `.tflite` file that LiteRT reads."""

    def __init__(self, path: Path, threads: int) -> None:
        import openvino

        self._request = (
            openvino.Core()
            .compile_model(
                str(path),
                "CPU",
                {
                    "PERFORMANCE_HINT": "LATENCY",
                    "NUM_STREAMS": "1",
                    "INFERENCE_NUM_THREADS": threads,
                    # Without it, CPUs with bfloat16 instructions compute in bfloat16.
                    "INFERENCE_PRECISION_HINT": "f32",
                    # No other runtime ties its threads to a core, which another job may hold.
                    "ENABLE_CPU_PINNING": False,
                },
            )
            .create_infer_request()
        )
        self.invoke = self._request.infer

    def load(self, x: NDArray[np.float32]) -> None:
        import openvino

        # The tensor looks into the array's memory, so the array has to stay.
        self._x = np.array(x, np.float32, order="C")
        self._request.set_input_tensor(openvino.Tensor(self._x, shared_memory=True))

    def logits(self) -> NDArray[np.float32]:
        outputs = [np.array(tensor.data) for tensor in self._request.output_tensors]
        return np.array(_logits_of(outputs), np.float32)


class _Keras:
    """Keras on TensorFlow as one compiled graph: its quickest way on a CPU, not `predict`."""

    def __init__(self, path: Path, threads: int) -> None:
        import keras
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
        model = keras.saving.load_model(path, compile=False)
        self._call = tf.function(lambda x: model(x, training=False), jit_compile=False)

    def load(self, x: NDArray[np.float32]) -> None:
        import tensorflow as tf

        self._x = tf.constant(x)

    def invoke(self) -> None:
        self._outputs = self._call(self._x)

    def logits(self) -> NDArray[np.float32]:
        return np.array(self._outputs["logits"][0], np.float32)


RUNTIMES: Mapping[str, RuntimeKind] = {
    LITERT: RuntimeKind(
        _LiteRt,
        ("ai_edge_litert.interpreter",),
        ("ai_edge_litert",),
        ("ai-edge-litert",),
        None,
        ".tflite",
        ("float32", "float16", "dynamic", "int8"),
    ),
    "onnxruntime": RuntimeKind(
        _Onnx,
        ("onnxruntime",),
        ("onnxruntime", "onnx", "tf2onnx"),
        ("onnxruntime", "onnx", "tf2onnx"),
        "bench",
        ".onnx",
    ),
    "openvino": RuntimeKind(
        _OpenVino, ("openvino",), ("openvino",), ("openvino",), "bench", ".tflite"
    ),
    "keras": RuntimeKind(
        _Keras,
        ("tensorflow", "keras"),
        ("tensorflow", "keras"),
        ("keras", "tensorflow", "tensorflow-cpu"),
        "train",
        ".keras",
    ),
}
"""Every runtime that `ichlite bench --runtimes` takes."""


def _logits_of(outputs: list[Any]) -> Any:
    return next(output[0] for output in outputs if output.shape == (1, len(NAMES)))
