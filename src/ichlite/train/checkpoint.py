"""Model in, `.keras` file out and back: weights, optimiser and step in one file, written whole.

The step of a run is its optimiser's iteration count, so weights and step cannot disagree.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np

from ichlite.data.whole import replacing
from ichlite.errors import UsageError
from ichlite.models.saved import load

LAST = "last.keras"


def save(model: keras.Model, path: Path) -> None:
    """Model → file, whole or not at all."""
    with replacing(path) as part:
        model.save(part)


def resume(path: Path, fresh: keras.Model) -> keras.Model:
    """Checkpoint of a run and the model as that run began → the model that goes on, compiled.

    A Keras file holds no state of random numbers, but dropout draws once a step from the seed that
    it began with: so it goes on with the numbers that it would have had.
    """
    model = load(path, compiled=True)
    steps = int(model.optimizer.iterations)
    for layer, first in zip(model.layers, fresh.layers, strict=True):
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            seed, drawn = keras.ops.convert_to_numpy(first.seed_generator.state)
            layer.seed_generator.state.assign([seed, drawn + steps])
    return model


def start_from(model: keras.Model, init: Path) -> None:
    """Copy the weights of a checkpoint of the same architecture into a model.

    Raises:
        UsageError: Another architecture.
    """
    weights = load(init).get_weights()
    if [w.shape for w in weights] != [tuple(w.shape) for w in model.weights]:
        raise UsageError(
            f"{init.name} has other weights than {model.name}",
            found=f"{len(weights)} arrays",
            expected=f"{len(model.weights)} arrays of the same shapes",
        )
    model.set_weights(weights)


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Within: the model has the optimiser's averaged weights, if it keeps any; after: its own."""
    if not model.optimizer.use_ema:
        yield
        return
    variables = model.trainable_variables
    own = _copies(variables)
    model.optimizer.finalize_variable_values(variables)
    # Copies: on JAX a variable and its average would share memory, which predicting then frees.
    _assign(variables, _copies(variables))
    try:
        yield
    finally:
        _assign(variables, own)


def _copies(variables: list[Any]) -> list[Any]:
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def _assign(variables: list[Any], values: list[Any]) -> None:
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
