"""Loss functions of one value an image: cross-entropy and its kin for rare subtypes.

The functions are pure: of labels 0/1 and logits, both (batch, subtype), they return (batch,), the
mean over subtypes. The classes are thin `keras.losses.Loss` wrappers, to compile with. All use
`keras.ops` alone, so they run on every Keras backend, and softplus forms, so that values and
gradients stay finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import keras
import numpy as np
from numpy.typing import ArrayLike, NDArray

from ichlite.errors import UsageError, check_name
from ichlite.labels import NAMES
from ichlite.train.losses.class_balance import (
    class_balanced,
    class_balanced_weights,
    distribution_balanced,
)
from ichlite.train.losses.classes import (
    Asymmetric,
    Bce,
    ClassBalanced,
    DistributionBalanced,
    Focal,
    KeptSubtypes,
    Ldam,
)
from ichlite.train.losses.cross_entropy import asymmetric, bce, focal
from ichlite.train.losses.lesion_map import LesionMap, lesion_map_loss
from ichlite.train.losses.margin import ldam, ldam_margins

__all__ = [
    "LOSSES",
    "Asymmetric",
    "Bce",
    "ClassBalanced",
    "DistributionBalanced",
    "Focal",
    "KeptSubtypes",
    "Ldam",
    "LesionMap",
    "asymmetric",
    "bce",
    "build_loss",
    "class_balanced",
    "class_balanced_weights",
    "distribution_balanced",
    "focal",
    "ldam",
    "ldam_margins",
    "lesion_map_loss",
]

LOSSES: Mapping[str, type[keras.losses.Loss]] = {
    "bce": Bce,
    "focal": Focal,
    "ldam": Ldam,
    "class_balanced": ClassBalanced,
    "asymmetric": Asymmetric,
    "distribution_balanced": DistributionBalanced,
    "ldam_drw": Ldam,
}
"""Class of each loss, by the name that `ichlite train --loss` takes."""


def build_loss(
    name: str,
    *,
    positives: ArrayLike,
    images: int | None = None,
    gamma: float = 2.0,
    max_margin: float = 0.5,
    beta: float = 0.9999,
    kept: Sequence[int] = range(len(NAMES)),
) -> keras.losses.Loss:
    """Return the loss of a name, set up for the label counts of the training data.

    Args:
        name: Key of `LOSSES`. `ldam_drw` is LDAM with its weights, the second part of that
            training; its first part is `ldam` (`Recipe.loss_at` says which is when).
        positives: (5,) images of the training split with each subtype.
        images: Number of images in the training split; `class_balanced`, `distribution_balanced`
            and `ldam_drw` need it.
        gamma: Focusing exponent of the focal loss.
        max_margin: Largest margin of LDAM, in logits.
        beta: Beta of class-balanced weights.
        kept: Columns of the subtypes that contribute to the loss.

    Returns:
        A `keras.losses.Loss` to compile a model with.

    Raises:
        UnknownName: No such loss; the message lists the choices.
        UsageError: A subtype that the loss must weigh has too few positives or negatives.

    Example:
        >>> build_loss("ldam", positives=[16, 1, 1, 1, 1]).margins
        [0.25, 0.5, 0.5, 0.5, 0.5]
    """
    check_name("loss", name, LOSSES)
    counts = np.asarray(positives)
    if counts.shape != (len(NAMES),):
        raise UsageError("positives", found=counts.shape, expected=(len(NAMES),))
    if len(kept) < len(NAMES):
        counts = counts[list(kept)]
    loss = _loss_of(name, counts, images, gamma=gamma, max_margin=max_margin, beta=beta)
    return loss if len(kept) == len(NAMES) else KeptSubtypes(loss, kept)


def _loss_of(
    name: str,
    counts: NDArray[np.int64],
    images: int | None,
    *,
    gamma: float,
    max_margin: float,
    beta: float,
) -> keras.losses.Loss:
    if name == "bce":
        return Bce()
    if name == "focal":
        return Focal(gamma=gamma)
    if name == "asymmetric":
        return Asymmetric()
    if name == "ldam":
        return Ldam(margins=ldam_margins(counts, max_margin=max_margin))
    if images is None:
        raise UsageError(f"loss {name}", expected="the number of training images")
    if name == "distribution_balanced":
        return DistributionBalanced(positives=counts, images=images)
    weights = class_balanced_weights(counts, images, beta=beta)
    if name == "class_balanced":
        return ClassBalanced(weights=weights)
    return Ldam(margins=ldam_margins(counts, max_margin=max_margin), weights=weights)
