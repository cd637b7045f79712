"""Run a bundle's model on slices by LiteRT on the CPU: HU to logits and their map.

Windows go straight into the interpreter's own input memory. Those of an int8 model are the same for
every pixel of the same HU, so they are computed once for each of the 4096 possible HU and then
looked up; such a model has a fourth channel that it does not look at, so that its pixel is one word
of 32 bits, which is looked up at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from msgspec import UNSET, to_builtins
from numpy.typing import NDArray

from ichlite.contracts.bundle_tensors import QuantizationSpec, TensorSpec
from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN
from ichlite.ct.windows import apply_windows
from ichlite.errors import BundleError, UsageError
from ichlite.infer.bundle import Bundle
from ichlite.labels import NAMES
from ichlite.native_output import STDERR, native_output_held

WINDOWS_SHAPE = (GRID, GRID, 3)
"""Shape of one slice's windows as `ct.tensor.model_input` returns them."""

INPUT_SHAPES = ((1, *WINDOWS_SHAPE), (1, GRID, GRID, 4))
"""Input shapes that a model may have: three windows, alone or with a channel that it ignores."""


@dataclass(frozen=True, slots=True)
class Quantization:
    """The scale of stored integers, from the model file: real = scale * (stored - zero_point)."""

    scale: float
    zero_point: int


def quantise(real: NDArray[np.float32], quantization: Quantization) -> NDArray[np.int8]:
    """Quantise real values to the nearest int8, halves to even, clipped to [-128, 127].

    Args:
        real: float32 of any shape.
        quantization: Scale and zero point of the stored integers.

    Example:
        >>> quantise(np.array([0.0, 0.25, 1.0], np.float32), Quantization(1 / 255, -128)).tolist()
        [-128, -64, 127]
    """
    stored = np.rint(real / np.float32(quantization.scale)) + np.float32(quantization.zero_point)
    return np.asarray(np.clip(stored, -128, 127), np.int8)


def dequantise(stored: NDArray[np.int8], quantization: Quantization) -> NDArray[np.float32]:
    """Convert stored int8 values to the float32 values that they stand for.

    Args:
        stored: int8 of any shape.
        quantization: Scale and zero point of the stored integers.

    Example:
        >>> dequantise(np.array([-128, 127], np.int8), Quantization(0.5, 27)).tolist()
        [-77.5, 50.0]
    """
    shifted = stored.astype(np.float32) - np.float32(quantization.zero_point)
    return np.asarray(shifted * np.float32(quantization.scale), np.float32)


def stored_input(x: NDArray[np.float32], details: dict[str, Any]) -> NDArray[Any]:
    """Convert windows to the data type and channels of the model's input tensor.

    Args:
        x: (..., 3) float32 in [0, 1], from `ct.tensor.model_input`.
        details: Details of the input from `Interpreter.get_input_details()`.

    Returns:
        (..., 3), or (..., 4) for a model with a fourth channel, which holds the stored value of 0;
        float32 as given, or quantised to int8.
    """
    quantization = _quantization(details)
    stored: NDArray[Any] = x if quantization is None else quantise(x, quantization)
    blank = int(details["shape"][-1]) - x.shape[-1]
    if blank == 0:
        return stored
    zero = 0 if quantization is None else quantization.zero_point
    widths = [(0, 0)] * (x.ndim - 1) + [(0, blank)]
    return np.pad(stored, widths, constant_values=zero)


class Runtime:
    """A bundle's model, ready to run on one slice at a time.

    Not to be shared between threads at the same time: make one for each.

    Args:
        bundle: Checked bundle.
        threads: CPU threads of one inference, 1 or more.

    Raises:
        BundleError: The model file is no LiteRT model, or has other inputs or outputs than ichlite
            knows or the manifest says.
        UsageError: `threads` is less than 1.
    """

    def __init__(self, bundle: Bundle, threads: int = 1) -> None:
        if threads < 1:
            raise UsageError(
                "the model cannot run", found=f"{threads} threads", expected="1 or more"
            )
        self.bundle = bundle
        self._interpreter = _interpreter(bundle, threads)
        self._input, self._logits, self._map = _tensors(bundle, self._interpreter)
        if bundle.map.cells not in (None, self.map_shape):
            raise BundleError(
                f"bundle {bundle.path}: the model has another map than its manifest says",
                found=self.map_shape,
                expected=bundle.map.cells,
            )
        _check_described(bundle, *self.tensors)
        self._table = self._input_table()

    @property
    def tensors(self) -> tuple[TensorSpec, TensorSpec, TensorSpec]:
        """Descriptions of the model file's tensors: the input, the logits and the map."""
        return _spec(self._input), _spec(self._logits), _spec(self._map)

    @property
    def map_shape(self) -> tuple[int, int]:
        """Rows and columns of the model's map, such as (32, 32)."""
        rows, columns = self._map["shape"][1:3]
        return int(rows), int(columns)

    def run(self, x: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the model on the windows of one slice.

        Args:
            x: (256, 256, 3) float32 in [0, 1], from `ct.tensor.model_input`.

        Returns:
            Two values: (5,) float32 logits of the slice, and (rows, columns, 5) float32 logits of
            the map, an activation or a lesion map (`Bundle.map` says which).

        Raises:
            UsageError: `x` has another shape or type.
        """
        _check_shape(x, WINDOWS_SHAPE, np.float32)
        self._interpreter.tensor(self._input["index"])()[0] = stored_input(x, self._input)
        return self._invoke()

    def run_hu(self, hu: NDArray[np.int16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Run the model on one slice in HU: the result of `run(model_input(hu))`, but faster.

        Args:
            hu: (256, 256) int16, HU in [-1024, 3071].

        Returns:
            Two values: (5,) float32 logits of the slice, and (rows, columns, 5) float32 logits of
            the map.

        Raises:
            UsageError: `hu` has another shape or type.
        """
        self.load(hu)
        return self._invoke()

    def load(self, hu: NDArray[np.int16]) -> None:
        """Write the windows of a slice into the model's input tensor, without running the model.

        Args:
            hu: (256, 256) int16, HU in [-1024, 3071].

        Raises:
            UsageError: `hu` has another shape or type.
        """
        _check_shape(hu, WINDOWS_SHAPE[:2], np.int16)
        memory = self._interpreter.tensor(self._input["index"])()[0]
        if self._table is None:
            apply_windows(hu, self.bundle.windows, out=memory[..., : WINDOWS_SHAPE[2]])
            return
        if self._table.ndim == 1:
            memory = memory.view(self._table.dtype)[..., 0]
        # mode="clip" writes into `out` without a buffer between, and cannot run off the table.
        np.take(self._table, hu - np.int16(HU_MIN), axis=0, out=memory, mode="clip")

    def invoke(self) -> None:
        """Run the model on its input tensor as `load` left it; read no outputs. For timing."""
        self._interpreter.invoke()

    def _invoke(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        self._interpreter.invoke()
        return self._output(self._logits), self._output(self._map)

    def _output(self, details: dict[str, Any]) -> NDArray[np.float32]:
        values = self._interpreter.get_tensor(details["index"])[0]
        quantization = _quantization(details)
        return values if quantization is None else dequantise(values, quantization)

    def _input_table(self) -> NDArray[Any] | None:
        """Return the int8 input of each HU from -1024 to 3071: (4096, 3), or (4096,) words.

        Four int8 channels are one word, and words are looked up four times as fast as rows of
        three. None for a float32 input: computing its windows is quicker than looking them up.
        """
        if _quantization(self._input) is None:
            return None
        every_hu = np.arange(HU_MIN, HU_MAX + 1, dtype=np.int16)
        stored = stored_input(apply_windows(every_hu, self.bundle.windows), self._input)
        is_word = stored[0].nbytes == np.dtype(np.uint32).itemsize
        return stored.view(np.uint32)[:, 0] if is_word else stored


def _interpreter(bundle: Bundle, threads: int) -> Any:
    from ai_edge_litert.interpreter import Interpreter

    try:
        with native_output_held(STDERR, dropping=b"INFO:"):
            interpreter = Interpreter(model_content=bundle.model, num_threads=threads)
            interpreter.allocate_tensors()
    except (RuntimeError, ValueError) as error:
        raise BundleError(
            f"bundle {bundle.path}: LiteRT cannot load the model", found=str(error).strip()
        ) from error
    return interpreter


def _tensors(bundle: Bundle, interpreter: Any) -> tuple[dict[str, Any], ...]:
    """Return the details of the input, the logits (1, 5) and the map (1, rows, columns, 5)."""
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    logits = [d for d in outputs if tuple(d["shape"]) == (1, len(NAMES))]
    maps = [d for d in outputs if len(d["shape"]) == 4 and d["shape"][3] == len(NAMES)]
    if (
        len(inputs) != 1
        or tuple(inputs[0]["shape"]) not in INPUT_SHAPES
        or len(logits) != 1
        or len(maps) != 1
    ):
        shapes = [tuple(int(n) for n in d["shape"]) for d in [*inputs, *outputs]]
        raise BundleError(
            f"bundle {bundle.path}: the model has other inputs or outputs",
            found=shapes,
            expected=f"{INPUT_SHAPES[0]} to (1, {len(NAMES)}) and (1, rows, columns, {len(NAMES)})",
        )
    chosen = (inputs[0], logits[0], maps[0])
    for details in chosen:
        if details["dtype"] not in (np.float32, np.int8):
            raise BundleError(
                f"bundle {bundle.path}: tensor {details['name']} has another type",
                found=details["dtype"].__name__,
                expected="float32 or int8",
            )
    return chosen


def _spec(details: dict[str, Any]) -> TensorSpec:
    quantization = _quantization(details)
    return TensorSpec(
        name=details["name"],
        dtype="float32" if quantization is None else "int8",
        shape=tuple(int(n) for n in details["shape"]),
        quantization=None
        if quantization is None
        else QuantizationSpec(scale=quantization.scale, zero_point=quantization.zero_point),
    )


def _check_described(
    bundle: Bundle, windows: TensorSpec, logits: TensorSpec, map_tensor: TensorSpec
) -> None:
    """Refuse a model file that is not what its manifest says; what it does not say is not asked."""
    said, output = bundle.manifest.input, bundle.manifest.output
    for what, found, expected in (
        ("input name", windows.name, said.name),
        ("input dtype", windows.dtype, said.dtype),
        ("input channels", windows.shape[-1], said.channels),
        ("input quantization", windows.quantization, said.quantization),
        ("output logits", logits, output.logits),
        ("output map_tensor", map_tensor, output.map_tensor),
    ):
        if expected is not UNSET and found != expected:
            raise BundleError(
                f"bundle {bundle.path}: the model has another {what} than its manifest says",
                found="none" if found is None else to_builtins(found),
                expected="none" if expected is None else to_builtins(expected),
            )


def _quantization(details: dict[str, Any]) -> Quantization | None:
    if details["dtype"] is np.float32:
        return None
    scale, zero_point = details["quantization"]
    return Quantization(float(scale), int(zero_point))


def _check_shape(array: NDArray[Any], shape: tuple[int, ...], dtype: type[np.generic]) -> None:
    if array.shape != shape or array.dtype != dtype:
        raise UsageError(
            "the model cannot take this slice",
            found=f"{array.dtype} {array.shape}",
            expected=f"{dtype.__name__} {shape}",
        )
