"""Write a trained model as a bundle: one folder with all that reading needs."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import keras
import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from ichlite import __version__
from ichlite.compress.bundle_folder import check_folder, filled
from ichlite.compress.card import model_card
from ichlite.compress.flatbuffer import tidy
from ichlite.compress.fold import fold
from ichlite.compress.gate import Drops, check
from ichlite.compress.graph import CAM, with_map
from ichlite.compress.model_cost import model_cost
from ichlite.compress.model_metadata import described
from ichlite.compress.quantize import INT8, check_precision, to_tflite
from ichlite.compress.settings import Gate
from ichlite.contracts.bundle import (
    SCHEMA,
    BundleManifest,
    CalibrationSpec,
    CompressionSpec,
    Cost,
    DecisionSpec,
    GateResult,
    Parity,
    Quantized,
)
from ichlite.contracts.bundle_tensors import OutputSpec
from ichlite.contracts.codec import document_text
from ichlite.contracts.evaluation import Evaluation
from ichlite.contracts.run import RunManifest
from ichlite.contracts.seal import NO_DIGITS, sealed
from ichlite.ct.tensor import model_input
from ichlite.data.feed import split_rows
from ichlite.data.fingerprint import for_bundle
from ichlite.data.join import metas_of
from ichlite.evaluate.calibrate import fit_calibration
from ichlite.evaluate.decisions import Decisions, calibration_spec, decision_spec
from ichlite.evaluate.metrics import validation_auc
from ichlite.evaluate.operating_points import RULE, thresholds
from ichlite.evaluate.predictions import bundle_judge, judge_logits, judge_rows, logits_of
from ichlite.evaluate.summary import summarise
from ichlite.infer.bundle import (
    CARD_FILE,
    MANIFEST_FILE,
    MODEL_FILE,
    Bundle,
    bundle_of,
    load_bundle,
)
from ichlite.infer.decision import Calibration, Rule, sigmoid
from ichlite.infer.model_description import describe_input
from ichlite.infer.worth import doubts
from ichlite.labels import CLASSES, NAMES
from ichlite.models.outputs import LESION_MAP, has_lesion_map
from ichlite.models.saved import predict

if TYPE_CHECKING:
    from ichlite.data.store import Store

CALIBRATION_IMAGES = 512
"""Number of slices of the training split from which int8 ranges are calibrated."""
PARITY_IMAGES = 512
"""Largest number of validation slices on which the file is compared with the Keras model."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle that was written, with the results of its evaluation.

    Attributes:
        path: Folder of the bundle.
        manifest: Manifest as written.
        cost, gate, parity, metrics: Sections of the manifest that bundles written by ichlite always
            have.
    """

    path: Path
    manifest: BundleManifest
    cost: Cost
    gate: GateResult
    parity: Parity
    metrics: Evaluation


@dataclass(frozen=True, slots=True)
class Export:
    """Settings for writing a model as a bundle, and facts to record in its manifest.

    Attributes:
        precision: One of `quantize.PRECISIONS`.
        name: Name of the bundle; None: model and precision.
        seed: Random seed for the choice of calibration slices.
        gate: Largest loss of ROC AUC allowed; None: no limit.
        compression: Compression that the model has undergone, for the manifest; None for none.
        command: Command that made the bundle, for the manifest.
        decisions: Calibration, decision rule and operating points from out-of-fold scores; None:
            from the `validation` split.
    """

    precision: str
    name: str | None = None
    seed: int = 0
    gate: Gate | None = None
    compression: CompressionSpec | None = None
    command: str | None = None
    decisions: Decisions | None = None


def export(
    model: keras.Model,
    store: Store,
    folder: Path,
    training: RunManifest,
    asked: Export,
    *,
    reference: Mapping[str, float | None] | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Convert a trained model, calibrate and evaluate it, and write it as a bundle.

    Args:
        model: Trained, with layers `features` and `logits`.
        store: At the run's brain level. Its `train` split gives the int8 ranges, `validation`
            calibration and thresholds, `test` the metrics of the model card.
        folder: Must not exist, or be a bundle that will be replaced.
        training: Manifest of the training run; a copy is kept in the bundle.
        asked: Settings of the export.
        reference: ROC AUCs, as of `reference_auc`, from which the loss is counted; None: those of
            `model`.
        report: Called with one line of text at each stage.

    Returns:
        The bundle as written.

    Raises:
        UsageError: The folder holds something other than a bundle.
        IchliteError: The bundle fails the accuracy gate; then nothing is written.
    """
    precision = check_precision(asked.precision)
    check_folder(folder)
    validation = split_rows(store, "validation")
    images = calibration_rows(store, CALIBRATION_IMAGES, asked.seed)
    calibrated = f" with {len(images)} calibration slices" if precision == INT8 else ""
    report(f"converting {model.name} to {precision}{calibrated}")
    graph = with_map(model)
    lesion = has_lesion_map(model)
    map_name = LESION_MAP if lesion else CAM
    windows = (model_input(store.hu[row]) for row in images)
    converted = tidy(to_tflite(graph, precision, windows), map_name)

    plain = fold(model)  # as the file holds it: batch normalisation within the convolutions
    architecture = str(training.recipe["model"])
    unjudged = BundleManifest(
        schema=SCHEMA,
        name=asked.name or f"{architecture}-{precision}",
        version=__version__,
        model=architecture,
        precision=precision,
        command=asked.command,
        input=describe_input(training.recipe.get("brain_level_hu")),
        output=OutputSpec(
            kind="lesion" if lesion else "activation",
            cells=tuple(graph.output[map_name].shape[1:3]),
        ),
        subtypes=NAMES,
        calibration=calibration_spec(Calibration(), ""),
        decision=_UNDECIDED,
        files={},
        training=for_bundle(training),
        compression=asked.compression,
    )
    unjudged, content = described(unjudged, converted)
    cost = model_cost(plain, content)
    unjudged = structs.replace(
        unjudged, cost=cost, files={MODEL_FILE: hashlib.sha256(content).hexdigest()}
    )
    bare = bundle_of(folder, unjudged, content)
    report("running the validation split")
    logits = logits_of(bare, store, validation)
    labels = np.asarray(store.labels, np.uint8)[validation]
    drops = Drops(reference or reference_auc(model, store), validation_auc(labels, logits))
    if asked.gate is not None:
        check(bare.name, drops, asked.gate)
        if drops.undefined:
            report(
                f"the gate says nothing of {', '.join(drops.undefined)}: the validation split has "
                "no positives of it, or nothing else"
            )
    gate = drops.result(asked.gate or Gate(1.0, 1.0))
    calibration, decision = (
        _decided_on_validation(logits, store, validation)
        if asked.decisions is None
        else asked.decisions.specs
    )
    report("comparing with the Keras model")
    parity = _parity(model, store, validation, logits)
    manifest = structs.replace(
        unjudged, calibration=calibration, decision=decision, gate=gate, parity=parity
    )
    if precision == INT8:
        ranges = Quantized(seed=asked.seed, images=len(images), split="train")
        manifest = structs.replace(manifest, quantization=ranges)
    with filled(folder) as part:
        (part / MODEL_FILE).write_bytes(content)
        report("measuring on the test split")
        metrics = _metrics(bundle_of(folder, manifest, content), store)
        card = model_card(manifest, training, metrics, gate, parity)
        (part / CARD_FILE).write_text(card, encoding="utf-8")
        files = {**manifest.files, CARD_FILE: hashlib.sha256(card.encode()).hexdigest()}
        manifest = structs.replace(
            manifest, metrics=metrics, files=files, manifest_sha256=NO_DIGITS
        )
        text = sealed(document_text(manifest))
        (part / MANIFEST_FILE).write_text(text, encoding="utf-8")
        manifest = load_bundle(part).manifest  # what is written can be read
    for line in doubts(manifest):
        report(f"warning: {line}")
    return Exported(folder, manifest, cost, gate, parity, metrics)


def reference_auc(model: keras.Model, store: Store) -> dict[str, float | None]:
    """Return a Keras model's ROC AUC of each subtype, and `mean`, on the validation split."""
    rows = split_rows(store, "validation")
    return validation_auc(np.asarray(store.labels, np.uint8)[rows], predict(model, store, rows))


def calibration_rows(store: Store, count: int, seed: int) -> NDArray[np.int64]:
    """Draw slices of the training split for int8 calibration, up to half of them with blood.

    Ranges must cover what blood looks like, which few slices of a random draw would show.

    Args:
        store: Store to draw from.
        count: Number of slices; fewer if the split has fewer.
        seed: Random seed.

    Returns:
        Row numbers, ascending.
    """
    rows = split_rows(store, "train")
    rng = np.random.default_rng(seed)
    bleeding = np.asarray(store.labels)[rows].any(axis=1)
    half = [rng.permutation(rows[bleeding])[: count // 2]]
    rest = rng.permutation(np.setdiff1d(rows, half[0]))
    return np.sort(np.concatenate([*half, rest[: count - len(half[0])]]))


_HALF = dict.fromkeys(CLASSES, 0.5)
_UNDECIDED = decision_spec(Rule(), _HALF, _HALF, "none yet")
"""The decision of a bundle that is not judged yet."""


def _decided_on_validation(
    logits: NDArray[np.float32], store: Store, rows: NDArray[np.int64]
) -> tuple[CalibrationSpec, DecisionSpec]:
    """Choose calibration and thresholds by the logits of the validation split."""
    calibration = fit_calibration(np.asarray(store.labels, np.uint8)[rows], logits)
    rule = Rule()
    judged = judge_logits(logits, store, rows, calibration, rule)
    decision = decision_spec(
        rule,
        thresholds(judged.scans.labels_of(), judged.scans.probabilities_of()),
        thresholds(judged.slices.labels_of(), judged.slices.probabilities_of()),
        RULE,
    )
    return calibration_spec(calibration, "validation"), decision


def _parity(
    model: keras.Model, store: Store, rows: NDArray[np.int64], logits: NDArray[np.float32]
) -> Parity:
    """Compare the file with the Keras model it was converted from, uncalibrated, unsmoothed.

    Args:
        model: Model that was converted.
        store: With the slices.
        rows: Row numbers of slices that int8's ranges do not come from.
        logits: (row, 5) of the file on them.
    """
    some = np.unique(np.linspace(0, len(rows) - 1, PARITY_IMAGES).astype(np.int64))
    gap = np.abs(sigmoid(predict(model, store, rows[some])) - sigmoid(logits[some]))
    return Parity(
        images=len(some),
        split="validation",
        max_probability_difference=float(gap.max()),
        mean_probability_difference=float(gap.mean()),
    )


def _metrics(bundle: Bundle, store: Store) -> Evaluation:
    """Evaluate a bundle on the test split."""
    judge = bundle_judge(bundle)
    rows = split_rows(store, "test")
    stores = metas_of(store)
    tested = np.unique(store.origin[rows])
    of_some = len(tested) < len(stores)
    names = ", ".join(stores[int(origin)]["name"] for origin in tested)
    return summarise(
        judge_rows(judge, store, rows),
        data="the test split of the store it was trained on"
        + (f": {names} alone" if of_some else ""),
        slice_thresholds=judge.slice_thresholds,
        scan_thresholds=judge.scan_thresholds,
        left_out=judge.left_out,
    )
