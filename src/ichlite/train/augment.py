"""HU slices in, HU slices out that another scanner or pose could have given: cheap, in numpy.

Works on HU, before windowing, so that every channel sees the same change.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.hounsfield import HU_MAX, HU_MIN

MAX_SHIFT_PIXELS = 12
MAX_ROTATION_DEGREES = 12.0
MAX_ZOOM = 0.10
AFFINE_SHARE = 0.35
HU_OFFSET = 8.0
CONTRAST_GAIN = 0.05
CONTRAST_PIVOT_HU = 40.0
MAX_NOISE_HU = 4.0
_NOISE_SAMPLES = 1 << 21


class Augmenter:
    """Left-right flip, small moves, HU offset, contrast gain and noise, from given generators.

    A pool of noise is drawn once: fresh Gaussian noise for every pixel would cost more than the
    rest of the input pipeline together.

    Example:
        >>> hu = np.full((2, 256, 256), -1024, np.int16)
        >>> Augmenter()(hu, np.random.default_rng(0)).shape
        (2, 256, 256)
    """

    def __init__(self) -> None:
        pool = np.random.default_rng(20_190_901).standard_normal(_NOISE_SAMPLES)
        self._noise: NDArray[np.float32] = pool.astype(np.float32)

    def __call__(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
        """One random change a slice.

        Args:
            hu: (slice, row, column) int16, HU.
            rng: Every random number comes from here.

        Returns:
            A new array like `hu`, clipped to [-1024, 3071].
        """
        out = np.empty_like(hu)
        for source, target in zip(hu, out, strict=True):
            target[...] = self._intensity(_move(source, rng), rng)
        return out

    def _intensity(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
        gain = np.float32(1.0 + rng.uniform(-CONTRAST_GAIN, CONTRAST_GAIN))
        offset = rng.uniform(-HU_OFFSET, HU_OFFSET)
        noise_hu = np.float32(rng.uniform(0.0, MAX_NOISE_HU))
        start = int(rng.integers(0, _NOISE_SAMPLES - hu.size))
        x = self._noise[start : start + hu.size].reshape(hu.shape) * noise_hu
        x += hu * gain
        x += np.float32(CONTRAST_PIVOT_HU * (1.0 - gain) + offset)
        np.clip(np.rint(x, out=x), HU_MIN, HU_MAX, out=x)
        return x.astype(np.int16)


def _move(hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """(row, column) → flipped or not, and shifted, sometimes also turned and zoomed."""
    if rng.random() < 0.5:
        hu = hu[:, ::-1]
    if rng.random() < AFFINE_SHARE:
        return _affine(hu, rng)
    down, right = rng.integers(-MAX_SHIFT_PIXELS, MAX_SHIFT_PIXELS + 1, size=2)
    return shift(hu, int(down), int(right))


def shift(hu: NDArray[np.int16], down: int, right: int) -> NDArray[np.int16]:
    """(row, column) slice → the same moved by whole pixels, air moving in.

    Args:
        hu: (row, column) int16, HU.
        down: Rows, positive to higher row numbers.
        right: Columns, positive to higher column numbers.

    Returns:
        A new array like `hu`.

    Example:
        >>> shift(np.array([[1, 2], [3, 4]], np.int16), 1, 0).tolist()
        [[-1024, -1024], [1, 2]]
    """
    rows, columns = hu.shape
    out = np.full_like(hu, HU_MIN)
    source = hu[max(0, -down) : rows - max(0, down), max(0, -right) : columns - max(0, right)]
    out[max(0, down) : rows - max(0, -down), max(0, right) : columns - max(0, -right)] = source
    return out


def _affine(hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """(row, column) → turned, zoomed and shifted about the centre, bilinear, air around."""
    from PIL import Image

    angle = np.deg2rad(rng.uniform(-MAX_ROTATION_DEGREES, MAX_ROTATION_DEGREES))
    zoom = 1.0 + rng.uniform(-MAX_ZOOM, MAX_ZOOM)
    down, right = rng.uniform(-MAX_SHIFT_PIXELS, MAX_SHIFT_PIXELS, size=2)
    cos, sin = np.cos(angle) / zoom, np.sin(angle) / zoom
    rows, columns = hu.shape
    x0, y0 = columns / 2, rows / 2
    # Pillow maps output (x, y) to input (a x + b y + c, d x + e y + f).
    data: Any = (
        cos, sin, x0 - cos * (x0 + right) - sin * (y0 + down),
        -sin, cos, y0 + sin * (x0 + right) - cos * (y0 + down),
    )  # fmt: skip
    image = Image.fromarray(hu.astype(np.float32))
    moved = image.transform(
        (columns, rows),
        Image.Transform.AFFINE,
        data,
        resample=Image.Resampling.BILINEAR,
        fillcolor=HU_MIN,
    )
    turned: NDArray[np.int16] = np.rint(np.asarray(moved)).astype(np.int16)
    return turned
