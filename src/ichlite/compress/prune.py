"""Remove whole channels of a trained model.

What is removed is removed from every layer that makes, carries or reads it (`channels.py`), so that
work, size and time fall with it. Which channels go, their strength says (`strength.py`).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.compress.channels import Group, expansions, streams
from ichlite.compress.strength import strengths
from ichlite.errors import InputError, UsageError

MULTIPLE = 8
"""Channels are kept in such groups: the kernels of LiteRT work on so many at a time."""


def prune_channels(
    model: keras.Model,
    keep: Sequence[float] | None = None,
    keep_width: float | None = None,
) -> keras.Model:
    """Keep the strongest share of the channels inside blocks, between them, or both.

    Early blocks, whose maps are large, take most of the time; late ones hold most of the weights.
    The channels between the blocks are read and written by all of them.

    Args:
        model: Functional, with expansion blocks: LightFCN, SFCN_depthwise, MobileNetV2; for
            `keep_width` with residual streams: LightFCN, MobileNetV2.
        keep: Share of inner channels, one for all blocks or one for each, stem to head: above 0, at
            most 1; rounded up to whole groups of 8. None: all of them.
        keep_width: Share of the channels between blocks, the same way. None: all of them.

    Returns:
        A new model of the same layers, narrower; to be fine-tuned.

    Raises:
        UsageError: A share out of range, or a count of shares that is neither.
        InputError: The model has no such channels.
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
                "shares of channels to keep",
                found=f"{len(keep)} of them",
                expected=f"one, or {len(blocks)}: one a block of {model.name}",
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


def check_shares(keep: Sequence[float] | None, keep_width: float | None) -> list[float]:
    """Shares of channels to keep, inside blocks and between → all of them.

    Raises:
        UsageError: None, one out of range, or all of them 1.
    """
    shares = [*(keep or ()), *([] if keep_width is None else [keep_width])]
    if not shares or not all(0 < share <= 1 for share in shares) or min(shares) == 1:
        raise UsageError(
            "shares of channels to keep",
            found=", ".join(f"{share:g}" for share in shares),
            expected="above 0, at most 1, and not all of them 1",
        )
    return shares


def _narrowed(model: keras.Model, kept: Sequence[tuple[Group, NDArray[np.int64]]]) -> keras.Model:
    """Groups and the channels of each that stay → the model without the others."""
    filters = {maker.name: len(stay) for group, stay in kept for maker in group.makers}

    def make(layer: Any) -> Any:
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
    count = min(group.width, math.ceil(keep * group.width / MULTIPLE) * MULTIPLE)
    return np.sort(np.argsort(-strengths(group), kind="stable")[:count])
