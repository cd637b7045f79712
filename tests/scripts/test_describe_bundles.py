"""Bundles of before get a description, and nothing else of them changes."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import pytest
from ai_edge_litert import schema_py_generated as schema
from scripts.describe_bundles import BUNDLES, describe, trial_slices

from ichlite.compress.flatbuffer import repacked
from ichlite.infer.bundle import load_bundle
from scripts import describe_bundles


def before(bundle: Path, folder: Path) -> Path:
    """Return a copy of a bundle without what the script writes."""
    shutil.copytree(bundle, folder)
    model = schema.ModelT.InitFromPackedBuf((folder / "model.tflite").read_bytes(), 0)
    model.signatureDefs, ours = None, (b"ichlite", b"TFLITE_METADATA")
    model.metadata = [one for one in model.metadata if one.name not in ours]
    model.buffers = model.buffers[:-2]
    (folder / "model.tflite").write_bytes(repacked(model, 80_000))
    manifest = json.loads((folder / "manifest.json").read_text())
    spec = manifest["input"]
    manifest["input"] = {key: spec[key] for key in list(spec)[: list(spec).index("windows") + 1]}
    manifest["output"] = {key: manifest["output"][key] for key in ("map", "cells")}
    del manifest["manifest_sha256"]
    content = (folder / "model.tflite").read_bytes()
    manifest["files"]["model.tflite"] = hashlib.sha256(content).hexdigest()
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=2) + "\n")
    return folder


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_the_script_makes_the_bundles_in_the_project_byte_for_byte(
    bundle: Path, tmp_path: Path
) -> None:
    folder = before(bundle, tmp_path / "bundle")
    assert load_bundle(folder).model != load_bundle(bundle).model
    assert "the same, bit for bit" in describe(folder, trial_slices()[::9])
    for file in bundle.iterdir():
        assert (folder / file.name).read_bytes() == file.read_bytes()
    assert describe(folder, []) == "described already"


def test_a_file_that_answers_otherwise_is_not_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = before(BUNDLES[0], tmp_path / "bundle")
    kept = {file.name: file.read_bytes() for file in folder.iterdir()}
    other = load_bundle(BUNDLES[2])
    monkeypatch.setattr(describe_bundles, "described", lambda *_: (other.manifest, other.model))
    with pytest.raises(SystemExit, match="2 of 2 slices are answered otherwise"):
        describe(folder, trial_slices()[:2])
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == kept
