"""What `ichlite evaluate` says of a model: metrics by slice and by scan."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import UNSET, UnsetType

from ichlite.contracts.codec import Document
from ichlite.contracts.run import LeftOutFold
from ichlite.contracts.values import ByClass, Count, Probability, RuleSpec
from ichlite.labels import CLASSES

Interval = tuple[float, float]


class MetricRow(Document, frozen=True, kw_only=True):
    """The metrics of one class, or their mean over the subtypes; None where undefined.

    Attributes:
        roc_auc, average_precision, sensitivity, specificity, accuracy, balanced_accuracy: In
            [0, 1].
        expected_calibration_error: In [0, 1]; of ten equal parts of the probabilities.
        positives: Cases with a bleed.
        undefined: Metric → why it is undefined.
        intervals: Metric → ends of its 95 % interval over redrawn patients, or None.
        no_interval: Metric → why it has none.
        roc_auc_95: The interval of the ROC AUC.
        seed_sd: Metric → standard deviation over seeds.
        roc_auc_of_logits: Of the raw logits of all folds' models, pooled as they are.
    """

    roc_auc: Probability | None
    average_precision: Probability | None
    sensitivity: Probability | None
    specificity: Probability | None
    accuracy: Probability | None
    balanced_accuracy: Probability | None
    expected_calibration_error: Probability | None = None
    positives: Count
    undefined: Mapping[str, str]
    intervals: Mapping[str, Interval | None] | UnsetType = UNSET
    no_interval: Mapping[str, str] | UnsetType = UNSET
    roc_auc_95: Interval | UnsetType | None = UNSET
    seed_sd: Mapping[str, float | None] | UnsetType = UNSET
    roc_auc_of_logits: Probability | UnsetType | None = UNSET


class MetricTable(Document, frozen=True, kw_only=True):
    """The metrics of slices, or of scans.

    Attributes:
        per_class: Subtype → metrics.
        mean: Over the subtypes.
        any: Of any haemorrhage.
        all_negative_accuracy: Mean accuracy of answering no to everything.
        thresholds: Class → probability from which a case counts as positive.
    """

    per_class: Mapping[str, MetricRow]
    mean: MetricRow
    any: MetricRow
    all_negative_accuracy: Probability | None
    thresholds: ByClass | UnsetType = UNSET

    @property
    def rows(self) -> dict[str, MetricRow]:
        """The rows as a table shows them: the subtypes, their mean, `any`."""
        return {**self.per_class, "mean": self.mean, "any": self.any}


class ScanMetrics(MetricTable, frozen=True, kw_only=True):
    """The metrics of scans, and how many there are."""

    scans: Count


class SeedMetrics(MetricTable, frozen=True, kw_only=True):
    """What one seed of a cross-validation says.

    Attributes:
        scores: Name of the file or folder of its scores.
        rsna_log_loss, scan: As of an `Evaluation`.
        thresholds_by_fold: Fold → `slice` and `scan` → the threshold of each class.
    """

    scores: str
    rsna_log_loss: float | None
    scan: ScanMetrics
    thresholds_by_fold: Mapping[str, Mapping[str, ByClass]]


class Hits(Document, frozen=True, kw_only=True):
    """How often the lesion map points at the bleed.

    Attributes:
        slices: Slices that show a bleed of the class, large enough, with known cells.
        strict: Slices whose strongest cell is one of the bleed's.
        tolerant: Slices where it is one or one of its eight neighbours.
        strict_share, tolerant_share: Shares of the slices; None without any.
        strict_95, tolerant_95: Wilson's intervals, as if slices were independent.
    """

    slices: Count
    strict: Count
    tolerant: Count
    strict_share: Probability | None
    tolerant_share: Probability | None
    strict_95: Interval | None
    tolerant_95: Interval | None


class Pointing(Document, frozen=True, kw_only=True):
    """What the pointing game found, for any haemorrhage and each subtype.

    Attributes:
        least_ml: Smaller bleeds were not asked about.
    """

    least_ml: float
    any: Hits
    epidural: Hits
    intraparenchymal: Hits
    intraventricular: Hits
    subarachnoid: Hits
    subdural: Hits

    @property
    def by_class(self) -> dict[str, Hits]:
        """Class → hits."""
        return {name: getattr(self, name) for name in CLASSES}


class Difference(Document, frozen=True, kw_only=True):
    """The difference of two ROC AUCs of one class.

    Attributes:
        roc_auc, other_roc_auc: Means over seeds; None where undefined.
        difference: The first less the other.
        interval: 95 %, of the difference.
        p: Two-sided: how often redrawn patients leave no difference, or turn it round.
        reason: Why there is no interval; None where there is one.
    """

    roc_auc: Probability | None
    other_roc_auc: Probability | None
    difference: float | None = None
    interval: Interval | None = None
    p: Probability | None = None
    reason: str | None


class Comparison(Document, frozen=True, kw_only=True):
    """Two models compared on the same patients.

    Attributes:
        model: Name of the other.
        slices, scans: The difference of each class, and of the mean over the subtypes.
        patients: Patients redrawn.
        draws: Redraws.
    """

    model: str
    slices: Mapping[str, Difference]
    scans: Mapping[str, Difference]
    patients: Count
    draws: Count


class Evaluation(MetricTable, frozen=True, kw_only=True):
    """What a model says of labelled images, measured.

    Attributes:
        data: What was judged, in words.
        slices, patients: How many.
        rsna_log_loss: Weighted as in the RSNA challenge; None without slices.
        scan: The same by scan; absent in manifests of before scans were judged.
        model, store_hash, fold: What was judged on what; of a model on a store.
        warnings: One line each.
        pointing: How often the lesion map points at the bleed, where masks are known.
        against: The other model, and the paired differences.
        unlabelled, not_judged, label_conflicts: Of RSNA's folder.
        folds, scans, calibrate, rule, threshold_rule, notes, seeds: Of scores out of fold.
    """

    data: str
    slices: Count
    patients: Count = 0
    rsna_log_loss: float | None = None
    scan: ScanMetrics | UnsetType = UNSET
    model: str | UnsetType = UNSET
    store_hash: str | UnsetType = UNSET
    fold: LeftOutFold | UnsetType = UNSET
    warnings: tuple[str, ...] | UnsetType = UNSET
    pointing: Pointing | UnsetType = UNSET
    against: Comparison | UnsetType = UNSET
    unlabelled: Count | UnsetType = UNSET
    not_judged: tuple[str, ...] | UnsetType = UNSET
    label_conflicts: tuple[str, ...] | UnsetType = UNSET
    folds: Count | UnsetType = UNSET
    scans: Count | UnsetType = UNSET
    calibrate: str | UnsetType = UNSET
    rule: RuleSpec | UnsetType = UNSET
    threshold_rule: str | UnsetType = UNSET
    notes: tuple[str, ...] | UnsetType = UNSET
    seeds: tuple[SeedMetrics, ...] | UnsetType = UNSET

    @property
    def tables(self) -> dict[str, MetricTable]:
        """The metrics by `slice` and, where scans were judged, by `scan`."""
        return {"slice": self} if self.scan is UNSET else {"slice": self, "scan": self.scan}
