"""Write into a `.tflite` file what it takes and gives: a signature, and metadata in two forms.

The signature names input and outputs, so that no program has to guess which output is which. The
metadata `ichlite` is JSON: name, version, and the manifest's `input` and `output` (without the
words of their `steps`) and `subtypes`. The metadata `TFLITE_METADATA` says it in short where
viewers and Android Studio look for it.
Neither touches an operator, a tensor or a weight.

Source: TensorFlow Lite's `metadata_schema.fbs`, version 1 (identifier `M001`), by its slots.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import flatbuffers
from msgspec import UNSET, structs

from ichlite.compress.flatbuffer import repacked
from ichlite.contracts.bundle import BundleManifest
from ichlite.contracts.codec import to_json_value
from ichlite.infer.bundle import bundle_of
from ichlite.infer.model_description import describe_input, describe_output
from ichlite.infer.runtime import Runtime
from ichlite.labels import NAMES

OURS = "ichlite"
STANDARD = "TFLITE_METADATA"
"""Names of the two metadata entries in a `.tflite` file: TensorFlow Lite's own, and ichlite's."""

_IDENTIFIER = b"M001"
_PARSER = "1.0.0"
"""Least version of the metadata parser that knows all of it."""
_LICENCE = "Apache-2.0; what the weights learned from: the bundle's model-card.md"
_WORDS = (
    "Five intracranial haemorrhages on a slice of a head CT. Research use only; not a medical "
    f"device. Numbers of input and outputs: the metadata '{OURS}'; steps, calibration and "
    "thresholds: the bundle's manifest.json."
)


def described(manifest: BundleManifest, content: bytes) -> tuple[BundleManifest, bytes]:
    """Write the descriptions of a model's tensors into its manifest and into the `.tflite` file.

    Args:
        manifest: Manifest of the bundle; its input and output need not be described yet.
        content: Bytes of the bundle's `.tflite` file.

    Returns:
        The manifest with tensors and processing steps filled in, whose SHA-256 of `model.tflite`
        is not updated: that is left to the caller; and the bytes of the file with signature and
        metadata.
    """
    windows, logits, map_tensor = Runtime(bundle_of(Path(), manifest, content)).tensors
    manifest = structs.replace(
        manifest,
        input=describe_input(manifest.input.brain_level_hu, windows),
        output=describe_output(manifest.output, logits, map_tensor),
    )
    return manifest, with_metadata(content, manifest)


def with_metadata(content: bytes, manifest: BundleManifest) -> bytes:
    """Replace the signature and metadata of a `.tflite` file by those of a manifest.

    Args:
        content: Bytes of a `.tflite` file with one subgraph, whose tensors the manifest describes.
        manifest: Manifest of the bundle, with input and output described.

    Returns:
        Bytes of the new file; the same for the same input.
    """
    from ai_edge_litert import schema_py_generated as schema

    model = schema.ModelT.InitFromPackedBuf(content, 0)
    graph = model.subgraphs[0]
    numbers = {graph.tensors[n].name.decode(): int(n) for n in (*graph.inputs, *graph.outputs)}

    def maps(tensors: Sequence[int]) -> list[Any]:
        """Return the signature's names of tensors: their own."""
        return [
            schema.TensorMapT(name=name, tensorIndex=number)
            for name, number in numbers.items()
            if number in tensors
        ]

    model.signatureDefs = [
        schema.SignatureDefT(
            inputs=maps(graph.inputs),
            outputs=maps(graph.outputs),
            signatureKey=manifest.output.signature,
            subgraphIndex=0,
        )
    ]
    said = to_json_value(manifest)
    ours = {key: said[key] for key in ("name", "version", "input", "output", "subtypes")}
    for part in ("input", "output"):  # the words are two kilobytes; the manifest has them
        del ours[part]["steps"]
    for name, data in (
        (OURS, json.dumps(ours, separators=(",", ":")).encode()),
        (STANDARD, _standard(manifest)),
    ):
        _put(schema, model, name, data)
    return repacked(model, len(content))


def _put(schema: Any, model: Any, name: str, data: bytes) -> None:
    """Set an entry of the file's metadata, in its place if there is one."""
    for entry in model.metadata or []:
        if entry.name == name.encode():
            model.buffers[entry.buffer].data = data
            return
    model.buffers.append(schema.BufferT(data=data))
    entry = schema.MetadataT(name=name.encode(), buffer=len(model.buffers) - 1)
    model.metadata = [*(model.metadata or []), entry]


def _standard(manifest: BundleManifest) -> bytes:
    """Return the flatbuffer `ModelMetadata` of a model."""
    builder = flatbuffers.Builder(1024)
    spec, output = manifest.input, manifest.output
    shape = f"(1, {spec.rows}, {spec.columns}, {spec.channels}) {spec.dtype}"
    windows = ", ".join(f"{w.name} {w.centre_hu}/{w.width_hu}" for w in spec.windows)
    channels = f"{shape}, {spec.layout}; windows of HU in [0, 1], centre/width: {windows}"
    inputs = [_tensor(builder, str(spec.name), channels)]
    described = (
        (output.logits, f"(1, 5) logits, before calibration: {', '.join(NAMES)}"),
        (output.map_tensor, f"(1, rows, columns, 5) {output.kind} map of the same"),
    )
    outputs = [_tensor(builder, one.name, what) for one, what in described if one is not UNSET]
    subgraph = _table(builder, {2: _vector(builder, inputs), 3: _vector(builder, outputs)}, 7)
    texts = {0: manifest.name, 1: _WORDS, 2: manifest.version, 5: _LICENCE, 7: _PARSER}
    fields = {slot: builder.CreateString(text) for slot, text in texts.items()}
    fields[3] = _vector(builder, [subgraph])
    builder.Finish(_table(builder, fields, 8), file_identifier=_IDENTIFIER)
    return bytes(builder.Output())


def _tensor(builder: Any, name: str, description: str) -> int:
    """Add a table `TensorMetadata`; return where it is."""
    texts = {0: builder.CreateString(name), 1: builder.CreateString(description)}
    return _table(builder, texts, 7)


def _table(builder: Any, fields: dict[int, int], slots: int) -> int:
    """Add a table of so many slots, some of which point to something; return where it is."""
    builder.StartObject(slots)
    for slot, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(slot, offset, 0)
    return int(builder.EndObject())


def _vector(builder: Any, offsets: Sequence[int]) -> int:
    """Add a vector of what lies at the offsets; return where it is."""
    builder.StartVector(4, len(offsets), 4)
    for offset in reversed(offsets):
        builder.PrependUOffsetTRelative(offset)
    return int(builder.EndVector())
