"""Read a head CT with the bare LiteRT interpreter, by what a bundle's manifest says and no more.

python examples/raw_interpreter.py BUNDLE SERIES_FOLDER     (without: the embedded one, a sample)

It prints for each slice what `ichlite read` does: `any` and the five subtypes. For one whole axial
series without gaps or padding, the face up. Nothing here judges whether that is a head CT, which is
most of what `ichlite read` does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from ai_edge_litert.interpreter import Interpreter


def read_hu(folder: Path, spec: dict[str, Any]) -> Any:
    """Steps `hu` and `resize`: (slice, row, column) HU on the model's grid, feet to head."""
    images = [pydicom.dcmread(path) for path in folder.glob("*.dcm")]
    normal = np.cross(*np.reshape(images[0].ImageOrientationPatient, (2, 3)))
    images.sort(key=lambda image: float(normal @ image.ImagePositionPatient))
    slices = []
    for image in images:
        hu = np.floor(image.pixel_array * image.RescaleSlope + image.RescaleIntercept + 0.5)
        hu = hu.clip(spec["hu_min"], spec["hu_max"]).astype(np.int64)
        side, (rows, columns) = max(hu.shape), hu.shape
        square = np.full((side, side), spec["hu_min"])
        top, left = (side - rows) // 2, (side - columns) // 2
        square[top : top + rows, left : left + columns] = hu
        pixel, cell = np.arange(side) * spec["rows"], np.arange(spec["rows"])[:, None] * side
        ends = np.minimum(cell + side, pixel + spec["rows"]) - np.maximum(cell, pixel)
        share = ends.clip(0)  # of each pixel in each cell, in whole numbers
        slices.append((2 * (share @ square @ share.T) + side**2) // (2 * side**2))
    return np.array(slices)


def levelled(hu: Any, spec: dict[str, Any]) -> Any:
    """Step `brain_level`: the scan, shifted so that its brain has the HU that the model knows."""
    rule = spec["brain_level"]
    if rule is None:
        return hu
    n, block = len(hu), rule["block"]
    coarse = hu.reshape(n, -1, block, hu.shape[2]).sum(2) // block
    coarse = coarse.reshape(n, coarse.shape[1], -1, block).sum(3) // block
    bone, air = coarse > rule["bone_above_hu"], coarse < rule["air_below_hu"]
    inside = ~bone & ~air
    for axis in (1, 2):
        for way in (slice(None), slice(None, None, -1)):
            at = (slice(None),) * axis + (way,)
            place = np.arange(coarse.shape[axis]).reshape(-1, *[1] * (2 - axis))
            stop = np.maximum.accumulate(np.where((bone | air)[at], place, -1), axis)
            met = np.take_along_axis(bone[at], stop.clip(0), axis) & (stop >= 0)
            inside &= met[at]
    brain = inside & (coarse >= rule["brain_from_hu"]) & (coarse <= rule["brain_to_hu"])
    brain &= (brain.sum((1, 2)) >= rule["least_blocks"])[:, None, None]
    shift = round(spec["brain_level_hu"] - np.median(coarse[brain])) if brain.any() else 0
    return (hu + shift).clip(spec["hu_min"], spec["hu_max"])


def model_input(hu: Any, spec: dict[str, Any]) -> Any:
    """Steps `windows` and `store`: one slice as the input tensor (1, row, column, channel)."""
    tensor = np.zeros((1, *hu.shape, spec["channels"]), np.float32)
    for channel, window in enumerate(spec["windows"]):
        low, width = window["centre_hu"] - window["width_hu"] // 2, window["width_hu"]
        tensor[0, ..., channel] = (hu.clip(low, low + width) - low) / np.float32(width)
    if spec["quantization"]:
        scale, zero = (np.float32(spec["quantization"][key]) for key in ("scale", "zero_point"))
        tensor = np.clip(np.rint(tensor / scale) + zero, -128, 127)
    return tensor.astype(spec["dtype"])


def read_series(bundle: Path, folder: Path) -> Any:
    """Return (slice, 6) probabilities, `any` first: steps `calibrate`, `smooth`, `any`."""
    manifest = json.loads((bundle / "manifest.json").read_text(encoding="utf-8"))
    spec, rule, calibration = (manifest[key] for key in ("input", "decision", "calibration"))
    interpreter = Interpreter(str(bundle / "model.tflite"))
    run = interpreter.get_signature_runner(manifest["output"]["signature"])
    logits = []
    for hu in levelled(read_hu(folder, spec), spec):
        outputs = run(**{spec["name"]: model_input(hu, spec)})
        logits.append(outputs[manifest["output"]["logits"]["name"]][0])
    scores = np.array(logits, float) / calibration["temperature"] + calibration["bias"]
    p, weights = 1 / (1 + np.exp(-scores)), np.array(rule["neighbour_weights"])
    near = np.arange(len(p))[:, None] - np.arange(len(p)) + len(weights) // 2
    mixed = np.where(
        (near >= 0) & (near < len(weights)), weights[near.clip(0, len(weights) - 1)], 0
    )
    p = mixed / mixed.sum(1, keepdims=True) @ p
    some = 1 - np.prod(1 - p, axis=1) if rule["any_rule"] == "noisy_or" else 0
    return np.column_stack([np.maximum(some, p.max(axis=1)), p])


def main() -> None:
    assets = Path(__file__).resolve().parents[1] / "src" / "ichlite" / "assets"
    given = [Path(word) for word in sys.argv[1:]]
    bundle, folder = given or (assets / "bundle", assets / "samples" / "ge-head")
    for number, row in enumerate(read_series(bundle, folder), 1):
        print(f"{number:3d}  " + "  ".join(f"{p:.4f}" for p in row))


if __name__ == "__main__":
    main()
