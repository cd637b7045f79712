"""Remove whole channels of a trained model.

What is removed is removed from every layer that makes, carries or reads it (`channels.py`), so that
work, size and time fall with it.

The channels that go are those that say least to the layers that read them. No data is needed to
tell. After batch normalisation a channel has, over the training data, the mean `beta` and the
standard deviation `gamma`; taken as normal, its mean square is known, before a rectifier and after
it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ichlite.compress.channels import CARRIERS, Group, expansions, streams
from ichlite.compress.fold import parents_of
from ichlite.compress.settings import check_shares
from ichlite.errors import InputError, UsageError

MULTIPLE = 8
"""Channels are kept in multiples of this, since LiteRT's kernels process that many at a time."""
CRITERION = "expected energy that a channel adds to what reads it"


def prune_channels(
    model: keras.Model,
    keep: Sequence[float] | None = None,
    keep_width: float | None = None,
) -> keras.Model:
    """Remove the weakest channels inside a model's blocks, between them, or both.

    Early blocks, whose maps are large, take most of the time; late ones hold most of the weights.
    The channels between the blocks are read and written by all of them.

    Args:
        model: Functional, with expansion blocks: LightFCN, SFCN_depthwise, MobileNetV2; for
            `keep_width` with residual streams: LightFCN, MobileNetV2.
        keep: Share of inner channels, one for all blocks or one for each, stem to head: above 0, at
            most 1; rounded up to whole groups of 8. None: all of them.
        keep_width: Share of the channels between blocks, the same way. None: all of them.

    Returns:
        A new, narrower model with the same layers, which needs fine-tuning.

    Raises:
        UsageError: A share is out of range, or there is neither one share nor one for each block.
        InputError: The model has no channels of that kind to remove.
    """
    shares = check_shares(keep, keep_width)
    kept = []
    if keep:
        blocks = expansions(model)
        if not blocks:
            raise InputError(
                f"{model.name} has no expansion channels to remove",
                expected="1x1, depthwise and 1x1 convolutions in a row; only sfcn has none",
            )
        if len(keep) not in (1, len(blocks)):
            raise UsageError(
                "the number of shares of channels to keep does not fit the model",
                found=f"{len(keep)} of them",
                expected=f"one, or {len(blocks)}: one for each block of {model.name}",
            )
        each = keep if len(keep) > 1 else list(keep) * len(blocks)
        kept += [(one, _strongest(one, share)) for one, share in zip(blocks, each, strict=True)]
    if keep_width is not None:
        between = streams(model)
        if not between:
            raise InputError(
                f"{model.name} has no residual stream to narrow",
                expected="blocks that add to what they read: light_fcn, mobilenet_v2",
            )
        kept += [(one, _strongest(one, keep_width)) for one in between]
    if all(len(stay) == group.width for group, stay in kept):
        raise UsageError(
            "shares of channels to keep take no channel away",
            found=", ".join(f"{share:g}" for share in shares),
            expected=f"less, because channels are kept in groups of {MULTIPLE}",
        )
    return _narrowed(model, kept)


def _narrowed(model: keras.Model, kept: Sequence[tuple[Group, NDArray[np.int64]]]) -> keras.Model:
    """Return the model with those channels of each group that stay."""
    filters = {maker.name: len(stay) for group, stay in kept for maker in group.makers}

    def make(layer: Any) -> Any:
        """Return the layer that takes the place of one."""
        config = layer.get_config()
        if layer.name in filters:
            config["filters"] = filters[layer.name]
        return layer.__class__.from_config(config)

    narrow = keras.models.clone_model(model, clone_function=make)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    for group, stay in kept:
        for maker in group.makers:
            weights[maker.name] = [np.take(one, stay, axis=-1) for one in weights[maker.name]]
        for carrier in group.carriers:
            # A depthwise kernel is (row, column, channel, 1); everything else is a number each.
            weights[carrier.name] = [
                np.take(one, stay, axis=0 if one.ndim == 1 else 2) for one in weights[carrier.name]
            ]
        for reader in group.readers:
            kernel, *bias = weights[reader.name]
            weights[reader.name] = [np.take(kernel, stay, axis=kernel.ndim - 2), *bias]
    for layer in narrow.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])
    return narrow


def _strongest(group: Group, keep: float) -> NDArray[np.int64]:
    """Return which channels of a group stay, in order."""
    count = min(group.width, math.ceil(keep * group.width / MULTIPLE) * MULTIPLE)
    return np.sort(np.argsort(-strengths(group), kind="stable")[:count])


def strengths(group: Group) -> NDArray[np.float64]:
    """Return the importance of each channel of a group to the layers that read it: (channel,).

    A channel's energy in a reader's output is the expected mean square of the channel there times
    the squared length of the reader's weights for it; a reader's shares sum to 1.

    Args:
        group: Layers that share the channels.
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
    """Return the expected mean square of each channel of a layer's output; 1 where unknown.

    The parts of a sum are taken as independent; pools and paddings are taken to change nothing.

    Args:
        layer: Layer of a functional model.

    Returns:
        (channel,) float64, or one number for all channels.
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
    """Return the mean square of rectified normal variables, E[max(x, 0)^2].

    Args:
        mean: (channel,) means.
        sigma: (channel,) standard deviation, at least 0.

    Returns:
        (channel,) float64.

    Example:
        >>> rectified_energy(np.array([0.0, 2.0]), np.array([1.0, 0.0])).tolist()
        [0.5, 4.0]
    """
    safe = np.maximum(sigma, 1e-12)
    z = mean / safe
    below = ndtr(z)
    density = np.exp(-0.5 * np.square(z)) / math.sqrt(2.0 * math.pi)
    return np.asarray((np.square(mean) + np.square(sigma)) * below + mean * sigma * density)


def _normal(norm: Any) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return mean and standard deviation of each channel after batch normalisation."""
    beta, gamma = (np.asarray(one, np.float64) for one in (norm.beta, norm.gamma))
    return beta, np.abs(gamma)
