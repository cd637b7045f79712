"""Pack HU slices and maps into the bytes that a page carries, and its viewer unpacks.

A slice is stored without loss where blood, brain and soft tissue lie: one level a Hounsfield unit.
Air and bone have coarser levels, far finer than a screen shows them. What is stored is the
difference of each level from what its neighbours make likely (the median predictor of JPEG-LS), in
two planes of bytes, deflated: the viewer needs an inflater and no decoder of pictures, whose values
a browser may change.
"""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.hounsfield import HU_MIN

LEVELS: tuple[tuple[int, int, int], ...] = (
    (-1024, 124, 1),
    (-900, 10, 70),
    (-200, 1, 600),
    (400, 8, 334),
)
"""Quantisation of HU for the page: (lowest HU, HU per level, number of levels) of each range,
ascending and without gaps."""

_DEFLATE = (6, zlib.DEFLATED, 15, 9, zlib.Z_FILTERED)
"""Level 9 takes three times as long for 2 % fewer bytes."""


def _level_of_hu() -> NDArray[np.int16]:
    """Return the level of each HU from -1024 to 3071."""
    ranges = (np.arange(step * count) // step for _, step, count in LEVELS)
    firsts = np.cumsum([0, *(count for _, _, count in LEVELS)])
    return np.concatenate([first + one for first, one in zip(firsts, ranges, strict=False)]).astype(
        np.int16
    )


def pack_slice(hu: NDArray[np.int16]) -> bytes:
    """Compress a slice of HU for the page: quantise by `LEVELS`, predict, then deflate (zlib).

    Args:
        hu: (row, column) int16, HU in [-1024, 3071].

    Returns:
        The zlib stream of the low and then the high bytes of the differences.
    """
    levels = _LEVEL_OF_HU[hu - np.int16(HU_MIN)]
    around = np.pad(levels, ((1, 0), (1, 0)))
    left, above, corner = around[1:, :-1], around[:-1, 1:], around[:-1, :-1]
    low, high = np.minimum(left, above), np.maximum(left, above)
    difference = levels - np.clip(left + above - corner, low, high)
    folded = (difference << 1) ^ (difference >> 15)  # small in either direction: a small number
    planes = np.stack([folded & 0xFF, folded >> 8]).astype(np.uint8)
    return _deflated(planes.tobytes())


def pack_maps(probabilities: NDArray[np.floating]) -> bytes:
    """Compress maps of probabilities for the page: one byte a value, deflated (zlib).

    Args:
        probabilities: Array of any shape in [0, 1]; 0.5 and more become bytes of 128 and more.
    """
    return _deflated(np.minimum(256 * probabilities, 255).astype(np.uint8).tobytes())


def _deflated(data: bytes) -> bytes:
    packer = zlib.compressobj(*_DEFLATE)
    return packer.compress(data) + packer.flush()


_LEVEL_OF_HU = _level_of_hu()
