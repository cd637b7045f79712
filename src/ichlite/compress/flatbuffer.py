"""The bytes of a `.tflite` file in, the same network out: plain names and exact int8 logits.

The converter names a tensor after every operation that it folded, 17 KB of names for LightFCN. And
it rounds int8 logits to 1 of 256 steps over the range of all subtypes together, which costs AUC.
Here the int8 activation map is dequantized in the file and its mean taken in float32: same file
size, and the logits keep what the map's many places tell. The int8 input gets a fourth channel with
weights of zero, so that a pixel is one word of memory.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np

from ichlite.compress.graph import CAM, LOGITS
from ichlite.errors import IchliteError

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Bytes; the TFLite schema forces it on weight buffers, which Python's packer forgets."""
WINDOWS = "windows"
WORD_BYTES = 4


def tidy(content: bytes) -> bytes:
    """A `.tflite` file from `quantize.to_tflite` → the same with short tensor names.

    The input is named `windows`, the outputs `logits` and `cam`. int8 logits become float32, the
    mean of the dequantized map; an int8 input of three channels that goes straight into a
    convolution gets a fourth, which counts for nothing.

    Args:
        content: One subgraph, two outputs: logits (1, 5) and map (1, h, w, 5).

    Returns:
        The file's bytes; the same bytes for the same input.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    logits, cam = sorted(graph.outputs, key=lambda number: len(graph.tensors[number].shape))
    for number, tensor in enumerate(graph.tensors):
        tensor.name = f"t{number}".encode()
    graph.tensors[graph.inputs[0]].name = WINDOWS.encode()
    graph.tensors[logits].name = LOGITS.encode()
    graph.tensors[cam].name = CAM.encode()
    graph.outputs = [int(logits), int(cam)]
    graph.name = None
    model.description = None
    model.signatureDefs = None
    if graph.tensors[logits].type == schema.TensorType.INT8:
        _mean_in_float(schema, model, int(logits), int(cam))
    if graph.tensors[graph.inputs[0]].type == schema.TensorType.INT8:
        _blank_channel(schema, model)
    builder = _AlignedBuilder(len(content))
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _mean_in_float(schema: Any, model: Any, logits: int, cam: int) -> None:
    """Put a DEQUANTIZE between map and mean, and let the mean be float32."""
    graph = model.subgraphs[0]
    means = [op for op in graph.operators if logits in op.outputs and cam in op.inputs]
    if len(means) != 1:
        raise IchliteError(
            "the converted graph is not as expected",
            found=f"{len(means)} operators from map to logits",
            expected="one mean",
            remedy="this version of the converter is not supported",
        )
    place = graph.operators.index(means[0])
    code = schema.OperatorCodeT(
        deprecatedBuiltinCode=schema.BuiltinOperator.DEQUANTIZE,
        builtinCode=schema.BuiltinOperator.DEQUANTIZE,
        version=2,
    )
    model.operatorCodes.append(code)
    real = schema.TensorT(
        shape=graph.tensors[cam].shape,
        type=schema.TensorType.FLOAT32,
        buffer=0,
        name=b"cam_float",
        hasRank=True,
    )
    graph.tensors.append(real)
    number = len(graph.tensors) - 1
    dequantize = schema.OperatorT(
        opcodeIndex=len(model.operatorCodes) - 1, inputs=[cam], outputs=[number]
    )
    graph.operators.insert(place, dequantize)
    means[0].inputs = [number, *(int(n) for n in means[0].inputs[1:])]
    graph.tensors[logits].type = schema.TensorType.FLOAT32
    graph.tensors[logits].quantization = None


def _blank_channel(schema: Any, model: Any) -> None:
    """Widen the input and the stem's int8 weights, zeros, to a word of four channels a pixel.

    A model whose input goes elsewhere first (MobileNetV2 pads it) stays as it is.
    """
    graph = model.subgraphs[0]
    windows = graph.tensors[graph.inputs[0]]
    readers = [op for op in graph.operators if graph.inputs[0] in op.inputs]
    codes = [model.operatorCodes[op.opcodeIndex].builtinCode for op in readers]
    if codes != [schema.BuiltinOperator.CONV_2D]:
        return
    weights = graph.tensors[readers[0].inputs[1]]
    buffer = model.buffers[weights.buffer]
    kernel = np.frombuffer(bytes(buffer.data), np.int8).reshape(weights.shape)
    blank = WORD_BYTES - kernel.shape[-1]
    wide = np.pad(kernel, [(0, 0)] * 3 + [(0, blank)])
    buffer.data = wide.reshape(-1).view(np.uint8)
    weights.shape = list(wide.shape)
    windows.shape = [*windows.shape[:3], WORD_BYTES]
    windows.shapeSignature = None


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        """Begin a vector; bytes, which are what weights are stored as, on 16."""
        return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)
