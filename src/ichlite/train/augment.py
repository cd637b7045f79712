"""Change HU slices, and their lesion cells, as another pose or another scanner could have.

Works on HU, before windowing, so that every channel sees the same change; cheap, in numpy.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.hounsfield import HU_MAX, HU_MIN
from ichlite.labels import NAMES

_NOISE_SIDE = 1448
_NOISE_SAMPLES = 1 << 21
AIR_HU, BONE_HU = -1000, 900
"""HU given to air and bone where only the HU of one CT window were kept."""
_WINDOW_HU = (-20, 98)
"""HU that such a window shows; above, JPEG noise hides what is bone."""
_COARSE = 4
CELL_COVERED = 0.3
"""Share of a cell, after a move, that must come from cells with a bleed for it to be set."""


@dataclass(frozen=True, slots=True)
class Strength:
    """Largest changes that augmentation makes to a slice.

    Attributes:
        shift_pixels, rotation_degrees, zoom: Largest shift (pixels), rotation (degrees) and
            relative zoom, either way.
        affine_share: Share of slices that are rotated and zoomed rather than only shifted.
        offset_hu: Largest shift of all HU, either way.
        gain: Lowest and highest factor on contrast, about `pivot_hu`.
        pivot_hu: HU that a change of contrast leaves unchanged.
        noise_hu: Largest standard deviation of added noise, HU.
        scanner: Whether reconstruction kernel, noise texture and range of known HU vary too.
    """

    shift_pixels: int
    rotation_degrees: float
    zoom: float
    affine_share: float
    offset_hu: float
    gain: tuple[float, float]
    pivot_hu: float
    noise_hu: float
    scanner: bool


MILD = Strength(12, 12.0, 0.10, 0.35, 8.0, (0.95, 1.05), 40.0, 4.0, scanner=False)
SCANNERS = Strength(12, 20.0, 0.20, 1.0, 3.0, (0.85, 1.20), 30.0, 6.0, scanner=True)
"""Changes as large as differences between hospitals, for scans shifted to one brain level."""


class Augmenter:
    """Random augmentation of slices: flip, shift, rotation, zoom, HU offset, contrast and noise.

    A pool of noise is drawn once: fresh Gaussian noise for every pixel would take longer than the
    rest of the input pipeline together.

    Example:
        >>> hu = np.full((2, 256, 256), -1024, np.int16)
        >>> cells = np.zeros((2, 32, 32), np.uint8)
        >>> moved, moved_cells = Augmenter()(hu, cells, np.random.default_rng(0))
        >>> moved.shape, moved_cells.shape
        ((2, 256, 256), (2, 32, 32))
    """

    def __init__(self, strength: Strength = MILD) -> None:
        self.strength = strength
        pool = np.random.default_rng(20_190_901).standard_normal(_NOISE_SAMPLES)
        self._noise: NDArray[np.float32] = pool.astype(np.float32)
        if strength.scanner:
            self._fields = _noise_fields(self._noise[: _NOISE_SIDE**2])

    def __call__(
        self, hu: NDArray[np.int16], cells: NDArray[np.uint8], rng: np.random.Generator
    ) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Return each slice, and its lesion cells, changed at random.

        Args:
            hu: (slice, row, column) int16, HU.
            cells: (slice, row / 8, column / 8) uint8; see `data.store_parts.LesionCells`.
            rng: Every random number comes from here.

        Returns:
            New arrays like both; HU clipped to [-1024, 3071].
        """
        out, out_cells = np.empty_like(hu), np.empty_like(cells)
        for k, (source, outlined) in enumerate(zip(hu, cells, strict=True)):
            move = draw_move(self.strength, rng)
            changed = move.slice(source)
            out_cells[k] = move.cells(outlined) if outlined.any() else outlined
            out[k] = self._scanned(changed, rng) if self.strength.scanner else changed
            out[k] = self._intensity(out[k], rng)
        return out, out_cells

    def _scanned(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
        """Return a slice as another scanner, or an archive of one window, would show it."""
        if rng.random() < 0.4:
            hu = of_one_window(hu)
        if rng.random() < 0.4:
            hu = _other_kernel(hu, rng)
        return hu

    def _intensity(self, hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
        strength = self.strength
        gain = np.float32(rng.uniform(*strength.gain))
        offset = rng.uniform(-strength.offset_hu, strength.offset_hu)
        noise_hu = np.float32(rng.uniform(0.0, strength.noise_hu))
        x = self._grain(hu.shape, rng) * noise_hu
        x += hu * gain
        x += np.float32(strength.pivot_hu * (1.0 - gain) + offset)
        np.clip(np.rint(x, out=x), HU_MIN, HU_MAX, out=x)
        return x.astype(np.int16)

    def _grain(self, shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
        """Return noise of standard deviation 1, (row, column) float32, coarse or fine."""
        rows, columns = shape
        if not self.strength.scanner:
            start = int(rng.integers(0, _NOISE_SAMPLES - rows * columns))
            return self._noise[start : start + rows * columns].reshape(shape)
        field = self._fields[int(rng.integers(len(self._fields)))]
        top, left = rng.integers(0, (_NOISE_SIDE - rows, _NOISE_SIDE - columns))
        return field[top : top + rows, left : left + columns]


@dataclass(frozen=True, slots=True)
class Move:
    """Geometric change of a slice: flip, then rotation and zoom about the centre, then shift.

    Attributes:
        flip: Whether left and right are swapped.
        degrees: Rotation, degrees.
        zoom: Factor of magnification.
        down, right: Shift in pixels; whole numbers where there is no rotation or zoom.
    """

    flip: bool
    degrees: float
    zoom: float
    down: float
    right: float

    def slice(self, hu: NDArray[np.int16]) -> NDArray[np.int16]:
        """Apply the move to a slice, filling in air.

        Args:
            hu: (row, column) int16 HU.

        Returns:
            (row, column) int16 HU; without rotation and zoom, pixels keep their values.
        """
        if self.flip:
            hu = hu[:, ::-1]
        if self.degrees == 0 and self.zoom == 1:
            return shift(hu, int(self.down), int(self.right))
        return np.rint(self._affine(hu, 1, HU_MIN)).astype(np.int16)

    def cells(self, cells: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Apply the move to a slice's lesion cells.

        Args:
            cells: (row / 8, column / 8) uint8, bit k set where subtype k is.

        Returns:
            An array like `cells`.
        """
        if self.flip:
            cells = cells[:, ::-1]
        moved = np.zeros_like(cells)
        for kind in range(len(NAMES)):
            plane = cells >> np.uint8(kind) & 1
            if plane.any():
                covered = self._affine(plane, 8, 0) >= CELL_COVERED
                moved |= covered.astype(np.uint8) << np.uint8(kind)
        return moved

    def _affine(self, image: NDArray[Any], pixels: int, around: int) -> NDArray[np.float32]:
        """Return an image, each of whose pixels is `pixels` of the slice, moved; bilinear."""
        from PIL import Image

        angle = np.deg2rad(self.degrees)
        cos, sin = np.cos(angle) / self.zoom, np.sin(angle) / self.zoom
        down, right = self.down / pixels, self.right / pixels
        rows, columns = image.shape
        x0, y0 = columns / 2, rows / 2
        # Pillow maps output (x, y) to input (a x + b y + c, d x + e y + f).
        data: Any = (
            cos, sin, x0 - cos * (x0 + right) - sin * (y0 + down),
            -sin, cos, y0 + sin * (x0 + right) - cos * (y0 + down),
        )  # fmt: skip
        moved = Image.fromarray(image.astype(np.float32)).transform(
            (columns, rows),
            Image.Transform.AFFINE,
            data,
            resample=Image.Resampling.BILINEAR,
            fillcolor=around,
        )
        return np.asarray(moved)


def draw_move(strength: Strength, rng: np.random.Generator) -> Move:
    """Draw a random move: perhaps a flip, and a shift, in some cases with rotation and zoom.

    Args:
        strength: Largest changes.
        rng: Source of randomness.
    """
    flip = bool(rng.random() < 0.5)
    reach = strength.shift_pixels
    if rng.random() < strength.affine_share:
        degrees = rng.uniform(-strength.rotation_degrees, strength.rotation_degrees)
        zoom = 1.0 + rng.uniform(-strength.zoom, strength.zoom)
        down, right = rng.uniform(-reach, reach, size=2)
        return Move(flip, degrees, zoom, down, right)
    down, right = rng.integers(-reach, reach + 1, size=2)
    return Move(flip, 0.0, 1.0, int(down), int(right))


def shift(hu: NDArray[np.int16], down: int, right: int) -> NDArray[np.int16]:
    """Return a slice moved by whole pixels, air moving in.

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


def of_one_window(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return a slice as if it had been read from a picture of one CT window (-20 to 98 HU).

    Brighter pixels become bone; darker ones air if they connect to the frame, else the window's
    lower end.

    Args:
        hu: (row, column) int16 HU; numbers of rows and columns are multiples of 4.

    Returns:
        A new array like `hu`.
    """
    from scipy import ndimage

    low, high = _WINDOW_HU
    seen = np.clip(hu, low, None)
    seen[hu > high] = BONE_HU
    dark = (hu <= low)[::_COARSE, ::_COARSE]
    parts, _ = ndimage.label(np.pad(dark, 1, constant_values=True))
    outside = (parts == parts[0, 0])[1:-1, 1:-1]
    outside = outside.repeat(_COARSE, axis=0).repeat(_COARSE, axis=1)
    seen[outside & (hu <= low)] = AIR_HU
    return seen


def _other_kernel(hu: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.int16]:
    """Return a slice smoothed or sharpened; bone and air stay where a sharp edge would ring."""
    from scipy import ndimage

    x = hu.astype(np.float32)
    soft = np.clip(x, -150, 300)
    blurred = ndimage.gaussian_filter(soft, rng.uniform(0.4, 0.9), mode="nearest")
    amount = rng.uniform(-0.7, 1.0)  # 1: smooth; below 0: sharpened
    x += np.float32(amount) * (blurred - soft)
    return np.clip(np.rint(x), HU_MIN, HU_MAX).astype(np.int16)


def _noise_fields(samples: NDArray[np.float32]) -> list[NDArray[np.float32]]:
    """Return noise of three grains, each (side, side) of standard deviation 1."""
    from scipy import ndimage

    fine = samples.reshape(_NOISE_SIDE, _NOISE_SIDE)
    coarse = [ndimage.gaussian_filter(fine, sigma, mode="wrap") for sigma in (0.7, 1.3)]
    return [fine, *(field / field.std() for field in coarse)]
