"""Train one run: best.keras, last.keras, history and manifest in a run folder.

Running the same command again resumes: the optimiser's iteration count says where.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from msgspec import UNSET
from numpy.typing import NDArray

from ichlite.atomic_files import held
from ichlite.contracts.run import RunResult
from ichlite.data.feed import ahead, split_rows
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.errors import UsageError, check_name
from ichlite.evaluate.metrics import validation_auc
from ichlite.interrupt import Interrupt
from ichlite.labels import NAMES
from ichlite.models import MODELS
from ichlite.models.saved import BEST, predict
from ichlite.train import checkpoint, devices, run_manifest
from ichlite.train.batches import Batches
from ichlite.train.learner import DIVERGED, Learner
from ichlite.train.logs import AUC, BCE, History, Row
from ichlite.train.recipe import Recipe
from ichlite.train.setup import OwnLoss, OwnModel, losses_of, name_of, prepare_model, silence

__all__ = ["DIVERGED", "Progress", "Run", "Score", "fit"]

Score = Callable[[NDArray[np.uint8], NDArray[np.float32]], dict[str, float | None]]
"""ROC AUC of each subtype and `mean`, of labels and logits (image, 5); None where undefined."""

CHECKPOINT_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Progress:
    """Progress of a run after an optimiser step.

    Attributes:
        step: Number of steps done.
        loss: Latest known loss; on JAX it is some steps old, and NaN before the first.
        images_per_s: Training images per second since the last epoch.
        total: Number of steps of the run.
    """

    step: int
    total: int
    loss: float
    images_per_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """Outcome of a training run.

    Attributes:
        folder: Run folder, with best.keras, last.keras, history.csv, tensorboard/ and train.json.
        steps: Number of optimiser steps done, earlier sessions included.
        best: Highest mean ROC AUC on the validation split; None if it was never defined.
        resumed_at: Step at which this session began.
        best_step: Step after which the weights of best.keras were saved.
        chosen_by: Column of the history by which that epoch was chosen, or `last`.
    """

    folder: Path
    steps: int
    best: float | None
    resumed_at: int
    best_step: int
    chosen_by: str


def fit(
    recipe: Recipe,
    store: Store,
    folder: Path | str,
    *,
    model: OwnModel | None = None,
    loss: OwnLoss | None = None,
    score: Score = validation_auc,
    store_name: str = "STORE",
    init: Path | None = None,
    device_count: int | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_epoch: Callable[[Row], None] = lambda _: None,
) -> Run:
    """Train a model as a recipe says, or resume training, and write everything to a run folder.

    Args:
        recipe: Arguments of the run.
        store: A prepared store: its `train` split trains, its `validation` split chooses the best
            epoch.
        folder: Folder of the run; it is made when missing.
        model: Custom model, or a function that builds one, instead of the recipe's: from windows
            (batch, 256, 256, 3), or any size if the recipe has crops, to logits (batch, 5). The
            recipe's dropout, momentum and widths do not apply to it.
        loss: Custom loss instead of the recipe's: a Keras loss, or a function of labels and logits
            (batch, 5) that returns (batch,).
        score: Validation score; the best epoch has the highest `mean`, or, where that is never
            defined, the lowest cross-entropy.
        store_name: Name of the store in the manifest.
        init: Checkpoint to start from instead of random weights.
        device_count: Devices of this machine to train on; None: all that the backend can use.
        on_step: Called after each step with the progress.
        on_epoch: Called after each epoch with its row of the history.

    Returns:
        The finished run.

    Raises:
        UsageError: The folder holds a run with other arguments or other data, another process
            trains there, there are not so many devices, or a batch does not fit in memory.
        StoreError: The training or the validation split is empty.
        InputError: The checkpoint to go on from is damaged, or of another model.
        IchliteError: The loss became infinite or undefined, or memory ran out.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, with the run saved; says at which step.
    """
    folder = Path(folder)
    own = {"model": model, "loss": loss}
    named: dict[str, Any] = {kind: name_of(one) for kind, one in own.items() if one is not None}
    recipe = replace(recipe, **named)
    if model is None:
        check_name("model", recipe.model, MODELS)
    if recipe.deterministic:
        devices.compute_repeatably()
    asked = run_manifest.describe(
        recipe, store, store_name=store_name, init=init, own=" and ".join(named)
    )
    run_manifest.begun_in(folder, asked)
    devices.check_batch_fits(recipe.batch_size, device_windows=recipe.device_windows)
    if recipe.keep == "best":
        split_rows(store, "validation")
    batches = Batches(store, recipe, share=devices.process_share())
    total = recipe.total_steps(len(batches.labels))
    losses = losses_of(recipe, batches.labels, total, own=loss)
    with (
        ExitStack() as lock,
        devices.spread(device_count, recipe.batch_size),
        devices.memory_explained(recipe.batch_size),
    ):
        trained = prepare_model(recipe, total, own=model)
        if init is not None:
            checkpoint.start_from(trained, init)
        silence(trained, recipe.leave_out)
        # Everything that can be refused is refused by now; only then is there a folder.
        folder.mkdir(parents=True, exist_ok=True)
        lock.enter_context(held(folder, UsageError))
        begun = run_manifest.begun_in(folder, asked)
        last, sums = folder / checkpoint.LAST, checkpoint.EpochSums()
        if begun is not None and last.exists():
            checkpoint.resume(last, trained)
            sums = checkpoint.sums_of(last)
        else:
            begun = asked
        if begun.result is UNSET:
            run_manifest.write_manifest(folder, begun)
        learner = Learner(trained, recipe, losses, total)
        start = learner.iterations
        history = History(folder, until_step=start)
        stretch = _Stretch(
            recipe,
            levelled(store, recipe.brain_level_hu),
            folder,
            score,
            learner,
            history,
            on_epoch,
        )
        try:
            with Interrupt() as interrupt:
                stretch.train(batches, range(start, total), sums, interrupt, on_step)
        finally:
            history.close()
        best_step, chosen_by = history.chosen(recipe.keep)
        best = history.best()
        if begun.result is UNSET:
            result = RunResult(
                steps=total, validation_mean_auc=best, chosen_by=chosen_by, best_step=best_step
            )
            run_manifest.write_manifest(folder, run_manifest.ended(begun, result))
    return Run(folder, total, best, start, best_step, chosen_by)


@dataclass
class _Clock:
    """Time since the last epoch, and how much of it went on waiting for batches."""

    since: float = field(default_factory=time.monotonic)
    waited: float = 0.0

    def waiting(self, batches: Iterator[Any]) -> Iterator[Any]:
        """Pass batches on, timing how long each makes its taker wait."""
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self.waited += time.monotonic() - asked
            if batch is None:
                return
            yield batch

    def seconds(self) -> float:
        return time.monotonic() - self.since

    def restart(self) -> None:
        self.since, self.waited = time.monotonic(), 0.0


@dataclass
class _Stretch:
    """One stretch of training between a start and an end or interrupt."""

    recipe: Recipe
    store: Store
    folder: Path
    score: Score
    learner: Learner
    history: History
    on_epoch: Callable[[Row], None]

    def train(
        self,
        batches: Batches,
        steps: range,
        sums: checkpoint.EpochSums,
        interrupt: Interrupt,
        on_step: Callable[[Progress], None],
    ) -> None:
        epoch_steps = self.recipe.epoch_steps(len(batches.labels))
        newest = math.nan
        clock, saved, first = _Clock(), time.monotonic(), steps.start
        making: Any = ahead(
            lambda step: self.learner.put(batches.step(step)), steps, threads=devices.loaders()
        )
        with closing(making):  # not by the garbage collector, where a second Ctrl-C would be lost
            for step, batch in zip(steps, clock.waiting(making), strict=True):
                known = self.learner.step(step, batch)
                sums.add(known)
                newest = known[-1] if known else newest
                rate = (step + 1 - first) * self.recipe.batch_size / clock.seconds()
                on_step(Progress(step + 1, steps.stop, newest, rate))
                in_epoch, rest = divmod(step + 1 - self.recipe.crop_steps, epoch_steps)
                crops_end = self.recipe.crop_steps > 0 and step + 1 == self.recipe.crop_steps
                if crops_end or (step + 1 > self.recipe.crop_steps and rest == 0):
                    sums.add(self.learner.finish())
                    self._end_epoch(
                        steps.stop, range(first, step + 1), max(in_epoch, 0), sums.mean(), clock
                    )
                    clock.restart()
                    sums, saved, first = checkpoint.EpochSums(), time.monotonic(), step + 1
                elif interrupt.asked or time.monotonic() - saved > CHECKPOINT_SECONDS:
                    sums.add(self.learner.finish())
                    with self.learner.plain() as model:
                        checkpoint.save(model, self.folder / checkpoint.LAST, sums)
                    saved = time.monotonic()
                if interrupt.asked:
                    raise KeyboardInterrupt(
                        f"{self.folder} is saved at step {step + 1} of {steps.stop}; "
                        "the same command again goes on from there"
                    )

    def _end_epoch(self, total: int, steps: range, epoch: int, loss: float, clock: _Clock) -> None:
        step, trained_s = steps.stop, clock.seconds()
        rows, kept = self.store.rows("validation"), self.recipe.kept
        labels = np.zeros((len(rows), len(NAMES)), np.uint8)
        # Without a positive, the score of a subtype that is left out is undefined.
        labels[:, kept] = np.asarray(self.store.labels, np.uint8)[rows][:, kept]
        with self.learner.plain() as model:
            with checkpoint.averaged(model):
                logits = predict(self.learner.outer, self.store, rows)
                scores = self.score(labels, logits)
                row = {
                    "step": step,
                    "epoch": epoch,
                    "phase": "crops" if step <= self.recipe.crop_steps else "frames",
                    "learning_rate": float(model.optimizer.learning_rate),
                    "loss": loss,
                    BCE: _bce(labels[:, kept], logits[:, kept]),
                    AUC: scores["mean"],
                    **{f"validation_roc_auc_{name}": scores[name] for name in NAMES},
                    "images_per_s": len(steps) * self.recipe.batch_size / trained_s,
                    "seconds": clock.seconds(),
                    "wait_share": clock.waited / trained_s,
                    "steps": total,
                    "epochs": self.recipe.epochs,
                    "seconds_left": clock.seconds() / len(steps) * (total - step),
                }
                self.history.add(row)
                if self.history.chosen(self.recipe.keep)[0] == step:
                    checkpoint.save(model, self.folder / BEST)
            self.on_epoch(row)
            checkpoint.save(model, self.folder / checkpoint.LAST)


def _bce(labels: NDArray[np.uint8], logits: NDArray[np.float32]) -> float | None:
    if len(labels) == 0:
        return None
    z = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, z) - labels * z))
