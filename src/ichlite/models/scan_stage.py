"""Build scan stages: small networks over a scan's slices, after the network that looks at slices.

What they take of each slice is `slice_inputs`; what they give are refined slice logits and the
logits of the scan. Untrained, both are today's rule without its smoothing, on logits: a slice keeps
its own, the scan has the mean of its three highest. Training moves them away from there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, get_args

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.errors import InputError, check_name
from ichlite.infer.decision import TOP_SLICES
from ichlite.labels import NAMES
from ichlite.models.blocks import standardised
from ichlite.models.features import SliceFeatures

SliceInputs = Literal["logits", "features"]

SLICES, MASK, SLICE_LOGITS, SCAN_LOGITS = "slices", "mask", "slice_logits", "scan_logits"

USUAL_SPACING_MM = 5.0
LEAST_SPACING_MM = 0.1
"""Least distance assumed between slices, so that the logarithm of equal positions is finite."""
GAP = 1.5
"""A distance above this many median spacings counts as a gap between slices."""
GEOMETRY = 5
"""Number of columns that `slice_geometry` returns."""

_ABSENT = -1e9


def slice_geometry(position_mm: NDArray[np.floating[Any]]) -> NDArray[np.float32]:
    """Describe the position and spacing of the slices of one scan as model input.

    Args:
        position_mm: (slice,) positions in mm, ascending; if any is NaN, even spacing is assumed.

    Returns:
        (slice, 5) float32: position from -1 (the lowest slice) to 1; logarithms of the distances to
        the slices below and above, in units of 5 mm; 1 where a gap or the end of the scan lies
        below, and where one lies above. A gap is a distance above 1.5 times the median spacing;
        beyond an end of the scan the median is used as the distance.

    Example:
        >>> slice_geometry(np.array([0.0, 5.0, 10.0, 25.0]))[2].round(1)
        array([-0.2,  0. ,  1.1,  0. ,  1. ], dtype=float32)
    """
    count = len(position_mm)
    unknown = bool(np.isnan(position_mm).any())
    place = USUAL_SPACING_MM * np.arange(count) if unknown else position_mm.astype(np.float64)
    steps = np.maximum(np.diff(place), LEAST_SPACING_MM)
    usual = float(np.median(steps)) if count > 1 else USUAL_SPACING_MM
    span = float(place[-1] - place[0]) or 1.0
    below, above = np.r_[usual, steps], np.r_[steps, usual]
    gap_below, gap_above = below > GAP * usual, above > GAP * usual
    gap_below[0] = gap_above[-1] = True
    columns = (
        2 * (place - place[0]) / span - 1,
        np.log(below / USUAL_SPACING_MM),
        np.log(above / USUAL_SPACING_MM),
        gap_below,
        gap_above,
    )
    return np.column_stack(columns).astype(np.float32)


def slice_inputs(table: SliceFeatures, scan: NDArray[np.int64], use: SliceInputs) -> NDArray[Any]:
    """Return the input of a scan stage for each slice of a scan.

    Args:
        table: Features of the slices.
        scan: (slice,) row numbers of the scan, by position.
        use: `logits`: logits, maxima of the lesion map and geometry; `features`: pooled features
            too.

    Returns:
        (slice, channel) float32, the five logits first.

    Raises:
        UnknownName: `use` is neither.
    """
    check_name("inputs of a scan stage", use, get_args(SliceInputs))
    columns = [table.logits[scan], table.map_maxima[scan], slice_geometry(table.position_mm[scan])]
    if use == "features":
        columns.append(table.features[scan])
    return np.concatenate(columns, axis=1)


def scan_stage(
    kind: str, mean: NDArray[np.floating[Any]], spread: NDArray[np.floating[Any]], *,
    width: int = 32, dropout: float = 0.2,
) -> keras.Model:  # fmt: skip
    """Return an untrained scan stage, a network over the slices of a scan.

    Args:
        kind: `temporal_conv`, `gru`, or `no_neighbours` to compare them with.
        mean: (channel,) mean of each input over the training slices.
        spread: (channel,) standard deviation of each input over the training slices.
        width: Channels of its hidden layers.
        dropout: Share of the first hidden layer that is dropped in training.

    Returns:
        A model from `slices` (scan, slice, channel) and `mask` (scan, slice, 1), 1 for a slice and
        0 for padding, to `slice_logits` (scan, slice, 5) and `scan_logits` (scan, 6), any
        haemorrhage first. The number of slices, with padding, is 3 or more.

    Raises:
        UnknownName: No such kind.
        InputError: Fewer channels than logits.

    Example:
        >>> [scan_stage(k, np.zeros(79), np.ones(79)).count_params() for k in STAGES]
        [4171, 9323, 7915]
    """
    check_name("scan stage", kind, STAGES)
    if len(mean) < len(NAMES):
        raise InputError(
            "a scan stage has too few inputs", found=len(mean), expected=f"{len(NAMES)} or more"
        )
    slices = keras.Input((None, len(mean)), name=SLICES)
    mask = keras.Input((None, 1), name=MASK)
    x = standardised(slices, mean, spread)
    x = keras.layers.Dense(width, activation="relu", name="mixed")(x)
    x = keras.layers.SpatialDropout1D(dropout, name="dropout")(x) * mask
    x = STAGES[kind](x, mask, width)
    correction = keras.layers.Dense(len(NAMES), kernel_initializer="zeros", name="slice_change")(x)
    slice_logits = keras.layers.Add(name=SLICE_LOGITS)([slices[..., : len(NAMES)], correction])
    pooled = keras.ops.concatenate([
        keras.ops.sum(x * mask, axis=1) / keras.ops.sum(mask, axis=1),
        keras.ops.max(_only(x, mask), axis=1),
    ], axis=-1)  # fmt: skip
    change = keras.layers.Dense(1 + len(NAMES), kernel_initializer="zeros", name="scan_change")
    scan_logits = keras.layers.Add(name=SCAN_LOGITS)(
        [_mean_of_highest(slice_logits, mask), change(pooled)]
    )
    outputs = {SLICE_LOGITS: slice_logits, SCAN_LOGITS: scan_logits}
    return keras.Model({SLICES: slices, MASK: mask}, outputs, name=kind)


def _mean_of_highest(logits: Any, mask: Any) -> Any:
    """Return the mean logit of the three highest slices of each class, any bleed first."""
    table = keras.ops.concatenate([keras.ops.max(logits, axis=-1, keepdims=True), logits], axis=-1)
    table = keras.ops.transpose(_only(table, mask), (0, 2, 1))
    highest, _ = keras.ops.top_k(table, TOP_SLICES)
    there = keras.ops.cast(highest > _ABSENT / 2, "float32")
    return keras.ops.sum(highest * there, axis=-1) / keras.ops.sum(there, axis=-1)


def _only(x: Any, mask: Any) -> Any:
    """Set what fills up a scan below everything else in (scan, slice, channel).

    Not by adding to it: Keras 3.15 on TensorFlow takes what it adds to a batch of one for a bias,
    along the wrong axis, where there are as many slices as channels.
    """
    return keras.ops.where(mask > 0, x, _ABSENT)


def _no_neighbours(x: Any, mask: Any, width: int) -> Any:
    """Apply a further layer to each slice by itself: what the others gain without neighbours."""
    return (x + keras.layers.Dense(width, activation="relu", name="further")(x)) * mask


def _temporal_conv(x: Any, mask: Any, width: int) -> Any:
    """Apply two residual convolutions, which together see three slices to either side."""
    for dilation in (1, 2):
        y = keras.layers.Conv1D(
            width, 3, padding="same", dilation_rate=dilation, activation="relu",
            name=f"around{dilation}",
        )(x)  # fmt: skip
        x = (x + y) * mask
    return x


def _gru(x: Any, mask: Any, width: int) -> Any:
    """Apply one gated recurrent layer each way."""
    layer = keras.layers.GRU(width // 2, return_sequences=True)
    both = keras.layers.Bidirectional(layer, name="both_ways")
    return (x + both(x, mask=keras.ops.squeeze(mask, -1) > 0)) * mask


STAGES: Mapping[str, Callable[[Any, Any, int], Any]] = {
    "no_neighbours": _no_neighbours,
    "temporal_conv": _temporal_conv,
    "gru": _gru,
}
