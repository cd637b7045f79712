"""Load and check a bundle: the only thing that crosses from making models to using them.

A bundle is `model.tflite`, `manifest.json` and the files that the manifest lists, each with its
SHA-256. Everything is checked before anything is judged: one changed byte is an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN
from ichlite.ct.windows import Window
from ichlite.errors import BundleError, IchliteError, UnknownName
from ichlite.infer.bundle_manifest import (
    BALANCED,
    MapOutput,
    brain_level_of,
    calibration_of,
    check_sections,
    map_of,
    operating_points_of,
    parse,
    precision_of,
    rule_of,
    section,
    text_at,
    windows_of,
)
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import NAMES

SCHEMA = "ichlite-bundle/1"
MODEL_FILE = "model.tflite"
MANIFEST_FILE = "manifest.json"
CARD_FILE = "model-card.md"
EMBEDDED = Path(__file__).resolve().parents[1] / "assets" / "bundle"
"""The bundle that is shipped with ichlite."""

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
        rule: Slices to scan, with the thresholds of `operating_point`.
        model: The bytes of `model.tflite`, whose hash was checked.
        operating_points: Name → class → threshold.
        operating_point: The one that `rule` decides by.
        brain_level_hu: Level to which a scan's brain is brought before the model sees it; None
            for a model that takes HU as they are.
        map: What the model's second output is.
    """

    name: str
    version: str
    path: Path
    manifest: Mapping[str, Any] = field(repr=False, compare=False)
    windows: tuple[Window, ...]
    calibration: Calibration
    rule: Rule
    model: bytes = field(repr=False)
    operating_points: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    operating_point: str = BALANCED
    brain_level_hu: float | None = None
    map: MapOutput = MapOutput()  # noqa: RUF009 (frozen)

    @property
    def label(self) -> str:
        """Name and version, as results carry it."""
        return f"{self.name} {self.version}"

    def at(self, operating_point: str) -> Bundle:
        """Return the bundle that decides at another of its operating points.

        Raises:
            UnknownName: The bundle has no such point; the line lists those that it has.

        Example:
            >>> load_bundle().at("balanced").operating_point
            'balanced'
        """
        if operating_point not in self.operating_points:
            kind = f"operating point of bundle {self.name}"
            raise UnknownName(kind, operating_point, list(self.operating_points))
        thresholds = self.operating_points[operating_point]
        return replace(
            self,
            rule=replace(self.rule, thresholds=thresholds),
            operating_point=operating_point,
        )


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
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        missing = f"no {error}" if isinstance(error, KeyError) else str(error)
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} is incomplete or wrong",
            found=missing,
            expected=f"the keys of {SCHEMA}",
        ) from error


def _manifest(folder: Path) -> Mapping[str, Any]:
    try:
        manifest = parse((folder / MANIFEST_FILE).read_text(encoding="utf-8"))
    except OSError as error:
        raise BundleError(
            f"no bundle at {folder}",
            found=error.strerror,
            expected=f"a folder with {MANIFEST_FILE}",
        ) from error
    except ValueError as error:
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} is not the JSON of a bundle", found=str(error)
        ) from error
    schema = manifest.get("schema") if isinstance(manifest, dict) else None
    if schema != SCHEMA:
        raise BundleError(
            f"bundle {folder} cannot be used by this version", found=schema, expected=SCHEMA
        )
    return cast("Mapping[str, Any]", manifest)


def _bundle(folder: Path, manifest: Mapping[str, Any]) -> Bundle:
    contents = _checked_files(folder, section(manifest, "files"))
    check_sections(manifest)
    _check_equal(folder, "subtypes", list(manifest["subtypes"]), list(NAMES))
    spec = section(manifest, "input")
    for key, expected in (
        ("rows", GRID),
        ("columns", GRID),
        ("hu_min", HU_MIN),
        ("hu_max", HU_MAX),
    ):
        _check_equal(folder, f"input {key}", spec[key], expected)
    _check_equal(folder, "number of windows", len(spec["windows"]), CHANNELS)
    try:
        windows = windows_of(spec)
        rule = rule_of(section(manifest, "decision"))
    except IchliteError as error:
        raise BundleError(f"bundle {folder}: {error}") from error
    text_at(manifest, "model")
    precision_of(manifest)
    return Bundle(
        name=text_at(manifest, "name"),
        version=text_at(manifest, "version"),
        path=folder,
        manifest=manifest,
        windows=windows,
        calibration=calibration_of(section(manifest, "calibration")),
        rule=rule,
        model=contents[MODEL_FILE],
        operating_points=operating_points_of(section(manifest, "decision")),
        brain_level_hu=brain_level_of(spec),
        map=map_of(manifest),
    )


def _checked_files(folder: Path, listed: Mapping[str, str]) -> dict[str, bytes]:
    if MODEL_FILE not in listed:
        raise BundleError(f"bundle {folder} lists no {MODEL_FILE}", found=sorted(listed))
    if CARD_FILE not in listed and (folder / CARD_FILE).exists():
        raise BundleError(
            f"bundle {folder} holds a {CARD_FILE} that {MANIFEST_FILE} does not list",
            expected="its SHA-256 there",
        )
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
