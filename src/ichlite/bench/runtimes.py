"""Name what is timed, a model file under a runtime, and load it into one of four runtimes.

All four get the same weights, the same input layout (1, 256, 256, 3) and float32 arithmetic. What
is timed is `invoke` alone: the input lies in the runtime's own memory, and outputs stay there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypedDict

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from ichlite.infer.bundle import MODEL_FILE, Bundle
from ichlite.infer.runtime import stored_input
from ichlite.labels import NAMES

LITERT = "litert"


class Listed(TypedDict):
    """Columns that identify a timed model in every list: its name, precision and runtime."""

    model: str
    precision: str
    runtime: str


@dataclass(frozen=True, slots=True)
class Contender:
    """A model file and the runtime that is to run it.

    Attributes:
        model, precision, runtime: Names that identify the entry in lists of results.
        path: Model file that the runtime loads.
        params, flops: Parameters, and floating-point operations of a 256x256 slice; None where
            unknown.
    """

    model: str
    precision: str
    runtime: str
    path: Path
    params: int | None = None
    flops: int | None = None

    @property
    def key(self) -> tuple[str, str, str]:
        """Model, precision and runtime."""
        return self.model, self.precision, self.runtime

    def listed(self) -> Listed:
        """Return the columns that identify this entry in every list."""
        return {"model": self.model, "precision": self.precision, "runtime": self.runtime}


def bundle_contender(bundle: Bundle, name: str, runtime: str) -> Contender:
    """Return the model file of a bundle as an entry to be timed.

    Args:
        bundle: Bundle whose model is timed.
        name: Name that it is listed under.
        runtime: Key of `RUNTIMES`.
    """
    cost = bundle.manifest.cost
    return Contender(
        name,
        bundle.manifest.precision,
        runtime,
        bundle.path / MODEL_FILE,
        None if cost is UNSET else cost.params,
        None if cost is UNSET else cost.flops_256,
    )


@dataclass(frozen=True, slots=True)
class Engine:
    """A model loaded into a runtime, ready to be timed.

    Attributes:
        put: Copies windows (1, 256, 256, 3) float32 in [0, 1] to the model's input.
        invoke: Runs the model on the windows last put, without copying anything.
        outputs: Returns all outputs of the last invocation, each (1, …) float32.
    """

    put: Callable[[NDArray[np.float32]], object]
    invoke: Callable[[], object]
    outputs: Callable[[], list[NDArray[np.float32]]]

    def run(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return the logits (5,) of windows (1, 256, 256, 3)."""
        self.put(x)
        self.invoke()
        return next(one[0] for one in self.outputs() if one.shape == (1, len(NAMES)))


def _litert(path: Path, threads: int) -> Engine:
    """LiteRT with its default delegate, XNNPACK, as `ichlite read` uses it."""
    from ai_edge_litert.interpreter import Interpreter

    interpreter = Interpreter(model_path=str(path), num_threads=threads)
    interpreter.allocate_tensors()
    details = interpreter.get_input_details()[0]
    outputs = [one["index"] for one in interpreter.get_output_details()]
    return Engine(
        lambda x: interpreter.set_tensor(details["index"], stored_input(x, details)),
        interpreter.invoke,
        lambda: [interpreter.get_tensor(index) for index in outputs],
    )


def _onnxruntime(path: Path, threads: int) -> Engine:
    """ONNX Runtime on the CPU; input and outputs are bound, so nothing is copied."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    binding = session.io_binding()
    for output in session.get_outputs():
        binding.bind_output(output.name)

    def put(x: NDArray[np.float32]) -> None:
        value = onnxruntime.OrtValue.ortvalue_from_numpy(np.ascontiguousarray(x))
        binding.bind_ortvalue_input(session.get_inputs()[0].name, value)

    return Engine(put, lambda: session.run_with_iobinding(binding), binding.copy_outputs_to_cpu)


def _openvino(path: Path, threads: int) -> Engine:
    """OpenVINO on the CPU, reading the very `.tflite` file that LiteRT reads."""
    import openvino

    settings = {
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": "1",
        "INFERENCE_NUM_THREADS": threads,
        # Without it, CPUs with bfloat16 instructions compute in bfloat16.
        "INFERENCE_PRECISION_HINT": "f32",
        # No other runtime ties its threads to a core, which another job may hold.
        "ENABLE_CPU_PINNING": False,
    }
    model = openvino.Core().compile_model(str(path), "CPU", settings)
    request = model.create_infer_request()
    kept: dict[str, Any] = {}

    def put(x: NDArray[np.float32]) -> None:
        # The tensor looks into the array's memory, so the array has to stay.
        kept["x"] = np.array(x, np.float32, order="C")
        request.set_input_tensor(openvino.Tensor(kept["x"], shared_memory=True))

    return Engine(
        put, request.infer, lambda: [np.array(one.data) for one in request.output_tensors]
    )


def _keras(path: Path, threads: int) -> Engine:
    """Keras on TensorFlow as one compiled graph: its quickest way on a CPU, not `predict`."""
    import keras
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    model = keras.saving.load_model(path, compile=False)
    call = tf.function(lambda x: model(x, training=False), jit_compile=False)
    kept: dict[str, Any] = {}
    return Engine(
        lambda x: kept.update(x=tf.constant(x)),
        lambda: kept.update(outputs=call(kept["x"])),
        lambda: [np.array(one) for one in kept["outputs"].values()],
    )


@dataclass(frozen=True, slots=True)
class RuntimeKind:
    """A runtime that models can be timed with, and what it needs.

    Attributes:
        load: Loads a model file for a number of threads.
        modules: Modules that are imported before the time to load a model is measured.
        needs: Modules needed to make a model file for the runtime and to run it.
        packages: Packages whose versions are reported with a result.
        extra: Optional dependency group that installs the runtime; None if it is always installed.
        suffix: File name suffix of its model files.
        precisions: Precisions in which its probabilities agree with LiteRT's.
    """

    load: Callable[[Path, int], Engine]
    modules: tuple[str, ...]
    needs: tuple[str, ...]
    packages: tuple[str, ...]
    extra: str | None
    suffix: str
    precisions: tuple[str, ...] = ("float32",)


RUNTIMES: Mapping[str, RuntimeKind] = {
    LITERT: RuntimeKind(
        _litert, ("ai_edge_litert.interpreter",), ("ai_edge_litert",), ("ai-edge-litert",),
        None, ".tflite", ("float32", "float16", "dynamic", "int8"),
    ),
    "onnxruntime": RuntimeKind(
        _onnxruntime, ("onnxruntime",), ("onnxruntime", "onnx", "tf2onnx"),
        ("onnxruntime", "onnx", "tf2onnx"), "bench", ".onnx",
    ),
    "openvino": RuntimeKind(
        _openvino, ("openvino",), ("openvino",), ("openvino",), "bench", ".tflite"
    ),
    "keras": RuntimeKind(
        _keras, ("tensorflow", "keras"), ("tensorflow", "keras"),
        ("keras", "tensorflow", "tensorflow-cpu"), "train", ".keras",
    ),
}  # fmt: skip
"""Every runtime that `ichlite bench --runtimes` takes."""
