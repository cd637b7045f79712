"""Save and load a training state: weights, optimiser and step in one file, written whole.

The step of a run is its optimiser's iteration count, so weights and step cannot disagree.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import keras
import numpy as np

from ichlite.atomic_files import replacing
from ichlite.errors import InputError, UsageError
from ichlite.models.outputs import has_lesion_map
from ichlite.models.saved import in_stock_layers, load

LAST = "last.keras"
SUMS_FILE = "ichlite-epoch.json"
"""File in a checkpoint saved in mid-epoch that holds the epoch's loss so far; Keras ignores it."""


@dataclass
class EpochSums:
    """Running sum of the losses in an unfinished epoch.

    Attributes:
        steps: Number of steps whose loss is known.
        loss: Sum of these losses.
    """

    steps: int = 0
    loss: float = 0.0

    def add(self, losses: Iterable[float]) -> None:
        """Add the losses of further steps."""
        for loss in losses:
            self.steps, self.loss = self.steps + 1, self.loss + loss

    def mean(self) -> float:
        """Return the mean loss per step; at least one loss must be known."""
        return self.loss / self.steps


def save(model: keras.Model, path: Path, sums: EpochSums | None = None) -> None:
    """Save a model, and the loss sums of an unfinished epoch, to one file in one atomic step.

    Args:
        model: Compiled model; its optimiser state is saved too.
        path: `.keras` file.
        sums: Loss sums of the epoch; None at its end.
    """
    with replacing(path) as part:
        model.save(part)
        if sums is not None:
            with ZipFile(part, "a") as archive:
                archive.writestr(SUMS_FILE, json.dumps(asdict(sums)))


def sums_of(path: Path) -> EpochSums:
    """Return the loss sums saved in a checkpoint; zero if it has none."""
    with ZipFile(path) as archive:
        if SUMS_FILE not in archive.namelist():
            return EpochSums()
        return EpochSums(**json.loads(archive.read(SUMS_FILE)))


def resume(path: Path, model: keras.Model) -> None:
    """Load weights and optimiser state of a checkpoint into the model of the same run.

    A Keras file holds no random state, but dropout draws once a step from the seed it began with,
    so a resumed run draws the numbers that an uninterrupted one would.

    Args:
        path: Checkpoint, a `.keras` file.
        model: Compiled model as it was when the run began.

    Raises:
        InputError: The file is damaged, or is of another model.
    """
    try:
        model.optimizer.build(model.trainable_variables)
        with in_stock_layers(path) as file:
            model.load_weights(file)
    except (ValueError, OSError, KeyError, BadZipFile) as failure:
        raise InputError(
            f"{path.parent.name} cannot go on: {path.name} is damaged, or of another model",
            found=str(failure).strip().splitlines()[0],
            remedy="give another OUT, or the model that began the run",
        ) from failure
    steps = int(model.optimizer.iterations)
    for layer in model.layers:
        if isinstance(layer, keras.layers.Dropout) and layer.rate > 0:
            seed, drawn = keras.ops.convert_to_numpy(layer.seed_generator.state)
            layer.seed_generator.state.assign([seed, drawn + steps])


_ALSO_CALLED = {"pooled_logits": "logits"}
"""Layers of a model with a lesion map that do what one of another name does in LightFCN."""


def start_from(model: keras.Model, init: Path) -> tuple[str, ...]:
    """Copy the weights of a checkpoint into a model, matching layers by name.

    A LightFCN may start a model with a lesion map of the same widths, whose other layers then keep
    their random weights.

    Args:
        model: Model that receives the weights.
        init: Checkpoint: a `.keras` file or a run folder.

    Returns:
        Names of the layers that the checkpoint has no weights for.

    Raises:
        UsageError: The checkpoint is of another architecture.
    """
    begun = {layer.name: layer.get_weights() for layer in load(init).layers if layer.weights}
    new, taken = [], set()
    for layer in model.layers:
        if not layer.weights:
            continue
        name = layer.name if layer.name in begun else _ALSO_CALLED.get(layer.name, "")
        if name not in begun:
            new.append(layer.name)
            continue
        shapes = [w.shape for w in begun[name]], [tuple(w.shape) for w in layer.weights]
        if shapes[0] != shapes[1]:
            raise _other(model, init, f"layer {name} of shapes {shapes[0]}", f"{shapes[1]}")
        layer.set_weights(begun[name])
        taken.add(name)
    missing = sorted({*begun} - taken)
    if missing or (new and not has_lesion_map(model)):
        raise _other(model, init, f"layers {', '.join(missing) or 'less'}", f"{', '.join(new)}")
    return tuple(new)


def _other(model: keras.Model, init: Path, found: str, expected: str) -> UsageError:
    return UsageError(
        f"{init.name} has other weights than {model.name}", found=found, expected=expected
    )


@contextmanager
def averaged(model: keras.Model) -> Iterator[None]:
    """Temporarily give a model its optimiser's averaged weights, if the optimiser keeps any."""
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
