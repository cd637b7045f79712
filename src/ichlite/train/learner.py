"""Take optimiser steps on batches, by TensorFlow or by JAX.

TensorFlow takes Keras' `train_on_batch`. On JAX that call hands every variable over and back and
waits for the loss, which costs more than a small network's step on a GPU; so there the state stays
on the device from step to step, and the host waits only for losses some steps old.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np

from ichlite.errors import IchliteError
from ichlite.models.from_hu import from_hu
from ichlite.models.outputs import LESION_MAP, has_lesion_map, slice_logits
from ichlite.train.batches import Batch
from ichlite.train.losses import LesionMap
from ichlite.train.recipe import Recipe
from ichlite.train.setup import compile_model, training_arguments

DIVERGED = "diverged"
"""`code` of the error raised when the loss becomes infinite or undefined."""
_EXACT = ("pooled_logits", "map_gain")
"""Layers that always compute in float32, as those that give outputs do."""
LAG = 4
"""Steps by which the host may run ahead of a JAX device; divergence is noticed that much later."""


class Learner:
    """Model in training: takes optimiser steps, with the recipe's losses and precision.

    Args:
        model: Model from `setup.prepare_model`, float32, with its optimiser. It is the one that is
            saved, so its structure is not changed.
        recipe: Arguments of the run.
        losses: Losses by name, from `setup.losses_of`.
        total: Optimiser steps of the whole run.

    Attributes:
        outer: Compiled model, of the same layers as `model`, that takes batches as the recipe makes
            them (windows or HU). Use it for scoring within `plain`.
    """

    def __init__(
        self,
        model: keras.Model,
        recipe: Recipe,
        losses: Mapping[str, keras.losses.Loss],
        total: int,
    ) -> None:
        self._model, self._recipe, self._losses, self._total = model, recipe, losses, total
        self._exact = {*_EXACT, *model.output_names}
        self.outer = (
            from_hu(model)
            if recipe.device_windows
            else keras.Model(model.input, model.output, name=model.name)
        )
        # Kept, because Keras knows it in this thread only, and batches are made in others.
        self._distribution = keras.distribution.distribution()
        self._compiled_for: tuple[str, bool] | None = None
        self._pending: deque[tuple[int, Any]] = deque()
        self._lag = LAG if keras.backend.backend() == "jax" else 0
        self._train: Callable[[Any], Any]
        self._state: Any = None
        self._compute_in(recipe.precision)

    @property
    def iterations(self) -> int:
        """Return the number of optimiser steps that the model had when it was made or loaded."""
        return int(self._model.optimizer.iterations)

    def put(self, batch: Batch) -> Any:
        """Copy a batch to the device in advance, so that copying overlaps with computing."""
        if keras.backend.backend() != "jax":
            return batch
        return _to_devices(batch, self._distribution)

    def step(self, step: int, batch: Any) -> list[float]:
        """Take an optimiser step and return the losses that became known meanwhile, oldest first.

        Args:
            step: Number of the step, from 0.
            batch: Batch from `put`.

        Raises:
            IchliteError: A loss is infinite or undefined.
        """
        # Anew for frames after crops, too: traced once more, TensorFlow would forget the sizes,
        # which enlarging the deep part of a lesion map needs.
        wanted = self._recipe.loss_at(step, self._total), step < self._recipe.crop_steps
        if wanted != self._compiled_for:
            self._compile(self._losses[wanted[0]])
            self._compiled_for = wanted
        self._pending.append((step, self._train(batch)))
        return self._known(self._lag)

    def finish(self) -> list[float]:
        """Wait for the device and return the remaining losses, oldest first.

        Raises:
            IchliteError: A loss is infinite or undefined.
        """
        return self._known(0)

    @contextmanager
    def plain(self) -> Iterator[keras.Model]:
        """Provide the model for saving and scoring: in float32, with the weights of the last step.

        `finish` must have been called before.
        """
        if self._state is not None:
            for variables, values in zip(self._variables(), self._state, strict=True):
                for variable, value in zip(variables, values, strict=True):
                    variable.assign(value)
            # Read again at the next step: scoring may give the arrays of these variables away.
            self._state = None
        self._compute_in("float32")
        try:
            yield self._model
        finally:
            self._compute_in(self._recipe.precision)

    def _known(self, lag: int) -> list[float]:
        losses = []
        while len(self._pending) > lag:
            step, loss = self._pending.popleft()
            losses.append(float(loss))
            if not math.isfinite(losses[-1]):
                raise IchliteError(
                    f"training diverged at step {step + 1}",
                    found=f"a loss of {losses[-1]}",
                    remedy="use a lower learning rate or --clipnorm 1, in a new run folder",
                    code=DIVERGED,
                )
        return losses

    def _compile(self, loss: keras.losses.Loss) -> None:
        """Train with this loss from now on, with the optimiser as it is."""
        recipe, outer, optimizer = self._recipe, self.outer, self._model.optimizer
        if keras.backend.backend() == "jax":
            if not optimizer.built:
                optimizer.build(self._model.trainable_variables)
            compiled = _jax_step(outer, optimizer, loss, recipe)

            def train(batch: Batch) -> Any:
                if self._state is None:
                    self._state = [[v.value for v in group] for group in self._variables()]
                loss_now, self._state = compiled(self._state, batch)
                return loss_now
        else:
            compile_model(outer, optimizer, loss, recipe)

            def train(batch: Batch) -> Any:
                # Of a model with two outputs, the weighted sum comes first.
                return np.ravel(outer.train_on_batch(*training_arguments(outer, batch)))[0]

        self._train = train

    def _variables(self) -> list[list[Any]]:
        outer, optimizer = self.outer, self._model.optimizer
        return [outer.trainable_variables, outer.non_trainable_variables, optimizer.variables]

    def _compute_in(self, precision: str) -> None:
        """Set what the layers compute in; variables are float32 always, and logits too."""
        policy = "float32" if precision == "float32" else f"mixed_{precision}"
        for layer in self._model.layers:
            if layer.name not in self._exact and not isinstance(layer, keras.layers.InputLayer):
                layer.dtype_policy = policy


def _jax_step(model: keras.Model, optimizer: Any, loss: keras.losses.Loss, recipe: Recipe) -> Any:
    """Return a compiled function of state and batch that returns loss and state."""
    import jax

    map_loss = LesionMap(recipe.kept) if has_lesion_map(model) else None

    def loss_of_weights(weights: Any, others: Any, batch: Batch) -> Any:
        outputs, others = model.stateless_call(weights, others, batch.images, training=True)
        value = loss(batch.labels, slice_logits(outputs))
        if map_loss is not None:
            value += recipe.map_weight * map_loss(batch.cells, outputs[LESION_MAP], batch.known)
        return value, others

    def step(state: Any, batch: Batch) -> Any:
        weights, others, moments = state
        gradient_of = jax.value_and_grad(loss_of_weights, has_aux=True)
        (value, others), gradients = gradient_of(weights, others, batch)
        weights, moments = optimizer.stateless_apply(moments, gradients, weights)
        return value, [weights, others, moments]

    return jax.jit(step)


def _to_devices(batch: Batch, distribution: Any) -> Any:
    import jax

    if distribution is None:
        return jax.device_put(batch)
    layouts = Batch(*(distribution.get_data_layout(array.shape).backend_layout for array in batch))
    if jax.process_count() > 1:  # each process has its part of the batch
        return Batch(*map(jax.make_array_from_process_local_data, layouts, batch))
    return jax.device_put(batch, layouts)
