"""Build class heads, which tell bleeds from a slice's pooled features, with and without dependence.

There are three of one size on the same frozen features. A linear mix of logits would be an
independent head in other words, so the head of correlations goes through sigmoids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import keras
from numpy import floating
from numpy.typing import NDArray

from ichlite.errors import check_name
from ichlite.labels import NAMES
from ichlite.models.blocks import standardised

HIDDEN = 8
"""Rank of the low-rank layer that mixes the class logits of the correlated head."""


def class_head(
    kind: str, mean: NDArray[floating[Any]], spread: NDArray[floating[Any]]
) -> keras.Model:
    """Return an untrained class head, a small classifier on a slice's pooled features.

    Args:
        kind: `independent`, `correlated` or `hierarchical`.
        mean: (channel,) mean of each feature over the training slices.
        spread: (channel,) standard deviation of each feature over the training slices.

    Returns:
        A model from features (slice, channel) to (slice, 6, 2): log of the probability and of its
        complement for any haemorrhage, then each subtype. Any haemorrhage is never less probable
        than a subtype.

    Raises:
        UnknownName: No such kind.

    Example:
        >>> import numpy as np
        >>> [class_head(kind, np.zeros(64), np.ones(64)).count_params() for kind in HEADS]
        [325, 418, 390]
    """
    check_name("class head", kind, HEADS)
    features = keras.Input((len(mean),), name="features")
    return keras.Model(features, HEADS[kind](standardised(features, mean, spread)), name=kind)


def _independent(x: Any) -> Any:
    """Apply one sigmoid a subtype; any is the largest."""
    return _with_largest(keras.layers.Dense(len(NAMES), name="subtypes")(x))


def _correlated(x: Any) -> Any:
    """Apply sigmoids whose logits are moved by what the others say.

    Source:
        Xun et al., Correlation networks for extreme multi-label text classification, KDD 2020
        (CorNet): logits + W2 elu(W1 sigmoid(logits)).
    """
    alone = keras.layers.Dense(len(NAMES), name="subtypes")(x)
    mixed = keras.layers.Dense(HIDDEN, activation="elu", name="mixed")(keras.ops.sigmoid(alone))
    moved = keras.layers.Dense(len(NAMES), kernel_initializer="zeros", name="moved")(mixed)
    return _with_largest(alone + moved)


def _hierarchical(x: Any) -> Any:
    """Multiply the probabilities of any bleed and of each subtype given that there is one."""
    log = keras.ops.log_sigmoid
    bleeds = keras.layers.Dense(1, name="any")(x)
    given = keras.layers.Dense(len(NAMES), name="given_any")(x)
    likely = log(bleeds) + log(given)
    unlikely = keras.ops.log1p(-keras.ops.minimum(keras.ops.exp(likely), 1 - 1e-6))
    return keras.ops.concatenate(
        [keras.ops.stack([log(bleeds), log(-bleeds)], -1), keras.ops.stack([likely, unlikely], -1)],
        axis=1,
    )


def _with_largest(logits: Any) -> Any:
    """Return log probabilities and complements of logits (slice, 5), the largest in front."""
    every = keras.ops.concatenate([keras.ops.max(logits, axis=1, keepdims=True), logits], axis=1)
    return keras.ops.stack([keras.ops.log_sigmoid(every), keras.ops.log_sigmoid(-every)], axis=-1)


HEADS: Mapping[str, Callable[[Any], Any]] = {
    "independent": _independent,
    "correlated": _correlated,
    "hierarchical": _hierarchical,
}
