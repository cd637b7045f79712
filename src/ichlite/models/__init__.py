"""Build untrained Keras models by name: every architecture that ichlite can train."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ichlite.errors import MissingExtra, check_name

try:
    import keras
except ModuleNotFoundError as error:
    raise ImportError(str(MissingExtra("train", str(error.name))), name=error.name) from error

from ichlite.models.lesion_fcn import lesion_fcn
from ichlite.models.light_fcn import light_fcn
from ichlite.models.mobilenet_v2 import mobilenet_v2
from ichlite.models.sfcn import sfcn, sfcn_depthwise

__all__ = ["MODELS", "build", "lesion_fcn", "light_fcn", "mobilenet_v2", "sfcn", "sfcn_depthwise"]

MODELS: Mapping[str, Callable[..., keras.Model]] = {
    "light_fcn": light_fcn,
    "lesion_fcn": lesion_fcn,
    "sfcn": sfcn,
    "sfcn_depthwise": sfcn_depthwise,
    "mobilenet_v2": mobilenet_v2,
}
"""Function that builds each architecture, by the name that `ichlite train --model` takes."""


def build(name: str, **hyperparameters: Any) -> keras.Model:
    """Build the untrained model of an architecture.

    Args:
        name: Key of `MODELS`.
        hyperparameters: Keyword arguments of the architecture's function.

    Returns:
        A model from windows in [0, 1], (batch, size, size, 3), to logits (batch, 5); `lesion_fcn`
        returns a dict of logits and lesion map (`outputs.slice_logits` extracts the logits of
        either).

    Raises:
        UnknownName: No such model; the message lists the choices.

    Example:
        >>> build("light_fcn", size=128).output_shape
        (None, 5)
    """
    check_name("model", name, MODELS)
    return MODELS[name](**hyperparameters)
