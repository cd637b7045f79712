"""A compressed model and a store in; the same model, trained a little longer in its new form, out.

What was cut away or rounded is made up for by a few hundred steps, of the run's own loss and of
what a teacher says: by default the model as it was before. (`keras.distillation`.)
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ichlite.compress.constraints import Constraint, apply_all
from ichlite.data.feed import ahead
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.train.batches import Batches
from ichlite.train.learner import DIVERGED
from ichlite.train.recipe import Recipe
from ichlite.train.setup import jit, learning_rate, loss_of


@dataclass(frozen=True, slots=True)
class Tuning:
    """How to fine-tune.

    Attributes:
        steps: Optimiser steps on full frames.
        crop_steps: Steps before them on lesion-aimed crops (`train/crops.py`), which are a quarter
            of the work each; the store must know where the lesions are.
        batch_size: Images a step.
        learning_rate: Highest, of Adam; a warm-up, then half a cosine down to 1 %.
        teacher_weight: Of the teacher's answers against the labels, 0 to 1.
        temperature: By which the teacher's and the model's logits are divided.
        seed: Of the order and the augmentation.
    """

    steps: int = 600
    crop_steps: int = 0
    batch_size: int = 32
    learning_rate: float = 1e-3
    teacher_weight: float = 0.5
    temperature: float = 1.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, least, most in (
            ("steps", 1, 10_000_000),
            ("crop_steps", 0, 10_000_000),
            ("batch_size", 1, 4096),
            ("seed", 0, 2**32 - 1),
        ):
            if not least <= getattr(self, name) <= most:
                raise UsageError(
                    _option(name), found=getattr(self, name), expected=f"from {least} to {most}"
                )
        for name in ("learning_rate", "temperature"):
            if not 0 < getattr(self, name) < math.inf:
                raise UsageError(
                    _option(name), found=getattr(self, name), expected="above 0, and finite"
                )
        if not 0 <= self.teacher_weight <= 1:
            raise UsageError(
                _option("teacher_weight"), found=self.teacher_weight, expected="from 0 to 1"
            )

    @property
    def total(self) -> int:
        """Steps of one fine-tuning, crops and frames."""
        return self.crop_steps + self.steps

    def words(self) -> list[str]:
        """As options of `ichlite compress`, where they are not the default.

        Example:
            >>> Tuning(steps=9).words()
            ['--steps', '9']
        """
        words, defaults = [], asdict(Tuning())
        for name, value in asdict(self).items():
            if value != defaults[name]:
                words += [_option(name), f"{value}"]
        return words


def _option(name: str) -> str:
    return "--" + name.replace("_", "-")


def teacher_name(path: Path) -> str:
    """Run folder, or `.keras` file in one → what to call it, without the way there.

    Example:
        >>> teacher_name(Path("/home/me/runs/sfcn/best.keras"))
        'sfcn/best.keras'
    """
    return f"{path.parent.name}/{path.name}" if path.suffix else path.name


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
        crop_steps=tuning.crop_steps,
        epochs=1,
        steps_per_epoch=tuning.steps,
        batch_size=tuning.batch_size,
        learning_rate=tuning.learning_rate,
        schedule="cosine",
        warmup_steps=tuning.total // 20,
        seed=tuning.seed,
        device_windows=False,
    )
    keras.utils.set_random_seed(tuning.seed)
    batches = Batches(store, own)
    loss = loss_of(own, own.loss, batches.labels.sum(axis=0), len(batches.labels))
    optimizer = keras.optimizers.Adam(learning_rate(own, tuning.total), clipnorm=1.0)
    taught = _with_teacher(model, teacher, tuning)
    taught.compile(optimizer, loss, jit_compile=jit())
    steps = range(tuning.total)
    for step, batch in zip(steps, ahead(batches.step, steps), strict=True):
        value = float(np.ravel(taught.train_on_batch(*batch))[0])
        if not math.isfinite(value):
            raise _diverged(step + 1, f"a loss of {value}")
        apply_all(constraints, step + 1, tuning.total)
        on_step(step + 1, value)
    # The last step's loss was of the weights before it.
    if not all(np.isfinite(np.asarray(one)).all() for one in model.weights):
        raise _diverged(tuning.total, "weights that are no numbers")


def _diverged(step: int, found: str) -> IchliteError:
    return IchliteError(
        f"fine-tuning diverged at step {step}",
        found=found,
        remedy="use a lower --learning-rate",
        code=DIVERGED,
    )


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
