"""What is kept of each run, and the results of seeds that it gives: metrics with their redraws.

A run leaves `{run}.json`, what made its model, and `{run}.npz`, what the model says of the slices
that it was tested on. That is enough for every table; the model may go. The folds of one seed are
pooled: together they score every slice once, by a model that never saw its patient.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import replacing, write_json
from ichlite.bench.machine import describe_machine
from ichlite.data.feed import split_rows
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.evaluate.intervals import METRICS, interval, redraw, with_mean
from ichlite.evaluate.metrics import (
    all_negative_accuracy,
    mean_scores,
    score_class,
    validation_auc,
)
from ichlite.labels import NAMES
from ichlite.models.saved import BEST, load, predict
from ichlite.reproduce.campaign_plan import PlannedRun
from ichlite.train.logs import read_history
from ichlite.train.run_manifest import read_manifest

SCHEMA = "ichlite-reproduce/2"
MEASURED = "ichlite-reproduce/1"
"""Of runs that left metrics and their redraws in the place of scores."""
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

Identity = tuple[str, str, int, int]
"""Model, loss, epochs and seed."""


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """What a model says of the slices that it was tested on.

    Attributes:
        image, patient: (slice,) names.
        labels: (slice, 5) 0/1.
        logits: (slice, 5).
    """

    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    labels: NDArray[np.uint8]
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """What is kept of one run.

    Attributes:
        document: The JSON document.
        scores: None of a run of the schema `MEASURED`, whose metrics are in the document.
        draws: Of such a run: (draw, row, metric), or None.
    """

    document: Mapping[str, Any]
    scores: Scores | None = None
    draws: NDArray[np.float32] | None = None

    @property
    def identity(self) -> Identity:
        """What its folds have in common."""
        recipe = self.document["train"]["recipe"]
        return recipe["model"], recipe["loss"], recipe["epochs"], int(recipe["seed"])

    @property
    def fold(self) -> Mapping[str, int] | None:
        """Number, count and seed of the fold; None of a run on a store's own splits."""
        found: Mapping[str, int] | None = self.document["train"]["data"].get("fold")
        return found

    @property
    def test_auc(self) -> float | None:
        """Mean ROC AUC of the slices that this run was tested on."""
        if self.scores is None:
            measured: float | None = self.document["test"]["mean"]["roc_auc"]
            return measured
        return validation_auc(self.scores.labels, self.scores.logits)["mean"]


@dataclass(frozen=True, slots=True)
class Result:
    """One seed, measured.

    Attributes:
        document: What trained it, for how long, and the metrics.
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
        """Of the training runs."""
        return int(self.document["train"]["recipe"]["seed"])

    def value(self, row: str, metric: str) -> float | None:
        """Subtype or `mean`, and metric → the number on the slices tested on."""
        test = self.document["test"]
        part = test["mean"] if row == "mean" else test["per_class"][row]
        found: float | None = part[metric]
        return found


def is_finished(folder: Path) -> bool:
    """Run folder → whether it was trained to its end."""
    manifest = read_manifest(folder)
    return manifest is not None and "result" in manifest and (folder / BEST).is_file()


def score_run(run: PlannedRun, folder: Path, store: Store, target: Path) -> None:
    """Keep what a finished run says of its test split, unless the same is kept already.

    Args:
        run: Which.
        folder: With best.keras, history.csv and train.json.
        store: Its `test` split is scored.
        target: Folder of the results; made when missing.

    Raises:
        InputError: best.keras is no model; or what is kept is damaged.
        StoreError: The test split is empty.
    """
    inputs = {
        "best_sha256": hashlib.sha256((folder / BEST).read_bytes()).hexdigest(),
        "store_hash": store.hash,
    }
    path = target / f"{run.name}.json"
    known = read_piece(path)
    if known is not None and inputs.items() <= known.document["inputs"].items():
        return
    target.mkdir(parents=True, exist_ok=True)
    start_s = time.monotonic()
    rows = split_rows(store, "test")
    store = levelled(store, run.recipe.brain_level_hu)
    scores = Scores(
        np.asarray(store.image)[rows].astype(str),
        np.asarray(store.patient)[rows].astype(str),
        np.asarray(store.labels, np.uint8)[rows],
        predict(load(folder), store, rows),
    )
    path.unlink(missing_ok=True)  # never a document beside the scores of another model
    with replacing(path.with_suffix(".npz")) as part:
        np.savez_compressed(part, **asdict(scores))
    train = read_manifest(folder) or {}
    document = {
        "schema": SCHEMA,
        "run": run.name,
        "train": train,
        "training": training_facts(
            read_history(folder / "history.csv"), train["result"].get("best_step")
        ),
        "scored": {
            "slices": len(rows),
            "machine": describe_machine(),
            "seconds": time.monotonic() - start_s,
        },
        "inputs": inputs,
    }
    write_json(path, document)


def read_piece(path: Path) -> Piece | None:
    """`{run}.json` → what is kept of the run; None when that is nothing, or not whole.

    Raises:
        InputError: It, or the file of its scores, is damaged.
    """
    document = read_document(path)
    if document is None or document.get("schema") not in (SCHEMA, MEASURED):
        return None
    piece = Piece(document)
    beside = path.with_suffix(".npz")
    try:
        _ = piece.identity, piece.fold
        _ = document["inputs"]["store_hash"], document["training"]["hours"]
        if document["schema"] == MEASURED:
            _ = [Result(document).value(row, "roc_auc") for row in ROWS]
            redrawn = bool(document["inputs"]["draws"])
        else:
            redrawn = True
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path) from error
    if not beside.is_file():
        return None if redrawn else piece
    try:
        with np.load(beside) as arrays:
            if document["schema"] == MEASURED:
                return Piece(document, draws=arrays["draws"])
            return Piece(document, _checked(Scores(**dict(arrays))))
    except (KeyError, TypeError, ValueError, EOFError, BadZipFile) as error:
        raise _damaged(beside) from error


def _checked(scores: Scores) -> Scores:
    shape = (len(scores.image), len(NAMES))
    if not (
        scores.labels.shape == scores.logits.shape == shape and len(scores.patient) == shape[0]
    ):
        raise ValueError("arrays of different lengths")
    return scores


def read_pieces(folder: Path) -> list[Piece]:
    """Everything that is kept in a folder of results.

    Raises:
        InputError: Something in it is damaged.
    """
    found = (read_piece(path) for path in sorted(folder.glob("*-s*.json")))
    return [piece for piece in found if piece is not None]


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


def results_of(pieces: Iterable[Piece], *, draws: int) -> tuple[Result, ...]:
    """Pool the folds of each seed and measure them; a seed without all its folds is left out.

    Args:
        pieces: Of any seeds and groups.
        draws: Redraws of the patients tested on; 0: no intervals.
    """
    of_seed: dict[Identity, list[Piece]] = {}
    for piece in pieces:
        of_seed.setdefault(piece.identity, []).append(piece)
    return tuple(_result(found, draws) for found in of_seed.values() if _is_whole(found))


def _is_whole(pieces: Sequence[Piece]) -> bool:
    fold = pieces[0].fold
    return len(pieces) == (1 if fold is None else fold["of"])


def _result(pieces: Sequence[Piece], draws: int) -> Result:
    first = pieces[0].document
    scores = [piece.scores for piece in pieces if piece.scores is not None]
    if not scores:
        return Result(first, pieces[0].draws)
    test, redrawn = _measured(
        np.concatenate([one.labels for one in scores]),
        np.concatenate([one.logits for one in scores]),
        np.concatenate([one.patient for one in scores]),
        draws,
    )
    trained = [piece.document["train"]["data"]["train_positives"] for piece in pieces]
    data = {
        **first["train"]["data"],
        "train_positives": {name: sum(one[name] for one in trained) for name in NAMES},
    }
    hours = sum(piece.document["training"]["hours"] for piece in pieces)
    document = {
        "schema": first["schema"],
        "run": first["run"].rsplit("-f", 1)[0] if pieces[0].fold else first["run"],
        "train": {**first["train"], "data": data},
        "training": {"hours": hours},
        "test": test,
    }
    return Result(document, redrawn)


def _measured(
    labels: NDArray[np.uint8],
    logits: NDArray[np.float32],
    patients: NDArray[np.str_],
    draws: int,
) -> tuple[dict[str, Any], NDArray[np.float32] | None]:
    probabilities = 1.0 / (1.0 + np.exp(-np.clip(logits.astype(np.float64), -700, 700)))
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
        "slices": len(labels),
        "patients": len(np.unique(patients)),
        "threshold": THRESHOLD,
        "all_negative_accuracy": all_negative_accuracy(labels),
        "mean": lines.pop("mean"),
        "per_class": lines,
    }
    return test, redrawn


def training_facts(history: list[dict[str, Any]], judged_step: int | None = None) -> dict[str, Any]:
    """Return epochs, which of them is judged, hours, images a second and the share of time waited.

    Seconds include each epoch's validation; what an interrupt lost is not in them. The share is of
    the time in which no batch was ready for the device; None where the run did not note it.

    Args:
        history: Rows of history.csv.
        judged_step: After which the weights that are judged were saved. Its epoch is `crops` when
            none of full frames surpassed the steps on crops before them.

    Example:
        >>> training_facts([{"seconds": "1800", "images_per_s": "50", "epoch": "1"}])["hours"]
        0.5
    """
    seconds = [float(row["seconds"]) for row in history]
    rates = [float(row["images_per_s"]) for row in history]
    waited = [float(row["wait_share"]) for row in history if row.get("wait_share")]
    judged = [CROPS if row["phase"] == CROPS else row["epoch"]
              for row in history if row.get("step") == str(judged_step)]  # fmt: skip
    return {
        "epochs": sum(row.get("phase") != CROPS for row in history),
        "judged_epoch": judged[0] if judged else None,
        "seconds": sum(seconds),
        "hours": sum(seconds) / 3600,
        "images_per_s": float(np.median(rates)) if rates else None,
        "wait_share": float(np.mean(waited)) if waited else None,
    }
