"""Build the model, the optimiser and the losses of a recipe."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import MethodType
from typing import Any, TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import GRID
from ichlite.errors import UsageError
from ichlite.labels import NAMES
from ichlite.models import build
from ichlite.models.outputs import LESION_MAP, LOGITS, has_lesion_map, slice_logits
from ichlite.train.batches import Batch
from ichlite.train.losses import KeptSubtypes, LesionMap, build_loss
from ichlite.train.recipe import Recipe

OwnModel: TypeAlias = keras.Model | Callable[[], keras.Model]
OwnLoss: TypeAlias = keras.losses.Loss | Callable[[Any, Any], Any]

HEADS = ("logits", "pooled_logits", "map_fine", "map_deep")
"""Layers of any architecture whose last axis is the subtype."""
SILENT = -7.0
"""Logit of a subtype that was left out, a probability below 0.001."""
FLOOR = 0.01
"""Final learning rate of the cosine schedule, as a share of the highest."""


def prepare_model(recipe: Recipe, total: int, *, own: OwnModel | None = None) -> keras.Model:
    """Build the untrained model of a recipe, compiled with its optimiser.

    Args:
        recipe: Arguments of the run; the same seed gives the same weights.
        total: Optimiser steps of the whole run, for the learning rate schedule.
        own: Custom model, or a function that builds one, instead of the recipe's architecture.

    Returns:
        The model, compiled without a loss, so that a saved file needs nothing but Keras.

    Raises:
        UnknownName: No such architecture; the message lists the choices.
        UsageError: The custom model does not map windows to logits, or crops are too small.
    """
    keras.utils.set_random_seed(recipe.seed)
    size = None if recipe.crop_steps else GRID
    if own is None:
        model = build(
            recipe.model,
            dropout=recipe.dropout,
            bn_momentum=recipe.bn_momentum,
            size=size,
            **recipe.widths(),
        )
    else:
        model = _checked(own, size)
    if recipe.crop_steps:
        _check_crops(model, recipe.crop_size)
    optimizer = keras.optimizers.Adam(
        learning_rate(recipe, total),
        clipnorm=recipe.clipnorm,
        use_ema=recipe.ema_momentum is not None,
        ema_momentum=0.99 if recipe.ema_momentum is None else recipe.ema_momentum,
    )
    model.compile(optimizer, jit_compile=jit())
    return model


def _checked(own: OwnModel, size: int | None) -> keras.Model:
    """Return a model of one's own as a functional one, if it takes windows and gives logits."""
    model = own if isinstance(own, keras.Model) else own()
    if isinstance(model, keras.Sequential) and model.built:
        model = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    found: tuple[Any, ...]
    try:
        found = tuple(model.input_shape), tuple(slice_logits(model.output).shape)
    except (AttributeError, KeyError, TypeError):
        found = (type(model).__name__,)
    if found not in [((None, side, side, 3), (None, len(NAMES))) for side in (None, size)]:
        raise UsageError(
            "this model cannot be trained on the slices of a store",
            found=" to ".join(map(str, found)),
            expected="a functional or sequential Keras model of "
            f"{(None, size, size, 3)} to {(None, len(NAMES))}",
        )
    return model


def _check_crops(model: keras.Model, pixels: int) -> None:
    try:
        model(keras.Input((pixels, pixels, 3)))  # computes shapes alone
    except ValueError as failure:
        raise UsageError(
            f"{model.name} cannot be trained on crops of {pixels} pixels",
            expected="a --crop-size that its layers can halve again and again, such as 128",
        ) from failure


def compile_model(
    model: keras.Model, optimizer: Any, loss: keras.losses.Loss, recipe: Recipe
) -> None:
    """Compile a model with a loss for its logits and, if it has a lesion map, one for the map.

    Args:
        model: Model to compile.
        optimizer: Keras optimiser.
        loss: Loss of the slice logits.
        recipe: Arguments of the run, for the lesion map's weight and subtypes.
    """
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
    """Return the arguments of a compiled model's `train_on_batch` for a batch.

    Returns:
        Images and labels; for a model with a lesion map, dicts of labels and of sample weights.
    """
    if not has_lesion_map(model):
        return batch.images, batch.labels
    truth = {LOGITS: batch.labels, LESION_MAP: batch.cells}
    return batch.images, truth, {LOGITS: np.ones_like(batch.known), LESION_MAP: batch.known}


def loss_of(
    recipe: Recipe, name: str, positives: NDArray[np.int64], images: int | None
) -> keras.losses.Loss:
    """Return the loss of a name with a recipe's settings.

    Args:
        recipe: Arguments of the run.
        name: Key of `losses.LOSSES`.
        positives: (5,) images of the training split with each subtype.
        images: Number of images of the training split; None if unknown.
    """
    return build_loss(
        name,
        positives=positives,
        images=images,
        gamma=recipe.gamma,
        max_margin=recipe.max_margin,
        beta=recipe.beta,
        kept=recipe.kept,
    )


def losses_of(
    recipe: Recipe, labels: NDArray[np.uint8], total: int, *, own: OwnLoss | None = None
) -> dict[str, keras.losses.Loss]:
    """Return every loss that applies at some step of a run, by its name.

    Args:
        recipe: Arguments of the run.
        labels: (image, 5) labels of the training split, 0 or 1.
        total: Optimiser steps of the whole run.
        own: Custom loss instead of the recipe's: a Keras loss, or a function of labels and logits.

    Raises:
        UnknownName: No such loss; the message lists the choices.
        UsageError: The training split has too few positives for the loss.
    """
    if own is not None:
        loss = own if isinstance(own, keras.losses.Loss) else _FunctionLoss(own)
        whole = len(recipe.kept) == len(NAMES)
        return {recipe.loss: loss if whole else KeptSubtypes(loss, recipe.kept)}
    names = dict.fromkeys((recipe.loss_at(0, total), recipe.loss))
    positives = labels.sum(axis=0, dtype=np.int64)
    return {name: loss_of(recipe, name, positives, len(labels)) for name in names}


class _FunctionLoss(keras.losses.Loss):  # type: ignore[misc]
    """A function of labels and logits (batch, 5), to (batch,), as a Keras loss."""

    def __init__(self, function: Callable[[Any, Any], Any]) -> None:
        super().__init__(name=name_of(function))
        self.call = function


def name_of(own: Any) -> str:
    """Return the name of a custom model or loss for a manifest.

    Example:
        >>> name_of(keras.losses.BinaryCrossentropy()), name_of(name_of)
        ('binary_crossentropy', 'name_of')
    """
    return str(getattr(own, "name", None) or getattr(own, "__name__", type(own).__name__))


def silence(model: keras.Model, left_out: Sequence[str]) -> None:
    """Fix the logits of subtypes that are not trained at one low value for all images.

    Random weights would call them positive in every other image, and no gradient would change that.

    Args:
        model: Model whose output layers are changed in place.
        left_out: Names of the subtypes.
    """
    numbers = [NAMES.index(name) for name in left_out]
    heads = {*HEADS, *model.output_names}
    for layer in model.layers:
        if layer.name in heads and numbers:
            weights = layer.get_weights()
            for array in weights:
                array[..., numbers] = SILENT if array.ndim == 1 else 0.0
            layer.set_weights(weights)


def learning_rate(recipe: Recipe, total: int) -> Any:
    """Return the learning rate of a run, as a number or a Keras schedule.

    Args:
        recipe: Arguments of the run.
        total: Optimiser steps of the whole run.
    """
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
    """Return the value of Keras's `jit_compile`: False for TensorFlow, else "auto"."""
    # XLA on CPU TensorFlow is five times slower than its own kernels; JAX needs it.
    return False if keras.backend.backend() == "tensorflow" else "auto"


def fuse_normalization(model: keras.Model) -> None:
    """Make a model's batch normalisations train with TensorFlow's fused kernel, which is faster.

    Keras writes it as seven operations on whole feature maps, which took half of a training step of
    LightFCN on a CPU (docs/log.md). Layers stay plain Keras layers, and so does what is saved.
    """
    if keras.backend.backend() != "tensorflow":
        return
    for layer in model.layers:
        if isinstance(layer, keras.Model):
            fuse_normalization(layer)
        elif isinstance(layer, keras.layers.BatchNormalization) and _is_plain(layer):
            layer.call = MethodType(_fused_call, layer)


def _is_plain(layer: Any) -> bool:
    return (
        layer.scale
        and layer.center
        and layer.axis in (-1, 3)
        and not (layer.renorm or layer.synchronized)
    )


def _fused_call(self: Any, inputs: Any, training: bool | None = None, mask: Any = None) -> Any:
    """Do what `keras.layers.BatchNormalization.call` does."""
    if not (training and self.trainable) or mask is not None or len(inputs.shape) != 4:
        return type(self).call(self, inputs, training=training, mask=mask)
    import tensorflow as tf

    x = tf.cast(inputs, tf.float32)
    outputs, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
    )
    # The kernel gives the sample's variance, n / (n - 1) of that which Keras keeps.
    count = tf.cast(tf.size(x) / tf.shape(x)[-1], tf.float32)
    variance *= (count - 1.0) / count
    for moving, batch in ((self.moving_mean, mean), (self.moving_variance, variance)):
        moving.assign(moving * self.momentum + batch * (1.0 - self.momentum))
    return tf.cast(outputs, self.compute_dtype)
