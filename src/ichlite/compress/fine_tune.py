"""Train a compressed model a little longer in its new form.

What was cut away or rounded is made up for by a few hundred steps, of the run's own losses and of
what a teacher says: by default the model as it was before.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from ichlite.compress.constraints import Constraint, apply_all
from ichlite.compress.settings import Tuning
from ichlite.data.feed import ahead
from ichlite.data.store import Store
from ichlite.errors import IchliteError
from ichlite.models.outputs import LESION_MAP, has_lesion_map, slice_logits
from ichlite.train.batches import Batches
from ichlite.train.learner import DIVERGED
from ichlite.train.recipe import Recipe
from ichlite.train.setup import (
    compile_model,
    jit,
    learning_rate,
    loss_of,
    training_arguments,
)


def teacher_name(path: Path) -> str:
    """Return a short name of a run folder or of a `.keras` file in one, without its location.

    Example:
        >>> teacher_name(Path("/home/me/runs/sfcn/best.keras"))
        'sfcn/best.keras'
    """
    return f"{path.parent.name}/{path.name}" if path.suffix else path.name


class Taught(keras.Model):  # type: ignore[misc]
    """Keras model that trains a student on its own compiled losses and on a teacher's outputs.

    `keras.distillation` knows no sample weights and wants the same outputs of both.

    Args:
        student: Compiled model to be trained.
        teacher: Model of the same input and slice logits; its lesion map, if it has one, teaches
            that of the student.
        tuning: Settings: weight of the teacher, and temperature.
        map_weight: Weight of the lesion map's loss relative to that of the logits; 0 for none.
    """

    def __init__(
        self, student: keras.Model, teacher: keras.Model, tuning: Tuning, map_weight: float
    ) -> None:
        super().__init__(name=f"{student.name}_taught")
        self.student, self.tuning = student, tuning
        self.map_weight = map_weight if has_lesion_map(student) and has_lesion_map(teacher) else 0.0
        # A copy, because what is frozen here stays frozen.
        self.teacher = keras.models.clone_model(teacher)
        self.teacher.set_weights(teacher.get_weights())
        self.teacher.trainable = False

    def call(self, images: Any, training: bool | None = None) -> Any:
        """Return the student's outputs."""
        return self.student(images, training=training)

    def compute_loss(
        self, x: Any, y: Any, y_pred: Any, sample_weight: Any = None, training: bool = True
    ) -> Any:
        """Return the weighted sum of the student's own loss and its distance from the teacher."""
        own = self.student.compute_loss(x, y, y_pred, sample_weight, training)
        wanted, share = self.teacher(x, training=False), self.tuning.teacher_weight
        distance = answers_loss(slice_logits(wanted), slice_logits(y_pred), self.tuning.temperature)
        if self.map_weight:
            distance += self.map_weight * map_distance(wanted[LESION_MAP], y_pred[LESION_MAP])
        return (1.0 - share) * own + share * distance


def answers_loss(wanted: Any, found: Any, temperature: float) -> Any:
    """Return the distillation loss of a student's logits against a teacher's: a scalar.

    Args:
        wanted: (batch, 5) logits of the teacher.
        found: (batch, 5) logits of the student.
        temperature: Number that both logits are divided by; above 0.

    Source:
        Hinton et al. 2015, with one sigmoid per subtype in place of the softmax, since any number
        of subtypes may be present; scaled by the temperature squared, as in that paper.
    """
    taught = ops.sigmoid(wanted / temperature)
    loss = ops.binary_crossentropy(taught, found / temperature, from_logits=True)
    return ops.mean(loss) * temperature**2


def map_distance(wanted: Any, found: Any) -> Any:
    """Return the distillation loss of a student's lesion map against a teacher's: a scalar.

    Cells are weighted by the sum of both probabilities, since most cells have no blood in either
    map.

    Args:
        wanted: (batch, h, w, 5) map logits of the teacher.
        found: (batch, h, w, 5) map logits of the student.
    """
    taught = ops.sigmoid(wanted)
    weight = ops.stop_gradient(taught + ops.sigmoid(found))
    loss = ops.binary_crossentropy(taught, found, from_logits=True)
    return ops.sum(weight * loss) / ops.maximum(ops.sum(weight), 1.0)


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
        model: Model from windows (batch, 256, 256, 3) in [0, 1] to logits (batch, 5), with or
            without a lesion map.
        store: Store whose `train` split trains.
        recipe: Recipe of the run that made the model; its losses and whether it augments are used.
        tuning: Fine-tuning settings.
        teacher: Model of the same input to learn from; None: labels alone.
        constraints: Conditions on the weights that are applied, in turn, after each step.
        on_step: Called after each step with its number, from 1, and its loss.

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
    learner = model
    if teacher is not None and tuning.teacher_weight > 0:
        learner = Taught(model, teacher, tuning, own.map_weight)
    steps = range(tuning.total)
    for step, batch in zip(steps, ahead(batches.step, steps), strict=True):
        if step in (0, tuning.crop_steps):  # anew for frames after crops, as `train.learner` does
            compile_model(model, optimizer, loss, own)
            if learner is not model:
                learner.compile(optimizer, jit_compile=jit())
        value = float(np.ravel(learner.train_on_batch(*training_arguments(model, batch)))[0])
        if not math.isfinite(value):
            raise _diverged(step + 1, f"a loss of {value}")
        apply_all(constraints, step + 1, tuning.total)
        on_step(step + 1, value)
    # The last step's loss was of the weights before it.
    if not all(np.isfinite(np.asarray(one)).all() for one in model.weights):
        raise _diverged(tuning.total, "weights that are no numbers")


def _diverged(step: int, found: str) -> IchliteError:
    """Return the error of a fine-tuning that came to nothing."""
    return IchliteError(
        f"fine-tuning diverged at step {step}",
        found=found,
        remedy="use a lower --learning-rate",
        code=DIVERGED,
    )
