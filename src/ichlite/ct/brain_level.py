"""Find the brain inside the skull on a slice, and bring a scan's brain to a fixed HU level.

A brain is tissue of -10 to 90 HU from which, in all four directions of the slice, bone comes
before air. That holds in a head and hardly anywhere else: chest and belly have air or fat, a
plastic head has nothing in its skull, water phantoms have no skull.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.hounsfield import HU_MAX, HU_MIN
from ichlite.records import SliceHeader

BLOCK = 4
BONE_HU = 250
AIR_HU = -300
_SOLID_BELOW_HU = 150
BRAIN_HU = (-10, 90)
_MIN_BRAIN_CM2 = 30.0
_MIN_BRAIN_SHARE = 0.85
_PIXEL_WHEN_UNKNOWN_MM = 0.49
LEVEL_BLOCKS = 300
"""Blocks of 4x4 pixels that must be brain for a slice to count for the brain level; about 40 cm²
of a head of usual size."""
_STEP_TO_SPREAD = np.pi**0.5 / 2
"""From the mean absolute difference of two pixels to the standard deviation of one."""


@dataclass(frozen=True, slots=True)
class Brain:
    """The brain inside the skull on one slice: its area, and sums for its mean and spread in HU.

    Attributes:
        area_cm2: Area of the brain.
        pixels: Number of coarse pixels (means of 4x4 pixels of the 256x256 grid) that are brain.
        sum_hu: Sum of their HU.
        sum_hu2: Sum of the squares of their HU.
    """

    area_cm2: float
    pixels: int
    sum_hu: float
    sum_hu2: float


def measure_brains(hu: NDArray[np.int16], pixel_mm: float) -> list[Brain | None]:
    """Measure the area and HU of the brain inside the skull on each slice of a scan.

    All slices at once, because most of the time of one is spent on starting numpy's loops.

    Args:
        hu: (slice, 256, 256) int16, HU in [-1024, 3071].
        pixel_mm: Side of a pixel of that grid, in mm.

    Returns:
        One entry for each slice; None where the slice shows less than 30 cm² of brain, or where
        too much of what bone encloses has other HU than brain.

    Example:
        >>> measure_brains(np.full((2, 256, 256), 30, np.int16), 0.9)
        [None, None]
    """
    coarse = _coarse_means(hu)
    inside = _enclosed_by_bone(coarse)
    inside &= coarse < _SOLID_BELOW_HU
    return [_brain(*pair, pixel_mm) for pair in zip(coarse, inside, strict=True)]


def measure_brain(hu: NDArray[np.int16], pixel_mm: float) -> Brain | None:
    """Measure the area and HU of the brain inside the skull on one slice.

    Args:
        hu: (256, 256) int16, HU in [-1024, 3071].
        pixel_mm: Side of a pixel of that grid, in mm.

    Returns:
        The measures, or None where the slice shows too little brain (see `measure_brains`).
    """
    return measure_brains(hu[np.newaxis], pixel_mm)[0]


def brain_level_hu(hu: NDArray[np.int16]) -> float | None:
    """Return the median HU of the brain inside the skull, over all slices: the scan's brain level.

    Scanners, kernels and beam hardening shift the whole brain by several HU from one scan to the
    next; bleeds are told by their contrast to it.

    Args:
        hu: (slice, 256, 256) int16, HU in [-1024, 3071].

    Returns:
        The level in HU; None where no slice shows enough brain.

    Example:
        >>> brain_level_hu(np.full((2, 256, 256), 30, np.int16)) is None
        True
    """
    coarse = _coarse_means(hu)
    low, high = BRAIN_HU
    brain = _enclosed_by_bone(coarse) & (coarse >= low) & (coarse <= high)
    enough = brain.sum(axis=(1, 2)) >= LEVEL_BLOCKS
    values = coarse[enough][brain[enough]]
    return float(np.median(values)) if len(values) else None


def brain_noise_hu(hu: NDArray[np.int16]) -> float | None:
    """Return the noise of a scan: the standard deviation, in HU, estimated in its brain.

    It is estimated from the differences of neighbouring pixels, slice by slice; the median over
    the slices that show enough brain is returned, so that a bleed or metal counts little.

    Args:
        hu: (slice, 256, 256) int16, HU in [-1024, 3071].

    Returns:
        The standard deviation in HU; None where no slice shows enough brain.

    Example:
        >>> brain_noise_hu(np.full((2, 256, 256), 30, np.int16)) is None
        True
    """
    low, high = BRAIN_HU
    inside = _enclosed_by_bone(_coarse_means(hu))
    spreads = []
    for pixels, coarse in zip(hu, inside, strict=True):
        fine = np.kron(coarse, np.ones((BLOCK, BLOCK), np.bool_))
        brain = fine & (pixels >= low) & (pixels <= high)
        both = brain[:, 1:] & brain[:, :-1]
        if coarse.sum() >= LEVEL_BLOCKS and both.any():
            steps = np.abs(np.diff(pixels, axis=1)[both])
            spreads.append(float(steps.mean()) * _STEP_TO_SPREAD)
    return float(np.median(spreads)) if spreads else None


def at_level(hu: NDArray[np.int16], level_hu: float | None, wanted_hu: float) -> NDArray[np.int16]:
    """Shift slices by a whole number of HU so that their brain level becomes the wanted one.

    Args:
        hu: (..., row, column) int16, HU in [-1024, 3071].
        level_hu: Brain level of their scan, from `brain_level_hu`; None leaves them as they are.
        wanted_hu: The level that the model was trained at.

    Returns:
        A new array like `hu`, clipped to [-1024, 3071]; `hu` itself where nothing changes.

    Example:
        >>> at_level(np.array([[-1024, 34, 3071]], np.int16), 34.4, 30.0).tolist()
        [[-1024, 30, 3067]]
    """
    shift = 0 if level_hu is None else round(wanted_hu - level_hu)
    if shift == 0:
        return hu
    # No sum leaves int16: a level and its wanted one are brain, so the shift is below 200 HU.
    return np.asarray(np.clip(hu + np.int16(shift), HU_MIN, HU_MAX), np.int16)


def grid_pixel_mm(header: SliceHeader) -> float:
    """Return the pixel size, in mm, that a slice has once resized to the model's 256x256 grid.

    Where the header has no PixelSpacing, 0.49 mm is taken.
    """
    spacing = header.pixel_spacing_mm or (_PIXEL_WHEN_UNKNOWN_MM, _PIXEL_WHEN_UNKNOWN_MM)
    return max(header.rows * spacing[0], header.columns * spacing[1]) / 256


def _brain(coarse: NDArray[np.int16], inside: NDArray[np.bool_], pixel_mm: float) -> Brain | None:
    low, high = BRAIN_HU
    values = coarse[inside]
    brain = values[(values >= low) & (values <= high)].astype(np.float64)
    area_cm2 = len(brain) * (BLOCK * pixel_mm / 10) ** 2
    if area_cm2 < _MIN_BRAIN_CM2 or len(brain) < _MIN_BRAIN_SHARE * len(values):
        return None
    return Brain(area_cm2, len(brain), float(brain.sum()), float(brain @ brain))


def _coarse_means(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return the means of 4x4 pixels of each slice, in two steps that stay within int16."""
    rows = hu[:, 0::4] + hu[:, 1::4] + hu[:, 2::4] + hu[:, 3::4]
    rows >>= 2
    means: NDArray[np.int16] = rows[..., 0::4] + rows[..., 1::4] + rows[..., 2::4] + rows[..., 3::4]
    means >>= 2
    return means


def _enclosed_by_bone(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return where bone comes before air to the left, right, front and back, slice by slice."""
    bone = hu > BONE_HU
    stop = bone | (hu < AIR_HU)
    side = hu.shape[-1]
    # A stop is worth twice its rank from the start of the ray, plus 1 for bone, so that the running
    # maximum is the nearest stop and its last bit says which kind.
    rank = np.arange(2, 2 * side + 2, 2, dtype=np.int16)
    last_bit = np.ones(hu.shape, np.int16)
    for backwards in (False, True):
        for axis in (1, 2):
            ranks = rank if axis == 2 else rank[:, np.newaxis]
            ray = ranks[::-1] if backwards else ranks
            worth = np.where(stop, ray + bone, np.int16(0))
            seen_from = np.flip(worth, axis) if backwards else worth
            nearest = np.maximum.accumulate(seen_from, axis=axis)
            last_bit &= np.flip(nearest, axis) if backwards else nearest
    return last_bit.astype(np.bool_) & ~stop
