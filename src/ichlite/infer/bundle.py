"""Load and check a bundle: the only thing that crosses from making models to using them.

A bundle is `model.tflite`, `manifest.json` and the files that the manifest lists, each with its
SHA-256; the manifest carries its own. All is checked before anything is judged: one changed byte is
an error.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from msgspec import UNSET

from ichlite.contracts.bundle import (
    BALANCED,
    SCHEMA,
    BundleManifest,
    CalibrationSpec,
    DecisionSpec,
)
from ichlite.contracts.bundle_tensors import OutputSpec
from ichlite.contracts.codec import ContractError, Document, read_document
from ichlite.contracts.seal import seal_of
from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN
from ichlite.ct.windows import Window
from ichlite.errors import BundleError, IchliteError, UnknownName
from ichlite.infer.decision import EVIDENCE_MM, Calibration, Rule
from ichlite.infer.model_description import BRAIN_LEVEL

MODEL_FILE = "model.tflite"
MANIFEST_FILE = "manifest.json"
CARD_FILE = "model-card.md"
EMBEDDED = Path(__file__).resolve().parents[1] / "assets" / "bundle"
"""Folder of the bundle that is shipped with ichlite."""
EMBEDDED_WORD = "embedded"
"""Word that stands for the shipped bundle in place of a folder, unless there is such a folder."""

CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model with the windows, calibration and thresholds that are needed to read scans with it.

    Attributes:
        name, version: Name and version in the manifest.
        path: Folder of the bundle.
        manifest: The whole manifest (`manifest.json`).
        windows: HU windows of the model's input channels, in order.
        calibration: Parameters that turn logits into probabilities.
        rule: How probabilities of slices become those of the scan, with the thresholds of
            `operating_point`.
        model: Content of `model.tflite`, whose hash was checked.
        operating_points: Name of each operating point → threshold of each class, in [0, 1].
        operating_point: Name of the operating point that `rule` decides by.
        brain_level_hu: Median HU to which a scan's brain is shifted before the model sees it; None
            for a model that takes HU as they are.
        map: Description of the model's second output, an activation or a lesion map.
    """

    name: str
    version: str
    path: Path
    manifest: BundleManifest = field(repr=False, compare=False)
    windows: tuple[Window, ...]
    calibration: Calibration
    rule: Rule
    model: bytes = field(repr=False)
    operating_points: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    operating_point: str = BALANCED
    brain_level_hu: float | None = None
    map: OutputSpec = OutputSpec()  # noqa: RUF009 (frozen)

    @property
    def label(self) -> str:
        """Name and version in one text, by which results name the bundle."""
        return f"{self.name} {self.version}"

    def at(self, operating_point: str) -> Bundle:
        """Return a copy of the bundle that decides at another of its operating points.

        Args:
            operating_point: Name of the operating point, such as `high_sensitivity`.

        Raises:
            UnknownName: The bundle has no such operating point; the message lists those it has.

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


def bundle_folder(path: Path | str | None) -> Path:
    """Return the folder of a bundle that a path names.

    Args:
        path: Folder of a bundle; None, or the word `embedded` where there is no folder of that
            name, for the bundle that is shipped with ichlite.

    Example:
        >>> bundle_folder("embedded") == EMBEDDED
        True
    """
    if path is None or (str(path) == EMBEDDED_WORD and not Path(path).exists()):
        return EMBEDDED
    return Path(path)


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Load a bundle from its folder and check every file by its hash.

    Args:
        path: Folder with `manifest.json`; None or `embedded` for the embedded bundle.

    Returns:
        The bundle, at its balanced operating point.

    Raises:
        BundleError: The bundle is missing, incomplete, changed, or made for another version of
            ichlite.

    Example:
        >>> load_bundle().path == EMBEDDED
        True
    """
    folder = bundle_folder(path)
    manifest = _manifest(folder)
    spec = manifest.input
    for key, expected in (
        ("rows", GRID),
        ("columns", GRID),
        ("hu_min", HU_MIN),
        ("hu_max", HU_MAX),
    ):
        _check_equal(folder, f"input {key}", getattr(spec, key), expected)
    _check_equal(folder, "number of windows", len(spec.windows), CHANNELS)
    if spec.brain_level:
        _check_equal(folder, "input brain_level", spec.brain_level, BRAIN_LEVEL)
    contents = _checked_files(folder, manifest.files)
    try:
        return bundle_of(folder, manifest, contents[MODEL_FILE])
    except IchliteError as error:
        raise BundleError(f"bundle {folder}: {error}") from error


def bundle_of(folder: Path, manifest: BundleManifest, model: bytes) -> Bundle:
    """Make a bundle from its manifest and the content of its model file.

    Args:
        folder: Folder of the bundle, for messages and for its other files.
        manifest: Manifest, already checked against the files.
        model: Content of `model.tflite`.

    Raises:
        UnknownName: The manifest names a rule that this version does not know.
    """
    windows = manifest.input.windows
    return Bundle(
        name=manifest.name,
        version=manifest.version,
        path=folder,
        manifest=manifest,
        windows=tuple(Window(one.name, one.centre_hu, one.width_hu) for one in windows),
        calibration=calibration_of(manifest.calibration),
        rule=rule_of(manifest.decision),
        model=model,
        operating_points=manifest.decision.points,
        brain_level_hu=manifest.input.brain_level_hu,
        map=manifest.output,
    )


def calibration_of(spec: CalibrationSpec) -> Calibration:
    """Convert the calibration of a bundle's manifest to the one that `decide` takes."""
    return Calibration(spec.temperature, spec.bias)


def rule_of(spec: DecisionSpec) -> Rule:
    """Convert the decision rule of a bundle's manifest to the one that `decide` takes.

    Args:
        spec: Entry `decision` of the manifest.

    Returns:
        The rule with the thresholds of the balanced operating point; 30 mm of evidence where the
        manifest does not state it.
    """
    return Rule(
        neighbour_weights=spec.neighbour_weights,
        any_rule=spec.any_rule,
        scan_rule=spec.scan_rule,
        evidence_mm=EVIDENCE_MM if spec.evidence_mm is UNSET else spec.evidence_mm,
        thresholds=dict(spec.thresholds),
    )


class _Head(Document, frozen=True, kw_only=True):
    """The keys that say whether the rest may be read."""

    schema: object = None
    manifest_sha256: object = None


def _manifest(folder: Path) -> BundleManifest:
    try:
        text = (folder / MANIFEST_FILE).read_bytes()
        head = read_document(_Head, text)
    except OSError as error:
        is_run = (folder / "train.json").exists()
        found = "a file" if folder.is_file() else error.strerror
        found = f"a folder without {MANIFEST_FILE}" if folder.is_dir() else found
        raise BundleError(
            f"{folder} is not a bundle" if folder.exists() else f"no bundle at {folder}",
            found="a run, which is no bundle yet" if is_run else found,
            expected=f"a folder with {MANIFEST_FILE}",
            remedy="make a bundle of it with `ichlite compress`"
            if is_run
            else "give a folder that `ichlite compress` wrote, or the word "
            f"{EMBEDDED_WORD} for the embedded bundle",
        ) from error
    except ContractError as error:
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} is not the JSON of a bundle", found=str(error)
        ) from error
    if head.schema != SCHEMA:
        raise BundleError(
            f"bundle {folder} cannot be used by this version", found=head.schema, expected=SCHEMA
        )
    if isinstance(head.manifest_sha256, str):
        found = seal_of(text, head.manifest_sha256)
        if found != head.manifest_sha256:
            raise BundleError(
                f"bundle {folder}: {MANIFEST_FILE} was changed",
                found=f"SHA-256 {found}",
                expected=head.manifest_sha256,
                remedy="install the bundle again, or, if you mean the change, take the key "
                "manifest_sha256 out",
            )
    try:
        return read_document(BundleManifest, text)
    except ContractError as error:
        raise BundleError(
            f"bundle {folder}: {MANIFEST_FILE} is incomplete or wrong",
            found=str(error),
            expected=f"the keys of {SCHEMA}",
        ) from error


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
            f"bundle {folder} cannot be used by this version because of its {what}",
            found=found,
            expected=expected,
        )
