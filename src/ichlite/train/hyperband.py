"""Run Hyperband by KerasTuner; each trial is a run folder of our own training loop.

KerasTuner chooses the values and who goes on; `train.training_loop.fit` trains. A trial that goes
on from a shorter one starts from a copy of its run folder: weights, optimiser and order of images
go on.
"""

from __future__ import annotations

import io
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from pathlib import Path
from typing import Any

import keras_tuner

from ichlite.atomic_files import replacing, replacing_folder
from ichlite.contracts.run import RunManifest
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.train import run_manifest
from ichlite.train.devices import OUT_OF_MEMORY
from ichlite.train.recipe import TUNED, WIDTHS
from ichlite.train.space import OBJECTIVE, WIDTH_CHOICES, Plan, Space
from ichlite.train.training_loop import DIVERGED, Progress, fit
from ichlite.train.trials import Trial
from ichlite.train.tuner_processes import role

FOLDER = "search"
RUN = "run"
NOTE = "note.txt"
WORST = 0.0
"""Score given to a trial that diverged, so that it is ranked last."""
POLL_SECONDS = 0.05


def search(
    plan: Plan,
    store: Store,
    out: Path,
    *,
    store_name: str = "STORE",
    max_trials: int | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_trial: Callable[[Trial], None] = lambda _: None,
) -> list[Trial]:
    """Run a Hyperband search or resume it, alone or as chief or worker among several processes.

    Args:
        plan: The search.
        store: Prepared store to train and validate on.
        out: Folder of the search, shared by chief and workers; its `search` folder holds the
            trials.
        store_name: Name of the store in manifests.
        max_trials: Largest number of trials to begin, those of earlier sessions included; None: all
            of Hyperband.
        on_step: Called after each step of a trial that runs here.
        on_trial: Called with each trial that ended here.

    Returns:
        Every trial, in the order in which they began.

    Raises:
        IchliteError: A trial failed for a reason that affects every trial.
    """
    with _keras_tuner_quiet():
        with redirect_stdout(io.StringIO()):  # "Reloading Tuner from …"
            tuner = _Tuner(plan, store, out, store_name, max_trials, on_step, on_trial)
        try:
            tuner.search(verbose=0)
        except keras_tuner.errors.FatalError as failure:
            if isinstance(failure.__cause__, IchliteError):
                raise failure.__cause__ from failure
            raise
        except RuntimeError as failure:
            if "consecutive failures" not in str(failure):
                raise
            line = str(failure).strip().splitlines()[-1]
            raise IchliteError("too many trials failed one after the other", found=line) from None
        return [] if role() == "worker" else tuner.rows()


class _Oracle(keras_tuner.oracles.HyperbandOracle):  # type: ignore[misc]
    """Hyperband, whose state on disk is whole after a kill at any point."""

    trials: dict[str, Any]
    _retry_queue: list[str]
    budget: int | None = None

    def populate_space(self, trial_id: str) -> Any:
        # Not KerasTuner's max_trials, by which trials of a larger budget would be named otherwise.
        if self.budget is not None and len(self.trials) >= self.budget:
            return {"status": "STOPPED"}
        return super().populate_space(trial_id)

    def save(self) -> None:
        path = Path(self._get_oracle_fname())
        with replacing(path) as part:
            super(keras_tuner.Oracle, self).save(str(part))

    def _save_trial(self, trial: Any) -> None:
        path = Path(self._get_trial_dir(trial.trial_id)) / "trial.json"
        with replacing(path) as part:
            trial.save(str(part))

    def reload(self) -> None:
        super().reload()
        # Killed between writing a trial and writing that it exists: it is made again, the same.
        self.trials = {name: self.trials[name] for name in self.start_order}
        # Killed between a trial's end and writing that nobody works on it any more.
        again = dict.fromkeys(self._retry_queue)
        self._retry_queue = [name for name in again if name not in self.end_order]


class _Tuner(keras_tuner.Tuner):  # type: ignore[misc]
    """A tuner that runs each trial as `train.training_loop.fit` in a folder of its own."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        out: Path,
        store_name: str,
        max_trials: int | None,
        on_step: Callable[[Progress], None],
        on_trial: Callable[[Trial], None],
    ) -> None:
        self.plan, self.store, self.store_name = plan, store, store_name
        self.on_step, self.on_trial = on_step, on_trial
        oracle = _Oracle(
            keras_tuner.Objective(OBJECTIVE, "max"),
            max_epochs=plan.max_epochs,
            factor=plan.factor,
            hyperband_iterations=plan.iterations,
            seed=plan.recipe.seed + 1,  # KerasTuner takes 0 for "any"
            hyperparameters=_hyperparameters(plan.space),
            allow_new_entries=False,
        )
        oracle.budget = max_trials
        oracle.verbose = 0
        super().__init__(oracle=oracle, directory=str(out), project_name=FOLDER)

    def _get_tuner_fname(self) -> str:
        # One name for the chief and for a search alone, so that either goes on with the other's.
        name = self.tuner_id if self._is_worker() else "tuner"
        return str(Path(self.project_dir) / f"{name}.json")

    def on_search_begin(self) -> None:
        self.save()

    def pre_create_trial(self) -> None:
        if self._is_worker():
            # A worker with nothing to do asks again at once; let others have the cores.
            time.sleep(POLL_SECONDS)

    def run_trial(self, trial: Any, *_: Any, **__: Any) -> dict[str, float]:
        values = trial.hyperparameters.values
        recipe = self.plan.recipe_of(values, int(values["tuner/epochs"]))
        folder = self.run_folder(trial.trial_id)
        note = folder.parent / NOTE
        try:
            if "tuner/trial_id" in values:
                before = self.run_folder(values["tuner/trial_id"])
                asked = run_manifest.describe(recipe, self.store, store_name=self.store_name)
                go_on_from(before, folder, asked)
            run = fit(
                recipe,
                self.store,
                folder,
                store_name=self.store_name,
                on_step=self.on_step,
            )
        except IchliteError as failure:
            if failure.code not in {DIVERGED, OUT_OF_MEMORY}:
                raise keras_tuner.errors.FatalRuntimeError(str(failure)) from failure
            note.write_text(f"{failure}\n")
            if failure.code == OUT_OF_MEMORY:
                raise  # KerasTuner counts the trial as failed; the table says why
            return {OBJECTIVE: WORST}
        except Exception as failure:
            note.write_text(f"{type(failure).__name__}: {failure}\n")
            raise
        note.unlink(missing_ok=True)
        if run.best is None:
            undefined = UsageError(
                "the validation AUC is undefined",
                remedy="make a store whose validation split has positive and negative images",
            )
            raise keras_tuner.errors.FatalRuntimeError(str(undefined)) from undefined
        return {OBJECTIVE: run.best}

    def on_trial_end(self, trial: Any) -> None:
        super().on_trial_end(trial)
        self.on_trial(self.row(self.oracle.get_trial(trial.trial_id)))

    def run_folder(self, trial_id: str) -> Path:
        return Path(self.get_trial_dir(trial_id)) / RUN

    def rows(self) -> list[Trial]:
        return [self.row(self.oracle.trials[name]) for name in self.oracle.start_order]

    def row(self, trial: Any) -> Trial:
        values = first = trial.hyperparameters.values
        while "tuner/trial_id" in first:  # of those, KerasTuner names the newest bracket
            first = self.oracle.get_trial(first["tuner/trial_id"]).hyperparameters.values
        recipe = self.plan.recipe_of(values, int(values["tuner/epochs"]))
        note = self.run_folder(trial.trial_id).parent / NOTE
        reason = note.read_text().strip() if note.exists() else ""
        return Trial(
            trial=trial.trial_id,
            status=str(trial.status).lower(),
            bracket=int(first["tuner/bracket"]),
            round=int(values["tuner/round"]),
            goes_on_from=values.get("tuner/trial_id"),
            epochs=recipe.epochs,
            epochs_here=recipe.epochs - int(values["tuner/initial_epoch"]),
            **{name: getattr(recipe, name) for name in (*TUNED, *WIDTHS)},
            validation_mean_roc_auc=None if reason else trial.score,
            note=reason,
        )


def go_on_from(before: Path, folder: Path, asked: RunManifest) -> None:
    """Copy a finished shorter run as the start of a longer run.

    Args:
        before: Folder of a finished run of the same recipe with fewer epochs.
        folder: Folder of the longer run, made in one atomic step; unchanged if it exists.
        asked: Manifest of the longer run.
    """
    if folder.exists():
        return
    with replacing_folder(folder) as part:
        shutil.copytree(before, part, dirs_exist_ok=True)
        run_manifest.write_manifest(part, asked)


def _hyperparameters(space: Space) -> Any:
    chosen = keras_tuner.HyperParameters()
    chosen.Choice("batch_size", list(space.batch_sizes))
    for name, (low, high), sampling in (
        ("learning_rate", space.learning_rate, "log"),
        ("dropout", space.dropout, "linear"),
    ):
        if low == high:
            chosen.Fixed(name, low)
        else:
            chosen.Float(name, low, high, sampling=sampling)
    if space.widths:
        for name, choices in WIDTH_CHOICES.items():
            chosen.Choice(name, list(choices))
    return chosen


@contextmanager
def _keras_tuner_quiet() -> Iterator[None]:
    """Keep KerasTuner's own use of what Python and KerasTuner have deprecated untold."""
    with warnings.catch_warnings():
        for message in (
            r"currentThread\(\) is deprecated",
            r"getName\(\) is deprecated",
            # A trial that was killed between its score and its end is told its score again.
            "The use case of calling `self.oracle.update_trial",
        ):
            warnings.filterwarnings("ignore", message, DeprecationWarning)
        yield
