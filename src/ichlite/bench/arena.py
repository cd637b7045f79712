"""Compute the memory arena in which LiteRT lays out the tensors of a `.tflite` file.

LiteRT's Python interface does not give the arena's size. But it gives each tensor's address, and
those that are no weights lie in the arena, so its size is the span of them. They are laid out only
when no delegate takes the graph: the figure is of LiteRT's own kernels. With XNNPACK, which
`ichlite read` uses, the maps lie in a workspace that cannot be seen; `rss_growth_mb` has that.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ichlite.native_output import STDERR, native_output_held


def arena_bytes(content: bytes) -> int:
    """A model → bytes from the first to behind the last tensor that is computed when it runs.

    Args:
        content: Of a `.tflite` file of one subgraph.

    Example:
        >>> from ichlite.infer.bundle import load_bundle
        >>> arena_bytes(load_bundle().model) > 256 * 256 * 3
        True
    """
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    with native_output_held(STDERR, dropping=b"INFO:"):
        interpreter = Interpreter(
            model_content=content,
            experimental_op_resolver_type=OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
        interpreter.allocate_tensors()
    weights = _span(np.frombuffer(content, np.uint8))
    spans = [_span(array) for array in _tensors(interpreter, _widened(content))]
    computed = [span for span in spans if not weights[0] <= span[0] < weights[1]]
    return max(end for _, end in computed) - min(start for start, _ in computed)


def _widened(content: bytes) -> set[int]:
    """A model → its float16 weights made float32, which have memory of their own."""
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    return {
        int(operator.outputs[0])
        for operator in graph.operators
        if len(operator.inputs) == 1
        and graph.tensors[operator.inputs[0]].type == schema.TensorType.FLOAT16
    }


def _tensors(interpreter: Any, others: set[int]) -> list[Any]:
    """Interpreter and places to leave out → a view of each other tensor that has memory."""
    found = []
    for details in interpreter.get_tensor_details():
        if details["index"] in others:
            continue
        try:
            found.append(interpreter.tensor(details["index"])())
        except ValueError:  # no memory yet: allocated while it runs
            continue
    return found


def _span(array: Any) -> tuple[int, int]:
    start = int(array.__array_interface__["data"][0])
    return start, start + int(array.nbytes)
