"""Make the brain of one subject: tissue fractions, then HU.

Everything is over `atlas.BRAIN_BOX`, (z, y, x) float32.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ichlite.phantom.atlas import BRAIN_BOX, Atlas, coarse_shape
from ichlite.phantom.fields import Float, Grid, Point, smooth_noise, step, upsample


@dataclass(frozen=True, slots=True)
class BrainTraits:
    """Individual traits of a brain; HU exclude the scanner's own offset.

    Attributes:
        grey_hu, white_hu, csf_hu: HU of grey matter, white matter and cerebrospinal fluid.
        ventricle_mm: Distance of the ventricle walls outwards from the template's, mm.
        atrophy: Share of cortex replaced by sulci, from about -0.1 (young, tight) to 0.45.
        matter_change: Depth of white-matter hypodensity (leukoaraiosis), HU.
    """

    grey_hu: float
    white_hu: float
    csf_hu: float
    ventricle_mm: float
    atrophy: float
    matter_change: float


def draw_brain_traits(rng: np.random.Generator) -> BrainTraits:
    """Draw the brain traits of a random adult."""
    old = rng.beta(1.3, 1.3)
    atrophy = -0.05 + 0.62 * old**1.3 + rng.normal(0, 0.06)
    ventricle = -1.2 + 4.2 * old**1.5 + rng.normal(0, 0.8)
    if rng.random() < 0.08:  # hydrocephalus: wide ventricles, tight sulci
        ventricle = rng.uniform(5, 12)
        atrophy = rng.uniform(-0.1, 0.1)
    white = rng.normal(29, 1.2)
    return BrainTraits(
        grey_hu=white + rng.uniform(5.0, 10.0),
        white_hu=white,
        csf_hu=rng.uniform(3, 11),
        ventricle_mm=ventricle,
        atrophy=atrophy,
        matter_change=rng.exponential(5.0) * (old > 0.5),
    )


class Displacement:
    """Smooth field of the brain's displacement from the template, mm.

    Args:
        atlas: Template head.
    """

    def __init__(self, atlas: Atlas) -> None:
        self.atlas = atlas
        self.grid = atlas.brain_grid
        knots = coarse_shape(self.grid.shape)
        self.field = np.zeros((3, *knots), np.float32)
        axes = [
            np.linspace(a[0], a[-1], k, dtype=np.float32)
            for a, k in zip(self.grid.axes_mm(), knots, strict=True)
        ]
        self.mesh = np.meshgrid(*axes, indexing="ij")

    def widen_ventricles(self, mm: float) -> None:
        """Move the ventricle walls outwards by a distance in mm; inwards if negative."""
        self.field += np.float32(mm) * self.atlas.ventricle_push

    def wobble(self, rng: np.random.Generator, mm: float) -> None:
        """Add a random smooth displacement, so that no two brains have the same sulci.

        Args:
            rng: Source of randomness.
            mm: Typical size of the displacement.
        """
        shape = self.field.shape[1:]
        for axis in range(3):
            self.field[axis] += np.float32(mm) * smooth_noise(rng, shape, (4.0, 4.0, 4.0), 26.0)

    def push_from(self, centre: Point, radius_mm: float, share: float) -> None:
        """Push tissue radially away from a mass.

        Args:
            centre: Centre of the mass, (x, y, z) mm.
            radius_mm: Radius of the mass.
            share: Displacement at the edge of the mass, as a share of its radius.
        """
        z, y, x = self.mesh
        gap = np.stack([z - centre[2], y - centre[1], x - centre[0]])
        distance = np.sqrt((gap**2).sum(0)) + 1e-3
        size = np.where(
            distance < radius_mm,
            distance / radius_mm,
            np.exp(-(distance - radius_mm) / (0.8 * radius_mm + 8)),
        )
        self.field += (share * radius_mm * size / distance * gap).astype(np.float32)

    def push_inward(self, thickness_mm: Float, reach_mm: float) -> None:
        """Push the brain inwards from the inner table.

        Args:
            thickness_mm: Displacement at the inner table, over BRAIN_BOX.
            reach_mm: Depth over which the displacement decays to 1/e.
        """
        knots = self.field.shape[1:]
        index = [
            np.linspace(0, n - 1, k).round().astype(int)
            for n, k in zip(self.grid.shape, knots, strict=True)
        ]
        pick = np.ix_(*index)
        depth = -self.atlas.cavity_mm[BRAIN_BOX][pick]
        size = thickness_mm[pick] * np.exp(-np.maximum(depth, 0) / reach_mm)
        self.field += self.atlas.inward * size

    def shift_midline(self, side: float, mm: float) -> None:
        """Shift deep structures sideways.

        Args:
            side: Direction: -1 left, 1 right.
            mm: Distance at the centre.
        """
        z, y, x = self.mesh
        size = np.exp(-((x / 32) ** 2) - ((y + 5) / 45) ** 2 - ((z - 12) / 28) ** 2)
        self.field[2] += np.float32(side * mm) * size.astype(np.float32)

    def at(self, point: Point) -> Point:
        """Return the place (x, y, z), mm, to which a template point is displaced."""
        knots = self.field.shape[1:]
        grid, zyx = self.grid, reversed(point)
        axes = zip(zyx, grid.origin_mm, grid.spacing_mm, grid.shape, knots, strict=True)
        place = [round((p - o) / (s * (n - 1)) * (k - 1)) for p, o, s, n, k in axes]
        i, j, k = (min(max(p, 0), n - 1) for p, n in zip(place, knots, strict=True))
        dz, dy, dx = (float(v) for v in self.field[:, i, j, k])
        return point[0] + dx, point[1] + dy, point[2] + dz


@dataclass(frozen=True, slots=True)
class Brain:
    """Tissue fractions and HU of one subject's brain over BRAIN_BOX.

    Attributes:
        grid: Grid of the arrays.
        grey, white, ventricle: Fractions in [0, 1]; the rest of the cavity is cerebrospinal fluid.
        depth_mm: Depth below the inner table; negative outside the cavity.
        hu: HU of brain and CSF.
    """

    grid: Grid
    grey: Float
    white: Float
    ventricle: Float
    depth_mm: Float
    hu: Float

    @property
    def csf(self) -> Float:
        """Return the fraction of cerebrospinal fluid outside the ventricles, [0, 1]."""
        return np.asarray(np.clip(1 - self.grey - self.white - self.ventricle, 0, 1))


def _moved(displacement: Displacement, maps: tuple[Float, ...], share: float = 1.0) -> list[Float]:
    """Return `maps` after a share of the displacement u: the value at x comes from x - u(x)."""
    from scipy import ndimage

    shape = displacement.grid.shape
    spacing = displacement.grid.spacing_mm
    index = np.empty((3, *shape), np.float32)
    for axis in range(3):
        ramp_shape = [1, 1, 1]
        ramp_shape[axis] = shape[axis]
        ramp = np.arange(shape[axis], dtype=np.float32).reshape(ramp_shape)
        index[axis] = ramp - upsample(displacement.field[axis], shape) * np.float32(
            share / spacing[axis]
        )
    return [
        ndimage.map_coordinates(m, index, order=1, mode="nearest", output=np.float32) for m in maps
    ]


def grow_brain(
    atlas: Atlas, traits: BrainTraits, displacement: Displacement, rng: np.random.Generator
) -> Brain:
    """Build a subject's brain from the template: displaced, with atrophy, and with HU filled in.

    Args:
        atlas: Template head.
        traits: Traits of the subject.
        displacement: Displacement field of the subject.
        rng: Source of randomness.
    """
    grid = atlas.brain_grid
    grey, white, ventricle = _moved(displacement, (atlas.grey, atlas.white, atlas.ventricle))
    if traits.ventricle_mm > 0:  # a wide push folds the narrow ventricles: keep what was fluid
        for share in (0.33, 0.66) if traits.ventricle_mm > 2 else ():
            (less,) = _moved(displacement, (atlas.ventricle,), share)
            ventricle = np.maximum(ventricle, less)
        ventricle = np.maximum(ventricle, atlas.ventricle)
        grey, white = grey * (1 - ventricle), white * (1 - ventricle)
    depth = -atlas.cavity_mm[BRAIN_BOX]
    inside = step(0.8 - depth, 1.5)
    spots = smooth_noise(rng, grid.shape, grid.spacing_mm, 14.0)
    cortex = np.clip(grey - white, 0, 1)
    loss = np.clip(traits.atrophy * (0.7 + 0.5 * spots), -0.1, 0.7) * cortex
    rim = np.clip((7 - depth) / 7, 0, 1)
    # Averaging 152 brains blurs the sulci: sharpen them so that fluid reads as fluid.
    solid = grey + white
    edge = np.float32(0.42 + 0.45 * np.clip(traits.atrophy, -0.1, 0.6))
    sharp = np.clip((solid - edge) * 2.2 + 0.35, 0, 1)
    sharp = sharp - 0.5 * loss - 0.5 * max(traits.atrophy, 0) * rim
    sharp = np.clip(sharp, 0, 1) * inside
    share = sharp / np.maximum(solid, 1e-3)
    grey, white = grey * share, white * share
    ventricle *= inside
    texture = smooth_noise(rng, grid.shape, grid.spacing_mm, 9.0)
    patches = np.clip(smooth_noise(rng, grid.shape, grid.spacing_mm, 22.0) + 0.2, 0, 1.5)
    white_hu = (
        traits.white_hu
        + 0.6 * texture
        - traits.matter_change * patches * np.clip((depth - 16) / 10, 0, 1)
    )
    hu = (
        traits.csf_hu + grey * (traits.grey_hu - traits.csf_hu) + white * (white_hu - traits.csf_hu)
    )
    return Brain(grid, grey, white, ventricle, depth, hu.astype(np.float32))
