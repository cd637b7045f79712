"""A grid and a store in, its runs trained out: finished ones are left, interrupted ones resume.

A run also counts as done when its result is there and its run folder is not: results are small and
can be kept, checkpoints need not be.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import keras
import numpy as np

from ichlite.data.feed import split_rows
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.evaluate.metrics import validation_auc
from ichlite.reproduce.plan import PlannedRun
from ichlite.reproduce.results import RESULTS, is_finished, read_result, result_path
from ichlite.train.fit import fit
from ichlite.train.logs import Row
from ichlite.train.manifest import check_same, describe, read_manifest
from ichlite.train.recipe import Recipe
from ichlite.train.setup import loss_of

State = Literal["finished before", "measured before", "trained", "not run", "failed"]
RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a planned run.

    Attributes:
        run: Which.
        state: `finished before`; `measured before`: its result is there, its run folder is not;
            `trained`; `not run`; `failed`.
        reason: Of a failure; else empty.
    """

    run: PlannedRun
    state: State
    reason: str = ""

    @property
    def finished(self) -> bool:
        """Whether it has a result, or a model to judge."""
        return self.state in {"finished before", "measured before", "trained"}


def check_out(out: Path) -> None:
    """Folder of a reproduction, or none yet → nothing.

    Raises:
        UsageError: It holds something else, which the report could overwrite.
    """
    if out.exists() and not out.is_dir():
        raise UsageError(f"{out} is no folder", remedy="give another OUT")
    if out.is_dir() and any(out.iterdir()) and not any((out / f).is_dir() for f in (RUNS, RESULTS)):
        raise UsageError(
            f"{out} holds something that `ichlite reproduce` did not make",
            expected=f"a new or empty folder, or one with {RUNS}/ or {RESULTS}/",
            remedy="give another OUT",
        )


def check_runs(
    runs: Sequence[PlannedRun], store: Store, out: Path, store_name: str, *, train: bool = True
) -> None:
    """Planned runs and the folder with those begun, or measured elsewhere → nothing.

    Args:
        runs: As planned.
        store: To train and to judge on.
        out: Folder of the reproduction.
        store_name: For the manifests.
        train: Whether runs that are not finished will be trained: then their losses must fit.

    Raises:
        UsageError: The store's labels are of scans; or a folder or a result is of a run with
            another recipe or other data, and mixing the two would compare what is not alike; or
            the training split has too few positives for a loss.
        InputError: A result is damaged.
    """
    if store.label_level != "slice":
        raise UsageError(
            f"{store_name} cannot be used: models are trained and judged on slices",
            found=f"labels of {store.label_level}s",
            expected="a store with labels of slices",
        )
    for run in runs:
        folder = out / RUNS / run.name
        begun = read_manifest(folder)
        if begun is None and (kept := read_result(result_path(out, run))) is not None:
            begun, folder = dict(kept.document["train"]), result_path(out, run)
        if begun is not None:
            check_same(begun, describe(run.recipe, store, store_name=store_name), folder)
    if train:
        _check_losses([run.recipe for run in runs if _state(run, out) == "not run"], store)


def _check_losses(recipes: Sequence[Recipe], store: Store) -> None:
    labels = np.asarray(store.labels)[split_rows(store, "train")]
    positives = labels.sum(axis=0, dtype=np.int64)
    for loss, recipe in {recipe.loss: recipe for recipe in recipes}.items():
        try:
            loss_of(recipe, loss, positives, len(labels))
        except UsageError as error:
            raise UsageError(
                f"loss {loss}: {error}", remedy=f"or leave {loss} out of --losses"
            ) from error


def _state(run: PlannedRun, out: Path) -> State:
    folder = out / RUNS / run.name
    if is_finished(folder):
        return "finished before"
    if read_manifest(folder) is None and read_result(result_path(out, run)) is not None:
        return "measured before"
    return "not run"


def steps_to_do(runs: Sequence[PlannedRun], store: Store, out: Path) -> int:
    """Planned runs → optimiser steps of those that are not finished, for a progress bar."""
    images = len(split_rows(store, "train"))
    return sum(run.recipe.total_steps(images) for run in runs if _state(run, out) == "not run")


def train_runs(
    runs: Sequence[PlannedRun],
    store: Store,
    out: Path,
    *,
    store_name: str,
    train: bool = True,
    on_run: Callable[[PlannedRun], None] = lambda _: None,
    on_step: Callable[[], None] = lambda: None,
    on_epoch: Callable[[PlannedRun, Row], None] = lambda _run, _row: None,
) -> tuple[Outcome, ...]:
    """Train what is not finished, in the order given; a run that fails does not stop the others.

    Args:
        runs: As planned.
        store: To train on.
        out: Its `runs/` holds a folder a run.
        store_name: For the manifests.
        train: False: only say what is finished.
        on_run: Called before a run is trained.
        on_step: Called after each step.
        on_epoch: Called after each epoch with its row of the history.

    Returns:
        What became of each run.

    Raises:
        UsageError: A folder holds another run, or the recipe cannot be.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, with the run saved.
    """
    check_runs(runs, store, out, store_name, train=train)
    found = []
    for run in runs:
        state = _state(run, out)
        if state != "not run" or not train:
            found.append(Outcome(run, state))
        else:
            on_run(run)
            folder = out / RUNS / run.name
            found.append(_train(run, store, folder, store_name, on_step, on_epoch))
    return tuple(found)


def _train(
    run: PlannedRun,
    store: Store,
    folder: Path,
    store_name: str,
    on_step: Callable[[], None],
    on_epoch: Callable[[PlannedRun, Row], None],
) -> Outcome:
    # The layers of the run before would otherwise stay in memory.
    keras.utils.clear_session()
    try:
        fit(
            run.recipe,
            store,
            folder,
            score=validation_auc,
            store_name=store_name,
            on_step=lambda _: on_step(),
            on_epoch=lambda row: on_epoch(run, row),
        )
    except UsageError:
        raise
    except IchliteError as error:
        return Outcome(run, "failed", str(error))
    return Outcome(run, "trained")
