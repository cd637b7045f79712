"""A prepared store and a recipe in, a run folder out: best.keras, last.keras, history, manifest.

Running the same command again resumes: the optimiser's iteration count says where.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import GRID
from ichlite.data.feed import ahead, split_rows
from ichlite.data.store import Store
from ichlite.errors import IchliteError
from ichlite.labels import NAMES
from ichlite.models import build
from ichlite.models.saved import BEST, load, predict
from ichlite.train import checkpoint, manifest
from ichlite.train.batches import Batches
from ichlite.train.logs import History, Row
from ichlite.train.losses import build_loss
from ichlite.train.recipe import Recipe

Score = Callable[[NDArray[np.uint8], NDArray[np.float32]], dict[str, float | None]]
"""Labels and logits (image, 5) → ROC AUC of each subtype and `mean`, None where undefined."""

CHECKPOINT_SECONDS = 120.0
FLOOR = 0.01
"""The cosine schedule ends at this share of the learning rate."""


@dataclass(frozen=True, slots=True)
class Progress:
    """Where a run is, after a step."""

    step: int
    total: int
    loss: float
    images_per_s: float


@dataclass(frozen=True, slots=True)
class Run:
    """What a run gave.

    Attributes:
        folder: With best.keras, last.keras, history.csv, tensorboard/, train.json.
        steps: Optimiser steps done, all stretches together.
        best: Highest validation mean AUC; None when it was never defined.
        resumed_at: Step that this stretch began at.
    """

    folder: Path
    steps: int
    best: float | None
    resumed_at: int


def fit(
    recipe: Recipe,
    store: Store,
    folder: Path,
    *,
    score: Score,
    store_name: str = "STORE",
    init: Path | None = None,
    on_step: Callable[[Progress], None] = lambda _: None,
    on_epoch: Callable[[Row], None] = lambda _: None,
) -> Run:
    """Train, or go on training, and leave everything in the folder.

    Args:
        recipe: How.
        store: On what; its `train` split trains, its `validation` split chooses the best epoch.
        folder: Made when missing.
        score: Validation score; the best epoch has the highest `mean`.
        store_name: For the manifest.
        init: Checkpoint to start from instead of random weights.
        on_step: Called after each step.
        on_epoch: Called with each row of the history.

    Returns:
        The finished run.

    Raises:
        UsageError: The folder holds a run with other arguments or other data.
        StoreError: The training or the validation split is empty.
        IchliteError: The loss became infinite or undefined.
        KeyboardInterrupt: After Ctrl-C or SIGTERM, with the run saved.
    """
    asked = manifest.describe(recipe, store, store_name=store_name, init=init)
    begun = manifest.read_manifest(folder)
    if begun is not None:
        manifest.check_same(begun, asked, folder)
    split_rows(store, "validation")
    batches = Batches(store, recipe)
    total = recipe.total_steps(len(batches.labels))
    model = prepare(recipe, batches.labels.sum(axis=0), total)
    if init is not None:
        checkpoint.start_from(model, init)
    # Everything that can be refused is refused by now; only then is there a folder.
    folder.mkdir(parents=True, exist_ok=True)
    last = folder / checkpoint.LAST
    if begun is not None and last.exists():
        model = load(last, compiled=True)
        model.jit_compile = _jit()
    else:
        manifest.write_manifest(folder, asked)
    start = int(model.optimizer.iterations)
    history = History(folder, until_step=start)
    stretch = _Stretch(recipe, store, folder, score, model, history, on_epoch)
    try:
        with checkpoint.Interrupt() as interrupt:
            stretch.train(batches, range(start, total), interrupt, on_step)
    finally:
        history.close()
    best = history.best()
    if start < total or begun is None or "result" not in begun:
        manifest.write_manifest(
            folder, {**(begun or asked), "result": {"steps": total, "validation_mean_auc": best}}
        )
    return Run(folder, total, best, start)


def prepare(recipe: Recipe, positives: NDArray[np.int64], total: int) -> keras.Model:
    """Recipe, positives a subtype and all steps → an untrained, compiled model of any input size.

    Args:
        recipe: Of the run.
        positives: (5,) of the training split.
        total: Optimiser steps, for the schedule.

    Returns:
        The model; the same seed gives the same weights.
    """
    keras.utils.set_random_seed(recipe.seed)
    size = None if recipe.crop_steps else GRID
    model = build(recipe.model, dropout=recipe.dropout, bn_momentum=recipe.bn_momentum, size=size)
    optimizer = keras.optimizers.Adam(
        learning_rate(recipe, total),
        clipnorm=recipe.clipnorm,
        use_ema=recipe.ema_momentum is not None,
        ema_momentum=recipe.ema_momentum or 0.99,
    )
    loss = build_loss(
        recipe.loss, positives=positives, gamma=recipe.gamma, max_margin=recipe.max_margin
    )
    model.compile(optimizer, loss, jit_compile=_jit())
    return model


def learning_rate(recipe: Recipe, total: int) -> Any:
    """Recipe and all steps → a learning rate or a Keras schedule of it."""
    if recipe.schedule == "constant":
        return recipe.learning_rate
    warmup = min(recipe.warmup_steps, total - 1)
    return keras.optimizers.schedules.CosineDecay(
        recipe.learning_rate * FLOOR if warmup else recipe.learning_rate,
        decay_steps=max(1, total - warmup),
        alpha=FLOOR,
        warmup_target=recipe.learning_rate if warmup else None,
        warmup_steps=warmup,
    )


@dataclass
class _Stretch:
    """One stretch of training between a start and an end or interrupt."""

    recipe: Recipe
    store: Store
    folder: Path
    score: Score
    model: keras.Model
    history: History
    on_epoch: Callable[[Row], None]

    def train(
        self,
        batches: Batches,
        steps: range,
        interrupt: checkpoint.Interrupt,
        on_step: Callable[[Progress], None],
    ) -> None:
        epoch_steps = self.recipe.epoch_steps(len(batches.labels))
        saved = since = time.monotonic()
        losses: list[float] = []
        for step, (windows, labels) in zip(steps, ahead(batches.step, steps), strict=True):
            losses.append(float(self.model.train_on_batch(windows, labels)))
            if not math.isfinite(losses[-1]):
                raise IchliteError(
                    f"training diverged at step {step + 1}",
                    found=f"a loss of {losses[-1]}",
                    remedy="use a lower learning rate or --clipnorm 1, in a new run folder",
                )
            now = time.monotonic()
            rate = len(losses) * self.recipe.batch_size / (now - since)
            on_step(Progress(step + 1, steps.stop, losses[-1], rate))
            in_epoch, rest = divmod(step + 1 - self.recipe.crop_steps, epoch_steps)
            crops_end = self.recipe.crop_steps > 0 and step + 1 == self.recipe.crop_steps
            if crops_end or (step + 1 > self.recipe.crop_steps and rest == 0):
                self._end_epoch(step + 1, max(in_epoch, 0), float(np.mean(losses)), rate, since)
                losses, saved, since = [], time.monotonic(), time.monotonic()
            elif interrupt.asked or now - saved > CHECKPOINT_SECONDS:
                checkpoint.save(self.model, self.folder / checkpoint.LAST)
                saved = time.monotonic()
            if interrupt.asked:
                raise KeyboardInterrupt

    def _end_epoch(self, step: int, epoch: int, loss: float, rate: float, since: float) -> None:
        rows = split_rows(self.store, "validation")
        labels = np.asarray(self.store.labels, np.uint8)[rows]
        best = self.history.best()
        with checkpoint.averaged(self.model):
            logits = predict(self.model, self.store, rows)
            scores = self.score(labels, logits)
            mean = scores["mean"]
            if best is None or (mean is not None and mean > best):
                checkpoint.save(self.model, self.folder / BEST)
        row = {
            "step": step,
            "epoch": epoch,
            "phase": "crops" if step <= self.recipe.crop_steps else "frames",
            "learning_rate": float(self.model.optimizer.learning_rate),
            "loss": loss,
            "validation_bce": _bce(labels, logits),
            "validation_mean_roc_auc": mean,
            **{f"validation_roc_auc_{name}": scores[name] for name in NAMES},
            "images_per_s": rate,
            "seconds": time.monotonic() - since,
        }
        self.history.add(row)
        self.on_epoch(row)
        checkpoint.save(self.model, self.folder / checkpoint.LAST)


def _bce(labels: NDArray[np.uint8], logits: NDArray[np.float32]) -> float:
    z = logits.astype(np.float64)
    return float(np.mean(np.logaddexp(0.0, z) - labels * z))


def _jit() -> bool | str:
    # XLA on CPU TensorFlow is five times slower than its own kernels; JAX needs it.
    return False if keras.backend.backend() == "tensorflow" else "auto"
