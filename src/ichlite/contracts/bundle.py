"""A bundle's `manifest.json`: the only document that crosses from making models to using them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from msgspec import UNSET, Meta, UnsetType

from ichlite.contracts.bundle_tensors import InputSpec, OutputSpec
from ichlite.contracts.codec import Document
from ichlite.contracts.evaluation import Evaluation
from ichlite.contracts.run import RunManifest
from ichlite.contracts.values import (
    ByClass,
    Count,
    Line,
    Moderate,
    Positive,
    Probability,
    RuleSpec,
    Sha256,
    check_classes,
    check_line,
)
from ichlite.labels import ANY, NAMES

SCHEMA: Literal["ichlite-bundle/1"] = "ichlite-bundle/1"

Precision = Literal["float32", "float16", "dynamic", "int8"]
PRECISIONS: tuple[Precision, ...] = get_args(Precision)

OperatingPointName = Literal["high_sensitivity", "balanced", "high_specificity"]
OPERATING_POINTS: tuple[OperatingPointName, ...] = get_args(OperatingPointName)
"""From the lowest threshold to the highest."""
BALANCED: OperatingPointName = "balanced"
"""The operating point of a bundle that has no other, and of a reading that asks for none."""

_FIVE = Meta(min_length=len(NAMES), max_length=len(NAMES))


class CalibrationSpec(Document, frozen=True, kw_only=True):
    """From logits to probabilities, by subtype: p = sigmoid(logit / temperature + bias).

    Attributes:
        temperature, bias: One number a subtype, in their order.
        split: What they were fitted on: a split, or `out of fold`.
    """

    temperature: Annotated[tuple[Positive, ...], _FIVE]
    bias: Annotated[tuple[Moderate, ...], _FIVE]
    split: str = ""


class Share(Document, frozen=True, kw_only=True):
    """A share of scans, with its 95 % interval by Wilson.

    Attributes:
        value, low, high: In [0, 1].
        count: Scans that count; the mean over seeds.
        cases: All scans.
    """

    value: Probability
    low: Probability
    high: Probability
    count: Annotated[float, Meta(ge=0)]
    cases: Count


class Predictive(Document, frozen=True, kw_only=True):
    """What a call is worth where so many scans bleed; None where nothing is called so.

    Attributes:
        prevalence: Share of scans with a bleed.
        ppv: Share of flagged scans that bleed.
        npv: Share of others that do not.
    """

    prevalence: Probability
    ppv: Probability | None
    npv: Probability | None


class Estimate(Document, frozen=True, kw_only=True):
    """Sensitivity and specificity for any bleed by scan, and what follows from them."""

    sensitivity: Share
    specificity: Share
    predictive: tuple[Predictive, ...]


class PointEvidence(Document, frozen=True, kw_only=True):
    """What one threshold of a scan's `any` does.

    Attributes:
        threshold: Frozen, from all folds.
        frozen: What it does on the scores that it was chosen by.
        nested: What a threshold from the other folds does on the fold left out.
        by_fold: Fold → the threshold that the other folds chose.
    """

    threshold: Probability
    frozen: Estimate
    nested: Estimate
    by_fold: Mapping[str, Probability]


class Origin(Document, frozen=True, kw_only=True):
    """The scores that decisions come from.

    Attributes:
        scores: Names of the files or folders, one a seed.
        sha256: Over the slices, labels, folds and logits of all of them.
        folds, slices, scans, bleeding_scans, patients: How many.
        recipe: Hash of what trained the models; empty where the scores did not say.
    """

    scores: tuple[str, ...]
    sha256: str
    folds: Count
    slices: Count
    scans: Count
    bleeding_scans: Count
    patients: Count
    recipe: str = ""


class Evidence(Document, frozen=True, kw_only=True):
    """What the operating points do, and on which scores."""

    data: Origin
    points: Mapping[OperatingPointName, PointEvidence]


class DecisionSpec(RuleSpec, frozen=True, kw_only=True):
    """From probabilities of slices to those of a scan, and to a call.

    Attributes:
        thresholds: Of a scan, at the balanced operating point.
        slice_thresholds: Of a slice; absent where nothing judged slices alone.
        threshold_rule: How they were chosen, in words.
        operating_points: Name → thresholds of a scan; absent: `balanced` alone.
        evidence: What they do, out of fold; absent where they come from a validation split.
    """

    thresholds: ByClass
    slice_thresholds: ByClass | UnsetType = UNSET
    threshold_rule: str = ""
    operating_points: Mapping[OperatingPointName, ByClass] | UnsetType | None = UNSET
    evidence: Evidence | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse weights without a middle, and operating points that contradict each other."""
        weights = self.neighbour_weights
        if len(weights) % 2 == 0 or weights[len(weights) // 2] <= 0:
            raise ValueError(
                f"neighbour_weights {weights}, not an odd count with a positive middle"
            )
        check_classes("thresholds", self.thresholds)
        if self.slice_thresholds is not UNSET:
            check_classes("slice_thresholds", self.slice_thresholds)
        points = self.points
        for thresholds in points.values():
            check_classes("operating_points", thresholds)
        if BALANCED not in points:
            raise ValueError(
                f"operating_points {sorted(points)}, not {BALANCED} and others of "
                f"{', '.join(OPERATING_POINTS)}"
            )
        if points[BALANCED] != self.thresholds:
            raise ValueError(f"operating_points {BALANCED} differs from thresholds")
        of_any = [point[ANY] for point in points.values()]
        if of_any != sorted(of_any):
            raise ValueError(
                f"operating_points with thresholds of any {of_any}, not ascending "
                f"from {OPERATING_POINTS[0]} to {OPERATING_POINTS[-1]}"
            )

    @property
    def points(self) -> dict[str, ByClass]:
        """Name → thresholds, from the lowest to the highest; at least `balanced`."""
        said = self.operating_points
        if said is UNSET or said is None:
            return {BALANCED: self.thresholds}
        return {name: said[name] for name in OPERATING_POINTS if name in said}


class Cost(Document, frozen=True, kw_only=True):
    """What a model takes: parameters, floating-point operations of a slice, bytes of its file."""

    params: Count
    flops_256: Count
    bytes: Count
    gzip_bytes: Count | None = None
    zstd_bytes: Count | None = None


class GateResult(Document, frozen=True, kw_only=True):
    """The ROC AUC that compression cost, and what it was allowed to.

    Attributes:
        split: That it was measured on.
        max_mean_drop, max_subtype_drop: Allowed for the mean, and for any one subtype.
        before, after, drops: Of each subtype and `mean`; None where undefined.
        undefined: Subtypes that nothing is known of.
    """

    split: str
    max_mean_drop: float
    max_subtype_drop: float
    before: Mapping[str, float | None]
    after: Mapping[str, float | None]
    drops: Mapping[str, float | None]
    undefined: tuple[str, ...]


class Parity(Document, frozen=True, kw_only=True):
    """How far the file is from the Keras model that it was converted from.

    Attributes:
        images, split: Slices that they were compared on, and where they are from; manifests of
            before say no split and mean training slices that int8's ranges come from, too.
        max_probability_difference, mean_probability_difference: Of uncalibrated probabilities.
    """

    images: Count
    split: str = "train"
    max_probability_difference: float
    mean_probability_difference: float


class Quantized(Document, frozen=True, kw_only=True):
    """The slices that the ranges of an int8 model come from."""

    seed: int
    images: Count
    split: str


class TuningSpec(Document, frozen=True, kw_only=True):
    """How a compressed model was fine-tuned; see `compress.fine_tune.Tuning`."""

    steps: Count
    crop_steps: Count
    batch_size: Count
    learning_rate: float
    teacher_weight: float
    temperature: float
    seed: int


class CompressionSpec(Document, frozen=True, kw_only=True):
    """What was done to a model before it was converted; see `compress.shrink.Shrinking`."""

    keep_channels: tuple[float, ...] | None
    keep_width: float | None = None
    sparsity: float | None
    clusters: int | None
    quantization_aware: bool
    criterion: str | None = None
    tuning: TuningSpec
    teacher: str | None


class BundleManifest(Document, frozen=True, kw_only=True):
    """What a bundle is, file by file, and everything that reading with it needs.

    Reading needs `input`, `subtypes`, `calibration`, `decision` and `files`; the rest says how the
    model was made and what it does, and may be absent in a bundle from elsewhere.

    Attributes:
        name, version: Of the bundle.
        model: Architecture.
        precision: Number format of the weights.
        command: That made it.
        input, output: Of the model.
        subtypes: In the order of the logits.
        calibration, decision: From logits to calls.
        cost: Parameters, operations, bytes.
        files: Name → SHA-256, of every file of the bundle but the manifest.
        manifest_sha256: Of the manifest's own bytes; see `contracts.seal`.
        training: Manifest of the run.
        compression: What was done to the model before it was converted.
        gate, parity, quantization: What the conversion cost and was measured on.
        metrics: Evaluation on the test split.
    """

    schema: Literal["ichlite-bundle/1"]
    name: Line
    version: Line
    model: Line
    precision: Precision
    command: str | None = None
    input: InputSpec
    output: OutputSpec = OutputSpec()
    subtypes: tuple[str, ...]
    calibration: CalibrationSpec
    decision: DecisionSpec
    cost: Cost | UnsetType = UNSET
    files: Mapping[str, str]
    manifest_sha256: Sha256 | UnsetType = UNSET
    training: RunManifest | UnsetType = UNSET
    compression: CompressionSpec | None = None
    gate: GateResult | UnsetType = UNSET
    parity: Parity | UnsetType = UNSET
    quantization: Quantized | UnsetType = UNSET
    metrics: Evaluation | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse texts that cannot be printed, and subtypes in another order."""
        for key in ("name", "version", "model"):
            check_line(key, getattr(self, key))
        if self.subtypes != NAMES:
            raise ValueError(f"subtypes {list(self.subtypes)}, not {list(NAMES)}")
