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
"""Names of all operating points, from the lowest threshold to the highest."""
BALANCED: OperatingPointName = "balanced"
"""The operating point of a bundle that has no other, and of a reading that asks for none."""

_FIVE = Meta(min_length=len(NAMES), max_length=len(NAMES))


class CalibrationSpec(Document, frozen=True, kw_only=True):
    """How logits become probabilities: p = 1 / (1 + exp(-(logit / temperature + bias))).

    Attributes:
        temperature: Divisor of the logits of each subtype, over 0; five, in the order of
            `labels.SUBTYPES`.
        bias: Number that is then added, for each subtype.
        split: Slices that both were fitted on: the name of a split, or `out of fold` for the
            patients of a cross-validation.
    """

    temperature: Annotated[tuple[Positive, ...], _FIVE]
    bias: Annotated[tuple[Moderate, ...], _FIVE]
    split: str = ""


class Share(Document, frozen=True, kw_only=True):
    """A share of scans, such as a sensitivity, with its 95 % confidence interval.

    Attributes:
        value: The share, in [0, 1]: `count` over `cases`.
        low, high: Ends of its Wilson interval.
        count: Number of scans that were called right; with several seeds, their mean.
        cases: Number of scans that there are: bleeding ones for a sensitivity, others for a
            specificity.
    """

    value: Probability
    low: Probability
    high: Probability
    count: Annotated[float, Meta(ge=0)]
    cases: Count


class Predictive(Document, frozen=True, kw_only=True):
    """The predictive values of a call at one prevalence, by Bayes' theorem.

    Attributes:
        prevalence: Share of all scans that show a bleed, in [0, 1].
        ppv: Share of the flagged scans that bleed; None where no scan is flagged.
        npv: Share of the scans that are not flagged that do not bleed; None where all are flagged.
    """

    prevalence: Probability
    ppv: Probability | None
    npv: Probability | None


class Estimate(Document, frozen=True, kw_only=True):
    """Sensitivity and specificity of a threshold for any bleed, by scan.

    Attributes:
        sensitivity: Share of bleeding scans that are flagged.
        specificity: Share of other scans that are not flagged.
        predictive: Predictive values that follow, at several prevalences.
    """

    sensitivity: Share
    specificity: Share
    predictive: tuple[Predictive, ...]


class PointEvidence(Document, frozen=True, kw_only=True):
    """The measured accuracy of one operating point.

    Attributes:
        threshold: Probability of `any` from which a scan is flagged, chosen on all folds.
        frozen: Accuracy of that threshold on the scans that chose it, so a little flattering.
        nested: Accuracy where each fold is judged by the threshold that the other folds chose.
        by_fold: Number of a fold → threshold that the other folds chose.
    """

    threshold: Probability
    frozen: Estimate
    nested: Estimate
    by_fold: Mapping[str, Probability]


class Origin(Document, frozen=True, kw_only=True):
    """The cross-validation whose scores chose calibration and thresholds.

    Attributes:
        scores: Names of the files or folders of scores, one for each seed.
        sha256: Hash of the slices, labels, folds and logits of all of them.
        folds: Number of folds.
        slices, scans, patients: Number of slices, scans and patients, each counted once.
        bleeding_scans: Number of scans with a bleed.
        recipe: Hash of the options that trained the models; empty where the scores do not say.
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
    """The measured accuracy of each operating point.

    Attributes:
        data: Cross-validation whose out-of-fold scores the accuracy was measured on.
        points: Name of an operating point → its accuracy.
    """

    data: Origin
    points: Mapping[OperatingPointName, PointEvidence]


class DecisionSpec(RuleSpec, frozen=True, kw_only=True):
    """How probabilities of slices become those of a scan, and when the scan is flagged.

    Attributes:
        thresholds: Class → probability from which a scan is positive, at `balanced`.
        slice_thresholds: Class → probability from which a slice is positive; absent where slices
            were not judged by themselves.
        threshold_rule: How the thresholds were chosen, in words.
        operating_points: Name of an operating point → its thresholds for scans; absent where there
            is `balanced` alone.
        evidence: Accuracy of the operating points on patients that the models never saw; absent
            where thresholds come from a validation split.
    """

    thresholds: ByClass
    slice_thresholds: ByClass | UnsetType = UNSET
    threshold_rule: str = ""
    operating_points: Mapping[OperatingPointName, ByClass] | UnsetType | None = UNSET
    evidence: Evidence | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Raise ValueError for weights without a middle, or contradictory operating points."""
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
        """Operating point → its thresholds, lowest first; `balanced` is always there."""
        said = self.operating_points
        if said is UNSET or said is None:
            return {BALANCED: self.thresholds}
        return {name: said[name] for name in OPERATING_POINTS if name in said}


class Cost(Document, frozen=True, kw_only=True):
    """The size of a model.

    Attributes:
        params: Number of parameters.
        flops_256: Floating-point operations for one slice of 256x256 pixels.
        bytes: Size of the model file.
        gzip_bytes, zstd_bytes: Its size when compressed; None where not measured.
    """

    params: Count
    flops_256: Count
    bytes: Count
    gzip_bytes: Count | None = None
    zstd_bytes: Count | None = None


class GateResult(Document, frozen=True, kw_only=True):
    """How much ROC AUC compression lost, and how much it was allowed to lose.

    Attributes:
        split: Split of the store whose slices were judged.
        max_mean_drop: Allowed loss of the mean over the subtypes.
        max_subtype_drop: Allowed loss of any one subtype.
        before, after: Subtype, or `mean` → ROC AUC before and after; None where undefined.
        drops: Subtype, or `mean` → `before` less `after`.
        undefined: Subtypes without a ROC AUC, because the split lacks them.
    """

    split: str
    max_mean_drop: float
    max_subtype_drop: float
    before: Mapping[str, float | None]
    after: Mapping[str, float | None]
    drops: Mapping[str, float | None]
    undefined: tuple[str, ...]


class Parity(Document, frozen=True, kw_only=True):
    """How much the model file's answers differ from those of the Keras model it was made from.

    Attributes:
        images: Number of slices that both judged.
        split: Split that these slices are from. Old manifests do not say; they used training
            slices, among them those that int8's ranges come from.
        max_probability_difference, mean_probability_difference: Largest and mean absolute
            difference of a probability, without calibration.
    """

    images: Count
    split: str = "train"
    max_probability_difference: float
    mean_probability_difference: float


class Quantized(Document, frozen=True, kw_only=True):
    """The slices that chose the ranges of an int8 model's numbers.

    Attributes:
        seed: Random seed that drew them.
        images: Number of slices.
        split: Split that they are from.
    """

    seed: int
    images: Count
    split: str


class TuningSpec(Document, frozen=True, kw_only=True):
    """How a compressed model was fine-tuned; see `compress.fine_tune.Tuning`.

    Attributes:
        steps: Optimiser steps on whole slices.
        crop_steps: Optimiser steps on crops around bleeds, before them.
        batch_size: Images in each step.
        learning_rate: Highest learning rate.
        teacher_weight: Weight of the teacher's answers against the labels, in [0, 1].
        temperature: Number that logits of teacher and model are divided by for comparison.
        seed: Random seed.
    """

    steps: Count
    crop_steps: Count
    batch_size: Count
    learning_rate: float
    teacher_weight: float
    temperature: float
    seed: int


class CompressionSpec(Document, frozen=True, kw_only=True):
    """What was done to a model before it was converted; see `compress.shrink.Shrinking`.

    Attributes:
        keep_channels: Share of the channels inside each block that were kept; None: all.
        keep_width: Share of the channels between blocks that were kept; None: all.
        sparsity: Share of the weights that were set to zero; None: none.
        clusters: Number of values that the weights of a layer share; None: each has its own.
        quantization_aware: Whether fine-tuning rounded as int8 does.
        criterion: How the channels to keep were chosen.
        tuning: How the model was fine-tuned.
        teacher: Model that it learned from; None: itself, as it was before.
    """

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
        schema: Name and version of this kind of document.
        name: Name of the bundle.
        version: Version of ichlite that made it.
        model: Name of the architecture.
        precision: Number format of the weights.
        command: Command that made the bundle; None where it is not known.
        input: What the model takes, and how a slice becomes that.
        output: What the model gives.
        subtypes: Names of the subtypes, in the order of the logits.
        calibration: How logits become probabilities.
        decision: How probabilities become a call.
        cost: Size of the model.
        files: Name of each file of the bundle but the manifest → its SHA-256.
        manifest_sha256: Hash of the manifest itself; see `contracts.seal`.
        training: Manifest of the training run.
        compression: What was done to the model before it was converted; None: nothing.
        gate: ROC AUC that compression lost.
        parity: Difference of the model file from the Keras model.
        quantization: Slices that chose the ranges of an int8 model.
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
        """Raise ValueError for texts that cannot be printed, or subtypes in another order."""
        for key in ("name", "version", "model"):
            check_line(key, getattr(self, key))
        if self.subtypes != NAMES:
            raise ValueError(f"subtypes {list(self.subtypes)}, not {list(NAMES)}")
