"""Models that look as if they were trained: statistics, scales and shifts away from 0 and 1."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from ichlite.compress.shrink import shrink_by_steps
from ichlite.data.store import Store
from ichlite.models import light_fcn
from ichlite.train.batches import Batches
from ichlite.train.losses import Bce
from ichlite.train.recipe import Recipe
from ichlite.train.setup import compile_model, training_arguments


def as_if_trained(model: keras.Model, seed: int = 0) -> keras.Model:
    """A model, with all vectors of its batch normalisations drawn at random; the same model."""
    rng = np.random.default_rng(seed)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.beta.shape[0]
            layer.gamma.assign(rng.uniform(0.5, 1.5, size))
            layer.beta.assign(rng.normal(0.0, 0.3, size))
            layer.moving_mean.assign(rng.normal(0.0, 0.3, size))
            layer.moving_variance.assign(rng.uniform(0.5, 1.5, size))
    return model


def trained_on_toys(
    store: Store, *, make: Callable[..., keras.Model] = light_fcn, steps: int = 60
) -> keras.Model:
    """A small LightFCN or `lesion_fcn`, trained until it knows some of the toys' bleeds."""
    keras.utils.set_random_seed(1)
    model = make(expansions=(16, 16, 16), width=8, head_width=16, bn_momentum=0.8)
    recipe = Recipe(batch_size=8)
    compile_model(model, keras.optimizers.Adam(0.01), Bce(), recipe)
    batches = Batches(store, recipe)
    for step in range(steps):
        model.train_on_batch(*training_arguments(model, batches.step(step)))
    return model


def shrink(model: keras.Model, *arguments: Any, **others: Any) -> keras.Model:
    """A model after the last step of `shrink_by_steps`; itself if there is none."""
    for _, smaller in shrink_by_steps(model, *arguments, **others):
        model = smaller
    return model
