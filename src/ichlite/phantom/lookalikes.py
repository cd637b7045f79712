"""Add what a model may take for blood to a head: the hard negatives.

Normal: falx, tentorium, dural sinuses, vessels, calcified plexus, pineal and basal ganglia.
Not normal, no blood: infarcts, oedema, masses, shunts, drains, burr holes, coils, free air.
"""

from __future__ import annotations

import numpy as np

from ichlite.phantom.atlas import BRAIN_BOX, HEAD_GRID
from ichlite.phantom.bleeds import falx_floor_mm, tentorium_mm
from ichlite.phantom.brain_tissue import Brain, Displacement
from ichlite.phantom.fields import Point, blend, capsule, ellipsoid, smooth_noise, step
from ichlite.phantom.head import HeadBuilder

_VESSELS: tuple[tuple[Point, Point, float], ...] = (
    ((10, 2, -24), (12, 2, -14), 2.0),
    ((12, 2, -14), (32, 2, -16), 1.4),
    ((32, 2, -16), (44, -4, -6), 1.2),
    ((6, 10, -14), (1.5, 24, -8), 1.0),
    ((10, -12, -16), (22, -30, -12), 1.1),
)


def membranes(brain: Brain, rng: np.random.Generator) -> None:
    """Paint falx, tentorium and dural sinuses into a brain's HU, in place."""
    z, y, x = brain.grid.mesh_mm()
    depth, hu = brain.depth_mm, brain.hu
    wave = smooth_noise(rng, brain.grid.shape, brain.grid.spacing_mm, 22.0)
    bright = rng.uniform(38, 60)
    half = rng.uniform(0.35, 1.0)
    inside = step(0.3 - depth, 1.0)
    falx = step(np.abs(x + 0.5 * wave[:, :, :1]) - half * (1 + 0.3 * wave), 1.2)
    falx = falx * step(falx_floor_mm(y) - z, 3.0) * (y < 72) * inside
    hu += 0.85 * falx * (bright - hu)
    tent = step(np.abs(z - tentorium_mm(x, y) - 1.5 * wave) - 1.2, 2.0) * (y < -24)
    tent = tent * (np.hypot(x, y + 28) > 21) * inside
    hu += rng.uniform(0.3, 0.8) * tent * (bright - hu)
    blood = rng.uniform(42, 66)
    size = rng.uniform(3.5, 7.0)
    sagittal = step(np.abs(x) + 0.7 * depth - size, 2.0) * ((y < 40) & (z > -8)) * inside
    hu += sagittal * (blood - hu)
    dominant = rng.uniform(0.3, 1, 2)
    across = np.where(x < 0, dominant[0], dominant[1]).astype(np.float32)
    lateral = step(np.abs(z - tentorium_mm(x, y) + 2) - 4, 3.0) * step(depth - size, 2.0)
    hu += lateral * across * ((y < -44) * inside) * (blood - hu)
    straight = step(np.hypot(x, z - 2 + 0.15 * (y + 45)) - 1.6, 1.5) * ((y < -42) & (y > -95))
    hu += 0.8 * straight * inside * (blood - hu)


def vessels(brain: Brain, displacement: Displacement, rng: np.random.Generator) -> None:
    """Paint the arteries of the skull base into a brain's HU, in place."""
    value = rng.uniform(40, 56)
    for side in (-1.0, 1.0):
        for start, end, radius in _VESSELS:
            p = displacement.at((side * start[0], *start[1:]))
            q = displacement.at((side * end[0], *end[1:]))
            box, distance = capsule(brain.grid, p, q, radius * rng.uniform(0.8, 1.4))
            if distance.size:
                calcified = 250.0 if rng.random() < 0.06 else value
                blend(brain.hu, box, step(distance, 1.5), calcified)
    box, distance = capsule(brain.grid, (0, -20, -44), (0, -16, -20), rng.uniform(1.4, 2.4))
    blend(brain.hu, box, step(distance, 1.5), value)


class _Chalk:
    """Painter of calcified spots into `brain.hu`; template points move with the brain."""

    def __init__(self, brain: Brain, displacement: Displacement, rng: np.random.Generator) -> None:
        self.brain = brain
        self.displacement = displacement
        self.rng = rng

    def hu(self) -> float:
        """Return a random value: soft tissue to chalk."""
        return float(50 + self.rng.exponential(120))

    def spot(self, point: Point, radius: float, value: float) -> None:
        """Paint one spot of about `radius` mm."""
        x, y, z = self.displacement.at(point)
        radii = tuple(float(r) for r in radius * self.rng.uniform(0.7, 1.4, 3))
        box, distance = ellipsoid(self.brain.grid, (x, y, z), (radii[0], radii[1], radii[2]))
        if distance.size:
            blend(self.brain.hu, box, step(distance, 1.6), value)

    def plexus(self) -> None:
        """Paint a pair at the trigones of the lateral ventricles, alike but not equal."""
        rng = self.rng
        y, z = -43 + rng.normal(0, 3), 6 + rng.normal(0, 4)
        radius, hu = rng.uniform(1.5, 4.5), self.hu()
        for side in (-1.0, 1.0):
            if rng.random() < 0.88:
                jitter = rng.normal(0, 1.5, 3)
                self.spot(
                    (side * (23 + jitter[0]), float(y + jitter[1]), float(z + jitter[2])),
                    float(radius * rng.uniform(0.7, 1.2)),
                    hu * rng.uniform(0.7, 1.3),
                )

    def strands(self) -> None:
        """Paint the soft plexus along the bodies of the lateral ventricles."""
        for side in (-1.0, 1.0):
            strand = self.rng.uniform(35, 50)
            for y in (-40, -30, -20, -10):
                self.spot((side * (24 + 0.3 * y + 3), float(y + 4), 15.0), 1.2, strand)

    def basal_ganglia(self) -> None:
        """Paint a pair in the pallidum."""
        rng = self.rng
        hu, radius = self.hu() * 0.6, rng.uniform(1.5, 4.5)
        for side in (-1.0, 1.0):
            self.spot((side * 19, rng.normal(0, 3), rng.normal(0, 2)), radius, hu)

    def falx(self) -> None:
        """Paint one to three plaques on the falx."""
        rng = self.rng
        for _ in range(int(rng.integers(1, 4))):
            place = (0.5, rng.uniform(0, 60), rng.uniform(35, 70))
            self.spot(place, 2.5, self.hu() * 1.5)


def calcifications(brain: Brain, displacement: Displacement, rng: np.random.Generator) -> None:
    """Paint calcified choroid plexus, pineal, basal ganglia and falx into a brain's HU."""
    chalk = _Chalk(brain, displacement, rng)
    if rng.random() < 0.75:
        chalk.plexus()
    chalk.strands()
    if rng.random() < 0.7:
        pineal = (0.0, -27 + rng.normal(0, 2), 2.0)
        chalk.spot(pineal, rng.uniform(1.5, 4), chalk.hu())
    if rng.random() < 0.2:
        chalk.basal_ganglia()
    if rng.random() < 0.2:
        chalk.falx()
    if rng.random() < 0.06:  # a stray granuloma
        x, y, z = (rng.uniform(*r) for r in ((-50, 50), (-70, 40), (0, 50)))
        chalk.spot((x, y, z), rng.uniform(1, 2.5), 300.0)


def old_lesions(brain: Brain, rng: np.random.Generator) -> None:
    """Paint, at random, infarcts, cavities and masses without blood into a brain's HU."""
    tissue = np.clip(brain.grey + brain.white, 0, 1)
    for chance, low, high, size in ((0.22, -14, -6, 26), (0.12, -28, -20, 18), (0.08, 4, 14, 11)):
        if rng.random() > chance:
            continue
        side = float(rng.choice([-1.0, 1.0]))
        centre = (side * rng.uniform(12, 58), rng.uniform(-85, 55), rng.uniform(-30, 60))
        radii = tuple(float(r) for r in size * rng.uniform(0.4, 1.2, 3))
        box, distance = ellipsoid(brain.grid, centre, (radii[0], radii[1], radii[2]), margin=8)
        if not distance.size:
            continue
        rough = smooth_noise(rng, distance.shape, brain.grid.spacing_mm, 14.0)
        weight = step(distance + 0.3 * min(radii) * rough, 4.0) * tissue[box]
        change = rng.uniform(low, high)
        if change > 0:  # a mass, dense as cells are, in a wide oedema
            ring = step(distance - 8 + 3 * rough, 6.0) * brain.white[box]
            brain.hu[box] -= 10 * ring
            if rng.random() < 0.4:
                weight = weight * step(-(distance + 4), 2.0)
        brain.hu[box] += change * weight


def operated(head: HeadBuilder, displacement: Displacement, rng: np.random.Generator) -> bool:
    """Paint traces of an operation, such as a shunt, into a head's HU, in place.

    Returns:
        Whether metal was added, which causes streaks.
    """
    side = float(rng.choice([-1.0, 1.0]))
    kind = rng.random()
    if kind < 0.5:  # shunt or drain through a burr hole into a ventricle
        frontal = rng.random() < 0.5
        tip = displacement.at((side * 6.0, 14.0, 8.0))
        entry = (side * 38.0, 62.0, 62.0) if frontal else (side * 44.0, -90.0, 44.0)
        start = tuple(float(e + rng.normal(0, 5)) for e in entry)
        box, distance = capsule(HEAD_GRID, (start[0], start[1], start[2]), tip, 1.4)
        blend(head.hu, box, step(distance, 1.2), rng.uniform(120, 500))
        box, distance = capsule(
            HEAD_GRID,
            (start[0], start[1], start[2]),
            (start[0] * 1.2, start[1] * 1.1, start[2] * 1.2),
            5.0,
        )
        blend(head.hu, box, step(distance, 1.0) * (head.inner_mm[box] > 0), 40.0)
        return False
    if kind < 0.8:  # bone flap: a thin gap around it
        centre = (side * 62.0, rng.uniform(-40, 30), rng.uniform(10, 45))
        radius = rng.uniform(20, 34)
        box, distance = ellipsoid(HEAD_GRID, centre, (radius, radius, radius), margin=4)
        gap = (
            step(np.abs(distance) - 1.2, 1.0) * (head.inner_mm[box] > 0) * (head.outer_mm[box] < 1)
        )
        blend(head.hu, box, gap, 30.0)
        inner = head.inner_mm[box]
        fluid = step(distance, 3.0) * step(-inner - 4, 2.0) * (inner < 0)
        blend(head.hu, box, fluid.astype(np.float32), rng.uniform(10, 35))
        if rng.random() < 0.4:
            air = step(distance + 8, 3.0) * step(-inner - 5, 1.0) * (inner < -0.5)
            front = head.texture[box] > 0.5
            blend(head.hu, box, (air * front).astype(np.float32), -900.0)
        return False
    spot = displacement.at((side * rng.uniform(0, 14), rng.uniform(-20, 20), -14.0))
    box, distance = ellipsoid(HEAD_GRID, spot, (4, 4, 4))
    blend(head.hu, box, step(distance, 1.0), 6000.0)
    return True


def sinus_edge(head: HeadBuilder) -> None:
    """Paint the faint dura along the inner table into a head's HU, in place."""
    inner = head.inner_mm[BRAIN_BOX]
    blend(head.hu, BRAIN_BOX, 0.8 * step(np.abs(inner + 0.6) - 0.6, 0.8), 50.0)
