"""Compute cross-entropy: plain, focal and asymmetric.

Softplus forms throughout, so that values and gradients stay finite at any logit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from ichlite.train.losses.tensors import pair


def bce(labels: Any, logits: Any) -> Any:
    """Return the binary cross-entropy of sigmoid outputs, the mean over subtypes.

    Args:
        labels: (batch, 5), 0 or 1.
        logits: (batch, 5), real.

    Returns:
        (batch,), at least 0, natural-log units.

    Raises:
        UsageError: Labels and logits differ in shape.

    Example:
        >>> round(float(bce([[1, 0]], [[0.0, 0.0]])[0]), 4)
        0.6931
    """
    y, z = pair(labels, logits)
    return ops.mean(y * ops.softplus(-z) + (1.0 - y) * ops.softplus(z), axis=-1)


def focal(
    labels: Any, logits: Any, *, gamma: float = 2.0, alpha: float | Sequence[float] | None = None
) -> Any:
    """Return the focal loss: cross-entropy times (1 - probability of the truth) ** gamma.

    Args:
        labels: (batch, 5), 0 or 1.
        logits: (batch, 5), real.
        gamma: At least 0; 0 is cross-entropy.
        alpha: Weight of positives, 1 - alpha that of negatives, for all subtypes or one each;
            None weighs both 1.

    Returns:
        (batch,), at least 0, the mean over subtypes.

    Raises:
        UsageError: Labels and logits differ in shape.

    Source:
        Lin et al., ICCV 2017, equations 4 and 5.

    Example:
        >>> round(float(focal([[1]], [[0.0]], gamma=2.0)[0]), 4)
        0.1733
    """
    y, z = pair(labels, logits)
    # (1 - p)^gamma is exp(-gamma softplus(z)): no power of a vanishing base, so no infinite slope.
    positive = ops.exp(-gamma * ops.softplus(z)) * ops.softplus(-z)
    negative = ops.exp(-gamma * ops.softplus(-z)) * ops.softplus(z)
    if alpha is not None:
        weight = ops.convert_to_tensor(alpha, dtype=z.dtype)
        positive, negative = weight * positive, (1.0 - weight) * negative
    return ops.mean(y * positive + (1.0 - y) * negative, axis=-1)


def asymmetric(
    labels: Any,
    logits: Any,
    *,
    gamma_positive: float = 0.0,
    gamma_negative: float = 4.0,
    clip: float = 0.05,
) -> Any:
    """Return the asymmetric loss: negatives are focused more, and easy ones are dropped.

    The probability p of a negative is lowered to max(p - clip, 0) before its focal loss. So a
    negative below `clip` costs nothing, and one that is predicted with near certainty pulls ever
    less, as it may be labelled wrongly. An image without any positive costs 0 once all its
    probabilities are below `clip`; the loss pulls each of them down to there and no further.

    Args:
        labels: (batch, 5), 0 or 1.
        logits: (batch, 5), real.
        gamma_positive: Focusing of positives, at least 0; 0 is cross-entropy.
        gamma_negative: Focusing of negatives, at least 0.
        clip: Probability below which negatives are dropped, in [0, 1); 0 drops none.

    Returns:
        (batch,), at least 0, the mean over subtypes (the paper's is the sum).

    Raises:
        UsageError: Labels and logits differ in shape.

    Source:
        Ridnik et al., ICCV 2021, equations 4 to 7; gamma 0 and 4 and clip 0.05 are theirs.

    Example:
        >>> round(float(asymmetric([[0]], [[0.0]])[0]), 6)
        0.024515
    """
    y, z = pair(labels, logits)
    positive = ops.exp(-gamma_positive * ops.softplus(z)) * ops.softplus(-z)
    if clip > _TINY:
        shifted = ops.maximum(ops.sigmoid(z) - clip, _TINY)
        cost = -ops.log(ops.minimum(ops.sigmoid(-z) + clip, 1.0))
        negative = ops.power(shifted, gamma_negative) * cost
    else:
        negative = ops.exp(-gamma_negative * ops.softplus(-z)) * ops.softplus(z)
    return ops.mean(y * positive + (1.0 - y) * negative, axis=-1)


_TINY = 1e-7
"""Instead of 0, whose power below 1 has an infinite slope; a clip that small drops nothing."""
