"""Estimate how much each channel of a group says to the layers that read it.

No data is needed. After batch normalisation a channel has, over the training data, the mean `beta`
and the standard deviation `gamma`; taken as normal, its mean square is known, before a rectifier
and after it.
"""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.compress.channels import CARRIERS, Group
from ichlite.compress.fold import parents_of

CRITERION = "expected energy that a channel adds to what reads it"


def strengths(group: Group) -> NDArray[np.float64]:
    """Channels → the share of each in its readers' energy, (channels,), summed over the readers.

    A channel's energy in a reader's output is the expected mean square of the channel there times
    the squared length of the reader's weights for it; a reader's shares sum to 1.
    """
    total = np.zeros(group.width)
    for reader in group.readers:
        kernel = np.asarray(reader.kernel, np.float64)
        # Convolutions hold (row, column, in, out), dense layers (in, out).
        lengths = np.square(kernel).sum(axis=tuple(set(range(kernel.ndim)) - {kernel.ndim - 2}))
        energy = lengths * energy_of(parents_of(reader)[0].operation)
        total += energy / max(float(energy.sum()), np.finfo(np.float64).tiny)
    return total


def energy_of(layer: Any) -> NDArray[np.float64] | float:
    """A layer → the expected mean square of each channel of its output; not known: 1.

    Of a sum, that of its parts together, as if they were independent; pools and paddings are taken
    to change nothing.
    """
    if isinstance(layer, keras.layers.Add):
        return sum(energy_of(node.operation) for node in parents_of(layer))
    if isinstance(layer, keras.layers.BatchNormalization):
        mean, sigma = _normal(layer)
        return np.asarray(np.square(mean) + np.square(sigma))
    if isinstance(layer, keras.layers.DepthwiseConv2D) or not isinstance(layer, CARRIERS):
        return 1.0
    before = parents_of(layer)[0].operation
    if isinstance(layer, keras.layers.ReLU) and isinstance(before, keras.layers.BatchNormalization):
        return rectified_energy(*_normal(before))
    return energy_of(before)


def rectified_energy(mean: NDArray[np.float64], sigma: NDArray[np.float64]) -> NDArray[np.float64]:
    """Mean and standard deviation of normal variables → mean square of their positive parts.

    Example:
        >>> rectified_energy(np.array([0.0, 2.0]), np.array([1.0, 0.0])).tolist()
        [0.5, 4.0]
    """
    safe = np.maximum(sigma, 1e-12)
    z = mean / safe
    below = np.array([0.5 * math.erfc(-one / math.sqrt(2.0)) for one in z])
    density = np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
    return np.asarray((np.square(mean) + np.square(sigma)) * below + mean * sigma * density)


def _normal(norm: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Batch normalisation → mean and standard deviation of each channel after it."""
    beta, gamma = (np.asarray(one, np.float64) for one in (norm.beta, norm.gamma))
    return beta, np.abs(gamma)
