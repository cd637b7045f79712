"""Build the HU of a whole head and neck around a brain, over `atlas.HEAD_GRID`.

Bones, sinuses, orbits, spine and soft tissue are drawn as shapes around the template's cranial
cavity; sizes and places vary from subject to subject.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ichlite.phantom.atlas import BRAIN_BOX, HEAD_GRID, Atlas
from ichlite.phantom.brain_tissue import Brain
from ichlite.phantom.fields import (
    Box,
    Float,
    Point,
    blend,
    capsule,
    ellipsoid,
    smooth_noise,
    step,
    upsample,
)

AIR_HU, FAT_HU, MUSCLE_HU, BONE_HU, DIPLOE_HU = -1000.0, -95.0, 55.0, 1300.0, 700.0

_FACE = np.array(
    # z, half-width, front, back of the skin (mm): orbit, nose, jaw, chin, neck
    [
        (6, 60, 72, -90),
        (-14, 70, 84, -104),
        (-38, 73, 92, -106),
        (-58, 72, 100, -98),
        (-78, 69, 99, -90),
        (-100, 65, 94, -84),
        (-122, 62, 74, -82),
        (-174, 66, 40, -86),
    ],
    np.float32,
)


@dataclass(frozen=True, slots=True)
class SkullTraits:
    """Individual traits of a skull and scalp; thicknesses in mm.

    Attributes:
        skull_mm: Mean thickness of the skull vault.
        scalp_mm: Thickness of skin and fat over the skull.
        bumps_mm: Unevenness of the inner table (hyperostosis at the upper end).
        sinus_fluid: Probability that a sinus or mastoid is opaque, 0 to 1.
        fat: Threshold of the soft-tissue texture beyond which it is fat, in units of its spread.
        swelling: Scalp haematoma: centre (x, y, z) on the vault and height, mm; None for none.
    """

    skull_mm: float
    scalp_mm: float
    bumps_mm: float
    sinus_fluid: float
    fat: float
    swelling: tuple[float, float, float, float] | None


def draw_skull_traits(rng: np.random.Generator, blow: Point | None = None) -> SkullTraits:
    """Draw the skull traits of a random adult.

    Args:
        rng: Source of randomness.
        blow: Direction (x, y, z) of an injury, where a scalp haematoma is likely; None for none.
    """
    swelling = None
    if rng.random() < (0.6 if blow else 0.15):
        a, h = rng.uniform(-1.4, 1.4), rng.uniform(-0.2, 0.9)
        d = blow or (np.cos(a) * rng.choice([-1.0, 1.0]), np.sin(a), np.sin(h))
        swelling = (
            float(72 * d[0]),
            float(-18 + 92 * d[1]),
            float(8 + 80 * d[2]),
            rng.uniform(3, 12),
        )
    return SkullTraits(
        skull_mm=float(np.clip(rng.normal(6.3, 1.3), 3.8, 10.0)),
        scalp_mm=float(np.clip(rng.normal(5.0, 1.5), 2.5, 10.0)),
        bumps_mm=float(rng.uniform(0.2, 0.7) if rng.random() < 0.85 else rng.uniform(1.0, 2.5)),
        sinus_fluid=rng.beta(0.6, 2.5),
        fat=rng.normal(-0.5, 0.4),
        swelling=swelling,
    )


class HeadBuilder:
    """Builder of the HU of one head without its brain, structure by structure.

    Args:
        atlas: Template head.
        traits: Traits of this head's skull.
        rng: Source of randomness.

    Attributes:
        hu: (z, y, x) float32 HU over HEAD_GRID.
        inner_mm: Signed distance to this head's inner table, negative inside, mm.
        outer_mm: Signed distance to the outer table, negative inside, mm.
    """

    def __init__(self, atlas: Atlas, traits: SkullTraits, rng: np.random.Generator) -> None:
        self.traits = traits
        self.rng = rng
        shape, spacing = HEAD_GRID.shape, HEAD_GRID.spacing_mm
        uneven = smooth_noise(rng, shape, spacing, 13.0)
        slow = smooth_noise(rng, shape, spacing, 45.0)
        self.texture = smooth_noise(rng, shape, spacing, 9.0)
        z, y, x = HEAD_GRID.mesh_mm()
        frontal = np.exp(-((x / 30) ** 2)) * step(40 - y, 20.0) if traits.bumps_mm > 1 else 0.35
        self.inner_mm = atlas.cavity_mm + traits.bumps_mm * frontal * np.clip(uneven + 0.4, -1, 2)
        thick = np.clip(traits.skull_mm * (1 + 0.14 * slow), 3.0, 14.0)
        thick += 2.0 * np.clip((z - 45) / 40, 0, 1)
        thick -= 0.45 * thick * np.clip((np.abs(x) - 52) / 16, 0, 1) * np.clip((25 - z) / 30, 0, 1)
        thick += 4.0 * np.exp(-(((x / 12) ** 2) + ((y + 100) / 14) ** 2 + ((z + 8) / 16) ** 2))
        self.outer_mm = atlas.cavity_mm - thick
        self.hu = self._soft_tissue()
        self._vault()

    def _soft_tissue(self) -> Float:
        """Return air outside the skin; fat, muscle and skin inside."""
        z, y, x = HEAD_GRID.mesh_mm()
        skin = self.outer_mm - np.float32(self.traits.scalp_mm)
        bump: Float | None = None
        if self.traits.swelling is not None:
            cx, cy, cz, height = self.traits.swelling
            bump = np.exp(-(((x - cx) / 26) ** 2) - ((y - cy) / 26) ** 2 - ((z - cz) / 24) ** 2)
            skin = skin - np.float32(height) * bump
        knots = _FACE + self.rng.normal(0, 1, _FACE.shape).astype(np.float32) * (0, 2, 3, 3)
        heights = HEAD_GRID.axes_mm()[0]
        low = heights < 6
        rows = [np.interp(heights[low], knots[::-1, 0], knots[::-1, k]) for k in (1, 2, 3)]
        half, front, back = (r.astype(np.float32)[:, None, None] for r in rows)
        middle, reach = (front + back) / 2, (front - back) / 2
        q = (np.abs(x / half) ** 2.3 + np.abs((y - middle) / reach) ** 2.3) ** np.float32(1 / 2.3)
        skin[low] = np.minimum(skin[low], (q - 1) * np.minimum(half, reach))
        texture = self.texture
        muscle = np.clip((texture - np.float32(self.traits.fat)) * 2.5 + 0.5, 0, 1)
        muscle *= np.clip((-skin - 4) / 3, 0, 1)
        temporal = (np.abs(x) > 50) & (z < 28) & (y > -40) & (y < 48)
        muscle = np.where(temporal & (skin < -3.5), np.maximum(muscle, 0.85), muscle)
        if bump is not None:
            muscle = np.maximum(muscle, np.clip(4 * bump - 1.6 + 0.5 * texture, 0, 1))
        hu = np.float32(FAT_HU) + muscle * np.float32(MUSCLE_HU - FAT_HU)
        hu += step(-(skin + 1.8), 1.0) * np.float32(110)
        inside = step(skin, 1.0)
        return np.asarray(AIR_HU + inside * (hu - AIR_HU), np.float32)

    def _vault(self) -> None:
        """Paint inner table, diploe and outer table around the cavity."""
        z = HEAD_GRID.mesh_mm()[0]
        bone = step(-self.inner_mm, 1.0) * step(self.outer_mm, 1.0)
        bone *= step(-z - 62, 8.0)
        middle = np.clip(np.minimum(self.inner_mm, -self.outer_mm) - 1.6, 0, 1)
        value = np.float32(BONE_HU) - middle * np.float32(BONE_HU - DIPLOE_HU)
        self.hu += bone * (value - self.hu)

    def _shape(self, box: Box, distance: Float, hu: float, width: float = 1.2) -> None:
        """Fill a shape with one HU where it lies outside the cranial cavity."""
        if distance.size:
            weight = step(distance, width) * step(-self.inner_mm[box] - 0.5, 1.0)
            blend(self.hu, box, weight, hu)

    def _jitter(self, point: Point, mm: float = 2.0) -> Point:
        d = self.rng.normal(0, mm, 3)
        return point[0] + float(d[0]), point[1] + float(d[1]), point[2] + float(d[2])

    def _cells(self, centre: Point, radii: Point, wall: float, scale_mm: float) -> None:
        """Paint bone full of air cells (mastoid, ethmoid)."""
        box, distance = ellipsoid(HEAD_GRID, centre, radii)
        if not distance.size:
            return
        self._shape(box, distance, BONE_HU)
        shape = distance.shape
        noise = smooth_noise(self.rng, shape, HEAD_GRID.spacing_mm, scale_mm)
        air = np.clip((noise - np.float32(wall)) * 3, 0, 1)
        filled = self.rng.random() < self.traits.sinus_fluid
        inside = step(distance + 2, 1.0) * air * step(-self.inner_mm[box] + 2, 1.0)
        blend(self.hu, box, inside, 20.0 if filled else -900.0)

    def _hollow(self, centre: Point, radii: Point, hu: float, shell_mm: float) -> None:
        """Paint a bony shell around one filling (sinus, orbit)."""
        box, distance = ellipsoid(HEAD_GRID, centre, radii, margin=shell_mm + 1)
        if not distance.size:
            return
        self._shape(box, distance - np.float32(shell_mm), BONE_HU)
        inside = step(distance, 1.2) * step(-self.inner_mm[box] + 2, 1.0)
        blend(self.hu, box, inside, hu)

    def skull_base(self) -> None:
        """Paint petrous bones, clivus, mastoids and sinuses."""
        rng, opaque = self.rng, self.traits.sinus_fluid
        z, y, x = HEAD_GRID.mesh_mm()
        floor = np.asarray((z < -14) & (z > -62) & (y < 52) & (y > -66) & (np.abs(x) < 62))
        deep = rng.uniform(3, 7)
        bone = step(self.inner_mm - deep, 3.0) * step(-self.inner_mm - 0.3, 1.0) * floor
        rough = np.clip(1.2 + 0.6 * self.texture, 0, 1)
        self.hu += bone * rough * (np.float32(1000) - self.hu)
        for side in (-1.0, 1.0):
            start = self._jitter((side * 14, -14, -38), 1.5)
            end = self._jitter((side * 58, -30, -36), 2.0)
            self._shape(*capsule(HEAD_GRID, start, end, rng.uniform(4, 7.5)), 1700.0)
            self._cells(self._jitter((side * 58, -36, -44)), (11, 16, 17), -0.4, 5.0)
        self._shape(*capsule(HEAD_GRID, (0, -2, -34), (0, -24, -60), 6.0), 1100.0)
        fill = -950.0 if rng.random() > 0.6 * opaque else 25.0
        size = rng.uniform(9, 14)
        self._hollow(self._jitter((0, 16, -37)), (size, 12, 8), fill, 2.0)
        self._cells((0, 46, -36), (13, 26, 13), -0.9, 6.0)
        if rng.random() < 0.8:
            self._frontal_sinus()

    def _frontal_sinus(self) -> None:
        wide, high = self.rng.uniform(12, 32), self.rng.uniform(10, 24)
        centre = (self.rng.normal(0, 5), 74.0, self.rng.uniform(-16, -6))
        box, distance = ellipsoid(HEAD_GRID, centre, (wide, 12, high), margin=4)
        if distance.size:
            within = self.outer_mm[box] - 4
            self._shape(box, np.maximum(distance - 2.5, within), BONE_HU)
            air = step(np.maximum(distance, within + 2.5), 1.2) * step(
                2.5 - self.inner_mm[box], 1.0
            )
            fluid = self.rng.random() < 0.4 * self.traits.sinus_fluid
            blend(self.hu, box, air, 25.0 if fluid else -950.0)

    def face(self) -> None:
        """Paint nose, orbits, maxilla, jaw, teeth and airway."""
        rng, opaque = self.rng, self.traits.sinus_fluid
        self._hollow(self._jitter((0, 66, -58)), (13, 27, 19), -980.0, 1.5)
        box, distance = ellipsoid(HEAD_GRID, (0, 62, -60), (11, 24, 17))
        curls = np.clip((np.abs(self.texture[box]) < 0.35) * 1.0, 0, 1)
        blend(self.hu, box, step(distance, 1.0) * curls, 45.0)
        self._shape(*capsule(HEAD_GRID, (0, 40, -50), (0, 86, -56), 0.9), 500.0)
        for side in (-1.0, 1.0):
            fill = -960.0 if rng.random() > opaque else 25.0
            self._hollow(self._jitter((side * 30, 52, -62)), (14, 17, 16), fill, 1.8)
            self._orbit(side)
            self._shape(*capsule(HEAD_GRID, (side * 50, 62, -48), (side * 67, 24, -46), 3.0), 1100)
            self._shape(*capsule(HEAD_GRID, (side * 51, 6, -52), (side * 47, 2, -98), 5.0), 1300.0)
            self._shape(*capsule(HEAD_GRID, (side * 47, 2, -98), (side * 12, 74, -108), 5.5), 1300)
            for k in range(7):
                turn = 0.18 + 0.2 * k
                spot = (side * 27 * np.sin(turn), 52 + 26 * np.cos(turn), -90.0)
                radius = rng.uniform(2.5, 4.0)
                top, low = (spot[0], spot[1], -82.0), (spot[0], spot[1], -100.0)
                if rng.random() < 0.85:
                    self._shape(*capsule(HEAD_GRID, top, low, radius), 1900.0)
        throat = rng.uniform(5, 11)
        self._shape(*capsule(HEAD_GRID, (0, 18, -54), (0, 8, -172), throat), -980.0)

    def _orbit(self, side: float) -> None:
        x, y, z = self._jitter((side * 32, 56, -32), 1.5)
        self._hollow((x, y, z), (18, 25, 17), FAT_HU, 2.2)
        globe = (x, y + 13, z)
        self._shape(*ellipsoid(HEAD_GRID, globe, (13, 13, 13)), 40.0)
        self._shape(*ellipsoid(HEAD_GRID, globe, (11, 11, 11)), 12.0)
        self._shape(
            *ellipsoid(HEAD_GRID, (globe[0], globe[1] + 8, globe[2]), (4.5, 2.2, 4.5)), 75.0
        )
        apex = (side * 13.0, 30.0, z)
        for dx, dz in ((0, 0), (9, 0), (-9, 0), (0, 9), (0, -9)):
            start = (x + dx, y + (2 if dx or dz else 3), z + dz)
            self._shape(*capsule(HEAD_GRID, start, apex, 1.8), 45.0)

    def spine(self, cord_hu: float, csf_hu: float) -> None:
        """Paint the vertebrae, and spinal cord and fluid in their canal.

        Args:
            cord_hu: HU of the spinal cord.
            csf_hu: HU of the fluid.
        """
        z, y, x = HEAD_GRID.mesh_mm()
        ring = step(-self.inner_mm, 1.0) * step(self.inner_mm - 5, 1.0) * step(z + 66, 4.0)
        gaps = upsample(
            self.rng.uniform(0.2, 1, (18, 1, 1)).astype(np.float32).repeat(2, 1).repeat(2, 2),
            HEAD_GRID.shape,
        )
        self.hu += ring * np.clip(gaps * 1.8, 0, 1) * (np.float32(900) - self.hu)
        self._shape(*capsule(HEAD_GRID, (0, -26, -70), (0, -20, -172), 8.5), 700.0)
        for side in (-1.0, 1.0):
            self._shape(*ellipsoid(HEAD_GRID, (side * 21, -38, -72), (9, 9, 9)), 900.0)
            self._shape(*ellipsoid(HEAD_GRID, (side * 20, -34, -92), (8, 8, 7)), 900.0)
            self._shape(*capsule(HEAD_GRID, (side * 24, -40, -72), (side * 38, -38, -74), 4), 800.0)
        self._shape(*capsule(HEAD_GRID, (0, -62, -92), (0, -78, -98), 4.0), 900.0)
        canal = step(self.inner_mm, 1.0) * step(z + 71, 4.0)
        cord = step(np.hypot(x / 1.2, y + 46) - 5.5, 1.5)
        self.hu += canal * (csf_hu + cord * (cord_hu - csf_hu) - self.hu)

    def insert(self, brain: Brain) -> None:
        """Put a brain into the cranial cavity."""
        inside = step(self.inner_mm[BRAIN_BOX], 1.2)
        blend(self.hu, BRAIN_BOX, inside, brain.hu)
