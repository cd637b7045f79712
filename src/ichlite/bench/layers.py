"""List the layers of a `.tflite` file with the operations and bytes of each."""

from __future__ import annotations

from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from ichlite.errors import InputError


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of the converted graph; batch normalisation and ReLU are folded into others.

    Attributes:
        number: Place in the graph, from 0.
        kind: As the format calls it, such as `CONV_2D`.
        output_shape: Of its output, batch first.
        flops: Floating-point operations, a multiply-add being 2.
        input_bytes: Of the maps it reads.
        weight_bytes: Of the constants it reads.
        output_bytes: Of the map it writes.
    """

    number: int
    kind: str
    output_shape: tuple[int, ...]
    flops: int
    input_bytes: int
    weight_bytes: int
    output_bytes: int

    @property
    def bytes(self) -> int:
        """Bytes that it must move when each is moved once: its working set, too."""
        return self.input_bytes + self.weight_bytes + self.output_bytes


def layers_of(content: bytes) -> tuple[Layer, ...]:
    """A `.tflite` file → its operators in the order in which they run.

    Args:
        content: One subgraph, float32.

    Raises:
        InputError: An operator whose operations cannot be counted.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    kinds = {
        value: name
        for name, value in vars(schema.BuiltinOperator).items()
        if not name.startswith("_")
    }
    found = []
    for number, operator in enumerate(graph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = [graph.tensors[place] for place in operator.inputs if place >= 0]
        output = graph.tensors[operator.outputs[0]]
        constant = [model.buffers[tensor.buffer].data is not None for tensor in inputs]
        found.append(
            Layer(
                number=number,
                kind=kind,
                output_shape=tuple(int(side) for side in output.shape),
                flops=_flops(kind, operator, inputs, output),
                input_bytes=sum(
                    _bytes(one) for one, fixed in zip(inputs, constant, strict=True) if not fixed
                ),
                weight_bytes=sum(
                    _bytes(one) for one, fixed in zip(inputs, constant, strict=True) if fixed
                ),
                output_bytes=_bytes(output),
            )
        )
    return tuple(found)


def _flops(kind: str, operator: Any, inputs: list[Any], output: Any) -> int:
    """Multiply-adds as 2, a bias as 1 an output, one operation for each value that a pool sees."""
    outputs = prod(int(side) for side in output.shape)
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        # Filters are (out, row, column, in), for depthwise (1, row, column, out).
        kernel = [int(side) for side in inputs[1].shape]
        taps = prod(kernel[1:]) if kind == "CONV_2D" else kernel[1] * kernel[2]
        return outputs * (2 * taps + (len(inputs) > 2))
    if kind in ("MAX_POOL_2D", "AVERAGE_POOL_2D"):
        options = operator.builtinOptions
        return int(outputs * options.filterHeight * options.filterWidth)
    if kind in ("MEAN", "REDUCE_MAX"):
        return prod(int(side) for side in inputs[0].shape)
    if kind in ("ADD", "MUL", "QUANTIZE", "DEQUANTIZE"):
        return outputs
    if kind == "RESIZE_BILINEAR":  # four values of the input, each weighed and added
        return 8 * outputs
    if kind in ("PAD", "RESHAPE"):
        return 0
    raise InputError(f"the operations of {kind} cannot be counted", expected="a known layer")


def _bytes(tensor: Any) -> int:
    from ai_edge_litert import schema_py_generated as schema

    sizes = {
        schema.TensorType.FLOAT32: np.float32,
        schema.TensorType.FLOAT16: np.float16,
        schema.TensorType.INT32: np.int32,
        schema.TensorType.INT8: np.int8,
    }
    return prod(int(side) for side in tensor.shape) * np.dtype(sizes[tensor.type]).itemsize
