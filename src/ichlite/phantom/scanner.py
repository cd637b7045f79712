"""Imitate a scanner: blur, cupping, streaks, noise, table, scan circle."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ichlite.phantom.fields import Float
from ichlite.phantom.view import View


@dataclass(frozen=True, slots=True)
class Physics:
    """Image effects of one scanner and protocol; in HU unless stated otherwise.

    Attributes:
        offset: HU added to everything except air.
        noise: Standard deviation of the noise at the middle of the head.
        grain: Apodisation of the noise spectrum, cycles a pixel.
        blur_px: Standard deviation of the reconstruction kernel's blur, pixels.
        sharpen: Edge enhancement, share of the unsharp mask.
        cupping, cupping_px: Brightening beside bone and its decay length: a steep and a wide part.
        streak: Strength of the dark bands between dense bones.
        table: Table in the image: 0 none, 1 a wide arc, 2 a U-shaped head rest.
        padding: Value outside the scan circle; None for no circle.
        tremor_px: Shift, in pixels, of a second, fainter image (motion); 0 for none.
    """

    offset: float
    noise: float
    grain: float
    blur_px: float
    sharpen: float
    cupping: tuple[float, float]
    cupping_px: tuple[float, float]
    streak: float
    table: int
    padding: float | None
    tremor_px: float


def draw_physics(rng: np.random.Generator) -> Physics:
    """Draw a random scanner and protocol."""
    return Physics(
        offset=rng.uniform(-9.0, 3.0),
        noise=rng.uniform(1.9, 6.2),
        grain=rng.uniform(0.16, 0.36),
        blur_px=rng.uniform(0.45, 0.95),
        sharpen=float(rng.choice([0.0, rng.uniform(0, 0.5)])),
        cupping=(rng.uniform(5, 38), rng.uniform(0, 11)),
        cupping_px=(rng.uniform(1.8, 4.5), rng.uniform(6, 14)),
        streak=rng.gamma(2.0, 3.0),
        table=int(rng.choice([0, 1, 2, 2])),
        padding=float(rng.choice([-1024.0, -2000.0])) if rng.random() < 0.5 else None,
        tremor_px=rng.uniform(1, 3) if rng.random() < 0.05 else 0.0,
    )


def noise_like(rng: np.random.Generator, n: int, grain: float) -> Float:
    """Return noise of unit variance with a spectrum like that of filtered back-projection.

    Args:
        rng: Source of randomness.
        n: Rows and columns.
        grain: Apodisation of the spectrum, cycles per pixel.

    Returns:
        (n, n) float32.
    """
    from scipy import fft

    fy = np.abs(fft.fftfreq(n)).astype(np.float32)[:, None]
    fx = fft.rfftfreq(n).astype(np.float32)[None, :]
    f = np.hypot(fy, fx)
    shape = np.sqrt(f + 0.004) * np.exp(-((f / np.float32(grain)) ** 2))
    spectrum = fft.rfft2(rng.standard_normal((n, n), dtype=np.float32)) * shape
    out = fft.irfft2(spectrum, s=(n, n)).astype(np.float32)
    return np.asarray(out / max(float(out.std()), 1e-6), np.float32)


@lru_cache(maxsize=1)
def _grains() -> tuple[Float, Float]:
    """Return grains, and how alike two neighbours are in noise of each, 2 px unsharp-masked."""
    from scipy import ndimage

    grains = np.linspace(0.45, 0.12, 12).astype(np.float32)
    alike = []
    for grain in grains:
        noise = noise_like(np.random.default_rng(1), 128, float(grain))
        noise = noise - ndimage.gaussian_filter(noise, 2.0)
        alike.append(float((noise[:, 1:] * noise[:, :-1]).mean() / (noise**2).mean()))
    return grains, np.array(alike, np.float32)


def grain_of(likeness: float) -> float:
    """Return the noise texture (`Physics.grain`) that gives a correlation between neighbours.

    Args:
        likeness: Correlation of horizontally adjacent pixels, after subtraction of a 2 px Gaussian
            blur.

    Example:
        >>> 0.12 <= grain_of(0.5) < grain_of(0.1) <= 0.45
        True
    """
    grains, alike = _grains()
    return float(np.interp(likeness, alike, grains))


def _table(n: int, kind: int, pixel_mm: float, lift: float) -> Float:
    """Return the HU that a table or head rest adds, (n, n)."""
    y, x = np.mgrid[0:n, 0:n].astype(np.float32) * np.float32(pixel_mm)
    middle = np.float32(n * pixel_mm / 2)
    if kind == 1:
        radius = np.float32(190 + 20 * lift)
        ring = np.hypot(x - middle, y - (middle + 122 + 8 * lift - radius)) - radius
        return np.asarray(1150 * np.clip(2.6 - np.abs(ring), 0, 1), np.float32)
    half = np.float32(92 + 8 * lift)
    floor = np.float32(114 + 8 * lift)
    bend = np.hypot(x - middle, np.maximum(y - (middle + floor - half), 0)) - half
    wall = np.clip(1.6 - np.abs(bend), 0, 1) * (y > middle + floor - np.float32(150))
    return np.asarray(1150 * wall, np.float32)


class Scanner:
    """Simulated scanner that adds the effects of `Physics` to slices of true HU.

    Args:
        physics: Effects of scanner and protocol.
        view: Geometry of the scan, for pixel sizes.
        rng: Source of randomness.
    """

    def __init__(self, physics: Physics, view: View, rng: np.random.Generator) -> None:
        self.physics = physics
        self.view = view
        self.rng = rng
        self.fine = view.grid / 256
        lift = rng.uniform(-1, 1)
        self.table = (
            _table(view.grid, physics.table, view.pixel_mm, lift) if physics.table else None
        )
        n = view.grid
        r = np.hypot(*(np.mgrid[0:n, 0:n] - (n - 1) / 2))
        self.outside = r > n / 2

    def scan(self, true: Float, metal: bool = False) -> NDArray[np.int16]:
        """Return one scanned slice, int16 HU in [-1024, 3071].

        Args:
            true: (row, column) float32 true HU, at the view's resolution.
            metal: Whether there is metal that causes streaks.
        """
        from scipy import ndimage

        physics, rng = self.physics, self.rng
        image = true + np.where(true > -200, np.float32(physics.offset), 0)
        if self.table is not None:
            image = np.where(image < -600, image + self.table, image)
        if physics.tremor_px:
            moved = np.roll(image, round(physics.tremor_px * self.fine), 1)
            image = 0.6 * image + 0.4 * moved
        image = ndimage.gaussian_filter(image, physics.blur_px * self.fine)
        if physics.sharpen:
            image = image + np.float32(physics.sharpen) * (
                image - ndimage.gaussian_filter(image, 1.3 * self.fine)
            ).clip(-160, 160)
        bone = image > 280
        soft = (image > -120) & (image < 200)
        level = np.float32(physics.noise)
        noise: Float = noise_like(rng, image.shape[0], physics.grain / self.fine) * level
        if bone.any():
            image, noise = self._hard(image, noise, bone, soft)
        if metal:
            image = self._metal(image)
        image = image + noise
        if physics.padding is not None:
            image[self.outside] = physics.padding
        return np.clip(np.rint(image), -1024, 3071).astype(np.int16)

    def _hard(
        self, image: Float, noise: Float, bone: NDArray[np.bool_], soft: NDArray[np.bool_]
    ) -> tuple[Float, Float]:
        """Add cupping beside bone and streaks between bones."""
        from scipy import ndimage

        physics = self.physics
        gap = ndimage.distance_transform_edt(~bone).astype(np.float32)
        bright = np.zeros_like(image)
        for rise, decay in zip(physics.cupping, physics.cupping_px, strict=True):
            bright += np.float32(rise) * np.exp(-(gap - 1) / np.float32(decay * self.fine))
        dense = np.clip(image - 300, 0, 1500) * np.float32(self.view.pixel_mm / 1000)
        left = np.cumsum(dense, 1)
        both = np.sqrt(np.maximum(left * (left[:, -1:] - left), 0))
        band = ndimage.gaussian_filter1d(both, 1.5 * self.fine, axis=0)
        usual = 8.0  # mm of bone on each side that the scanner corrects for
        excess = np.clip(band - usual, 0, 25)
        streaks = self.rng.standard_normal((image.shape[0], 1), dtype=np.float32)
        streaks = ndimage.gaussian_filter1d(streaks, 1.0 * self.fine, axis=0) * 1.6
        # Bands of one row each: the rays that cross the most bone starve the detector.
        dark = excess * np.float32(0.08 * physics.streak) * (1 + 0.8 * streaks)
        image = image + soft * (bright - dark)
        return image, noise * (0.75 + 0.04 * np.clip(band, 0, 25))

    def _metal(self, image: Float) -> Float:
        """Add rays from the brightest spot."""
        r, c = np.unravel_index(int(np.argmax(image)), image.shape)
        y, x = np.mgrid[0 : image.shape[0], 0 : image.shape[1]].astype(np.float32)
        angle = np.arctan2(y - r, x - c)
        distance = np.hypot(y - r, x - c) + 4
        rays = np.zeros_like(image)
        for _ in range(6):
            k, phase = int(self.rng.integers(2, 14)), self.rng.uniform(0, 6.28)
            rays += np.cos(k * angle + phase).astype(np.float32)
        return np.asarray(image + rays * 900 / distance, np.float32)
