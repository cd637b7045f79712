"""Wrap the loss functions as `keras.losses.Loss`, to compile a model with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import keras
import numpy as np
from numpy.typing import ArrayLike

from ichlite.errors import UsageError
from ichlite.train.losses.class_balance import class_balanced, distribution_balanced
from ichlite.train.losses.cross_entropy import asymmetric, bce, focal
from ichlite.train.losses.margin import ldam
from ichlite.train.losses.tensors import check_counts, columns


class _OfFunction(keras.losses.Loss):  # type: ignore[misc]
    """A function of labels and logits as a Keras loss, its options kept as attributes."""

    function: ClassVar[Callable[..., Any]]
    options: ClassVar[tuple[str, ...]] = ()

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,) of labels and logits (batch, 5)."""
        return type(self).function(y_true, y_pred, **self._chosen())

    def get_config(self) -> dict[str, Any]:
        """Return what builds this loss again."""
        return {**super().get_config(), **self._chosen()}

    def _chosen(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in self.options}


@keras.saving.register_keras_serializable(package="ichlite")
class Bce(_OfFunction):
    """Binary cross-entropy, as a Keras loss to compile a model with; see `bce`.

    Example:
        >>> round(float(Bce()([[1, 0]], [[0.0, 0.0]])), 4)
        0.6931
    """

    function = staticmethod(bce)

    def __init__(self, name: str = "bce", **keras_options: Any) -> None:
        super().__init__(name=name, **keras_options)


@keras.saving.register_keras_serializable(package="ichlite")
class Focal(_OfFunction):
    """Focal loss, as a Keras loss to compile a model with; see `focal`.

    Args:
        gamma: At least 0; 0 is cross-entropy.
        alpha: Weight of positives, for all subtypes or one each; None weighs both classes 1.
        name: Name of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(Focal(gamma=2.0)([[1]], [[0.0]])), 4)
        0.1733
    """

    function = staticmethod(focal)
    options = ("gamma", "alpha")

    def __init__(
        self,
        gamma: float = 2.0,
        alpha: float | Sequence[float] | None = None,
        name: str = "focal",
        **keras_options: Any,
    ) -> None:
        if not 0 <= gamma < math.inf:
            raise UsageError("focal loss", found=f"gamma {gamma}", expected="at least 0")
        super().__init__(name=name, **keras_options)
        self.gamma = gamma
        self.alpha = alpha


@keras.saving.register_keras_serializable(package="ichlite")
class Ldam(_OfFunction):
    """Multi-label LDAM loss, as a Keras loss to compile a model with; see `ldam`.

    Args:
        margins: (5,), in logits; see `ldam_margins`.
        weights: (2, 5), of negatives and of positives; None weighs all 1.
        name: Name of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(Ldam(margins=[0.5])([[1]], [[0.5]])), 4)
        0.6931
    """

    function = staticmethod(ldam)
    options = ("margins", "weights")

    def __init__(
        self,
        margins: ArrayLike,
        weights: ArrayLike | None = None,
        name: str = "ldam",
        **keras_options: Any,
    ) -> None:
        super().__init__(name=name, **keras_options)
        self.margins = _at_least_0("LDAM margins", margins)
        self.weights = None if weights is None else _at_least_0("LDAM weights", weights)


@keras.saving.register_keras_serializable(package="ichlite")
class ClassBalanced(_OfFunction):
    """Class-balanced cross-entropy, as a Keras loss to compile a model with; see `class_balanced`.

    Args:
        weights: (2, 5), of negatives and of positives; see `class_balanced_weights`.
        name: Name of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(ClassBalanced(weights=[[0.5], [1.5]])([[1]], [[0.0]])), 4)
        1.0397
    """

    function = staticmethod(class_balanced)
    options = ("weights",)

    def __init__(
        self, weights: ArrayLike, name: str = "class_balanced", **keras_options: Any
    ) -> None:
        super().__init__(name=name, **keras_options)
        self.weights = _at_least_0("class-balanced weights", weights)


@keras.saving.register_keras_serializable(package="ichlite")
class Asymmetric(_OfFunction):
    """Asymmetric loss, as a Keras loss to compile a model with; see `asymmetric`.

    Args:
        gamma_positive: Focusing of positives, at least 0.
        gamma_negative: Focusing of negatives, at least 0.
        clip: Probability below which negatives are dropped, in [0, 1).
        name: Name of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(Asymmetric()([[1]], [[0.0]])), 4)
        0.6931
    """

    function = staticmethod(asymmetric)
    options = ("gamma_positive", "gamma_negative", "clip")

    def __init__(
        self,
        gamma_positive: float = 0.0,
        gamma_negative: float = 4.0,
        clip: float = 0.05,
        name: str = "asymmetric",
        **keras_options: Any,
    ) -> None:
        _at_least_0("gammas of the asymmetric loss", [gamma_positive, gamma_negative])
        if not 0 <= clip < 1:
            raise UsageError(
                "clip of the asymmetric loss", found=clip, expected="at least 0 and below 1"
            )
        super().__init__(name=name, **keras_options)
        self.gamma_positive = gamma_positive
        self.gamma_negative = gamma_negative
        self.clip = clip


@keras.saving.register_keras_serializable(package="ichlite")
class DistributionBalanced(keras.losses.Loss):  # type: ignore[misc]
    """Distribution-balanced loss, as a Keras loss to compile with; see `distribution_balanced`.

    Args:
        positives: (5,) images of the training data with each subtype.
        images: Images of the training data.
        options: alpha, beta, mu, lambda_, kappa and gamma of `distribution_balanced`, where they
            are not its defaults.
        name: Name of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(DistributionBalanced(positives=[2], images=4)([[1]], [[0.0]])), 4)
        0.7622
    """

    def __init__(
        self,
        positives: ArrayLike,
        images: int,
        options: Mapping[str, float] | None = None,
        name: str = "distribution_balanced",
        **keras_options: Any,
    ) -> None:
        super().__init__(name=name, **keras_options)
        self.positives = check_counts(name, positives, images).tolist()
        self.images = int(images)
        self.options = dict(options or {})

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,) of labels and logits (batch, 5)."""
        return distribution_balanced(
            y_true, y_pred, positives=self.positives, images=self.images, **self.options
        )

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which Keras can rebuild this loss."""
        own = {"positives": self.positives, "images": self.images, "options": self.options}
        return {**super().get_config(), **own}


@keras.saving.register_keras_serializable(package="ichlite")
class KeptSubtypes(keras.losses.Loss):  # type: ignore[misc]
    """Loss that applies another loss to some of the subtypes and ignores the rest.

    Args:
        loss: Loss to apply, or its Keras configuration.
        kept: Columns of the subtypes that contribute.
        name: Name of the loss.
        keras_options: `reduction` and `dtype` of `keras.losses.Loss`.

    Example:
        >>> round(float(KeptSubtypes(Bce(), [1])([[1, 0]], [[-9.0, 0.0]])), 4)
        0.6931
    """

    def __init__(
        self,
        loss: keras.losses.Loss | Mapping[str, Any],
        kept: Sequence[int],
        name: str = "kept_subtypes",
        **keras_options: Any,
    ) -> None:
        super().__init__(name=name, **keras_options)
        self.loss = keras.losses.deserialize(loss) if isinstance(loss, Mapping) else loss
        self.kept = [int(column) for column in kept]

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return the loss (batch,) of labels and logits (batch, 5), from the kept subtypes only."""
        return self.loss.call(columns(y_true, self.kept), columns(y_pred, self.kept))

    def get_config(self) -> dict[str, Any]:
        """Return the configuration from which Keras can rebuild this loss."""
        loss = keras.losses.serialize(self.loss)
        return {**super().get_config(), "loss": loss, "kept": self.kept}


def _at_least_0(name: str, values: ArrayLike) -> Any:
    """Return numbers as lists, which a Keras file can hold."""
    numbers = np.asarray(values, dtype=np.float64)
    if not np.all(np.isfinite(numbers) & (numbers >= 0)):
        raise UsageError(name, found=numbers.tolist(), expected="at least 0")
    return numbers.tolist()
