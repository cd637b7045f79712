"""A trained model and the share to keep in, a narrower model out: whole expansion channels gone.

An expansion block widens by a 1x1 convolution, filters each channel by itself, and projects back
by another. A channel between the two 1x1 convolutions touches nothing else, so it can be taken out
with its weights on both sides, and work, size and time fall with it. The same holds between any two
1x1 convolutions with a depthwise one between, as in SFCN_depthwise.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.compress.fold import readers_of
from ichlite.errors import InputError, UsageError

MULTIPLE = 8
"""Channels are kept in such groups: the kernels of LiteRT work on so many at a time."""
CRITERION = "expected energy that a channel adds to its block's output"

_CHANNELWISE = (
    keras.layers.BatchNormalization,
    keras.layers.ReLU,
    keras.layers.ZeroPadding2D,
    keras.layers.MaxPooling2D,
)


@dataclass(frozen=True, slots=True)
class Block:
    """The layers of one expansion block that see its inner channels.

    Attributes:
        expand: 1x1 convolution that makes them.
        between: What works on each by itself, in order: normalisations, the depthwise convolution.
        project: 1x1 convolution that reads them.
    """

    expand: Any
    between: tuple[Any, ...]
    project: Any


def expansion_blocks(model: keras.Model) -> tuple[Block, ...]:
    """Functional model → its expansion blocks, in order; of none, no blocks."""
    blocks = []
    for layer in model.layers:
        if not _is_pointwise(layer):
            continue
        between = []
        readers = readers_of(model, layer)
        while len(readers) == 1 and isinstance(
            readers[0], (*_CHANNELWISE, keras.layers.DepthwiseConv2D)
        ):
            between.append(readers[0])
            readers = readers_of(model, readers[0])
        filters = [one for one in between if isinstance(one, keras.layers.DepthwiseConv2D)]
        if len(filters) == 1 and len(readers) == 1 and _is_pointwise(readers[0]):
            blocks.append(Block(layer, tuple(between), readers[0]))
    return tuple(blocks)


def prune_channels(model: keras.Model, keep: Sequence[float]) -> keras.Model:
    """Keep the strongest share of each block's inner channels, and remove the others.

    Early blocks, whose maps are large, take most of the time; late ones hold most of the weights.

    A channel's strength is the energy that it is expected to add to the block's output: the mean
    square of a rectified normal variable with the scale and shift of the batch normalisation before
    the projection, times the squared length of the projection's weights. No data is needed.

    Args:
        model: Functional, with expansion blocks: LightFCN, SFCN_depthwise, MobileNetV2.
        keep: Share of inner channels, one for all blocks or one for each, stem to head: above 0, at
            most 1; rounded up to whole groups of 8.

    Returns:
        A new model of the same layers, narrower inside; to be fine-tuned.

    Raises:
        UsageError: A share out of range, or a count of shares that is neither.
        InputError: The model has no expansion blocks.
    """
    if not keep or not all(0 < share <= 1 for share in keep) or min(keep) == 1:
        raise UsageError(
            "shares of channels to keep",
            found=", ".join(map(str, keep)),
            expected="above 0, at most 1, and not all of them 1",
        )
    blocks = expansion_blocks(model)
    if not blocks:
        raise InputError(
            f"{model.name} has no expansion channels to remove",
            expected="1x1, depthwise and 1x1 convolutions in a row: light_fcn, mobilenet_v2",
        )
    if len(keep) not in (1, len(blocks)):
        raise UsageError(
            "shares of channels to keep",
            found=f"{len(keep)} of them",
            expected=f"one, or {len(blocks)}: one a block of {model.name}",
        )
    shares = keep if len(keep) > 1 else list(keep) * len(blocks)
    kept = {
        block.expand.name: _strongest(block, share)
        for block, share in zip(blocks, shares, strict=True)
    }

    def make(layer: Any) -> Any:
        config = layer.get_config()
        if layer.name in kept:
            config["filters"] = len(kept[layer.name])
        return layer.__class__.from_config(config)

    narrow = keras.models.clone_model(model, clone_function=make)
    weights = {layer.name: layer.get_weights() for layer in model.layers}
    for block in blocks:
        channels = kept[block.expand.name]
        for layer in (block.expand, *block.between):
            axis = -1 if layer is block.expand else 2
            weights[layer.name] = [
                np.take(one, channels, axis=0 if one.ndim == 1 else axis)
                for one in weights[layer.name]
            ]
        kernel, *bias = weights[block.project.name]
        weights[block.project.name] = [np.take(kernel, channels, axis=2), *bias]
    for layer in narrow.layers:
        if layer.weights:
            layer.set_weights(weights[layer.name])
    return narrow


def strengths(block: Block) -> NDArray[np.float64]:
    """Block → the expected energy of each inner channel in its output, (channels,)."""
    norms = [one for one in block.between if isinstance(one, keras.layers.BatchNormalization)]
    kernel = np.asarray(block.project.kernel, np.float64)[0, 0]
    lengths: NDArray[np.float64] = np.square(kernel).sum(axis=1)
    if not norms:
        return lengths
    gamma, beta = (np.asarray(one, np.float64) for one in (norms[-1].gamma, norms[-1].beta))
    energy: NDArray[np.float64] = lengths * rectified_energy(beta, np.abs(gamma))
    return energy


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


def _strongest(block: Block, keep: float) -> NDArray[np.int64]:
    energy = strengths(block)
    groups = math.ceil(keep * len(energy) / MULTIPLE)
    count = min(len(energy), groups * MULTIPLE)
    return np.sort(np.argsort(-energy, kind="stable")[:count])


def _is_pointwise(layer: Any) -> bool:
    return (
        isinstance(layer, keras.layers.Conv2D)
        and not isinstance(layer, keras.layers.DepthwiseConv2D)
        and tuple(layer.kernel_size) == (1, 1)
        and tuple(layer.strides) == (1, 1)
    )
