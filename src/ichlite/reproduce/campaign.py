"""Train the runs of a grid: finished ones are left, interrupted ones resume, each keeps its scores.

A run also counts as done when its scores are there and its run folder is not: scores are small and
can be kept and carried to another machine, checkpoints need not be.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from ichlite.atomic_files import check_folder
from ichlite.contracts.run import RunManifest
from ichlite.data.feed import split_rows
from ichlite.data.join import Fold, hold_out
from ichlite.data.rows import UNUSED
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.reproduce.campaign_plan import PlannedRun
from ichlite.reproduce.kept_runs import RESULTS, is_finished, read_piece, result_path, score_run
from ichlite.train.logs import Row
from ichlite.train.run_manifest import check_same, describe, read_manifest
from ichlite.train.setup import loss_of
from ichlite.train.training_loop import fit

State = Literal["finished before", "measured before", "trained", "not run", "failed"]
RUNS = "runs"
NO_TIME = "no time was left to begin it"


@dataclass(frozen=True, slots=True)
class Outcome:
    """State of a planned training run after a reproduction.

    Attributes:
        run: The planned run.
        state: `finished before`; `measured before`, if its scores exist but its run folder does
            not; `trained`; `not run`; or `failed`.
        reason: Why it failed or was not run; else empty.
    """

    run: PlannedRun
    state: State
    reason: str = ""

    @property
    def finished(self) -> bool:
        """Whether the run has left scores, or a model to compute them with."""
        return self.state in {"finished before", "measured before", "trained"}


@dataclass(frozen=True, slots=True)
class Data:
    """Stores, checkpoints and folds that the runs of a reproduction use.

    Attributes:
        store: The stores, joined, with their own splits.
        name: Names of their folders, for the manifests.
        inits: Checkpoint that the runs of a model start from, by model; others start from random
            weights.
        folds: Folds of the patients, each tested on in turn; empty: the stores' own splits.
    """

    store: Store
    name: str
    inits: Mapping[str, Path] = field(default_factory=dict)
    folds: tuple[Fold, ...] = ()
    _of_fold: dict[Fold, Store] = field(default_factory=dict, repr=False, compare=False)

    def of(self, fold: Fold | None) -> Store:
        """Return the store with the splits of one fold; with its own splits for None."""
        if fold is None:
            return self.store
        if fold not in self._of_fold:
            self._of_fold[fold] = hold_out(self.store, fold)
        return self._of_fold[fold]

    def pooled(self) -> Store:
        """Return the store with a test split of all slices that any fold is tested on.

        All other slices are `unused`. Without folds it is the store itself.
        """
        if not self.folds:
            return self.store
        tested = np.any([self.of(fold).split == "test" for fold in self.folds], axis=0)
        return replace(self.store, split=np.where(tested, "test", UNUSED))

    def manifest_of(self, run: PlannedRun) -> RunManifest:
        """Return the manifest with which a run begins."""
        init = self.inits.get(run.group.model)
        return describe(run.recipe, self.of(run.fold), store_name=self.name, init=init)


def check_out(out: Path) -> None:
    """Raise an error if a folder holds anything other than a reproduction.

    Raises:
        UsageError: The folder holds other files, which the report could overwrite, or is a file.
        IchliteError: It cannot be written.
    """
    check_folder(out)
    if out.is_dir() and any(out.iterdir()) and not any((out / f).is_dir() for f in (RUNS, RESULTS)):
        raise UsageError(
            f"{out} holds something that `ichlite reproduce` did not make",
            expected=f"a new or empty folder, or one with {RUNS}/ or {RESULTS}/",
            remedy="give another OUT",
        )


def check_runs(runs: Sequence[PlannedRun], data: Data, out: Path, *, train: bool = True) -> None:
    """Raise an error if runs cannot be trained, or differ from runs of the same name in the folder.

    Args:
        runs: Planned runs.
        data: Data to train and test on.
        out: Folder of the reproduction.
        train: Whether unfinished runs will be trained, so that their losses must suit the data.

    Raises:
        UsageError: The store's labels are of scans; or a folder or a result is of a run with
            another recipe or other data, and mixing the two would compare what is not alike; or
            a training split has too few positives for a loss, or no epoch can be chosen.
        InputError: A result is damaged.
    """
    if data.store.label_level != "slice":
        raise UsageError(
            f"{data.name} cannot be used: models are trained and judged on slices",
            found=f"labels of {data.store.label_level}s",
            expected="a store with labels of slices",
        )
    for run in runs:
        folder = out / RUNS / run.name
        begun = read_manifest(folder)
        if begun is None and (kept := read_piece(result_path(out, run))) is not None:
            begun, folder = kept.document.train, result_path(out, run)
        if begun is not None:
            check_same(begun, data.manifest_of(run), folder)
    if train:
        _check_trainable([run for run in runs if _state(run, out) == "not run"], data)


def _check_trainable(runs: Sequence[PlannedRun], data: Data) -> None:
    for (loss, fold), run in {(run.recipe.loss, run.fold): run for run in runs}.items():
        store = data.of(fold)
        if fold is not None and run.recipe.keep == "best" and not len(store.rows("validation")):
            raise UsageError(
                "--keep best with --folds",
                found="no patients left for validation, who would choose an epoch",
                expected="--keep last",
            )
        labels = np.asarray(store.labels)[split_rows(store, "train")]
        try:
            loss_of(run.recipe, loss, labels.sum(axis=0, dtype=np.int64), len(labels))
        except UsageError as error:
            raise UsageError(
                f"loss {loss}: {error}", remedy=f"or leave {loss} out of --losses"
            ) from error


def _state(run: PlannedRun, out: Path) -> State:
    folder = out / RUNS / run.name
    if is_finished(folder):
        return "finished before"
    if read_manifest(folder) is None and read_piece(result_path(out, run)) is not None:
        return "measured before"
    return "not run"


def steps_to_do(runs: Sequence[PlannedRun], data: Data, out: Path) -> int:
    """Count the optimiser steps of all unfinished runs, for a progress bar.

    Args:
        runs: Planned runs.
        data: Data to train on.
        out: Folder of the reproduction.
    """
    return sum(
        run.recipe.total_steps(len(split_rows(data.of(run.fold), "train")))
        for run in runs
        if _state(run, out) == "not run"
    )


def train_runs(
    runs: Sequence[PlannedRun],
    data: Data,
    out: Path,
    *,
    train: bool = True,
    stop_after_s: float | None = None,
    device_count: int | None = None,
    on_run: Callable[[PlannedRun], None] = lambda _: None,
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[PlannedRun, Row], None] = lambda _run, _row: None,
) -> tuple[Outcome, ...]:
    """Train all unfinished runs in order, and store the scores of each finished run.

    A run that fails does not stop the others.

    Args:
        runs: Planned runs.
        data: Data to train and test on.
        out: Folder of the reproduction; run folders go to its `runs/`, scores to its `results/`.
        train: Whether to train; False only scores what is finished.
        stop_after_s: Seconds after which no further run is begun; None for no limit.
        device_count: Devices to train on; None: all that the backend can use.
        on_run: Called before a run is trained.
        on_step: Called after each step.
        on_epoch: Called after each epoch with its row of the history.

    Returns:
        State of each run.

    Raises:
        UsageError: A folder holds another run, or a recipe is invalid.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, with the run saved.
    """

    def trained(run: PlannedRun) -> Outcome:
        # The layers of the run before would otherwise stay in memory.
        keras.utils.clear_session()
        try:
            fit(
                run.recipe,
                data.of(run.fold),
                out / RUNS / run.name,
                store_name=data.name,
                init=data.inits.get(run.group.model),
                device_count=device_count,
                on_step=lambda _: on_step(),
                on_epoch=lambda row: on_epoch(run, row),
            )
        except UsageError:
            raise
        except IchliteError as error:
            return Outcome(run, "failed", str(error))
        return Outcome(run, "trained")

    check_runs(runs, data, out, train=train)
    began_s = time.monotonic()
    found = []
    for run in runs:
        outcome = Outcome(run, _state(run, out))
        late = stop_after_s is not None and time.monotonic() - began_s >= stop_after_s
        if outcome.state == "not run" and train and late:
            outcome = Outcome(run, "not run", NO_TIME)
        elif outcome.state == "not run" and train:
            on_run(run)
            outcome = trained(run)
        if outcome.state in ("trained", "finished before"):
            score_run(run, out / RUNS / run.name, data.of(run.fold), out / RESULTS)
        found.append(outcome)
    return tuple(found)
