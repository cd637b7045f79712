"""Build and compile the model of a recipe."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import GRID
from ichlite.labels import NAMES
from ichlite.models import build
from ichlite.models.outputs import LESION_MAP, LOGITS, has_lesion_map
from ichlite.train.batches import Batch
from ichlite.train.losses import LesionMap, build_loss
from ichlite.train.normalization import fuse_normalization
from ichlite.train.recipe import Recipe

HEADS = ("logits", "pooled_logits", "map_fine", "map_deep")
"""Layers of any architecture whose last axis is subtypes."""
SILENT = -7.0
"""Logit of a subtype that was left out: a probability below 0.001."""
FLOOR = 0.01
"""The cosine schedule ends at this share of the learning rate."""


def prepare(
    recipe: Recipe, positives: NDArray[np.int64], total: int, *, images: int | None = None
) -> keras.Model:
    """Recipe, positives a subtype and all steps → an untrained, compiled model of any input size.

    Args:
        recipe: Of the run.
        positives: (5,) of the training split.
        total: Optimiser steps, for the schedule.
        images: Of the training split; the losses that weigh need it.

    Returns:
        The model; the same seed gives the same weights.
    """
    keras.utils.set_random_seed(recipe.seed)
    size = None if recipe.crop_steps else GRID
    model = build(
        recipe.model,
        dropout=recipe.dropout,
        bn_momentum=recipe.bn_momentum,
        size=size,
        **recipe.widths(),
    )
    optimizer = keras.optimizers.Adam(
        learning_rate(recipe, total),
        clipnorm=recipe.clipnorm,
        use_ema=recipe.ema_momentum is not None,
        ema_momentum=0.99 if recipe.ema_momentum is None else recipe.ema_momentum,
    )
    loss = loss_of(recipe, recipe.loss_at(0, total), positives, images)
    compile_model(model, optimizer, loss, recipe)
    return model


def compile_model(
    model: keras.Model, optimizer: Any, loss: keras.losses.Loss, recipe: Recipe
) -> None:
    """Compile a model with the loss of its labels and, where it has one, of its lesion map."""
    fuse_normalization(model)
    if has_lesion_map(model):
        model.compile(
            optimizer,
            {LOGITS: loss, LESION_MAP: LesionMap(recipe.kept)},
            loss_weights={LOGITS: 1.0, LESION_MAP: recipe.map_weight},
            jit_compile=jit(),
        )
    else:
        model.compile(optimizer, loss, jit_compile=jit())


def training_arguments(model: keras.Model, batch: Batch) -> tuple[Any, ...]:
    """Return a batch as `train_on_batch` of a compiled model takes it: images, truth, weights."""
    if not has_lesion_map(model):
        return batch.images, batch.labels
    truth = {LOGITS: batch.labels, LESION_MAP: batch.cells}
    return batch.images, truth, {LOGITS: np.ones_like(batch.known), LESION_MAP: batch.known}


def loss_of(
    recipe: Recipe, name: str, positives: NDArray[np.int64], images: int | None
) -> keras.losses.Loss:
    """Recipe, the loss in force (`Recipe.loss_at`) and the training split's counts → that loss."""
    return build_loss(
        name,
        positives=positives,
        images=images,
        gamma=recipe.gamma,
        max_margin=recipe.max_margin,
        beta=recipe.beta,
        kept=recipe.kept,
    )


def silence(model: keras.Model, left_out: Sequence[str]) -> None:
    """Set the logits of subtypes that nothing trains to one low number, whatever the image.

    Random weights would claim them in every other image; no gradient moves these.
    """
    numbers = [NAMES.index(name) for name in left_out]
    for layer in model.layers:
        if layer.name in HEADS and numbers:
            weights = layer.get_weights()
            for array in weights:
                array[..., numbers] = SILENT if array.ndim == 1 else 0.0
            layer.set_weights(weights)


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


def jit() -> bool | str:
    """Whether Keras compiles a step with XLA."""
    # XLA on CPU TensorFlow is five times slower than its own kernels; JAX needs it.
    return False if keras.backend.backend() == "tensorflow" else "auto"
