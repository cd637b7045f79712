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

from ichlite.data.feed import split_rows
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.evaluate.metrics import validation_auc
from ichlite.reproduce.plan import PlannedRun
from ichlite.reproduce.results import is_finished, read_result, result_path
from ichlite.train.fit import fit
from ichlite.train.logs import Row
from ichlite.train.manifest import check_same, describe, read_manifest

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


def check_runs(runs: Sequence[PlannedRun], store: Store, out: Path, store_name: str) -> None:
    """Planned runs and the folder with those begun, or measured elsewhere → nothing.

    Raises:
        UsageError: A folder or a result is of a run with another recipe or other data; mixing the
            two would compare what is not alike.
    """
    for run in runs:
        folder = out / RUNS / run.name
        begun = read_manifest(folder)
        if begun is None and (kept := read_result(result_path(out, run))) is not None:
            begun, folder = dict(kept.document["train"]), result_path(out, run)
        if begun is not None:
            check_same(begun, describe(run.recipe, store, store_name=store_name), folder)


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
    check_runs(runs, store, out, store_name)
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
