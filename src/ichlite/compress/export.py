"""Write a trained model as a bundle: one folder with all that reading needs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite import __version__
from ichlite.compress.bundle_folder import check_folder, filled
from ichlite.compress.card import model_card
from ichlite.compress.flatbuffer import tidy
from ichlite.compress.flops import flops, one_slice
from ichlite.compress.fold import fold
from ichlite.compress.gate import Drops, Gate, check
from ichlite.compress.graph import CAM, with_map
from ichlite.compress.quantize import INT8, check_precision, to_tflite
from ichlite.compress.sizes import sizes
from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN, model_input
from ichlite.ct.windows import PAPER_WINDOWS
from ichlite.data.feed import split_rows
from ichlite.data.fingerprint import for_bundle
from ichlite.data.join import metas_of
from ichlite.evaluate.calibrate import fit_calibration
from ichlite.evaluate.decisions import Decisions
from ichlite.evaluate.metrics import validation_auc
from ichlite.evaluate.operating_points import RULE, thresholds
from ichlite.evaluate.predictions import bundle_judge, judge_logits, judge_rows, logits_of
from ichlite.evaluate.summary import summarise
from ichlite.infer.bundle import CARD_FILE, MANIFEST_FILE, MODEL_FILE, SCHEMA, Bundle, load_bundle
from ichlite.infer.decision import Calibration, Rule
from ichlite.labels import NAMES
from ichlite.models.outputs import LESION_MAP, has_lesion_map
from ichlite.models.saved import predict

if TYPE_CHECKING:
    from ichlite.data.store import Store

CALIBRATION_IMAGES = 512
"""Slices that the int8 ranges come from; the parity is measured on them, too."""


@dataclass(frozen=True, slots=True)
class Exported:
    """A bundle that was written.

    Attributes:
        path: The folder.
        model_bytes: Size of model.tflite.
        manifest: As written.
    """

    path: Path
    model_bytes: int
    manifest: dict[str, Any]


def export(
    model: keras.Model,
    store: Store,
    folder: Path,
    *,
    precision: str,
    training: dict[str, Any],
    name: str | None = None,
    seed: int = 0,
    reference: Mapping[str, float | None] | None = None,
    gate: Gate | None = None,
    compression: dict[str, Any] | None = None,
    command: str | None = None,
    decisions: Decisions | None = None,
    report: Callable[[str], None] = lambda _: None,
) -> Exported:
    """Convert, calibrate, measure, and write the bundle.

    Args:
        model: Trained, with layers `features` and `logits`.
        store: At the run's brain level. Its `train` split gives the int8 ranges, `validation`
            calibration and thresholds, `test` the metrics of the model card.
        folder: Must not exist, or be a bundle that will be replaced.
        precision: One of `quantize.PRECISIONS`.
        training: The run's manifest; kept in the bundle.
        name: Of the bundle; None: model and precision.
        seed: Of the choice of calibration slices.
        reference: ROC AUCs (`reference_auc`) that the bundle must not fall behind; None: those of
            `model`.
        gate: How far it may; None: as far as it does.
        compression: What was done to the model before; kept in the bundle.
        command: That made it; kept in the bundle.
        decisions: Calibration, rule and operating points from scores out of fold; None: from the
            `validation` split.
        report: Called with one line a stage.

    Returns:
        What was written.

    Raises:
        UsageError: The folder holds something else.
        IchliteError: The bundle fails the gate; then nothing is written.
    """
    check_precision(precision)
    check_folder(folder)
    validation = split_rows(store, "validation")
    label = name or f"{training['recipe']['model']}-{precision}"
    images = calibration_rows(store, CALIBRATION_IMAGES, seed)
    calibrated = f" with {len(images)} calibration slices" if precision == INT8 else ""
    report(f"converting {model.name} to {precision}{calibrated}")
    windows = (model_input(store.hu[row]) for row in images)
    graph = with_map(model)
    map_name = LESION_MAP if has_lesion_map(model) else CAM
    output = {
        "map": "lesion" if has_lesion_map(model) else "activation",
        "cells": list(graph.output[map_name].shape[1:3]),
    }
    content = tidy(to_tflite(graph, precision, windows), map_name)

    bare = Bundle(label, __version__, folder, {}, PAPER_WINDOWS, Calibration(), Rule(), content)
    report("running the validation split")
    logits = logits_of(bare, store, validation)
    labels = np.asarray(store.labels, np.uint8)[validation]
    drops = Drops(reference or reference_auc(model, store), validation_auc(labels, logits))
    if gate is not None:
        check(label, drops, gate)
        if drops.undefined:
            report(
                f"the gate says nothing of {', '.join(drops.undefined)}: the validation split has "
                "no positives of it, or nothing else"
            )
    decided = (
        _decided_on_validation(logits, store, validation)
        if decisions is None
        else decisions.as_dict()
    )

    report("comparing with the Keras model")
    plain = fold(model)
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "name": label,
        "version": __version__,
        "model": training["recipe"]["model"],
        "precision": precision,
        "command": command,
        "input": _input_spec(training["recipe"].get("brain_level_hu")),
        "output": output,
        "subtypes": list(NAMES),
        **decided,
        # As the file holds it: batch normalisation folded into the convolutions.
        "cost": {
            "params": plain.count_params(),
            "flops_256": flops(one_slice(plain, GRID)),
            **sizes(content),
        },
        "files": {MODEL_FILE: hashlib.sha256(content).hexdigest()},
        "training": for_bundle(training),
        "compression": compression,
        "gate": drops.as_dict(gate or Gate(1.0, 1.0)),
        "parity": _parity(model, bare, store, images),
    }
    if precision == INT8:
        manifest["quantization"] = {"seed": seed, "images": len(images), "split": "train"}
    with filled(folder) as part:
        (part / MODEL_FILE).write_bytes(content)
        _write_manifest(part, manifest)
        report("measuring on the test split")
        manifest["metrics"] = _metrics(part, store)
        card = model_card(manifest)
        (part / CARD_FILE).write_text(card, encoding="utf-8")
        manifest["files"][CARD_FILE] = hashlib.sha256(card.encode()).hexdigest()
        _write_manifest(part, manifest)
    return Exported(folder, len(content), manifest)


def reference_auc(model: keras.Model, store: Store) -> dict[str, float | None]:
    """A Keras model and a store → ROC AUC of each subtype and `mean` on the validation split."""
    rows = split_rows(store, "validation")
    return validation_auc(np.asarray(store.labels, np.uint8)[rows], predict(model, store, rows))


def calibration_rows(store: Store, count: int, seed: int) -> NDArray[np.int64]:
    """Store, count and seed → rows of the training split, half of them, if there are, bleeding.

    Ranges must cover what blood looks like; an even draw would show hardly any.
    """
    rows = split_rows(store, "train")
    rng = np.random.default_rng(seed)
    bleeding = np.asarray(store.labels)[rows].any(axis=1)
    half = [rng.permutation(rows[bleeding])[: count // 2]]
    rest = rng.permutation(np.setdiff1d(rows, half[0]))
    return np.sort(np.concatenate([*half, rest[: count - len(half[0])]]))


def _decided_on_validation(
    logits: NDArray[np.float32], store: Store, rows: NDArray[np.int64]
) -> dict[str, Any]:
    """A manifest's `calibration` and `decision`, from the logits of the validation split."""
    calibration = fit_calibration(np.asarray(store.labels, np.uint8)[rows], logits)
    rule = Rule()
    judged = judge_logits(logits, store, rows, calibration, rule)
    return {
        "calibration": {
            "temperature": list(calibration.temperature),
            "bias": list(calibration.bias),
            "split": "validation",
        },
        "decision": {
            **rule.as_dict(),
            "thresholds": thresholds(judged.scans.labels_of(), judged.scans.probabilities_of()),
            "slice_thresholds": thresholds(
                judged.slices.labels_of(), judged.slices.probabilities_of()
            ),
            "threshold_rule": RULE,
        },
    }


def _input_spec(brain_level_hu: float | None) -> dict[str, Any]:
    return {
        "brain_level_hu": brain_level_hu,
        "rows": GRID,
        "columns": GRID,
        "hu_min": HU_MIN,
        "hu_max": HU_MAX,
        "windows": [
            {"name": w.name, "centre_hu": w.centre_hu, "width_hu": w.width_hu}
            for w in PAPER_WINDOWS
        ],
    }


def _parity(
    model: keras.Model,
    bundle: Bundle,
    store: Store,
    images: NDArray[np.int64],
) -> dict[str, Any]:
    """How far the file is from the Keras model it was converted from, uncalibrated, unsmoothed."""
    gap = np.abs(
        _sigmoid(predict(model, store, images)) - _sigmoid(logits_of(bundle, store, images))
    )
    return {
        "images": len(images),
        "max_probability_difference": float(gap.max()),
        "mean_probability_difference": float(gap.mean()),
    }


def _metrics(part: Path, store: Store) -> dict[str, Any]:
    judge = bundle_judge(load_bundle(part))
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


def _write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    text = json.dumps(manifest, indent=2, allow_nan=False) + "\n"
    (folder / MANIFEST_FILE).write_text(text, encoding="utf-8")


def _sigmoid(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    return np.asarray(1.0 / (1.0 + np.exp(-np.asarray(logits, np.float64))))
