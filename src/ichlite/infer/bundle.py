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
"""The bundle that is shipped with ichlite."""
EMBEDDED_WORD = "embedded"
"""What a command calls it, where there is no such folder."""

CHANNELS = 3


@dataclass(frozen=True, slots=True)
class Bundle:
    """A model and all that is needed to read with it.

    Attributes:
        name, version: As in the manifest.
        path: The folder.
        manifest: The whole manifest.
        windows: The input channels, in order.
        calibration: Logits to probabilities.
        rule: Slices to scan, with the thresholds of `operating_point`.
        model: The bytes of `model.tflite`, whose hash was checked.
        operating_points: The threshold of each class, by name of the operating point.
        operating_point: The one that `rule` decides by.
        brain_level_hu: Level to which a scan's brain is brought before the model sees it; None
            for a model that takes HU as they are.
        map: What the model's second output is.
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
        """Name and version, as results carry it."""
        return f"{self.name} {self.version}"

    def at(self, operating_point: str) -> Bundle:
        """Return the bundle set to decide at another of its operating points.

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


def bundle_folder(path: Path | str | None) -> Path:
    """Return the folder of a bundle: that of the embedded one for None or the word `embedded`.

    A folder that has that word for its name is taken itself.

    Example:
        >>> bundle_folder("embedded") == EMBEDDED
        True
    """
    if path is None or (str(path) == EMBEDDED_WORD and not Path(path).exists()):
        return EMBEDDED
    return Path(path)


def load_bundle(path: Path | str | None = None) -> Bundle:
    """Return the bundle in a folder, read and checked.

    Args:
        path: Folder with `manifest.json`; None or `embedded` for the embedded bundle.

    Returns:
        The bundle; every file it lists has the hash it lists.

    Raises:
        BundleError: Missing, incomplete, changed, or made for another version of ichlite.

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
    """Return the bundle that a manifest and the bytes of a model make.

    Args:
        folder: The bundle's, for messages and its other files.
        manifest: Already checked against the files.
        model: Content of `model.tflite`.

    Raises:
        UnknownName: A rule that this version does not know.
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
    """Return the calibration that a manifest describes."""
    return Calibration(spec.temperature, spec.bias)


def rule_of(spec: DecisionSpec) -> Rule:
    """Return the rule that a manifest describes, at its balanced operating point."""
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
        found = f"a folder without {MANIFEST_FILE}" if folder.is_dir() else error.strerror
        raise BundleError(
            f"no bundle at {folder}",
            found="a run, which is no bundle yet" if is_run else found,
            expected=f"a folder with {MANIFEST_FILE}",
            remedy="make a bundle of it with `ichlite compress`" if is_run else None,
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
