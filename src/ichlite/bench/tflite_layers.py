"""Count the operations and bytes of each layer of a `.tflite` file, and size its memory arena."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.lib.array_utils import byte_bounds

from ichlite.errors import InputError
from ichlite.native_output import STDERR, native_output_held


@dataclass(frozen=True, slots=True)
class Layer:
    """One operator of the converted graph; batch normalisation and ReLU are folded into others.

    Attributes:
        number: Place in the graph, from 0.
        kind: Operator name of the TFLite schema, such as `CONV_2D`.
        output_shape: Shape of the output tensor, batch first.
        flops: Floating-point operations, a multiply-add being 2.
        input_bytes: Bytes of the feature maps that the operator reads.
        weight_bytes: Bytes of the constants that the operator reads.
        output_bytes: Bytes of the feature map that the operator writes.
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
        """Bytes moved when each tensor is moved once, which is also the operator's working set."""
        return self.input_bytes + self.weight_bytes + self.output_bytes


def layers_of(content: bytes) -> tuple[Layer, ...]:
    """Return the operators of a `.tflite` file in the order in which they run.

    Args:
        content: Bytes of a float32 `.tflite` file with one subgraph.

    Raises:
        InputError: An operator whose operations cannot be counted.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    kinds = {value: name for name, value in vars(schema.BuiltinOperator).items()}
    found = []
    for number, operator in enumerate(graph.operators):
        code = model.operatorCodes[operator.opcodeIndex]
        kind = kinds[max(code.builtinCode, code.deprecatedBuiltinCode)]
        inputs = [graph.tensors[place] for place in operator.inputs if place >= 0]
        output = graph.tensors[operator.outputs[0]]
        moved = {True: 0, False: 0}
        for tensor in inputs:
            moved[model.buffers[tensor.buffer].data is not None] += _bytes(tensor)
        shape = tuple(int(side) for side in output.shape)
        count = _flops(kind, operator, inputs, prod(shape))
        found.append(Layer(number, kind, shape, count, moved[False], moved[True], _bytes(output)))
    return tuple(found)


def arena_bytes(content: bytes) -> int:
    """Return the size of the arena in which LiteRT lays out the tensors that it computes.

    LiteRT's Python interface does not give it. But it gives each tensor's address, and those that
    are no weights lie in the arena, so its size is the span of them. They are laid out only when no
    delegate takes the graph: the figure is of LiteRT's own kernels. With XNNPACK, which `ichlite
    read` uses, the maps lie in a workspace that cannot be seen; `rss_growth_mb` has that.

    Args:
        content: Bytes of a `.tflite` file of one subgraph.

    Example:
        >>> from ichlite.infer.bundle import load_bundle
        >>> arena_bytes(load_bundle().model) > 256 * 256 * 3
        True
    """
    from ai_edge_litert import schema_py_generated as schema
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with native_output_held(STDERR, dropping=b"INFO:"):
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    graph = schema.ModelT.InitFromPackedBuf(content, 0).subgraphs[0]
    # float16 weights made float32 have memory of their own.
    widened = {
        operator.outputs[0]
        for operator in graph.operators
        if len(operator.inputs) == 1
        and graph.tensors[operator.inputs[0]].type == schema.TensorType.FLOAT16
    }
    first_weight, last_weight = byte_bounds(np.frombuffer(content, np.uint8))
    starts, ends = [], []
    for number in {one["index"] for one in interpreter.get_tensor_details()} - widened:
        with suppress(ValueError):  # no memory yet: allocated while it runs
            start, end = byte_bounds(interpreter.tensor(number)())
            if not first_weight <= start < last_weight:
                starts.append(start)
                ends.append(end)
    return int(max(ends) - min(starts))


def _flops(kind: str, operator: Any, inputs: list[Any], outputs: int) -> int:
    """Count multiply-adds as 2, biases as 1 an output, one operation a value that a pool sees."""
    if kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
        # Filters are (out, row, column, in), for depthwise (1, row, column, out).
        _, rows, columns, channels = (int(side) for side in inputs[1].shape)
        taps = rows * columns * (channels if kind == "CONV_2D" else 1)
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

    each = {
        schema.TensorType.FLOAT32: 4,
        schema.TensorType.FLOAT16: 2,
        schema.TensorType.INT32: 4,
        schema.TensorType.INT8: 1,
    }
    return prod(int(side) for side in tensor.shape) * each[tensor.type]
