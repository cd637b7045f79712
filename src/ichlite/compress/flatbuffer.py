"""Give the converter's `.tflite` files short names and exact int8 logits.

The converter names a tensor after every operation that it folded, 17 KB of names for LightFCN. And
it rounds int8 logits to 1 of 256 steps over the range of all subtypes together, which costs AUC.
Here the int8 maps that logits are made of are dequantized in the file, and what follows (their mean
and maximum) is float32: same file size, and the logits keep what the maps' many places tell. The
int8 input gets a fourth channel with weights of zero, so that a pixel is one word of memory.
"""

from __future__ import annotations

from typing import Any

import flatbuffers
import numpy as np
from numpy.typing import NDArray

from ichlite.compress.graph import CAM
from ichlite.errors import IchliteError
from ichlite.labels import NAMES
from ichlite.models.outputs import LOGITS

IDENTIFIER = b"TFL3"
ALIGNMENT = 16
"""Alignment of weight buffers in bytes, as the TFLite schema requires; Python's flatbuffer builder
ignores it."""
WINDOWS = "windows"
WORD_BYTES = 4


def tidy(content: bytes, map_name: str = CAM) -> bytes:
    """Give a `.tflite` file from `quantize.to_tflite` short tensor names and float32 logits.

    The input is named `windows`, the outputs `logits` and as `map_name` says. int8 logits become
    float32, from the dequantized maps; an int8 input of three channels that goes straight into a
    convolution gets a fourth, which counts for nothing.

    Args:
        content: Bytes of a `.tflite` file with one subgraph and two outputs: logits (1, 5) and map
            (1, h, w, 5).
        map_name: Name that the map output is given.

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
    graph.tensors[cam].name = map_name.encode()
    graph.outputs = [int(logits), int(cam)]
    graph.name = None
    model.description = None
    model.signatureDefs = None
    if graph.tensors[logits].type == schema.TensorType.INT8:
        _logits_in_float(schema, model, int(logits))
    if graph.tensors[graph.inputs[0]].type == schema.TensorType.INT8:
        _blank_channel(schema, model)
    return repacked(model, len(content))


def repacked(model: Any, size: int) -> bytes:
    """Return the bytes of a `.tflite` file from its object form.

    Args:
        model: Object form of the file (`schema_py_generated.ModelT`).
        size: Approximate size of the file in bytes, which sets the first buffer.
    """
    builder = _AlignedBuilder(size)
    builder.Finish(model.Pack(builder), file_identifier=IDENTIFIER)
    return bytes(builder.Output())


def _logits_in_float(schema: Any, model: Any, logits: int) -> None:
    """Put a DEQUANTIZE after each map that logits are made of, and let the rest be float32."""
    graph = model.subgraphs[0]
    makers = {int(output): op for op in graph.operators for output in op.outputs}
    maps: dict[int, int] = {}

    def real(number: int) -> int:
        """Return the float32 tensor in the place of an int8 one; axes and shapes stay."""
        tensor = graph.tensors[number]
        if tensor.type != schema.TensorType.INT8:
            return number
        if number in makers and np.prod(tensor.shape) > len(NAMES):
            maps.setdefault(number, len(graph.tensors) + len(maps))
            return maps[number]
        if number not in makers:
            model.buffers.append(schema.BufferT(data=_dequantized(model, tensor)))
            tensor.buffer = len(model.buffers) - 1
        else:
            maker = makers[number]
            maker.inputs = [real(int(one)) for one in maker.inputs]
        tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
        return number

    real(logits)
    if not maps:
        raise IchliteError(
            "the converted graph is not as expected",
            found="logits of no map",
            expected="a mean or maximum of one",
            remedy="this version of the converter is not supported",
        )
    code = schema.OperatorCodeT(
        deprecatedBuiltinCode=schema.BuiltinOperator.DEQUANTIZE,
        builtinCode=schema.BuiltinOperator.DEQUANTIZE,
        version=2,
    )
    model.operatorCodes.append(code)
    for number, copy in maps.items():
        graph.tensors.append(
            schema.TensorT(
                shape=graph.tensors[number].shape,
                type=schema.TensorType.FLOAT32,
                buffer=0,
                name=graph.tensors[number].name + b"_float",
                hasRank=True,
            )
        )
        place = min(at for at, op in enumerate(graph.operators) if copy in op.inputs)
        dequantize = schema.OperatorT(
            opcodeIndex=len(model.operatorCodes) - 1, inputs=[number], outputs=[copy]
        )
        graph.operators.insert(place, dequantize)


def _dequantized(model: Any, tensor: Any) -> NDArray[np.uint8]:
    """Return the real values of a constant int8 tensor, as the bytes of float32."""
    stored = np.frombuffer(bytes(model.buffers[tensor.buffer].data), np.int8)
    quantization = tensor.quantization
    shifted = stored - np.asarray(quantization.zeroPoint, np.float32)
    return (shifted * np.asarray(quantization.scale, np.float32)).view(np.uint8)


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
    """A builder that aligns weights as the schema asks for."""

    def StartVector(self, elemSize: int, numElems: int, alignment: int) -> Any:  # noqa: N802, N803
        """Begin a vector; one of bytes, which weights are stored as, is aligned to 16 bytes."""
        return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)
