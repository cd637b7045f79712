"""Keep weights in the form of a compressed file while they are trained on.

A constraint is put on the kernels of a model whose batch normalisation is folded. It is set up
once, and applied after every step of fine-tuning.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.compress.fold import CONVOLUTIONS
from ichlite.compress.settings import Shrinking

RAMP = 0.6
"""Share of the training steps over which sparsity grows; in the rest it stays constant."""
FIXED = (-1.0, 0.0, 1.0)
"""Centroids that every layer has and that never move."""
_ITERATIONS = 25
_SAME = 1e-5
"""Values of a channel that are nearer than this are one: float32 keeps them only so far."""


class Constraint(Protocol):
    """Condition, such as sparsity, that weights are made to satisfy after every training step."""

    def apply(self, step: int, total: int) -> None:
        """Change the weights so that they satisfy the condition.

        Args:
            step: Number of the training step just taken, from 1.
            total: Training steps in all.
        """


def kernels_of(model: keras.Model) -> list[Any]:
    """Return the kernel variables of a model's convolutions and dense layer."""
    return [
        layer.kernel
        for layer in model.layers
        if isinstance(layer, (*CONVOLUTIONS, keras.layers.Dense))
    ]


def channel_axis(kernel: NDArray[Any]) -> tuple[int, ...]:
    """Return the axes of a kernel over which LiteRT shares one scale: all but the output channel.

    Depthwise kernels are (row, column, channel, 1), others (…, in, out).
    """
    depthwise = kernel.ndim == 4 and kernel.shape[-1] == 1 and kernel.shape[2] > 1
    return (0, 1, 3) if depthwise else tuple(range(kernel.ndim - 1))


class Sparsity:
    """Constraint that sets the smallest weights of each large kernel to zero, a growing share.

    The share grows as 1 - (1 - t)^3 (Zhu & Gupta 2017), so that most go early, while there is time
    to recover. Kernels of few weights, as most depthwise ones, stay dense: nothing is gained.

    Args:
        model: Model without batch normalisation (see `fold`).
        share: Final share of each kernel's weights that are zero, in [0, 1).
        smallest: Kernels with fewer weights than this stay dense.

    Raises:
        UsageError: A share out of range.
    """

    def __init__(self, model: keras.Model, share: float, *, smallest: int = 1024) -> None:
        Shrinking(sparsity=share)  # refuses what is out of range
        self.share = share
        self._kernels = [one for one in kernels_of(model) if np.prod(one.shape) >= smallest]

    def apply(self, step: int, total: int) -> None:
        """Set the smallest weights of each kernel to zero, as many as the step requires.

        Args:
            step: Number of the training step just taken, from 1.
            total: Training steps in all.
        """
        grown = min(1.0, step / max(1.0, RAMP * total))
        share = self.share * (1.0 - (1.0 - grown) ** 3)
        for kernel in self._kernels:
            values = np.asarray(kernel)
            count = round(share * values.size)
            if count:
                sizes = np.abs(values)
                limit = np.partition(sizes, count - 1, axis=None)[count - 1]
                kernel.assign(np.where(sizes <= limit, np.float32(0), values))


class Clusters:
    """Constraint that limits a layer's weights to few distinct values, times a channel's scale.

    A channel's weights are its scale times one of the layer's centroids in [-1, 1]. The centroids
    -1, 0 and 1 are always there: a channel's largest weight is at 1 or -1, so int8 quantization,
    which scales each channel by its largest weight, gives a layer no more integers than centroids;
    and a weight that was pruned stays zero.

    Args:
        model: Model without batch normalisation (see `fold`); its weights are assigned to centroids
            at once and keep them.
        count: Number of centroids of a layer, 4 to 64.

    Raises:
        UsageError: A count out of range.
    """

    def __init__(self, model: keras.Model, count: int) -> None:
        Shrinking(clusters=count)  # refuses what is out of range
        self.count = count
        self._layers = [_Shared(kernel, count) for kernel in kernels_of(model)]
        self.apply(0, 1)

    def apply(self, step: int, total: int) -> None:
        """Project each layer's weights to the nearest values that its centroids allow."""
        del step, total
        for layer in self._layers:
            layer.project()


class _Shared:
    """A kernel, the centroid that each weight has, and the centroids' values."""

    def __init__(self, kernel: Any, count: int) -> None:
        self.kernel = kernel
        values = np.asarray(kernel, np.float64)
        self.axes = channel_axis(values)
        scale = np.abs(values).max(axis=self.axes, keepdims=True)
        unit = values / np.where(scale > 0, scale, 1.0)
        self.centroids, self.place = cluster(unit, count)

    def project(self) -> None:
        """Move the centroids to their weights, and the weights to their centroids."""
        values = np.asarray(self.kernel, np.float64)
        unit = self.centroids[self.place]
        scale = _fit_scale(values, unit, self.axes)
        weight = np.broadcast_to(np.square(scale), values.shape).ravel()
        cross = (values * scale).ravel()
        size = len(self.centroids)
        bottom = np.bincount(self.place.ravel(), weight, size)
        top = np.bincount(self.place.ravel(), cross, size)
        moved = np.where(bottom > 0, top / np.where(bottom > 0, bottom, 1.0), self.centroids)
        fixed = np.isin(self.centroids, FIXED)
        # Never to the very ends: those two are what int8 takes a channel's scale from.
        self.centroids = np.where(fixed, self.centroids, np.clip(moved, -0.999, 0.999))
        unit = self.centroids[self.place]
        self.kernel.assign((unit * _fit_scale(values, unit, self.axes)).astype(np.float32))


def cluster(unit: NDArray[np.float64], count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Cluster values in [-1, 1] by Lloyd's iterations, starting from evenly spaced quantiles.

    Args:
        unit: Values in [-1, 1], of any shape.
        count: Largest number of centroids, at least 4.

    Returns:
        The centroids, ascending, with -1, 0 and 1, which do not move, among them; and for each
        value the index of its centroid.

    Example:
        >>> centroids, place = cluster(np.array([-1.0, 0.0, 0.31, 0.29, 1.0]), 4)
        >>> centroids[place].round(2).tolist()
        [-1.0, 0.0, 0.3, 0.3, 1.0]
    """
    flat = np.sort(unit.ravel())
    inner = flat[(flat != 0) & (np.abs(flat) < 1)]
    free = _distinct(inner)
    if len(free) > count - len(FIXED):
        free = np.quantile(inner, (np.arange(count - len(FIXED)) + 0.5) / (count - len(FIXED)))
    centroids = np.unique(np.concatenate([FIXED, free]))
    sums = np.concatenate([[0.0], np.cumsum(flat)])
    for _ in range(_ITERATIONS):
        edges = np.searchsorted(flat, (centroids[1:] + centroids[:-1]) / 2)
        bounds = np.concatenate([[0], edges, [flat.size]])
        sizes = np.diff(bounds)
        means = np.diff(sums[bounds]) / np.maximum(sizes, 1)
        fixed = np.isin(centroids, FIXED) | (sizes == 0)
        centroids = np.unique(np.where(fixed, centroids, means))
    place = np.searchsorted((centroids[1:] + centroids[:-1]) / 2, unit)
    return centroids, place


def _distinct(ascending: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return one of each run of sorted values that are the same."""
    new = np.diff(ascending, prepend=-np.inf) > _SAME
    return ascending[new]


def _fit_scale(
    values: NDArray[np.float64], unit: NDArray[np.float64], axes: tuple[int, ...]
) -> NDArray[np.float64]:
    """Return the scale of each channel that brings its centroids nearest to its weights, from 0."""
    energy = np.square(unit).sum(axis=axes, keepdims=True)
    fit = (values * unit).sum(axis=axes, keepdims=True) / np.where(energy > 0, energy, 1.0)
    return np.asarray(np.maximum(fit, 0.0))


def apply_all(constraints: Sequence[Constraint], step: int, total: int) -> None:
    """Apply each constraint in turn after a training step.

    Args:
        constraints: Constraints to apply.
        step: Number of the training step just taken, from 1.
        total: Training steps in all.
    """
    for constraint in constraints:
        constraint.apply(step, total)
