"""What `ichlite evaluate --json` prints: metrics of a model, by slice and by scan."""

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
        roc_auc: Area under the ROC curve; like all metrics here, in [0, 1].
        average_precision: Area under the curve of precision against sensitivity.
        sensitivity, specificity, accuracy, balanced_accuracy: At the table's thresholds.
        expected_calibration_error: Mean gap between probability and frequency, over ten bins of
            equal width; lower is better.
        positives: Number of cases with a bleed.
        undefined: Metric that is None → why.
        intervals: Metric → low and high end of its 95 % confidence interval, by redrawing patients;
            None where it has none.
        no_interval: Metric without an interval → why.
        roc_auc_95: Low and high end of the interval of `roc_auc`.
        seed_sd: Metric → its standard deviation over seeds.
        roc_auc_of_logits: ROC AUC of the logits of all folds together, without calibration.
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
        per_class: Subtype → its metrics.
        mean: Means over the subtypes.
        any: Metrics of any haemorrhage.
        all_negative_accuracy: Accuracy of a model that always says no, as a mean over the subtypes.
        thresholds: Class → probability from which a case counts as positive.
    """

    per_class: Mapping[str, MetricRow]
    mean: MetricRow
    any: MetricRow
    all_negative_accuracy: Probability | None
    thresholds: ByClass | UnsetType = UNSET

    @property
    def rows(self) -> dict[str, MetricRow]:
        """Name → metrics, in the order of a printed table: the subtypes, `mean`, `any`."""
        return {**self.per_class, "mean": self.mean, "any": self.any}


class ScanMetrics(MetricTable, frozen=True, kw_only=True):
    """The metrics of scans.

    Attributes:
        scans: Number of scans.
    """

    scans: Count


class SeedMetrics(MetricTable, frozen=True, kw_only=True):
    """The metrics of one seed of a cross-validation.

    Attributes:
        scores: Name of the file or folder of its scores.
        rsna_log_loss: Weighted log loss of the RSNA challenge; lower is better.
        scan: Metrics by scan.
        thresholds_by_fold: Number of a fold → `slice` or `scan` → class → threshold that the other
            folds chose.
    """

    scores: str
    rsna_log_loss: float | None
    scan: ScanMetrics
    thresholds_by_fold: Mapping[str, Mapping[str, ByClass]]


class Hits(Document, frozen=True, kw_only=True):
    """How often the lesion map points at the bleed.

    Attributes:
        slices: Number of slices that show a large enough bleed of the class whose cells are known.
        strict: How many of them have the map's strongest cell on the bleed.
        tolerant: How many have it on the bleed or on one of the eight cells around a cell of it.
        strict_share, tolerant_share: `strict` and `tolerant` over `slices`; None without slices.
        strict_95, tolerant_95: Their 95 % Wilson intervals, as if slices were independent.
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
        least_ml: Smallest volume of a bleed that counts, in ml.
        any: Hits for any haemorrhage.
        epidural, intraparenchymal, intraventricular, subarachnoid, subdural: Hits for a subtype.
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
        """Class (`any` and each subtype) → hits."""
        return {name: getattr(self, name) for name in CLASSES}


class Difference(Document, frozen=True, kw_only=True):
    """The difference of two ROC AUCs of one class.

    Attributes:
        roc_auc, other_roc_auc: ROC AUC of the model and of the other, as means over seeds; None
            where undefined.
        difference: `roc_auc` less `other_roc_auc`.
        interval: Low and high end of the difference's 95 % confidence interval.
        p: Two-sided p-value, by redrawing patients: twice the share of draws in which the
            difference vanishes or changes its sign.
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
        model: Name of the other model.
        slices, scans: Class, or `mean` over the subtypes → difference by slice and by scan.
        patients: Number of patients.
        draws: How often they were redrawn.
    """

    model: str
    slices: Mapping[str, Difference]
    scans: Mapping[str, Difference]
    patients: Count
    draws: Count


class Evaluation(MetricTable, frozen=True, kw_only=True):
    """The metrics of a model on labelled images; the table itself is by slice.

    Attributes:
        data: Which images were judged, in words.
        slices, patients: Number of slices and of patients.
        rsna_log_loss: Weighted log loss of the RSNA challenge, lower is better; None without
            labels of slices.
        scan: Metrics by scan; absent in old manifests.
        model: Model that was judged, where it was run on a store.
        store_hash: Hash of that store's slices.
        fold: Fold that the model's training left out.
        warnings: What makes the metrics doubtful, one line each.
        pointing: How often the lesion map points at the bleed, where outlines are known.
        against: Comparison with another model.
        unlabelled: Number of images of an RSNA folder that have no label.
        not_judged: Scans of an RSNA folder that were not judged, and why.
        label_conflicts: Images of an RSNA folder that are labelled twice, and differently.
        folds: Number of folds; this and the following only for scores of a cross-validation.
        scans: Number of scans.
        calibrate: How each fold's logits were calibrated by those of the other folds.
        rule: How slices become a scan.
        threshold_rule: How thresholds were chosen.
        notes: Remarks, one line each.
        seeds: Metrics of each seed.
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
