"""Compress a trained model step by step: prune, fold, sparsify, share values.

Each step is made good by fine-tuning before the next. The result has no batch normalisation, and
its weights have the form that the file will keep: gone, zero, shared, or fit for int8's rounding.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras

from ichlite.compress.constraints import (
    Clusters,
    Constraint,
    Sparsity,
    check_clusters,
    check_sparsity,
)
from ichlite.compress.fake_quant import quantization_aware, take_weights
from ichlite.compress.fine_tune import Tuning, fine_tune, teacher_name
from ichlite.compress.fold import fold
from ichlite.compress.prune import CRITERION, check_shares, prune_channels
from ichlite.contracts.bundle import CompressionSpec, TuningSpec
from ichlite.data.store import Store
from ichlite.train.recipe import Recipe

PRUNED, SPARSE, CLUSTERED, ROUNDED = "pruned", "sparse", "clustered", "rounded"
"""Names of the steps, in order."""


@dataclass(frozen=True, slots=True)
class Shrinking:
    """What to do to a model before it is converted; what is None or False is not done.

    Attributes:
        keep_channels: Share of expansion channels to keep, one for all blocks or one for each; see
            `prune`.
        keep_width: Share of the channels between blocks to keep.
        sparsity: Share of weights to set to zero.
        clusters: Values that the weights of a layer share.
        quantization_aware: Whether to train with int8's rounding.
    """

    keep_channels: tuple[float, ...] | None = None
    keep_width: float | None = None
    sparsity: float | None = None
    clusters: int | None = None
    quantization_aware: bool = False

    def __post_init__(self) -> None:
        if self.prunes:
            check_shares(self.keep_channels, self.keep_width)
        if self.sparsity is not None:
            check_sparsity(self.sparsity)
        if self.clusters is not None:
            check_clusters(self.clusters)

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self != Shrinking()

    @property
    def prunes(self) -> bool:
        """Whether channels are taken out."""
        return self.keep_channels is not None or self.keep_width is not None

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of what `shrink_by_steps` does, in order; it fine-tunes once in each."""
        rounding_alone = self.quantization_aware and (self.sparsity, self.clusters) == (None, None)
        asked = {
            PRUNED: self.prunes,
            SPARSE: self.sparsity is not None,
            CLUSTERED: self.clusters is not None,
            ROUNDED: rounding_alone,
        }
        return tuple(name for name, wanted in asked.items() if wanted)

    def until(self, step: str) -> Shrinking:
        """Return what is done by the end of one of the steps."""
        if step == PRUNED:
            return Shrinking(self.keep_channels, self.keep_width)
        return replace(self, clusters=None) if step == SPARSE else self

    def spec(self, tuning: Tuning, teacher: Path | None) -> CompressionSpec:
        """Return what was done, as a manifest has it.

        Args:
            tuning: How it was fine-tuned.
            teacher: Where the teacher lies; None: it was the model as it was.
        """
        return CompressionSpec(
            **asdict(self),
            criterion=CRITERION if self.prunes else None,
            tuning=TuningSpec(**asdict(tuning)),
            teacher=None if teacher is None else teacher_name(teacher),
        )

    def words(self) -> list[str]:
        """Return the options of `ichlite compress` that say this.

        Example:
            >>> Shrinking((0.25,), 0.5, clusters=32).words()
            ['--keep-channels', '0.25', '--keep-width', '0.5', '--clusters', '32']
        """
        words = []
        for share in self.keep_channels or ():
            words += ["--keep-channels", f"{share}"]
        for option, value in (
            ("--keep-width", self.keep_width),
            ("--sparsity", self.sparsity),
            ("--clusters", self.clusters),
        ):
            words += [] if value is None else [option, f"{value}"]
        return words + ["--qat"] * self.quantization_aware


def shrink_by_steps(
    model: keras.Model,
    store: Store,
    recipe: Recipe,
    shrinking: Shrinking,
    tuning: Tuning,
    *,
    teacher: keras.Model | None = None,
    report: Callable[[str], None] = lambda _: None,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> Iterator[tuple[str, keras.Model]]:
    """Shrink a model step by step, and fine-tune after each step.

    Args:
        model: Trained; it is not changed.
        store: Store to fine-tune on.
        recipe: Recipe of the run that made the model.
        shrinking: What to do.
        tuning: How to fine-tune, each time.
        teacher: Model to learn from; None: the model as it was.
        report: Called with one line a step.
        on_step: See `fine_tune`.

    Yields:
        After each step its name, such as `pruned`, and the model as it is then, to be used before
        the next is asked for; nothing if nothing was asked for.

    Raises:
        UsageError: A share out of range.
        InputError: The model has no channels to remove.
        IchliteError: Fine-tuning diverged.
    """
    wise = teacher or model

    def tune(student: keras.Model, what: str, *constraints: Constraint) -> None:
        """Say what is done, and fine-tune the student."""
        report(f"{what}: {student.count_params():,} parameters, {tuning.total} steps")
        fine_tune(
            student, store, recipe, tuning, teacher=wise, constraints=constraints, on_step=on_step
        )

    if shrinking.prunes:
        model = prune_channels(model, shrinking.keep_channels, shrinking.keep_width)
        tune(model, "fewer channels")
        yield PRUNED, model
    plain = fold(model)
    form = quantization_aware(plain) if shrinking.quantization_aware else plain

    def tuned(what: str, *constraints: Constraint) -> keras.Model:
        """Fine-tune the form that weights are trained in; return the plain model."""
        tune(form, what, *constraints)
        if form is not plain:
            take_weights(plain, form)
        return plain

    if shrinking.sparsity is not None:
        yield (
            SPARSE,
            tuned(f"sparsity {shrinking.sparsity:.0%}", Sparsity(form, shrinking.sparsity)),
        )
    if shrinking.clusters is not None:
        yield (
            CLUSTERED,
            tuned(f"{shrinking.clusters} values a layer", Clusters(form, shrinking.clusters)),
        )
    if ROUNDED in shrinking.steps:
        yield ROUNDED, tuned("int8 rounding")


def shrink(
    model: keras.Model,
    store: Store,
    recipe: Recipe,
    shrinking: Shrinking,
    tuning: Tuning,
    **others: Any,
) -> keras.Model:
    """Shrink a model as `shrink_by_steps` does; return it after the last step, itself if none."""
    for _, smaller in shrink_by_steps(model, store, recipe, shrinking, tuning, **others):
        model = smaller
    return model
