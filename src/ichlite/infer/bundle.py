"""A bundle folder in; a checked `Bundle` out: the only thing that crosses from making to using.

A bundle is `model.tflite`, `manifest.json` and the files that the manifest lists, each with its
SHA-256. Everything is checked before anything is judged: one changed byte is an error.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast

from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN
from ichlite.ct.windows import Window
from ichlite.errors import BundleError, IchliteError
from ichlite.infer.decision import AnyRule, Calibration, Rule, ScanRule
from ichlite.labels import ANY, NAMES

SCHEMA = "ichlite-bundle/1"
MODEL_FILE = "model.tflite"
MANIFEST_FILE = "manifest.json"
EMBEDDED = Path(__file__).resolve().parents[1] / "assets" / "bundle"
"""The bundle that is shipped with ichlite."""

DEFAULT_ANY_RULE = "max"
DEFAULT_SCAN_RULE = "top3_mean"
CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model and all that is needed to read with it.

    Attributes:
        name, version: As in the manifest.
        path: The folder.
        manifest: The whole manifest, for `ichlite info`.
        windows: The input channels, in order.
        calibration: Logits to probabilities.
        rule: Slices to scan.
        model: The bytes of `model.tflite`, whose hash was checked.
    """

    name: str
    version: str
    path: Path
    manifest: Mapping[str, Any] = field(repr=False, compare=False)
    windows: tuple[Window, ...]
    calibration: Calibration
    rule: Rule
    model: bytes = field(repr=False)

    @property
    def label(self) -> str:
        """Name and version, as results carry it."""
        return f"{self.name} {self.version}"


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Take a bundle folder, None for the embedded one; give it, checked (reads the files).

    Args:
        path: Folder with `manifest.json`.

    Returns:
        The bundle; every file it lists has the hash it lists.

    Raises:
        BundleError: Missing, incomplete, changed, or made for another version of ichlite.

    Example:
        >>> load_bundle().path == EMBEDDED
        True
    """
    folder = EMBEDDED if path is None else Path(path)
    manifest = _manifest(folder)
    try:
        return _bundle(folder, manifest)
    except (KeyError, TypeError, ValueError) as error:
        missing = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} is incomplete or wrong",
            found=missing,
            expected=f"the keys of {SCHEMA}",
        ) from error


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        manifest = json.loads((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"no bundle at {folder}",
            found=error.strerror,
            expected=f"a folder with {MANIFEST_FILE}",
        ) from error
    except ValueError as error:
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} is not JSON", found=str(error)
        ) from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"bundle {folder} cannot be used by this version", found=schema, expected=SCHEMA
        )
    return cast("Mapping[str, Any]", manifest)


def _bundle(folder: Path, manifest: Mapping[str, Any]) -> Bundle:
    contents = _checked_files(folder, manifest["files"])
    _check_equal(folder, "subtypes", list(manifest["subtypes"]), list(NAMES))
    spec = manifest["input"]
    for key, expected in (
        ("rows", GRID),
        ("columns", GRID),
        ("hu_min", HU_MIN),
        ("hu_max", HU_MAX),
    ):
        _check_equal(folder, f"input {key}", spec[key], expected)
    _check_equal(folder, "number of windows", len(spec["windows"]), CHANNELS)
    try:
        windows = tuple(
            Window(str(w["name"]), int(w["centre_hu"]), int(w["width_hu"])) for w in spec["windows"]
        )
        rule = _rule(manifest["decision"])
    except BundleError:
        raise
    except IchliteError as error:
        raise BundleError(f"bundle {folder}: {error}") from error
    return Bundle(
        name=str(manifest["name"]),
        version=str(manifest["version"]),
        path=folder,
        manifest=manifest,
        windows=windows,
        calibration=_calibration(manifest["calibration"]),
        rule=rule,
        model=contents[MODEL_FILE],
    )


def _checked_files(folder: Path, listed: Mapping[str, str]) -> dict[str, bytes]:
    if MODEL_FILE not in listed:
        raise BundleError(f"bundle {folder} lists no {MODEL_FILE}", found=sorted(listed))
    contents = {}
    for name, expected in sorted(listed.items()):
        if Path(name).name != name:
            raise BundleError(f"bundle {folder} lists a file outside its folder", found=name)
        try:
            contents[name] = (folder / name).read_bytes()
        except OSError as error:
            raise BundleError(
                f"bundle {folder}: {name} cannot be read", found=error.strerror
            ) from error
        found = hashlib.sha256(contents[name]).hexdigest()
        if found != expected:
            raise BundleError(
                f"bundle {folder}: {name} was changed",
                found=f"SHA-256 {found}",
                expected=expected,
                remedy="install the bundle again",
            )
    return contents


def _check_equal(folder: Path, what: str, found: object, expected: object) -> None:
    if found != expected:
        raise BundleError(
            f"bundle {folder} cannot be used by this version: {what}",
            found=found,
            expected=expected,
        )


def _calibration(fields: Mapping[str, Any]) -> Calibration:
    temperature = _numbers("temperature", fields["temperature"], len(NAMES))
    if min(temperature) <= 0:
        raise ValueError(f"temperature {temperature}, not positive")
    return Calibration(temperature, _numbers("bias", fields["bias"], len(NAMES)))


def _rule(fields: Mapping[str, Any]) -> Rule:
    weights = _numbers("neighbour_weights", fields["neighbour_weights"], None)
    if len(weights) % 2 == 0 or min(weights) < 0 or weights[len(weights) // 2] <= 0:
        raise ValueError(f"neighbour_weights {weights}")
    thresholds = {key: float(fields["thresholds"][key]) for key in fields["thresholds"]}
    if ANY not in thresholds or not all(0 <= value <= 1 for value in thresholds.values()):
        raise ValueError(f"thresholds {thresholds}, without `{ANY}` or outside [0, 1]")
    return Rule(
        neighbour_weights=weights,
        any_rule=cast("AnyRule", fields.get("any_rule", DEFAULT_ANY_RULE)),
        scan_rule=cast("ScanRule", fields.get("scan_rule", DEFAULT_SCAN_RULE)),
        thresholds=thresholds,
    )


def _numbers(name: str, values: object, count: int | None) -> tuple[float, ...]:
    if not isinstance(values, list) or (count is not None and len(values) != count) or not values:
        raise ValueError(f"{name} {values!r}, not {count or 'some'} numbers")
    numbers = tuple(float(value) for value in values)
    if not all(math.isfinite(number) for number in numbers):
        raise ValueError(f"{name} {values!r}, not finite")
    return numbers
