"""Apply a model to a store: what it says of every slice and scan.

A bundle is judged as it reads: calibrated, smoothed over neighbours, its scan rule, its
thresholds. A Keras model is judged bare: sigmoid of its logits, `any` the largest subtype.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from ichlite.contracts.run import RunManifest
from ichlite.ct.gaps import find_gaps
from ichlite.data.levels import levelled
from ichlite.errors import BundleError
from ichlite.infer.bundle import MANIFEST_FILE, Bundle, bundle_folder, load_bundle
from ichlite.infer.decision import Calibration, Rule, decide
from ichlite.infer.runtime import Runtime
from ichlite.labels import CLASSES

if TYPE_CHECKING:
    from ichlite.data.store import Store

BARE = Rule(neighbour_weights=(1.0,), any_rule="max", scan_rule="max")


@dataclass(frozen=True, slots=True)
class Cases:
    """Labels and probabilities of slices, or of scans, with columns in the order of `CLASSES`.

    Attributes:
        labels: (case, 6) uint8, 0/1.
        probabilities: (case, 6) float64 in [0, 1].
        patients: (case,) name of each case's patient.
    """

    labels: NDArray[np.uint8]
    probabilities: NDArray[np.float64]
    patients: NDArray[np.str_]

    def labels_of(self) -> dict[str, NDArray[np.uint8]]:
        """Return class → labels, (case,) 0/1."""
        return {name: self.labels[:, i] for i, name in enumerate(CLASSES)}

    def probabilities_of(self) -> dict[str, NDArray[np.float64]]:
        """Return class → probabilities, (case,) in [0, 1]."""
        return {name: self.probabilities[:, i] for i, name in enumerate(CLASSES)}


@dataclass(frozen=True, slots=True)
class Judged:
    """Labels and a model's probabilities for a data set, by slice and by scan.

    Attributes:
        slices: Slices with labels of their own; none where only scans are labelled.
        scans: Scans.
    """

    slices: Cases
    scans: Cases

    @property
    def patients(self) -> int:
        """Number of patients."""
        return len(np.unique(self.scans.patients))


@dataclass(frozen=True, slots=True)
class Judge:
    """A model to evaluate, with its calibration, rule and thresholds.

    Attributes:
        name: Name of the model.
        model: `Bundle` or `keras.Model`.
        calibration, rule: How logits become probabilities of slices, and these those of a scan.
        slice_thresholds, scan_thresholds: Class → probability from which a slice, or a scan, counts
            as positive.
        training: Manifest of the run that trained the model; None where there is none.
        brain_level_hu: Median HU that a scan's brain is shifted to for the model; None for HU as
            they are.
    """

    name: str
    model: Any
    calibration: Calibration
    rule: Rule
    slice_thresholds: Mapping[str, float]
    scan_thresholds: Mapping[str, float]
    training: RunManifest | None = None
    brain_level_hu: float | None = None

    @property
    def left_out(self) -> tuple[str, ...]:
        """Names of the subtypes that the model was not trained for."""
        return () if self.training is None else tuple(self.training.recipe.get("leave_out", ()))


def load_judge(path: Path, training: RunManifest | None = None) -> Judge:
    """Load the model of a bundle folder, run folder or `.keras` file for an evaluation.

    A model that is no bundle is not calibrated, has thresholds of 0.5, and its scans are judged by
    their highest slice.

    Args:
        path: Folder or file of the model; `embedded` for the bundle that is shipped.
        training: Manifest of the run, for a model that is no bundle.

    Raises:
        BundleError: The bundle is incomplete or changed.
        InputError: There is no model.
    """
    if (bundle_folder(path) / MANIFEST_FILE).exists():
        return bundle_judge(load_bundle(path))
    from ichlite.models.saved import load

    half = dict.fromkeys(CLASSES, 0.5)
    level_hu = None if training is None else training.recipe.get("brain_level_hu")
    return Judge(path.name, load(path), Calibration(), BARE, half, half, training, level_hu)


def bundle_judge(bundle: Bundle) -> Judge:
    """Prepare a bundle for an evaluation, with its own calibration, rule and thresholds.

    Raises:
        BundleError: The bundle has no thresholds for slices.
    """
    manifest, rule = bundle.manifest, bundle.rule
    of_slices = manifest.decision.slice_thresholds
    if of_slices is UNSET:
        raise BundleError(
            f"bundle {bundle.path} cannot judge slices one by one",
            found="no slice_thresholds in its manifest",
            remedy="make it again with `ichlite compress`",
        )
    training = None if manifest.training is UNSET else manifest.training
    return Judge(
        *(bundle.label, bundle, bundle.calibration, rule, of_slices, rule.thresholds, training),
        brain_level_hu=bundle.brain_level_hu,
    )


def logits_of(model: Any, store: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute the logits of slices of a store by a bundle or Keras model.

    Args:
        model: `Bundle` or `keras.Model`.
        store: Store of slices, at the brain level that the model needs.
        rows: (image,) row numbers of the store.

    Returns:
        (image, 5) float32, subtypes in the order of `labels.SUBTYPES`.
    """
    if isinstance(model, Bundle):
        runtime = Runtime(model)
        return np.stack([runtime.run_hu(np.asarray(store.hu[row]))[0] for row in rows])
    from ichlite.models.saved import predict

    return predict(model, store, rows)


def judge_rows(judge: Judge, store: Store, rows: NDArray[np.int64]) -> Judged:
    """Compute the probabilities of slices of a store, and of their scans, by a model and its rule.

    Args:
        judge: Model with its calibration and rule.
        store: Store of slices with labels.
        rows: (image,) row numbers of the store.
    """
    return judge_logits(
        judge_slices(judge, store, rows), store, rows, judge.calibration, judge.rule
    )


def judge_slices(judge: Judge, store: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute the logits of slices of a store, shifted to the brain level that the model needs.

    Args:
        judge: Model with its brain level.
        store: Store of slices.
        rows: (image,) row numbers of the store.

    Returns:
        (image, 5) float32, subtypes in the order of `labels.SUBTYPES`.
    """
    return logits_of(judge.model, levelled(store, judge.brain_level_hu), rows)


def judge_logits(
    logits: NDArray[np.float32],
    store: Store,
    rows: NDArray[np.int64],
    calibration: Calibration,
    rule: Rule,
) -> Judged:
    """Compute the probabilities of slices of a store, and of their scans, from logits.

    Args:
        logits: (image, 5), in the order of `rows`.
        store: Store of the slices, with their labels, series and positions.
        rows: (image,) row numbers of the store.
        calibration: How logits become probabilities.
        rule: How slices become a scan.

    Returns:
        Slices in the order of `rows`, none where only scans are labelled in the store; scans sorted
        by series.
    """
    labels = np.column_stack([store.any[rows], store.labels[rows]]).astype(np.uint8)
    return judge_series(
        labels,
        logits,
        patients=np.asarray(store.patient)[rows].astype(str),
        series=np.asarray(store.series)[rows].astype(str),
        position_mm=np.asarray(store.position_mm)[rows],
        by_slice=np.full(len(rows), store.label_level == "slice"),
        calibration=calibration,
        rule=rule,
    )


def judge_series(
    labels: NDArray[np.uint8],
    logits: NDArray[np.float32],
    *,
    patients: NDArray[np.str_],
    series: NDArray[np.str_],
    position_mm: NDArray[np.floating[Any]],
    by_slice: NDArray[np.bool_],
    calibration: Calibration,
    rule: Rule,
) -> Judged:
    """Compute the probabilities of slices and scans from arrays of logits, series and positions.

    Args:
        labels: (image, 6) 0/1, columns in the order of `CLASSES`.
        logits: (image, 5), subtypes in the order of `labels.SUBTYPES`.
        patients: (image,) name of each image's patient.
        series: (image,) name of the series that each image is of.
        position_mm: (image,) position along the slice normal, by which a series is ordered; NaN,
            which comes last, where unknown.
        by_slice: (image,) bool, whether the labels are the slice's own, not those of its scan.
        calibration: How logits become probabilities.
        rule: How slices become a scan.

    Returns:
        Slices with labels of their own, in the order given; scans in the order of their series.
    """
    slices = np.empty((len(labels), len(CLASSES)))
    scan_labels, scans, scan_patients = [], [], []
    for members in members_of(series, position_mm):
        breaks: tuple[int, ...] = ()
        places: list[float] | None = None
        if not np.isnan(position_mm[members]).any():  # else the order is believed
            places = position_mm[members].tolist()
            breaks = find_gaps(places, [None] * len(places))[1]
        decision = decide(logits[members], calibration, rule, breaks, places)
        slices[members] = [[p[key] for key in CLASSES] for p in decision.slices]
        scans.append([decision.scan[key] for key in CLASSES])
        scan_labels.append(labels[members].max(axis=0))
        scan_patients.append(patients[members[0]])
    return Judged(
        Cases(labels[by_slice], slices[by_slice], patients[by_slice]),
        Cases(
            np.array(scan_labels, np.uint8).reshape(-1, len(CLASSES)),
            np.array(scans, np.float64).reshape(-1, len(CLASSES)),
            np.array(scan_patients, np.str_),
        ),
    )


def members_of(
    series: NDArray[np.str_], position_mm: NDArray[np.floating[Any]]
) -> list[NDArray[np.int64]]:
    """Return the row numbers of each series, ordered by position; series sorted by name.

    Args:
        series: (row,) name of each row's series.
        position_mm: (row,) position along the slice normal; NaN comes last.

    Example:
        >>> [m.tolist() for m in members_of(np.array(["b", "a", "a"]), np.array([0.0, 9.0, 5.0]))]
        [[2, 1], [0]]
    """
    order = np.lexsort((np.arange(len(series)), position_mm, series))
    edges = np.flatnonzero(series[order][1:] != series[order][:-1]) + 1
    return np.split(order, edges) if len(series) else []
