"""Labels and logits in, one loss an image out: multi-label cross-entropy, focal and LDAM.

The functions are pure: (batch, subtype) labels 0/1 and logits → (batch,), the mean over subtypes.
The classes are thin `keras.losses.Loss` wrappers, to compile with. All use `keras.ops` alone, so
they run on every Keras backend, and softplus forms, so that values and gradients stay finite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import ArrayLike, NDArray

from ichlite.errors import UnknownName, UsageError
from ichlite.labels import NAMES


def bce(labels: Any, logits: Any) -> Any:
    """Binary cross-entropy of sigmoid outputs, the mean over subtypes.

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
    y, z = _pair(labels, logits)
    return ops.mean(y * ops.softplus(-z) + (1.0 - y) * ops.softplus(z), axis=-1)


def focal(
    labels: Any, logits: Any, *, gamma: float = 2.0, alpha: float | Sequence[float] | None = None
) -> Any:
    """Focal loss: cross-entropy weighed by (1 - probability of the truth) ** gamma.

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
    y, z = _pair(labels, logits)
    # (1 - p)^gamma is exp(-gamma softplus(z)): no power of a vanishing base, so no infinite slope.
    positive = ops.exp(-gamma * ops.softplus(z)) * ops.softplus(-z)
    negative = ops.exp(-gamma * ops.softplus(-z)) * ops.softplus(z)
    if alpha is not None:
        weight = ops.convert_to_tensor(alpha, dtype=z.dtype)
        positive, negative = weight * positive, (1.0 - weight) * negative
    return ops.mean(y * positive + (1.0 - y) * negative, axis=-1)


def ldam(labels: Any, logits: Any, *, margins: ArrayLike) -> Any:
    """Label-distribution-aware margin loss: cross-entropy of logits moved against the truth.

    Args:
        labels: (batch, 5), 0 or 1.
        logits: (batch, 5), real.
        margins: (5,), in logits, at least 0: subtracted for positives, added for negatives.

    Returns:
        (batch,), at least 0, the mean over subtypes.

    Raises:
        UsageError: Labels and logits differ in shape, or margins do not fit them.

    Source:
        Lankireddy et al., MLMI 2022, equation 1.

    Example:
        >>> round(float(ldam([[1]], [[0.5]], margins=[0.5])[0]), 4)
        0.6931
    """
    y, z = _pair(labels, logits)
    m = ops.convert_to_tensor(margins, dtype=z.dtype)
    if tuple(m.shape) not in {(), (1,), (z.shape[-1],)}:
        raise UsageError("margins do not fit the logits", found=tuple(m.shape), expected=z.shape)
    return ops.mean(y * ops.softplus(m - z) + (1.0 - y) * ops.softplus(z + m), axis=-1)


def ldam_margins(positives: ArrayLike, *, max_margin: float = 0.5) -> NDArray[np.float64]:
    """Positives a subtype in the training data → the margin of each: the rarer, the larger.

    C of the paper's margin C / n^(1/4) is not given there; as in the original LDAM it is scaled
    such that the rarest subtype has `max_margin`: C = max_margin * min(n)^(1/4).

    Args:
        positives: (5,), counts, each at least 1.
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
            remedy="add images of the missing subtype, or train with --loss bce or focal",
        )
    return np.asarray(max_margin * (counts.min() / counts) ** 0.25)


@keras.saving.register_keras_serializable(package="ichlite")
class Bce(keras.losses.Loss):  # type: ignore[misc]
    """`bce` to compile a model with.

    Example:
        >>> round(float(Bce()([[1, 0]], [[0.0, 0.0]])), 4)
        0.6931
    """

    def __init__(self, name: str = "bce", **keras_options: Any) -> None:
        super().__init__(name=name, **keras_options)

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch, 5) labels and logits → (batch,)."""
        return bce(y_true, y_pred)


@keras.saving.register_keras_serializable(package="ichlite")
class Focal(keras.losses.Loss):  # type: ignore[misc]
    """`focal` to compile a model with.

    Args:
        gamma: At least 0; 0 is cross-entropy.
        alpha: Weight of positives, for all subtypes or one each; None weighs both classes 1.
        name: Of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(Focal(gamma=2.0)([[1]], [[0.0]])), 4)
        0.1733
    """

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = None,
        name: str = "focal",
        **keras_options: Any,
    ) -> None:
        if gamma < 0:
            raise UsageError("focal loss", found=f"gamma {gamma}", expected="at least 0")
        super().__init__(name=name, **keras_options)
        self.gamma = gamma
        self.alpha = alpha

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch, 5) labels and logits → (batch,)."""
        return focal(y_true, y_pred, gamma=self.gamma, alpha=self.alpha)

    def get_config(self) -> dict[str, Any]:
        """What builds this loss again."""
        return {**super().get_config(), "gamma": self.gamma, "alpha": self.alpha}


@keras.saving.register_keras_serializable(package="ichlite")
class Ldam(keras.losses.Loss):  # type: ignore[misc]
    """`ldam` to compile a model with.

    Args:
        margins: (5,), in logits; see `ldam_margins`.
        name: Of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(Ldam(margins=[0.5])([[1]], [[0.5]])), 4)
        0.6931
    """

    def __init__(self, margins: ArrayLike, name: str = "ldam", **keras_options: Any) -> None:
        values = np.asarray(margins, dtype=np.float64)
        if not np.all(np.isfinite(values) & (values >= 0)):
            raise UsageError("LDAM margins", found=values.tolist(), expected="at least 0")
        super().__init__(name=name, **keras_options)
        self.margins = values.tolist()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """(batch, 5) labels and logits → (batch,)."""
        return ldam(y_true, y_pred, margins=self.margins)

    def get_config(self) -> dict[str, Any]:
        """What builds this loss again."""
        return {**super().get_config(), "margins": self.margins}


LOSSES: Mapping[str, type[keras.losses.Loss]] = {"bce": Bce, "focal": Focal, "ldam": Ldam}


def build_loss(
    name: str, *, positives: ArrayLike, gamma: float = 2.0, max_margin: float = 0.5
) -> keras.losses.Loss:
    """A name of `LOSSES` and the training data's positives → the loss to compile with.

    Args:
        name: Key of `LOSSES`.
        positives: (5,) positives a subtype in the training split; LDAM's margins come from them.
        gamma: Of the focal loss.
        max_margin: Of LDAM.

    Returns:
        A `keras.losses.Loss`.

    Raises:
        UnknownName: No such loss; lists the choices.

    Example:
        >>> build_loss("ldam", positives=[16, 1, 1, 1, 1]).margins
        [0.25, 0.5, 0.5, 0.5, 0.5]
    """
    if name == "bce":
        return Bce()
    if name == "focal":
        return Focal(gamma=gamma)
    if name == "ldam":
        counts = np.asarray(positives)
        if counts.shape != (len(NAMES),):
            raise UsageError("positives", found=counts.shape, expected=(len(NAMES),))
        return Ldam(margins=ldam_margins(counts, max_margin=max_margin))
    raise UnknownName("loss", name, list(LOSSES))


def _pair(labels: Any, logits: Any) -> tuple[Any, Any]:
    """Labels and logits of any array kind → two float tensors of one shape."""
    z = ops.convert_to_tensor(logits)
    if not keras.backend.is_float_dtype(z.dtype):
        z = ops.cast(z, keras.config.floatx())
    y = ops.cast(ops.convert_to_tensor(labels), z.dtype)
    known = all(None not in tuple(t.shape) for t in (y, z))
    if len(y.shape) != len(z.shape) or (known and tuple(y.shape) != tuple(z.shape)):
        # Broadcasting (batch,) labels over (batch, 5) logits would train on nonsense.
        raise UsageError("labels do not fit the logits", found=tuple(y.shape), expected=z.shape)
    return y, z
