"""The bytes of a `.tflite` file in, the same network out: plain names and exact int8 logits.

The converter names a tensor after every operation that it folded, 17 KB of names for LightFCN. And
it rounds int8 logits to 1 of 256 steps over the range of all subtypes together, which costs AUC.
Here the int8 activation map is dequantized in the file and its mean taken in float32: same file
size, and the logits keep what the map's many places tell.
"""

from __future__ import annotations

from typing import Any

import flatbuffers

from ichlite.compress.graph import CAM, LOGITS
from ichlite.errors import IchliteError

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Bytes; the TFLite schema forces it on weight buffers, which Python's packer forgets."""
WINDOWS = "windows"


def tidy(content: bytes) -> bytes:
    """A `.tflite` file from `quantize.to_tflite` → the same with short tensor names.

    The input is named `windows`, the outputs `logits` and `cam`. int8 logits become float32, the
    mean of the dequantized map.

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


class _AlignedBuilder(flatbuffers.Builder):  # type: ignore[misc]
    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        """Begin a vector; bytes, which are what weights are stored as, on 16."""
        return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)
