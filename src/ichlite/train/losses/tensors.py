"""Convert labels, logits and constants of any array kind to matching float tensors."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ichlite.errors import UsageError
from ichlite.labels import NAMES


def pair(labels: Any, logits: Any) -> tuple[Any, Any]:
    """Convert labels and logits of any array kind to two float tensors of one shape.

    Raises:
        UsageError: They differ in shape.
    """
    z = ops.convert_to_tensor(logits)
    if not keras.backend.is_float_dtype(z.dtype):
        z = ops.cast(z, keras.config.floatx())
    y = ops.cast(ops.convert_to_tensor(labels), z.dtype)
    known = all(None not in tuple(t.shape) for t in (y, z))
    if len(y.shape) != len(z.shape) or (known and tuple(y.shape) != tuple(z.shape)):
        # Broadcasting (batch,) labels over (batch, 5) logits would train on nonsense.
        raise UsageError("labels do not fit the logits", found=tuple(y.shape), expected=z.shape)
    return y, z


def constant(name: str, values: ArrayLike, logits: Any) -> Any:
    """Convert per-subtype numbers to a tensor of the logits' dtype.

    Args:
        name: Name of the numbers, for the error message.
        values: (5,) or (…, 5) numbers.
        logits: Tensor (batch, 5).

    Raises:
        UsageError: The last axis has another length than that of the logits.
    """
    numbers = np.asarray(values, dtype=np.float64)
    tensor = ops.convert_to_tensor(numbers, dtype=logits.dtype)
    if numbers.shape[-1:] != tuple(logits.shape[-1:]):
        raise UsageError(
            f"{name} do not fit the logits", found=numbers.shape, expected=logits.shape
        )
    return tensor


def columns(values: Any, kept: Sequence[int]) -> Any:
    """Select columns of the last axis by number, in the order given.

    Example:
        >>> np.asarray(columns([[1, 2, 3]], [2, 0])).tolist()
        [[3, 1]]
    """
    tensor = ops.convert_to_tensor(values)
    # Not `take`, whose gradient adds up in no fixed order on some devices.
    return ops.stack([tensor[..., column] for column in kept], axis=-1)


def check_counts(loss: str, positives: ArrayLike, images: int) -> NDArray[np.float64]:
    """Return the positives of each subtype as float64 after checking that weights can be computed.

    Args:
        loss: Name of the loss, for the error message.
        positives: (5,) images with each subtype.
        images: Number of all images.

    Raises:
        UsageError: A subtype is in no image or in all.
    """
    counts = np.asarray(positives, dtype=np.float64)
    if counts.ndim != 1 or not np.all((counts >= 1) & (counts <= images - 1)):
        raise UsageError(
            f"{loss} needs images with and without each subtype",
            found=f"positives {counts.tolist()} of {images} images",
            remedy=remedy(counts),
        )
    return counts


def remedy(counts: NDArray[np.float64]) -> str:
    """Return advice, for an error message, on subtypes with too few images in the training data.

    Args:
        counts: (5,) images with each subtype.

    Example:
        >>> remedy(np.array([0, 9, 9, 9, 9]))
        'leave it out (--leave-out epidural), add images of it, or train with bce or focal'
    """
    named = counts.shape == (len(NAMES),)
    absent = [name for name, count in zip(NAMES, counts, strict=True) if count < 1] if named else []
    options = " ".join(f"--leave-out {name}" for name in absent or ["SUBTYPE"])
    return f"leave it out ({options}), add images of it, or train with bce or focal"
