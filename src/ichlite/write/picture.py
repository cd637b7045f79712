"""Draw HU slices and maps as small pictures, as data URIs for a self-contained page."""

from __future__ import annotations

import base64
import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichlite.ct.windows import BRAIN, apply_windows

JPEG_QUALITY = 88
HEAT_OPACITY = 0.62
"""Opacity of the overlay where the map is 1; where it is 0 the slice shows untouched."""

HEAT_STOPS: tuple[tuple[float, tuple[int, int, int]], ...] = (
    (0.0, (92, 16, 110)),
    (0.4, (200, 50, 70)),
    (0.7, (246, 130, 20)),
    (1.0, (252, 230, 90)),
)
"""Colours of the overlay: dark violet to yellow, growing steadily lighter, so grey prints read."""


def grey_slice(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return a slice of (row, column) HU in the brain window, as 8-bit grey.

    Example:
        >>> grey_slice(np.array([[-5, 40, 80]], np.int16)).tolist()
        [[0, 128, 255]]
    """
    return np.rint(apply_windows(hu, [BRAIN])[..., 0] * 255).astype(np.uint8)


def overlay(grey: NDArray[np.uint8], heat: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return a grey slice with a map in [0, 1] of the same shape over it, as RGB.

    Example:
        >>> overlay(np.full((1, 1), 90, np.uint8), np.zeros((1, 1), np.float32)).tolist()
        [[[90, 90, 90]]]
    """
    colour = heat_colours(heat)
    opacity = (HEAT_OPACITY * heat)[..., None]
    return np.asarray(np.rint(grey[..., None] * (1 - opacity) + colour * opacity), np.uint8)


def relative(heat: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return a map of probabilities as shares of its own largest value.

    Example:
        >>> relative(np.array([[0.0, 0.25, 0.5]], np.float32)).tolist()
        [[0.0, 0.5, 1.0]]
    """
    strongest = heat.max()
    return np.asarray(heat / strongest if strongest > 0 else heat, np.float32)


def heat_colours(heat: NDArray[np.floating]) -> NDArray[np.float64]:
    """Return the RGB colours of values in [0, 1], 0 to 255, on a last axis."""
    at = [stop for stop, _ in HEAT_STOPS]
    return np.stack(
        [np.interp(heat, at, [rgb[channel] for _, rgb in HEAT_STOPS]) for channel in range(3)],
        axis=-1,
    )


def data_uri(pixels: NDArray[np.uint8], side: int | None = None) -> str:
    """Return a grey or RGB picture as a JPEG data URI.

    Args:
        pixels: (row, column) or (row, column, 3) uint8.
        side: Longest side of the result in pixels; None leaves the size as it is.
    """
    image = Image.fromarray(pixels)
    if side is not None:
        image.thumbnail((side, side), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=JPEG_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode("ascii")
