"""A finished run and its store in; the run's result as one JSON document out: facts and metrics.

Beside `{run}.json` lies `{run}.npz`, the metrics of every redraw of the test patients, so that
means over seeds and differences of models get intervals without the model.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ichlite.bench.machine import describe_machine
from ichlite.data.feed import split_rows
from ichlite.data.store import Store
from ichlite.data.whole import write_json
from ichlite.errors import InputError
from ichlite.evaluate.metrics import all_negative_accuracy, mean_scores, score_class
from ichlite.labels import NAMES
from ichlite.models.saved import BEST, load, predict
from ichlite.evaluate.intervals import METRICS, interval, redraw, with_mean
from ichlite.reproduce.plan import PlannedRun
from ichlite.train.logs import read_history
from ichlite.train.manifest import read_manifest

SCHEMA = "ichlite-reproduce/1"
ROWS: tuple[str, ...] = (*NAMES, "mean")
"""Of the redraws, in order."""
RESULTS = "results"
"""Folder of the results, below that of a reproduction."""
CROPS = "crops"
"""Phase of the history's row before the first epoch of full frames."""
THRESHOLD = 0.5
"""As the paper's: a probability of at least this is called positive."""
DRAWS_SEED = 0
"""Of the redraws of patients; one for all runs, so that they are compared draw by draw."""


@dataclass(frozen=True, slots=True)
class Result:
    """One run, measured.

    Attributes:
        document: The JSON document.
        draws: (draw, row, metric) of `evaluate.intervals.redraw`, rows as `ROWS`; None when nothing
            was redrawn.
    """

    document: Mapping[str, Any]
    draws: NDArray[np.float32] | None = None

    @property
    def group(self) -> tuple[str, str, int]:
        """Model, loss and epochs."""
        recipe = self.document["train"]["recipe"]
        return recipe["model"], recipe["loss"], recipe["epochs"]

    @property
    def seed(self) -> int:
        """Of the training run."""
        return int(self.document["train"]["recipe"]["seed"])

    def value(self, row: str, metric: str) -> float | None:
        """Subtype or `mean`, and metric → the number on the test split."""
        test = self.document["test"]
        part = test["mean"] if row == "mean" else test["per_class"][row]
        found: float | None = part[metric]
        return found


def is_finished(folder: Path) -> bool:
    """Run folder → whether it was trained to its end."""
    manifest = read_manifest(folder)
    return manifest is not None and "result" in manifest and (folder / BEST).is_file()


def measured(run: PlannedRun, folder: Path, store: Store, target: Path, *, draws: int) -> Result:
    """A finished run → its result, from disk where it was measured before, else measured now.

    Args:
        run: Which.
        folder: With best.keras, history.csv and train.json.
        store: Its `test` split is judged.
        target: Folder of the results; made when missing.
        draws: Redraws of the test patients; 0: no intervals.

    Returns:
        The result, on disk, too.

    Raises:
        InputError: best.keras is no model.
        StoreError: The test split is empty.
    """
    inputs = {
        "best_sha256": hashlib.sha256((folder / BEST).read_bytes()).hexdigest(),
        "store_hash": store.hash,
        "draws": draws,
        "draws_seed": DRAWS_SEED,
    }
    document_path, draws_path = target / f"{run.name}.json", target / f"{run.name}.npz"
    known = read_result(document_path)
    if known is not None and known.document["inputs"] == inputs:
        return known
    target.mkdir(parents=True, exist_ok=True)
    start_s = time.monotonic()
    test, redrawn = _test(folder, store, draws)
    document = {
        "schema": SCHEMA,
        "run": run.name,
        "train": read_manifest(folder),
        "training": training_facts(read_history(folder / "history.csv")),
        "test": test,
        "evaluated": {"machine": describe_machine(), "seconds": time.monotonic() - start_s},
        "inputs": inputs,
    }
    draws_path.unlink(missing_ok=True)
    if redrawn is not None:
        np.savez_compressed(draws_path, draws=redrawn)
    write_json(document_path, document)
    return Result(document, redrawn)


def read_result(path: Path) -> Result | None:
    """`{run}.json` → the result with its redraws; None when there is none of this schema.

    Raises:
        InputError: It, or the file of its redraws, is damaged.
    """
    document = read_document(path)
    if document is None or document.get("schema") != SCHEMA:
        return None
    try:
        result = Result(document)
        _ = result.group, result.seed, [result.value(row, "roc_auc") for row in ROWS]
        _ = [dict(document["train"][key]) for key in ("recipe", "data")]
        draws = document["inputs"]["draws"]
    except (KeyError, TypeError, ValueError) as error:
        raise _damaged(path) from error
    redrawn = path.with_suffix(".npz")
    if not redrawn.is_file():
        return None if draws else result
    try:
        with np.load(redrawn) as arrays:
            return Result(document, arrays["draws"])
    except (KeyError, TypeError, ValueError, EOFError, BadZipFile) as error:
        raise _damaged(redrawn) from error


def read_document(path: Path) -> dict[str, Any] | None:
    """A file of `results/` → its JSON object; None when there is no file.

    Raises:
        InputError: It is no JSON object.
    """
    if not path.is_file():
        return None
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path) from error
    if not isinstance(document, dict):
        raise _damaged(path)
    return document


def _damaged(path: Path) -> InputError:
    return InputError(f"{path} is damaged", remedy="remove it; the same command makes it again")


def result_path(out: Path, run: PlannedRun) -> Path:
    """Folder of a reproduction and a run → where the run's result stands."""
    return out / RESULTS / f"{run.name}.json"


def training_facts(history: list[dict[str, Any]]) -> dict[str, Any]:
    """Rows of history.csv → epochs, which was best, hours, images a second, share of time waited.

    The best is the first with the highest validation mean ROC AUC, whose weights are judged:
    `crops` when none of full frames surpassed the steps on crops before them.
    Seconds include each epoch's validation; what an interrupt lost is not in them. The share is of
    the time in which no batch was ready for the device; None where the run did not note it.

    Example:
        >>> training_facts([{"seconds": "1800", "images_per_s": "50", "epoch": "1"}])["hours"]
        0.5
    """
    seconds = [float(row["seconds"]) for row in history]
    rates = [float(row["images_per_s"]) for row in history]
    waited = [float(row["wait_share"]) for row in history if row.get("wait_share")]
    scored = [row for row in history if row.get("validation_mean_roc_auc")]
    best = max(scored, key=lambda row: float(row["validation_mean_roc_auc"]), default=None)
    return {
        "epochs": sum(row.get("phase") != CROPS for row in history),
        "judged_epoch": None
        if best is None
        else CROPS
        if best["phase"] == CROPS
        else best["epoch"],
        "seconds": sum(seconds),
        "hours": sum(seconds) / 3600,
        "images_per_s": float(np.median(rates)) if rates else None,
        "wait_share": float(np.mean(waited)) if waited else None,
    }


def _test(
    folder: Path, store: Store, draws: int
) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
    rows = split_rows(store, "test")
    labels = np.asarray(store.labels, np.uint8)[rows]
    patients = np.asarray(store.patient)[rows].astype(str)
    logits = predict(load(folder), store, rows).astype(np.float64)
    probabilities = 1.0 / (1.0 + np.exp(-np.clip(logits, -700, 700)))
    scores = {
        name: score_class(labels[:, i], probabilities[:, i], threshold=THRESHOLD)
        for i, name in enumerate(NAMES)
    }
    lines: dict[str, dict[str, Any]] = {
        name: {**asdict(one), "undefined": dict(one.undefined)}
        for name, one in {**scores, "mean": mean_scores(scores)}.items()
    }
    redrawn = None
    if draws:
        redrawn = with_mean(
            redraw(
                labels, probabilities, patients, draws=draws, seed=DRAWS_SEED, threshold=THRESHOLD
            )
        )
        for row, name in enumerate(ROWS):
            lines[name]["intervals"] = {
                metric: interval(redrawn[:, row, column]) for column, metric in enumerate(METRICS)
            }
    test = {
        "split": "test",
        "slices": len(rows),
        "patients": len(np.unique(patients)),
        "threshold": THRESHOLD,
        "all_negative_accuracy": all_negative_accuracy(labels),
        "mean": lines.pop("mean"),
        "per_class": lines,
    }
    return test, redrawn
