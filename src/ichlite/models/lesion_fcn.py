"""Build LightFCN with a lesion map, which shows each subtype's blood on a 32x32 grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras

from ichlite.errors import UsageError
from ichlite.labels import NAMES
from ichlite.models.blocks import windows_input
from ichlite.models.light_fcn import light_body
from ichlite.models.outputs import LESION_MAP, LOGITS, MAP_GAIN, POOLED_LOGITS

MAP_BLOCK = 3
"""Block, from 1, whose output before pooling the map reads: an eighth of the input's side."""
CELL_PIXELS = 2**MAP_BLOCK
"""Side of a map cell in pixels of the input."""
RARE = -4.0
"""Initial bias of the map's logits, so low that no cell claims blood before training."""


def lesion_fcn(
    *,
    expansions: Sequence[int] = (32, 64, 128, 256, 512),
    width: int = 32,
    head_width: int = 64,
    dropout: float = 0.1,
    bn_momentum: float = 0.99,
    size: int | None = 256,
) -> keras.Model:
    """Build LightFCN's layers, and 1x1 heads on fine and deep features which sum to a lesion map.

    The slice logit of a subtype is that of LightFCN plus a learned gain, at least 0, times the
    largest logit in the subtype's map: what the map claims anywhere, the slice claims.

    Args:
        expansions: Channels inside each block, three or more; one block and one halving an entry.
        width: Channels between blocks (the linear bottleneck).
        head_width: Channels of the last feature map.
        dropout: Share of pooled features dropped in training.
        bn_momentum: Momentum of batch normalisation's running statistics.
        size: Side of the input in pixels; None takes any multiple of the last feature's side.

    Returns:
        A model from windows in [0, 1], (batch, size, size, 3), to `logits` (batch, 5) and
        `lesion_map` (batch, size / 8, size / 8, 5), logits of blood in each cell.

    Raises:
        UsageError: Fewer than three blocks.

    Example:
        >>> model = lesion_fcn()
        >>> model.count_params(), model.output["lesion_map"].shape
        (87343, (None, 32, 32, 5))
    """
    if len(expansions) < MAP_BLOCK:
        raise UsageError(
            "lesion_fcn has too few blocks", found=len(expansions), expected=f"{MAP_BLOCK} or more"
        )
    image = windows_input(size)
    *blocks, features = light_body(
        image, expansions=expansions, width=width, head_width=head_width, momentum=bn_momentum
    )
    fine = _map_head("map_fine", bias_initializer=keras.initializers.Constant(RARE))(
        blocks[MAP_BLOCK - 1]
    )
    deep = _map_head("map_deep", use_bias=False)(features)
    deep = keras.layers.UpSampling2D(
        2 ** (len(expansions) + 1 - MAP_BLOCK), interpolation="bilinear", name="map_enlarged"
    )(deep)
    lesion_map = keras.layers.Add(name=LESION_MAP)([fine, deep])
    strongest = keras.layers.GlobalMaxPooling2D(name="map_strongest")(lesion_map)
    pooled = keras.layers.GlobalAveragePooling2D(name="pool")(features)
    pooled = keras.layers.Dropout(dropout, name="dropout")(pooled)
    pooled = keras.layers.Dense(len(NAMES), name=POOLED_LOGITS)(pooled)
    logits = keras.layers.Add(name=LOGITS)([pooled, subtype_gain()(strongest)])
    return keras.Model(image, {LOGITS: logits, LESION_MAP: lesion_map}, name="lesion_fcn")


def _map_head(name: str, **options: Any) -> keras.layers.Conv2D:
    # Small, so that the bias decides at first: streams are linear, and may be large.
    small = keras.initializers.RandomNormal(stddev=0.01)
    return keras.layers.Conv2D(len(NAMES), 1, kernel_initializer=small, name=name, **options)


def subtype_gain() -> keras.layers.EinsumDense:
    """Return a layer that multiplies each subtype's logit by a learned gain, at least 0.

    Example:
        >>> import numpy as np
        >>> subtype_gain()(np.array([[-4, 2, 0, 1, 3]])).numpy().tolist()
        [[-4.0, 2.0, 0.0, 1.0, 3.0]]
    """
    return keras.layers.EinsumDense(
        "ij,j->ij",
        len(NAMES),
        kernel_initializer="ones",
        kernel_constraint="non_neg",
        name=MAP_GAIN,
    )
