"""Paint planned bleeds into a brain: displace it, then add HU and one weight map a subtype.

Shapes follow the anatomy: an epidural is a lens against the inner table, a subdural a crescent or
a sheet on falx and tentorium, subarachnoid blood takes the place of fluid in sulci and cisterns,
intraventricular blood settles at the back of the ventricles, a parenchymal bleed is a blob with
an oedema rim.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ichlite.phantom.atlas import Atlas
from ichlite.phantom.bleed_plan import BleedPlan, Blob, Sheet, Sulcal, Surface, Ventricular
from ichlite.phantom.brain_tissue import Brain, Displacement
from ichlite.phantom.fields import Float, Grid, Point, ellipsoid, smooth_noise, step

CENTRE: Point = (0.0, -18.0, 8.0)
"""Point (x, y, z), mm, from which the directions of surface bleeds are counted."""


def surface_thickness(atlas: Atlas, surface: Surface) -> Float:
    """Return the thickness of a surface haematoma at each voxel of the head's `brain_grid`.

    Args:
        atlas: Head that the haematoma lies in.
        surface: Plan of the haematoma.

    Returns:
        (z, y, x) float32, mm; 0 where there is none.
    """
    z, y, x = atlas.brain_grid.mesh_mm()
    d = np.asarray(surface.direction, np.float32)
    around = np.array([-d[1], d[0], 0], np.float32)
    around /= max(float(np.linalg.norm(around)), 1e-3)
    up = np.cross(d, around).astype(np.float32)
    px, py, pz = x - CENTRE[0], y - CENTRE[1], z - CENTRE[2]
    forward = px * d[0] + py * d[1] + pz * d[2]
    a = (px * around[0] + py * around[1]) / surface.widths[0]
    b = (px * up[0] + py * up[1] + pz * up[2]) / surface.widths[1]
    q = (a * a + b * b) / np.maximum(forward, 8.0) ** 2
    profile = np.clip(1 - q, 0, 1) ** np.float32(surface.power)
    profile = np.where(forward > 0, profile, 0)
    if surface.subtype == "subdural":  # it does not cross the midline
        profile = profile * np.clip(x * np.sign(d[0]) / 4, 0, 1)
    return np.asarray(surface.thickness_mm * profile, np.float32)


def displace(plan: BleedPlan, atlas: Atlas, displacement: Displacement) -> list[Float]:
    """Add the mass effect of a plan's bleeds to a displacement field.

    Args:
        plan: Bleeds of the subject.
        atlas: Head that the bleeds lie in.
        displacement: Field that is changed in place.

    Returns:
        Thickness of each surface haematoma, from `surface_thickness`.
    """
    displacement.widen_ventricles(plan.widen_mm)
    maps = []
    for surface in plan.surfaces:
        thickness = surface_thickness(atlas, surface)
        displacement.push_inward(thickness, 26.0)
        side = -float(np.sign(surface.direction[0]))
        displacement.shift_midline(side, 0.22 * surface.thickness_mm)
        maps.append(thickness)
    for blob in plan.blobs:
        size = float(np.cbrt(np.prod(blob.radii)))
        if size > 6:
            displacement.push_from(blob.centre, size, blob.mass)
            displacement.shift_midline(-float(np.sign(blob.centre[0])), 0.12 * blob.mass * size)
    return maps


class Blood:
    """Painter of planned bleeds into a brain's HU.

    Args:
        brain: Brain, whose `hu` is changed in place.
        displacement: Displacement field of that brain.
        rng: Source of randomness.

    Attributes:
        weight: Share of blood in each voxel, [0, 1], over BRAIN_BOX, by subtype name.
        front_mm: Height of each voxel towards the front, mm, for a patient on the back.
        septum_mm: Half-width of the septum between the lateral ventricles, mm.
    """

    def __init__(self, brain: Brain, displacement: Displacement, rng: np.random.Generator) -> None:
        self.brain = brain
        self.displacement = displacement
        self.rng = rng
        self.weight: dict[str, Float] = {}
        self.septum_mm = 3.0
        self.front_mm = brain.grid.mesh_mm()[1]
        self.mottle = smooth_noise(rng, brain.grid.shape, brain.grid.spacing_mm, 7.0)

    def paint(self, plan: BleedPlan, thickness: list[Float]) -> None:
        """Paint every bleed of a plan.

        Args:
            plan: Bleeds of the subject.
            thickness: Thickness map of each surface haematoma, as `displace` returns them.
        """
        for blob in plan.blobs:
            self._blob(blob)
        for sulcal in plan.sulcal:
            self._sulcal(sulcal)
        for ventricular in plan.ventricular:
            self._ventricular(ventricular)
        for sheet in plan.sheets:
            self._sheet(sheet)
        for surface, map_mm in zip(plan.surfaces, thickness, strict=True):
            self._surface(surface, map_mm)

    def _add(self, subtype: str, weight: Float, hu: float | Float) -> None:
        target = self.brain.hu
        target += weight * (hu - target)
        seen = self.weight.get(subtype)
        self.weight[subtype] = weight if seen is None else np.maximum(seen, weight)

    def _surface(self, surface: Surface, thickness: Float) -> None:
        depth = self.brain.depth_mm
        gap = depth - 0.8
        rough = thickness * (1 + 0.1 * self.mottle) if surface.subtype == "subdural" else thickness
        weight = step(gap - rough, 1.6) * (thickness > 0.6) * step(-gap, 1.0)
        z, y, _ = self.brain.grid.mesh_mm()
        back = np.clip((-20 - y + 0 * z) / 40, -1, 1)
        hu = surface.hu + surface.sediment * (back if surface.subtype == "subdural" else 0)
        mixed = 0.12 * abs(surface.hu) + (6 if 18 < surface.hu < 48 else 0)
        self._add(surface.subtype, weight.astype(np.float32), hu + mixed * 0.5 * self.mottle)

    def _sheet(self, sheet: Sheet) -> None:
        z, y, x = self.brain.grid.mesh_mm()
        depth = self.brain.depth_mm
        wave = 0.25 * self.mottle
        if sheet.place == "falx":
            x0 = sheet.side * sheet.thickness_mm / 2
            across = np.abs(x - x0 + 0 * y) - sheet.thickness_mm * (0.5 + 0.4 * wave)
            weight = step(across, 1.4) * self._reach(sheet)
        else:
            height = tentorium_mm(x, y)
            across = np.abs(z - height - 2 - sheet.thickness_mm / 2) - sheet.thickness_mm / 2 - 0.7
            weight = step(across, 2.4) * self._reach(sheet)
        weight = weight * step(1.5 - depth, 1.0)
        self._add("subdural", weight.astype(np.float32), sheet.hu + 3 * self.mottle)

    def _reach(self, sheet: Sheet) -> NDArray[np.bool_] | Float:
        """Return where along its membrane a sheet lies, [0, 1]."""
        z, y, x = self.brain.grid.mesh_mm()
        if sheet.place == "falx":
            along = (y > sheet.span[0]) & (y < sheet.span[1]) & (z > falx_floor_mm(y))
        else:
            along = (y < -22) & (y > sheet.span[0]) & (x * sheet.side > 4)
            along = along & (np.hypot(x, (y + 28)) > 22)
        return along

    def _blob(self, blob: Blob) -> None:
        grid = self.brain.grid
        centre = self.displacement.at(blob.centre)
        reach = blob.oedema_mm + 2
        box, distance = ellipsoid(
            grid, centre, blob.radii, turn_deg=blob.turn_deg, margin=reach + 0.5 * max(blob.radii)
        )
        if distance.size == 0:
            return
        size = float(min(blob.radii))
        big = smooth_noise(self.rng, distance.shape, grid.spacing_mm, max(1.1 * size, 5.0))
        distance = distance + blob.rough * size * big + 0.05 * size * self.mottle[box]
        tissue = np.clip(self.brain.grey[box] + self.brain.white[box] + 0.15, 0, 1)
        tissue = tissue * step(1.0 - self.brain.depth_mm[box], 1.0)
        if blob.oedema_mm > 0:
            rim = np.clip(1 - distance / blob.oedema_mm, 0, 1) ** 0.7
            rim = rim * np.clip(0.25 + self.brain.white[box], 0, 1) * tissue
            self.brain.hu[box] -= 13 * np.clip(rim, 0, 1)
        inside = step(distance, 1.6) * np.where(tissue > 0.3, 1, tissue)
        clot = blob.hu + 4 * self.mottle[box]
        weight = np.zeros(grid.shape, np.float32)
        weight[box] = inside
        hu = np.zeros(grid.shape, np.float32)
        hu[box] = clot
        self._add("intraparenchymal", weight, hu)

    def _sulcal(self, sulcal: Sulcal) -> None:
        z, y, x = self.brain.grid.mesh_mm()
        cx, cy, cz = sulcal.centre
        rx, ry, rz = sulcal.reach
        q = ((x - cx) / rx) ** 2 + ((y - cy) / ry) ** 2 + ((z - cz) / rz) ** 2
        near = np.exp(-(q**1.5))
        patch = np.clip(1 + sulcal.patchy * self.mottle, 0, 1.5)
        fluid = np.clip(1.5 * self.brain.csf, 0, 1) * step(0.6 - self.brain.depth_mm, 1.0)
        weight = np.clip(sulcal.fill * near * patch, 0, 1) * fluid
        self._add("subarachnoid", weight.astype(np.float32), sulcal.hu)

    def _ventricular(self, bleed: Ventricular) -> None:
        z, _, _ = self.brain.grid.mesh_mm()
        chamber = chambers_of(bleed, self.brain.grid, self.septum_mm)
        soft = np.clip(1.3 * self.brain.ventricle, 0, 1) * chamber
        if bleed.cast:
            soft = soft * np.clip(0.95 + 0.35 * self.mottle, 0, 1)
        else:
            soft = soft * np.clip((bleed.level - self.front_mm) / 4 + 0 * z, 0, 1)
        self._add("intraventricular", soft.astype(np.float32), bleed.hu + 3 * self.mottle)


def chambers_of(bleed: Ventricular, grid: Grid, septum_mm: float = 3.0) -> NDArray[np.bool_]:
    """Return the voxels in the regions of a bleed's ventricular chambers, walls included.

    Args:
        bleed: Plan that names the chambers.
        grid: Grid in template coordinates.
        septum_mm: Half-width of the gap left between the lateral ventricles, mm.

    Returns:
        (z, y, x) bool.
    """
    z, y, x = grid.mesh_mm()
    chamber = np.zeros(grid.shape, bool)
    for name in bleed.chambers:
        if name == "left":
            chamber |= (x < -septum_mm) & (z > -24)
        elif name == "right":
            chamber |= (x > septum_mm) & (z > -24)
        elif name == "third":
            chamber |= (np.abs(x) <= 6) & (z > -18) & (z < 16) & (y < 12)
        else:
            chamber |= (z < -12) & (np.abs(x) < 16) & (y < -26)
    return chamber


def falx_floor_mm(y: Float) -> Float:
    """Return the height (z, mm) of the lower edge of the falx at each y (mm)."""
    arch = 34 - 0.006 * (y + 10) ** 2 - np.clip(-(y + 35), 0, 80) * 0.35
    return np.where(y > 20, np.maximum(arch - 1.1 * (y - 20), -8), arch).astype(np.float32)


def tentorium_mm(x: Float, y: Float) -> Float:
    """Return the height (z, mm) of the tentorium at each x and y (mm)."""
    return (4 - 0.42 * np.abs(x) - 0.22 * np.clip(-(y + 42), 0, 80)).astype(np.float32)
