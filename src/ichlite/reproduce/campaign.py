"""A grid and a store in, its runs trained out: finished ones are left, interrupted ones resume."""

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
from ichlite.reproduce.results import is_finished
from ichlite.train.fit import fit
from ichlite.train.logs import Row
from ichlite.train.manifest import check_same, describe, read_manifest

State = Literal["finished before", "trained", "not run", "failed"]
RUNS = "runs"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a planned run.

    Attributes:
        run: Which.
        state: `finished before`, `trained`, `not run` or `failed`.
        reason: Of a failure; else empty.
    """

    run: PlannedRun
    state: State
    reason: str = ""

    @property
    def finished(self) -> bool:
        """Whether there is a model to judge."""
        return self.state in {"finished before", "trained"}


def check_runs(runs: Sequence[PlannedRun], store: Store, out: Path, store_name: str) -> None:
    """Planned runs and the folder with those begun → nothing.

    Raises:
        UsageError: A folder holds a run with another recipe or other data; mixing the two would
            compare what is not alike.
    """
    for run in runs:
        begun = read_manifest(out / RUNS / run.name)
        if begun is not None:
            asked = describe(run.recipe, store, store_name=store_name)
            check_same(begun, asked, out / RUNS / run.name)


def steps_to_do(runs: Sequence[PlannedRun], store: Store, out: Path) -> int:
    """Planned runs → optimiser steps of those that are not finished, for a progress bar."""
    images = len(split_rows(store, "train"))
    return sum(
        run.recipe.total_steps(images) for run in runs if not is_finished(out / RUNS / run.name)
    )


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
        folder = out / RUNS / run.name
        if is_finished(folder):
            found.append(Outcome(run, "finished before"))
        elif not train:
            found.append(Outcome(run, "not run"))
        else:
            on_run(run)
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
