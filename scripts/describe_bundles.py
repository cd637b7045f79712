"""Describe the bundles in the project: complete their manifests, sign their model files, seal both.

    python scripts/describe_bundles.py              (those in the project)
    python scripts/describe_bundles.py FOLDER ...   (others)

A bundle of before such descriptions gets what `ichlite compress` writes today: the tensors and
steps in `input` and `output`, a signature and metadata in `model.tflite`, and the manifest's own
hash. Of the manifest nothing else changes but the file's hash and sizes. It is written only when
the new file gives the same logits and maps as the old one, bit for bit, on slices of the samples
and on noise. A bundle that is described already stays as it is, byte for byte.
"""

from __future__ import annotations

import argparse
import hashlib
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import replacing, write_text
from ichlite.compress.model_cost import sizes
from ichlite.compress.model_metadata import described
from ichlite.contracts.codec import to_json_value
from ichlite.contracts.seal import NO_DIGITS, sealed
from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.infer.bundle import EMBEDDED, MANIFEST_FILE, MODEL_FILE, Bundle, load_bundle
from ichlite.infer.runtime import Runtime
from ichlite.samples import SAMPLES

ROOT = Path(__file__).resolve().parents[1]
BUNDLES = (EMBEDDED, ROOT / "models" / "lesion_fcn-int8", ROOT / "models" / "lesion_fcn-phantoms")
NOISE = 16
"""Slices of noise over all HU, which no head has."""

Slices = list[NDArray[np.int16]]


def main() -> None:
    """Describe what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folders", nargs="*", type=Path, default=BUNDLES)
    slices = trial_slices()
    for folder in parser.parse_args().folders:
        print(f"{folder}: {describe(folder, slices)}")


def trial_slices() -> Slices:
    """Return the slices that old and new files are compared on."""
    found: Slices = []
    for sample in SAMPLES:
        (series,), _ = find_series([str(sample.folder)])
        found += list(read_volume(series).hu)
    rng = np.random.default_rng(0)
    return found + [rng.integers(-1024, 3072, (256, 256)).astype(np.int16) for _ in range(NOISE)]


def describe(folder: Path, slices: Slices) -> str:
    """Describe one bundle in its place, unless it is; say what was done.

    Raises:
        SystemExit: The new file answers otherwise than the old one; nothing is written.
    """
    old = load_bundle(folder)
    manifest, content = described(old.manifest, old.model)
    if (manifest, content) == (old.manifest, old.model) and manifest.manifest_sha256:
        return "described already"
    new = replace(old, manifest=manifest, model=content)
    differing = int((~same_answers(slices, old, new)).sum())
    if differing:
        raise SystemExit(f"{folder}: {differing} of {len(slices)} slices are answered otherwise")
    path = folder / MANIFEST_FILE
    text = completed(json.loads(path.read_text(encoding="utf-8")), new)
    with replacing(folder / MODEL_FILE) as part:
        part.write_bytes(content)
    write_text(path, text)
    load_bundle(folder)
    return (
        f"{len(old.model):,} to {len(content):,} bytes; logits and maps of {len(slices)} slices "
        "are the same, bit for bit"
    )


def same_answers(slices: Slices, old: Bundle, new: Bundle) -> NDArray[np.bool_]:
    """Return for each slice whether both files give the same bits."""
    runtimes = Runtime(old), Runtime(new)
    answers = [[runtime.run_hu(hu) for hu in slices] for runtime in runtimes]
    return np.array(
        [
            all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
            for before, after in zip(*answers, strict=True)
        ]
    )


def completed(document: dict[str, object], bundle: Bundle) -> str:
    """Return a manifest's text with what is new in a bundle, sealed; all else as it was."""
    said = to_json_value(bundle.manifest)
    document |= {"input": said["input"], "output": said["output"]}
    if "cost" in document:
        document["cost"] = {**said["cost"], **sizes(bundle.model)}
    files = {**said["files"], MODEL_FILE: hashlib.sha256(bundle.model).hexdigest()}
    document["files"] = files
    kept = {key: value for key, value in document.items() if key != "manifest_sha256"}
    keys = list(kept)
    keys.insert(keys.index("files") + 1, "manifest_sha256")
    kept["manifest_sha256"] = NO_DIGITS
    return sealed(json.dumps({key: kept[key] for key in keys}, indent=2) + "\n")


if __name__ == "__main__":
    main()
