"""Keep what each run of a reproduction leaves, and read it again.

A run leaves `{run}.json`, what made its model, and `{run}.npz`, what the model says of the slices
that it was tested on. That is enough for every table; the model may go.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, TypeVar
from zipfile import BadZipFile

import numpy as np
from msgspec import UNSET, UnsetType, structs
from numpy.typing import NDArray

from ichlite.atomic_files import replacing, write_json
from ichlite.bench.machine import describe_machine
from ichlite.contracts.bench import Machine
from ichlite.contracts.codec import ContractError, Document, convert_document, read_document
from ichlite.contracts.evaluation import MetricRow
from ichlite.contracts.run import RunManifest
from ichlite.contracts.values import Count
from ichlite.data.feed import split_rows
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.evaluate.metrics import validation_auc
from ichlite.labels import NAMES
from ichlite.models.saved import BEST, load, predict
from ichlite.reproduce.campaign_plan import Group, PlannedRun
from ichlite.train.logs import read_history
from ichlite.train.run_manifest import read_manifest

SCHEMA: Literal["ichlite-reproduce/2"] = "ichlite-reproduce/2"
MEASURED = "ichlite-reproduce/1"
"""Schema of older runs, which stored metrics and their resamplings instead of scores."""
RESULTS = "results"
"""Sub-folder of a reproduction that holds the results."""
CROPS = "crops"
"""Phase named in the history's row for the training on crops."""
T = TypeVar("T")


class Metrics(Document, frozen=True, kw_only=True):
    """Metrics of one seed's models on the slices they were tested on.

    Attributes:
        slices, patients: Number of slices and of patients.
        all_negative_accuracy: Mean accuracy of calling every slice negative.
        mean: Metrics averaged over the subtypes.
        per_class: Metrics of each subtype.
    """

    slices: Count
    patients: Count
    all_negative_accuracy: float | None
    mean: MetricRow
    per_class: Mapping[str, MetricRow]


class Training(Document, frozen=True, kw_only=True):
    """Duration and speed of a training run, from its history.

    Attributes:
        epochs: Number of epochs on whole slices.
        judged_epoch: Epoch whose weights are evaluated, as text; `crops` if they were saved after
            the crop steps; None if the step is not known; unset in old documents.
        seconds, hours: Training time in s and in h, with validation, without work that was lost to
            interrupts.
        images_per_s: Training images per second, the median over epochs and crop steps; None if not
            recorded.
        wait_share: Mean share of the time in which the device waited for a batch; None if not
            recorded.
    """

    epochs: Count
    judged_epoch: str | UnsetType | None = UNSET
    seconds: float
    hours: float
    images_per_s: float | None
    wait_share: float | None


class Scored(Document, frozen=True, kw_only=True):
    """Record of how many slices were scored, on which machine and for how long."""

    slices: Count
    machine: Machine
    seconds: float


class Inputs(Document, frozen=True, kw_only=True):
    """Hashes of the model and the store that scores were computed from."""

    best_sha256: str
    store_hash: str
    draws: Count | UnsetType = UNSET


class KeptRun(Document, frozen=True, kw_only=True):
    """Document stored for each run of a reproduction.

    Attributes:
        run: Name of the run's folder.
        train: Manifest of the run.
        training: Duration and speed of the training.
        test: Metrics, in documents of the schema `MEASURED` only; later they are computed from
            scores.
        scored: How scores were computed; unset in documents of that schema.
        inputs: Hashes of the model and the store that were scored.
    """

    schema: Literal["ichlite-reproduce/1", "ichlite-reproduce/2"]
    run: str
    train: RunManifest
    training: Training
    test: Metrics | UnsetType = UNSET
    scored: Scored | UnsetType = UNSET
    inputs: Inputs

    def __post_init__(self) -> None:
        """Refuse a manifest that does not tell the group, and `MEASURED` without metrics."""
        identity_of(self.train)
        if self.schema == MEASURED and self.test is UNSET:
            raise ValueError("no test")


@dataclass(frozen=True, slots=True, eq=False)
class Scores:
    """A model's logits for the slices it was tested on, with their labels.

    Attributes:
        image, patient: (slice,) names of images and patients.
        labels: (slice, 5) labels, 0 or 1.
        logits: (slice, 5) float32 logits.
    """

    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    labels: NDArray[np.uint8]
    logits: NDArray[np.float32]


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """Everything stored of one run.

    Attributes:
        document: Contents of `{run}.json`.
        scores: Scores; None for a run of the schema `MEASURED`, whose metrics are in the document.
        draws: For such a run, resampled metrics (draw, row, metric), or None.
    """

    document: KeptRun
    scores: Scores | None = None
    draws: NDArray[np.float32] | None = None

    @property
    def fold_count(self) -> int | None:
        """Number of folds of the cross-validation; None for a run on a store's own splits."""
        fold = self.document.train.data.fold
        return None if fold is None else fold.of

    @property
    def test_auc(self) -> float | None:
        """Mean ROC AUC of the slices that this run was tested on."""
        if self.scores is not None:
            return validation_auc(self.scores.labels, self.scores.logits)["mean"]
        return None if self.document.test is UNSET else self.document.test.mean.roc_auc


def identity_of(train: RunManifest) -> tuple[Group, int]:
    """Return the group and the seed of a run, which all its folds share.

    Raises:
        ContractError: The manifest lacks them.
    """
    seed = convert_document(int, train.recipe.get("seed"))
    return convert_document(Group, dict(train.recipe)), seed


def is_finished(folder: Path) -> bool:
    """Return whether the run in a folder was trained to its end."""
    manifest = read_manifest(folder)
    ended = manifest is not None and manifest.result is not UNSET
    return ended and (folder / BEST).is_file()


def score_run(run: PlannedRun, folder: Path, store: Store, target: Path) -> None:
    """Score the test split with a finished run's model and store the result, unless that is done.

    Args:
        run: The planned run.
        folder: Run folder, with best.keras, history.csv and train.json.
        store: Store whose `test` split is scored.
        target: Folder for the results; made when missing.

    Raises:
        InputError: best.keras is no model, or a stored result is damaged.
        StoreError: The test split is empty.
    """
    inputs = Inputs(
        best_sha256=hashlib.sha256((folder / BEST).read_bytes()).hexdigest(), store_hash=store.hash
    )
    path = target / f"{run.name}.json"
    known = read_piece(path)
    if known is not None and structs.replace(known.document.inputs, draws=UNSET) == inputs:
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
    training = training_facts(
        read_history(folder / "history.csv"), None if best_step is UNSET else best_step
    )
    scored = Scored(
        slices=len(rows), machine=describe_machine(), seconds=time.monotonic() - start_s
    )
    write_json(
        path,
        KeptRun(
            schema=SCHEMA,
            run=run.name,
            train=train,
            training=training,
            scored=scored,
            inputs=inputs,
        ),
    )


def read_piece(path: Path) -> Piece | None:
    """Read the stored result of a run; None if there is none, or it is incomplete.

    Args:
        path: File `{run}.json`.

    Raises:
        InputError: The file, or the file of scores beside it, is damaged.
    """
    document, beside = read_kept(KeptRun, path), path.with_suffix(".npz")
    if document is None or not beside.is_file():
        return None if document is None or document.inputs.draws != 0 else Piece(document)
    try:
        with np.load(beside) as arrays:
            if document.schema == MEASURED:
                return Piece(document, draws=arrays["draws"])
            scores = Scores(**dict(arrays))
        count = len(scores.image)
        shapes = [(count,), (count,), (count, len(NAMES)), (count, len(NAMES))]
        if [array.shape for array in asdict(scores).values()] != shapes:
            raise ValueError("arrays of other shapes")
        return Piece(document, scores)
    except (KeyError, TypeError, ValueError, EOFError, BadZipFile) as error:
        raise _damaged(beside, error) from error


def read_pieces(folder: Path) -> list[Piece]:
    """Read all stored results of runs in a folder.

    Raises:
        InputError: A file is damaged.
    """
    found = (read_piece(path) for path in sorted(folder.glob("*-s*.json")))
    return [piece for piece in found if piece is not None]


def read_kept(kind: type[T], path: Path) -> T | None:
    """Read a JSON document of a known type; None when there is no file.

    Args:
        kind: Type of the document.
        path: Its file.

    Raises:
        InputError: The file is no such document.
    """
    try:
        return read_document(kind, path.read_bytes()) if path.is_file() else None
    except ContractError as error:
        raise _damaged(path, error) from error


def _damaged(path: Path, fault: Exception) -> InputError:
    return InputError(
        f"{path} is damaged", found=str(fault), remedy="remove it; the same command makes it again"
    )


def result_path(out: Path, run: PlannedRun) -> Path:
    """Return the path of a run's stored result in the folder of a reproduction."""
    return out / RESULTS / f"{run.name}.json"


def training_facts(
    history: Sequence[Mapping[str, str]], judged_step: int | None = None
) -> Training:
    """Return duration and speed of a training run from the rows of its history.

    Args:
        history: Rows of history.csv.
        judged_step: Step after which the evaluated weights were saved; None if unknown.

    Example:
        >>> training_facts([{"seconds": "1800", "images_per_s": "50", "epoch": "1"}]).hours
        0.5
    """
    seconds = sum(float(row["seconds"]) for row in history)
    rates = [float(row["images_per_s"]) for row in history]
    waited = [float(row["wait_share"]) for row in history if row.get("wait_share")]
    judged = [CROPS if row["phase"] == CROPS else row["epoch"]
              for row in history if row.get("step") == str(judged_step)]  # fmt: skip
    return Training(
        epochs=sum(row.get("phase") != CROPS for row in history),
        judged_epoch=judged[0] if judged else None,
        seconds=seconds,
        hours=seconds / 3600,
        images_per_s=float(np.median(rates)) if rates else None,
        wait_share=float(np.mean(waited)) if waited else None,
    )
