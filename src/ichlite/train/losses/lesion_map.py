"""Compare a lesion map with the cells that hold blood."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from ichlite.errors import UsageError
from ichlite.labels import NAMES
from ichlite.train.losses.tensors import columns

FOCUS = 2.0
"""Power of its probability with which a cell without blood is weighted: confident errors weigh
most."""
_TINY = 1e-6
"""Added to that weight, so that cells of vanishing probability still have a mean."""


def lesion_map_loss(
    cells: Any, known: Any, map_logits: Any, *, kept: Sequence[int] = range(len(NAMES))
) -> Any:
    """Return the cross-entropy of a lesion map: a mean over cells with blood, one over others.

    Blood fills about one cell in a hundred, which one common mean would drown. Cells with blood
    have equal weights. The others are weighted with the square of their probability: in a plain
    mean, the few false ones would hardly count among a thousand easy ones, and the map would be too
    wide.

    Args:
        cells: (batch, h, w) uint8, bit k set where subtype k of `labels.NAMES` is.
        known: (batch,), 1 where the cells of an image are known, else 0.
        map_logits: (batch, h, w, 5), real.
        kept: Columns of the subtypes that contribute to the loss.

    Returns:
        (batch,), at least 0; 0 where the cells are not known.

    Raises:
        UsageError: Cells and logits differ in shape.

    Example:
        >>> cells = np.array([[[1, 0]]], np.uint8)
        >>> z = np.array([[[[0.0], [-9.0]]]], np.float32) + np.zeros(5, np.float32)
        >>> round(float(lesion_map_loss(cells, [1.0], z)[0]), 2), float(
        ...     lesion_map_loss(cells, [0.0], z)[0]
        ... )
        (1.39, 0.0)
    """
    z = ops.convert_to_tensor(map_logits)
    y = ops.cast(unpack(cells), z.dtype)
    places = [(a, b) for a, b in zip(y.shape, z.shape, strict=False) if None not in (a, b)]
    if len(y.shape) != len(z.shape) or any(a != b for a, b in places):
        raise UsageError(
            "cells do not fit the lesion map", found=tuple(y.shape), expected=tuple(z.shape)
        )
    if len(kept) < len(NAMES):
        y, z = columns(y, kept), columns(z, kept)
    sides = (1, 2, 3)
    blood = ops.sum(y * ops.softplus(-z), axis=sides) / ops.maximum(ops.sum(y, axis=sides), 1.0)
    weight = ops.stop_gradient((1.0 - y) * (ops.power(ops.sigmoid(z), FOCUS) + _TINY))
    total = ops.maximum(ops.sum(weight, axis=sides), _TINY)
    others = ops.sum(weight * ops.softplus(z), axis=sides) / total
    return ops.cast(ops.convert_to_tensor(known), z.dtype) * (blood + others)


@keras.saving.register_keras_serializable(package="ichlite")
class LesionMap(keras.losses.Loss):  # type: ignore[misc]
    """Loss of a lesion map, as a Keras loss to compile a model with; see `lesion_map_loss`.

    The sample weight is 1 where the cells of an image are known, else 0.

    Example:
        >>> cells, z = np.zeros((1, 1, 1), np.uint8), np.zeros((1, 1, 1, 5), np.float32)
        >>> round(float(LesionMap()(cells, z)), 4), float(LesionMap()(cells, z, [0.0]))
        (0.6931, 0.0)
    """

    def __init__(
        self,
        kept: Sequence[int] = range(len(NAMES)),
        name: str = "lesion_map",
        **keras_options: Any,
    ) -> None:
        super().__init__(name=name, **keras_options)
        self.kept = [int(column) for column in kept]

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which Keras can rebuild this loss."""
        return {**super().get_config(), "kept": self.kept}

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,) of cells (batch, h, w) and logits (batch, h, w, 5)."""
        known = ops.ones(ops.shape(y_pred)[0], y_pred.dtype)
        return lesion_map_loss(y_true, known, y_pred, kept=self.kept)


def unpack(cells: Any) -> Any:
    """Convert bit masks of subtypes, uint8 (…), to separate labels, int32 (…, 5), 0 or 1.

    Example:
        >>> np.asarray(unpack(np.array([5], np.uint8))).tolist()
        [[1, 0, 1, 0, 0]]
    """
    bits = ops.expand_dims(ops.cast(ops.convert_to_tensor(cells), "int32"), -1)
    return ops.bitwise_and(ops.right_shift(bits, np.arange(len(NAMES), dtype=np.int32)), 1)
