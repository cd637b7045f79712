"""A compressed model and a store in; the same model, trained a little longer in its new form, out.

What was cut away or rounded is made up for by a few hundred steps, of the run's own loss and of
what a teacher says: by default the model as it was before. (`keras.distillation`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from keras import ops

from ichlite.compress.constraints import Constraint, apply_all
from ichlite.data.feed import ahead
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.train.batches import Batches
from ichlite.train.recipe import Recipe
from ichlite.train.setup import jit, learning_rate, loss_of


@dataclass(frozen=True, slots=True)
class Tuning:
    """How to fine-tune.

    Attributes:
        steps: Optimiser steps.
        batch_size: Images a step, full frames.
        learning_rate: Highest, of Adam; a warm-up, then half a cosine down to 1 %.
        teacher_weight: Of the teacher's answers against the labels, 0 to 1.
        temperature: By which the teacher's and the model's logits are divided.
        seed: Of the order and the augmentation.
    """

    steps: int = 600
    batch_size: int = 32
    learning_rate: float = 1e-3
    teacher_weight: float = 0.5
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least in (("steps", 1), ("batch_size", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise UsageError(name, found=getattr(self, name), expected=f"at least {least}")
        for name in ("learning_rate", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(name, found=getattr(self, name), expected="above 0")
        if not 0 <= self.teacher_weight <= 1:
            raise UsageError("teacher_weight", found=self.teacher_weight, expected="from 0 to 1")


class SubtypeDistillation(keras.distillation.LogitsDistillation):  # type: ignore[misc]
    """Binary cross-entropy of a student to its teacher's probability, a subtype at a time.

    Keras' own takes a softmax over the classes; here any number of subtypes may be present.

    Source:
        Hinton et al. 2015, with a sigmoid an output; times temperature squared as there.
    """

    def compute_loss(self, teacher_outputs: Any, student_outputs: Any, **_: Any) -> Any:
        """Logits of both, (batch, 5) → one number."""
        wanted = ops.sigmoid(ops.stop_gradient(teacher_outputs) / self.temperature)
        found = ops.binary_crossentropy(
            wanted, student_outputs / self.temperature, from_logits=True
        )
        return ops.mean(found) * self.temperature**2


def fine_tune(
    model: keras.Model,
    store: Store,
    recipe: Recipe,
    tuning: Tuning,
    *,
    teacher: keras.Model | None = None,
    constraints: Sequence[Constraint] = (),
    on_step: Callable[[int, float], None] = lambda _step, _loss: None,
) -> None:
    """Train the model in place, holding its weights to the constraints after every step.

    Args:
        model: (batch, 256, 256, 3) windows → logits.
        store: Its `train` split trains.
        recipe: Of the run that made the model: its loss and whether it augments are used.
        tuning: How.
        teacher: Of the same input; None: labels alone.
        constraints: Applied in turn after each step.
        on_step: Called with the step, from 1, and its loss.

    Raises:
        IchliteError: The loss became infinite or undefined.
    """
    own = replace(
        recipe,
        crop_steps=0,
        epochs=1,
        steps_per_epoch=tuning.steps,
        batch_size=tuning.batch_size,
        learning_rate=tuning.learning_rate,
        schedule="cosine",
        warmup_steps=tuning.steps // 20,
        seed=tuning.seed,
        device_windows=False,
    )
    keras.utils.set_random_seed(tuning.seed)
    batches = Batches(store, own)
    loss = loss_of(own, own.loss, batches.labels.sum(axis=0), len(batches.labels))
    optimizer = keras.optimizers.Adam(learning_rate(own, tuning.steps), clipnorm=1.0)
    taught = _with_teacher(model, teacher, tuning)
    taught.compile(optimizer, loss, jit_compile=jit())
    steps = range(tuning.steps)
    for step, batch in zip(steps, ahead(batches.step, steps), strict=True):
        value = float(np.ravel(taught.train_on_batch(*batch))[0])
        if not math.isfinite(value):
            raise IchliteError(
                f"fine-tuning diverged at step {step + 1}",
                found=f"a loss of {value}",
                remedy="use a lower --learning-rate",
            )
        apply_all(constraints, step + 1, tuning.steps)
        on_step(step + 1, value)


def _with_teacher(model: keras.Model, teacher: keras.Model | None, tuning: Tuning) -> keras.Model:
    if teacher is None or tuning.teacher_weight == 0:
        return model
    # A copy, because a distiller freezes its teacher for good.
    wise = keras.models.clone_model(teacher)
    wise.set_weights(teacher.get_weights())
    return keras.distillation.Distiller(
        teacher=wise,
        student=model,
        distillation_losses=SubtypeDistillation(temperature=tuning.temperature),
        student_loss_weight=1.0 - tuning.teacher_weight,
    )
