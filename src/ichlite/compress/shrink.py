"""A trained model and what to do to it in, the smaller model out: prune → fold → sparsify → share.

Each step is made good by fine-tuning before the next. The result has no batch normalisation, and
its weights have the form that the file will keep: gone, zero, shared, or fit for int8's rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import keras

from ichlite.compress.constraints import Clusters, Constraint, Sparsity
from ichlite.compress.fake_quant import quantization_aware, take_weights
from ichlite.compress.fine_tune import Tuning, fine_tune
from ichlite.compress.fold import fold
from ichlite.compress.prune import CRITERION, prune_channels
from ichlite.data.store import Store
from ichlite.train.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Shrinking:
    """What to do to a model before it is converted; None or False: not that.

    Attributes:
        keep_channels: Share of expansion channels to keep, one or one a block; see `prune`.
        sparsity: Share of weights to set to zero.
        clusters: Values that the weights of a layer share.
        quantization_aware: Train with int8's rounding.
    """

    keep_channels: tuple[float, ...] | None = None
    sparsity: float | None = None
    clusters: int | None = None
    quantization_aware: bool = False

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        return self != Shrinking()

    @property
    def phases(self) -> int:
        """How many times `shrink` fine-tunes."""
        given = (self.keep_channels, self.sparsity, self.clusters)
        return sum(one is not None for one in given) + self.rounding_alone

    @property
    def rounding_alone(self) -> bool:
        """Whether quantization-aware training has a phase of its own, in no other's company."""
        return self.quantization_aware and (self.sparsity, self.clusters) == (None, None)

    def as_dict(self, tuning: Tuning, teacher: Path | None) -> dict[str, Any]:
        """For a manifest, with how it was fine-tuned and who taught (None: the model as it was)."""
        return {
            **asdict(self),
            "criterion": CRITERION if self.keep_channels else None,
            "tuning": asdict(tuning),
            "teacher": None if teacher is None else teacher.name,
        }


def shrink(
    model: keras.Model,
    store: Store,
    recipe: Recipe,
    shrinking: Shrinking,
    tuning: Tuning,
    *,
    teacher: keras.Model | None = None,
    report: Callable[[str], None] = lambda _: None,
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> keras.Model:
    """Do each step asked for, and fine-tune after it.

    Args:
        model: Trained; is not changed.
        store: To fine-tune on.
        recipe: Of the run that made the model.
        shrinking: What to do.
        tuning: How to fine-tune, each time.
        teacher: None: the model as it was.
        report: Called with one line a step.
        on_step: See `fine_tune`.

    Returns:
        The smaller model; the very same if nothing was asked for.

    Raises:
        UsageError: A share out of range.
        InputError: The model has no channels to remove.
        IchliteError: Fine-tuning diverged.
    """
    if not shrinking.changes:
        return model
    wise = teacher or model

    def tune(student: keras.Model, what: str, *constraints: Constraint) -> None:
        report(f"{what}: {student.count_params():,} parameters, {tuning.steps} steps")
        fine_tune(
            student, store, recipe, tuning, teacher=wise, constraints=constraints, on_step=on_step
        )

    if shrinking.keep_channels is not None:
        model = prune_channels(model, shrinking.keep_channels)
        shares = ", ".join(f"{share:.0%}" for share in shrinking.keep_channels)
        tune(model, f"keeping {shares} of expansion channels")
    plain = fold(model)
    form = quantization_aware(plain) if shrinking.quantization_aware else plain
    if shrinking.sparsity is not None:
        tune(form, f"sparsity {shrinking.sparsity:.0%}", Sparsity(form, shrinking.sparsity))
    if shrinking.clusters is not None:
        tune(form, f"{shrinking.clusters} values a layer", Clusters(form, shrinking.clusters))
    if shrinking.rounding_alone:
        tune(form, "int8 rounding")
    if form is not plain:
        take_weights(plain, form)
    return plain
