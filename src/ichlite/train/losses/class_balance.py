"""Weigh cross-entropy by how often each subtype occurs in the training data.

Class-balanced weights depend on the label alone, distribution-balanced ones also on which other
subtypes the image has.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ichlite.errors import UsageError
from ichlite.train.losses.tensors import check_counts, constant, pair


def class_balanced(labels: Any, logits: Any, *, weights: ArrayLike) -> Any:
    """Return binary cross-entropy with a weight for the positives and one for the negatives.

    Args:
        labels: (batch, 5), 0 or 1.
        logits: (batch, 5), real.
        weights: (2, 5), of negatives and of positives; see `class_balanced_weights`. All 1 is
            cross-entropy.

    Returns:
        (batch,), at least 0, the mean over subtypes.

    Raises:
        UsageError: Labels and logits differ in shape, or weights do not fit them.

    Source:
        Cui et al., CVPR 2019, section 4.

    Example:
        >>> round(float(class_balanced([[1]], [[0.0]], weights=[[0.5], [1.5]])[0]), 4)
        1.0397
    """
    y, z = pair(labels, logits)
    weight = constant("weights", weights, z)
    positive, negative = weight[1] * ops.softplus(-z), weight[0] * ops.softplus(z)
    return ops.mean(y * positive + (1.0 - y) * negative, axis=-1)


def class_balanced_weights(
    positives: ArrayLike, images: int, *, beta: float = 0.9999
) -> NDArray[np.float64]:
    """Return weights of negatives and positives: the rarer in the training data, the larger.

    n examples count as an effective number (1 - beta^n) / (1 - beta), and a class weighs one over
    its effective number. Each subtype is a problem of two classes, its negatives and its
    positives; its two weights are scaled to the sum 2, so that no subtype outweighs another.

    Args:
        positives: (5,) images with each subtype, each at least 1.
        images: All images; more than each of the positives.
        beta: In [0, 1): 0 weighs all 1, near 1 weighs by inverse frequency.

    Returns:
        (2, 5) float64: row 0 of negatives, row 1 of positives, so that the label is the row.

    Raises:
        UsageError: A subtype is in no image or in all, or beta is out of range.

    Source:
        Cui et al., CVPR 2019, equation 2 (effective number) and section 4.

    Example:
        >>> class_balanced_weights([1, 50], 100, beta=0.9).round(3).tolist()
        [[0.182, 1.0], [1.818, 1.0]]
    """
    if not 0 <= beta < 1:
        raise UsageError("beta", found=beta, expected="at least 0 and below 1")
    counts = check_counts("class-balanced weighting", positives, images)
    effective = (1.0 - beta ** np.stack([images - counts, counts])) / (1.0 - beta)
    weights = 1.0 / effective
    return np.asarray(2.0 * weights / weights.sum(axis=0))


def distribution_balanced(
    labels: Any,
    logits: Any,
    *,
    positives: ArrayLike,
    images: int,
    alpha: float = 0.1,
    beta: float = 10.0,
    mu: float = 0.2,
    lambda_: float = 2.0,
    kappa: float = 0.05,
    gamma: float = 0.0,
) -> Any:
    """Return the distribution-balanced loss: weights re-balanced, negatives tolerated.

    With n_i the positives of subtype i, an image that was drawn for the sake of each of its
    subtypes comes up too often; r_i = (1 / n_i) / (sum of 1 / n_j over the subtypes j it has)
    takes that back. The weight of subtype i in this image is alpha + sigmoid(beta (r_i - mu)),
    for a positive and a negative alike. **An image without any positive** has no such sum: it
    counts as drawn for one subtype alone, r = 1, which is all but the limit of r that the
    authors' code takes for it (weights 1.0997 and 1.1).

    Positives cost softplus(-(z - nu)), negatives softplus(lambda (z - nu)) / lambda, with
    nu_i = kappa log(images / n_i - 1): the paper's negative-tolerant regularisation. Both are
    times (1 - p)^gamma, with p the probability of the truth after shift and scale: the paper's
    "DB Focal" has gamma 2, its plain loss and the default here have 0. At alpha 0.5, beta 0,
    lambda 1, kappa 0 and gamma 0 this is cross-entropy.

    Two things of the authors' are not here: class-aware sampling, which their weights take back
    (batches here are of images as they come, or by the recipe's shares), and a constant factor 2
    of the focal form, which the rate of Adam makes up for. Their code divides nu by lambda, their
    equations do not; these are the equations.

    Args:
        labels: (batch, 5), 0 or 1.
        logits: (batch, 5), real.
        positives: (5,) images of the training data with each subtype, each at least 1.
        images: Images of the training data; more than each of the positives.
        alpha: Least weight.
        beta: Steepness of the weight in r.
        mu: r at which the weight is half-way.
        lambda_: Scale of negative logits, above 0: above 1 easy negatives pull less.
        kappa: Scale of the shift nu.
        gamma: Focusing on what is judged wrong, at least 0.

    Returns:
        (batch,), at least 0, the mean over subtypes.

    Raises:
        UsageError: Labels and logits differ in shape, or counts do not fit them.

    Source:
        Wu et al., ECCV 2020, equations 3 to 8; the constants are theirs for MS-COCO.

    Example:
        >>> round(float(distribution_balanced([[1]], [[0.0]], positives=[2], images=4)[0]), 4)
        0.7622
    """
    y, z = pair(labels, logits)
    counts = check_counts("distribution-balanced loss", positives, images)
    rarity = constant("positives", counts.min() / counts, z)
    had = ops.sum(y * rarity, axis=-1, keepdims=True)
    r = ops.where(had > 0, rarity / ops.where(had > 0, had, 1.0), 1.0)
    weight = alpha + ops.sigmoid(beta * (r - mu))
    z = z - constant("positives", kappa * np.log(images / counts - 1.0), z)
    focus_positive = ops.exp(-gamma * ops.softplus(z))
    focus_negative = ops.exp(-gamma * ops.softplus(-lambda_ * z))
    positive = focus_positive * ops.softplus(-z)
    negative = focus_negative * ops.softplus(lambda_ * z) / lambda_
    return ops.mean(weight * (y * positive + (1.0 - y) * negative), axis=-1)
