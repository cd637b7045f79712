"""Keep what each run leaves, and measure each seed from it: metrics with their redraws.

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
from msgspec import UNSET
from numpy.typing import NDArray
from scipy.special import expit

from ichlite.atomic_files import replacing, write_json
from ichlite.bench.machine import describe_machine
from ichlite.contracts.codec import ContractError, convert_document, to_json_value
from ichlite.contracts.run import RunManifest
from ichlite.data.feed import split_rows
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.evaluate.intervals import redraw, with_mean
from ichlite.evaluate.metrics import (
    all_negative_accuracy,
    mean_scores,
    score_class,
    validation_auc,
)
from ichlite.labels import NAMES
from ichlite.models.saved import BEST, load, predict
from ichlite.reproduce.campaign_plan import Group, PlannedRun
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
    def identity(self) -> tuple[Group, int]:
        """Group and seed, which its folds have in common."""
        return _identity(self.document)

    @property
    def training(self) -> RunManifest:
        """The run's manifest.

        Raises:
            InputError: It is damaged.
        """
        try:
            return convert_document(RunManifest, self.document["train"])
        except ContractError as error:
            raise InputError(
                f"what is kept of run {self.document['run']} is damaged",
                found=str(error),
                remedy="remove it, or restore it",
            ) from None

    @property
    def fold_count(self) -> int | None:
        """How many folds there are; None of a run on a store's own splits."""
        fold = self.document["train"]["data"].get("fold")
        return None if fold is None else int(fold["of"])

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
    def group(self) -> Group:
        """Model, loss and epochs."""
        return _identity(self.document)[0]

    @property
    def seed(self) -> int:
        """Seed of the training runs."""
        return _identity(self.document)[1]

    def value(self, row: str, metric: str) -> float | None:
        """Return a metric of a subtype, or of `mean`, on the slices tested on."""
        test = self.document["test"]
        part = test["mean"] if row == "mean" else test["per_class"][row]
        found: float | None = part[metric]
        return found


def is_finished(folder: Path) -> bool:
    """Tell whether the run of a folder was trained to its end."""
    manifest = read_manifest(folder)
    ended = manifest is not None and manifest.result is not UNSET
    return ended and (folder / BEST).is_file()


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
    train = read_manifest(folder)
    if train is None or train.result is UNSET:
        raise InputError(f"{folder} holds no run that was trained to its end")
    best_step = train.result.best_step
    document = {
        "schema": SCHEMA,
        "run": run.name,
        "train": to_json_value(train),
        "training": training_facts(
            read_history(folder / "history.csv"), None if best_step is UNSET else best_step
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
    """Read what is kept of a run, `{run}.json`; None when that is nothing, or not whole.

    Raises:
        InputError: It, or the file of its scores, is damaged.
    """
    document = read_document(path)
    if document is None or document.get("schema") not in (SCHEMA, MEASURED):
        return None
    measured = document["schema"] == MEASURED
    piece, beside = Piece(document), path.with_suffix(".npz")
    try:
        _ = piece.identity, piece.fold_count
        _ = document["inputs"]["store_hash"], document["training"]["hours"]
        if measured:
            _ = [Result(document).value(row, "roc_auc") for row in ROWS]
        alone = measured and not document["inputs"]["draws"]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _damaged(path) from error
    if not beside.is_file():
        return piece if alone else None
    try:
        with np.load(beside) as arrays:
            if measured:
                return Piece(document, draws=arrays["draws"])
            scores = Scores(**dict(arrays))
        count = len(scores.image)
        shapes = [(count,), (count,), (count, len(NAMES)), (count, len(NAMES))]
        if [array.shape for array in asdict(scores).values()] != shapes:
            raise ValueError("arrays of other shapes")
        return Piece(document, scores)
    except (KeyError, TypeError, ValueError, EOFError, BadZipFile) as error:
        raise _damaged(beside) from error


def _identity(document: Mapping[str, Any]) -> tuple[Group, int]:
    recipe = document["train"]["recipe"]
    return Group(recipe["model"], recipe["loss"], recipe["epochs"]), int(recipe["seed"])


def read_pieces(folder: Path) -> list[Piece]:
    """Read everything that is kept in a folder of results.

    Raises:
        InputError: Something in it is damaged.
    """
    found = (read_piece(path) for path in sorted(folder.glob("*-s*.json")))
    return [piece for piece in found if piece is not None]


def read_document(path: Path) -> dict[str, Any] | None:
    """Read the JSON object of a file of `results/`; None when there is no file.

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
    """Return where the result of a run stands in the folder of a reproduction."""
    return out / RESULTS / f"{run.name}.json"


def results_of(pieces: Iterable[Piece], *, draws: int) -> tuple[Result, ...]:
    """Pool the folds of each seed and measure them; a seed without all its folds is left out.

    Args:
        pieces: Of any seeds and groups.
        draws: Redraws of the patients tested on; 0: no intervals.
    """
    of_seed: dict[tuple[Group, int], list[Piece]] = {}
    for piece in pieces:
        of_seed.setdefault(piece.identity, []).append(piece)
    return tuple(
        _result(found, draws)
        for found in of_seed.values()
        if len(found) == (found[0].fold_count or 1)
    )


def _result(pieces: Sequence[Piece], draws: int) -> Result:
    first = pieces[0].document
    scores = [piece.scores for piece in pieces if piece.scores is not None]
    if not scores:
        return Result(first, pieces[0].draws)
    labels = np.concatenate([one.labels for one in scores])
    probabilities = expit(np.concatenate([one.logits for one in scores]).astype(np.float64))
    patients = np.concatenate([one.patient for one in scores])
    per_class = {
        name: score_class(labels[:, i], probabilities[:, i], threshold=THRESHOLD)
        for i, name in enumerate(NAMES)
    }
    test = {
        "slices": len(labels),
        "patients": len(np.unique(patients)),
        "all_negative_accuracy": all_negative_accuracy(labels),
        "mean": to_json_value(mean_scores(per_class)),
        "per_class": {name: to_json_value(one) for name, one in per_class.items()},
    }
    redrawn = None
    if draws:
        by_subtype = redraw(
            labels, probabilities, patients, draws=draws, seed=DRAWS_SEED, threshold=THRESHOLD
        )
        redrawn = with_mean(by_subtype)
    trained = [piece.document["train"]["data"]["train_positives"] for piece in pieces]
    positives = {name: sum(one[name] for one in trained) for name in NAMES}
    data = {**first["train"]["data"], "train_positives": positives}
    run = first["run"].rsplit("-f", 1)[0] if pieces[0].fold_count else first["run"]
    return Result({"run": run, "train": {**first["train"], "data": data}, "test": test}, redrawn)


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
