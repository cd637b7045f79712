"""Label-distribution-aware margin loss (LDAM), for many labels at once."""

from __future__ import annotations

from typing import Any

import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ichlite.errors import UsageError
from ichlite.train.losses.tensors import constant, pair, remedy


def ldam(labels: Any, logits: Any, *, margins: ArrayLike, weights: ArrayLike | None = None) -> Any:
    """Return the multi-label LDAM loss: cross-entropy of logits lowered, or raised, by a margin.

    Args:
        labels: (batch, 5), 0 or 1.
        logits: (batch, 5), real.
        margins: (5,), in logits, at least 0: subtracted for positives, added for negatives.
        weights: (2, 5), of negatives and of positives; see `class_balanced_weights`. LDAM with
            deferred re-weighting (`ldam_drw`) has them in its second part. None weighs all 1.

    Returns:
        (batch,), at least 0, the mean over subtypes.

    Raises:
        UsageError: Labels and logits differ in shape, or margins or weights do not fit them.

    Source:
        Lankireddy et al., MLMI 2022, equation 1; weights: Cao et al., NeurIPS 2019, algorithm 1.
        The equation's second term, of negatives, is log(1 / (1 + e^-(z + margin))) as printed,
        which rewards a high logit of what is absent; here it has the sign that it must have,
        log(1 / (1 + e^(z + margin))).

    Example:
        >>> round(float(ldam([[1]], [[0.5]], margins=[0.5])[0]), 4)
        0.6931
    """
    y, z = pair(labels, logits)
    m = ops.convert_to_tensor(margins, dtype=z.dtype)
    if tuple(m.shape) not in {(), (1,), (z.shape[-1],)}:
        raise UsageError("margins do not fit the logits", found=tuple(m.shape), expected=z.shape)
    positive, negative = ops.softplus(m - z), ops.softplus(z + m)
    if weights is not None:
        weight = constant("weights", weights, z)
        positive, negative = weight[1] * positive, weight[0] * negative
    return ops.mean(y * positive + (1.0 - y) * negative, axis=-1)


def ldam_margins(positives: ArrayLike, *, max_margin: float = 0.5) -> NDArray[np.float64]:
    """Return the margin of each subtype: the rarer it is in the training data, the larger.

    C of the paper's margin C / n^(1/4) is not given there; as in the original LDAM it is scaled
    such that the rarest subtype has `max_margin`: C = max_margin * min(n)^(1/4).

    Args:
        positives: (5,) images with each subtype, each at least 1.
        max_margin: Margin of the rarest subtype, in logits.

    Returns:
        (5,) float64 margins.

    Raises:
        UsageError: A subtype has no positive, which would make its margin infinite.

    Source:
        Lankireddy et al., MLMI 2022, section 2.2; Cao et al., NeurIPS 2019, equation 13.

    Example:
        >>> ldam_margins([2709, 29860, 21586, 29299, 38864]).round(2).tolist()
        [0.5, 0.27, 0.3, 0.28, 0.26]
    """
    counts = np.asarray(positives, dtype=np.float64)
    if counts.ndim != 1 or not np.all(counts >= 1):
        raise UsageError(
            "LDAM has no margin for a subtype without positives",
            found=counts.tolist(),
            expected="one count of at least 1 for each subtype",
            remedy=remedy(counts),
        )
    return np.asarray(max_margin * (counts.min() / counts) ** 0.25)
