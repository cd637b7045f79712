"""List the facts of a bundle that a person or an inventory asks for."""

from __future__ import annotations

import platform
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from msgspec import UNSET

from ichlite import __version__
from ichlite.contracts.bundle_tensors import TensorSpec
from ichlite.contracts.codec import to_json_value
from ichlite.infer.bundle import CARD_FILE, MODEL_FILE, Bundle
from ichlite.infer.runtime import Runtime
from ichlite.infer.worth import doubts
from ichlite.labels import NAMES

_PACKAGES = ("ai-edge-litert", "numpy", "pydicom", "pillow")


def bundle_facts(bundle: Bundle) -> dict[str, dict[str, Any]]:
    """Return the facts about a bundle and its software as JSON-ready values, by section.

    Args:
        bundle: Bundle to describe; its model is loaded for the data type of its input.

    Example:
        >>> from ichlite.infer.bundle import load_bundle
        >>> sorted(bundle_facts(load_bundle()))
        ['bundle', 'calibration', 'cost', 'decision', 'input', 'metrics', 'training', 'versions']
    """
    manifest = bundle.manifest
    rule = bundle.rule
    return {
        "bundle": {
            "name": bundle.name,
            "version": bundle.version,
            "model": manifest.model,
            "precision": manifest.precision,
            "map": bundle.map.kind,
            "bytes": len(bundle.model),
            "sha256": manifest.files[MODEL_FILE],
            "manifest_sha256": manifest.manifest_sha256 or None,
            "warnings": list(doubts(manifest)),
            "path": str(bundle.path),
        },
        "input": {
            "grid": f"{manifest.input.rows}x{manifest.input.columns}",
            "brain_level_hu": bundle.brain_level_hu,
            **_tensor(Runtime(bundle).tensors[0]),
            **{f"window {w.name}": f"{w.centre_hu}/{w.width_hu} HU" for w in bundle.windows},
        },
        "calibration": {
            name: f"sigmoid(logit / {temperature:g} + {bias:g})"
            for name, temperature, bias in zip(
                NAMES, bundle.calibration.temperature, bundle.calibration.bias, strict=True
            )
        },
        "decision": {
            **_section(rule.spec),
            "thresholds": dict(rule.thresholds),
            "operating_points": {
                name: dict(thresholds) for name, thresholds in bundle.operating_points.items()
            },
        },
        "cost": _section(manifest.cost),
        "metrics": _section(manifest.metrics),
        "training": _section(manifest.training),
        "versions": {
            "ichlite": __version__,
            "python": platform.python_version(),
            **{package: _version(package) for package in _PACKAGES},
        },
    }


def model_card(bundle: Bundle) -> str:
    """Return the Markdown text of a bundle's model card; empty where the bundle has none."""
    if CARD_FILE not in bundle.manifest.files:
        return ""
    return (bundle.path / CARD_FILE).read_text(encoding="utf-8", errors="replace")


def _tensor(tensor: TensorSpec) -> dict[str, Any]:
    """Return what must be known of the input tensor, as the model file has it."""
    said = to_json_value(tensor)
    channels = said["shape"][-1]
    keys = {key: said[key] for key in ("name", "dtype", "quantization")}
    return {**keys, "layout": "NHWC", "channels": channels}


def _section(document: object) -> dict[str, Any]:
    """Return a document ready for JSON, empty where the bundle has none."""
    return {} if document is UNSET else dict(to_json_value(document))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
