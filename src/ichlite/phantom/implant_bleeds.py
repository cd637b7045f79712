"""Put the bleeds of a plan into the slices of a real head without blood.

The plan and its brushes are those of phantoms; the inner table, the fluid in sulci and ventricles,
the pushed brain and the noise are the patient's own.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ichlite.data.store_parts import CELLS
from ichlite.data.windowed import BONE_HU as FILLED_BONE_HU
from ichlite.data.windowed import HuRange
from ichlite.labels import NAMES
from ichlite.phantom.atlas import BRAIN_BOX, HEAD_GRID, load_atlas
from ichlite.phantom.bleed_plan import BleedPlan, Sheet, Surface, Ventricular
from ichlite.phantom.bleeds import Blood, chambers_of, displace, falx_floor_mm
from ichlite.phantom.brain_tissue import Brain, Displacement
from ichlite.phantom.fields import Float
from ichlite.phantom.real_head import FLUID_BELOW_BRAIN_HU, RealHead
from ichlite.phantom.real_skull import BONE_HU, PIXEL_MM
from ichlite.phantom.scanner import noise_like
from ichlite.phantom.subject import label_slice, slice_cells

PLAN_BRAIN_HU = 32.0
"""Brain level, HU, that the HU in bleed plans are relative to."""

DEPTHS = 5
"""Number of heights averaged over a slice's thickness."""

FALX_MM = 5.0
"""Largest thickness of blood along the falx, mm."""

SUBDURAL_FLOOR_DEG = -20.0
"""Lowest edge of a subdural, as an angle at `bleeds.CENTRE`."""

SEPTUM_MM = 0.5
"""Half of the wall between the lateral ventricles: the head's own one shows."""

FAINT = (0.6, 1.05)
"""Range of the factor on the contrast of blood against brain, measured on real bleeds."""

BLOB_BLUR_PX = 0.8
"""Blur of a clot's edge in tissue, in pixels, because blood soaks into it."""

_IN_FLUID = ("subarachnoid", "intraventricular")
_LEAST_SHARE = 0.01
_LEAST_SHIFT_PX = 0.05
_LEAST_HU = 0.5


@dataclass(frozen=True, slots=True)
class Implanted:
    """A real scan with implanted blood.

    Attributes:
        hu: (slice, 256, 256) int16 HU.
        labels: (slice, 5) uint8, columns as `labels.NAMES`.
        lesion: (slice, 2) float32 row and column of the largest bleed; NaN where none.
        lesion_cells: (slice, 32, 32) uint8; see `data.store_parts.LesionCells`.
        shares: Share of blood in each pixel, [0, 1], (slice, 256, 256) float32, by subtype.
        plan: Bleeds that were implanted, adapted to the head.
    """

    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    lesion: Float
    lesion_cells: NDArray[np.uint8]
    shares: dict[str, Float]
    plan: BleedPlan


class _Anywhere(Brain):
    """Brain that takes blood of every kind everywhere: the patient's own says where it stays."""

    __slots__ = ()

    @property
    def csf(self) -> Float:
        """Return the fraction of fluid: all of it."""
        return np.ones(self.grid.shape, np.float32)


class _Layers(Blood):
    """Painter of a plan beside a head instead of into it.

    Attributes:
        alpha, colour: Share of blood, and HU times that share, over BRAIN_BOX, by subtype.
    """

    def __init__(
        self, head: RealHead, displacement: Displacement, rng: np.random.Generator
    ) -> None:
        grid = head.atlas.brain_grid
        full, none = np.ones(grid.shape, np.float32), np.zeros(grid.shape, np.float32)
        depth = -head.atlas.cavity_mm[BRAIN_BOX]
        # Blood goes on into the bone a little, so that the patient's own inner table cuts it.
        depth = np.where(depth > -4, np.maximum(depth, 1.3), depth).astype(np.float32)
        super().__init__(
            _Anywhere(grid, 0.25 * full, 0.75 * full, full, depth, none), displacement, rng
        )
        self.alpha: dict[str, Float] = {}
        self.colour: dict[str, Float] = {}
        self.septum_mm = SEPTUM_MM
        self.front_mm = head.scan_mm()[1]

    def _add(self, subtype: str, weight: Float, hu: float | Float) -> None:
        seen = self.alpha.get(subtype)
        if seen is None:
            self.alpha[subtype] = weight.copy()
            self.colour[subtype] = np.asarray(weight * hu, np.float32)
            return
        self.colour[subtype] += weight * (hu - self.colour[subtype])
        seen += weight * (1 - seen)

    def _reach(self, sheet: Sheet) -> Float:
        """Return where along its membrane a sheet lies: it thins out towards its ends."""
        z, y, _ = self.brain.grid.mesh_mm()
        ragged = 3 * self.mottle
        back = np.clip((y - sheet.span[0] + ragged) / 14, 0, 1)
        front = np.clip((sheet.span[1] - y + ragged) / 14, 0, 1)
        return np.asarray(back * front * np.clip((z - falx_floor_mm(y) + ragged) / 8, 0, 1))

    def pairs(self) -> dict[str, tuple[Float, Float]]:
        """Return `alpha` and `colour` by subtype, in the order in which they cover each other."""
        return {name: (alpha, self.colour[name]) for name, alpha in self.alpha.items()}

    @property
    def oedema(self) -> Float:
        """Return the HU that brain around blood loses, 0 or less."""
        return self.brain.hu


def settle(plan: BleedPlan, head: RealHead) -> BleedPlan:
    """Adapt a plan of bleeds to a real head: change or leave out what would not look true.

    A fluid level has as much of the head's ventricles behind it as it has of the template's. Blood
    in sulci is dense enough to be seen in slices of 5 mm. There are no sheets on the tentorium,
    which hardly shows in such slices; sheets on the falx are thin, since they push nothing aside.
    Subdurals stay above the hollows of the skull base, which they would fill.

    Args:
        plan: Bleeds, as drawn for the template.
        head: Measured head.
    """
    template = load_atlas()
    grid = template.brain_grid
    back = grid.mesh_mm()[1] + np.zeros(grid.shape, np.float32)
    front = head.scan_mm()[1]

    def moved(bleed: Ventricular) -> Ventricular:
        if bleed.cast:
            return bleed
        own = front[chambers_of(bleed, grid, SEPTUM_MM) & (head.atlas.ventricle > 0.4)]
        if own.size == 0:
            return bleed
        usual = back[chambers_of(bleed, grid) & (template.ventricle > 0.5)]
        share = float((usual < bleed.level).mean())
        return replace(bleed, level=float(np.quantile(own, share)))

    return replace(
        plan,
        surfaces=tuple(_raised(surface) for surface in plan.surfaces),
        ventricular=tuple(moved(bleed) for bleed in plan.ventricular),
        sulcal=tuple(
            replace(bleed, hu=max(bleed.hu, 54.0), fill=max(bleed.fill, 0.9))
            for bleed in plan.sulcal
        ),
        sheets=tuple(
            replace(sheet, thickness_mm=min(sheet.thickness_mm, FALX_MM))
            for sheet in plan.sheets
            if sheet.place == "falx"
        ),
    )


def _raised(surface: Surface) -> Surface:
    """Return a subdural that ends above `SUBDURAL_FLOOR_DEG`; other collections as they are."""
    if surface.subtype != "subdural":
        return surface
    x, y, z = surface.direction
    around = float(np.arctan2(y, x))
    height = max(float(np.arcsin(z)), np.deg2rad(5.0))
    flat = float(np.cos(height))
    reach = float(np.tan(height - np.deg2rad(SUBDURAL_FLOOR_DEG)))
    return replace(
        surface,
        direction=(
            flat * float(np.cos(around)),
            flat * float(np.sin(around)),
            float(np.sin(height)),
        ),
        widths=(
            surface.widths[0],
            min(surface.widths[1], reach) if reach > 0 else surface.widths[1],
        ),
    )


def implant(
    head: RealHead, plan: BleedPlan, rng: np.random.Generator, hu_range: HuRange | None = None
) -> Implanted:
    """Implant the bleeds of a plan into a real scan.

    Args:
        head: Measured head without blood.
        plan: Bleeds, as drawn for a phantom.
        rng: Source of randomness.
        hu_range: Lowest and highest HU that the source measured; brighter pixels become bone, as in
            the source. None for all.

    Returns:
        The scan; slices that no bleed reaches or displaces are unchanged.
    """
    plan = settle(plan, head)
    displacement = Displacement(head.atlas)
    thickness = displace(plan, head.atlas, displacement)
    layers = _Layers(head, displacement, rng)
    layers.paint(plan, thickness)
    brush = _Brush(head, layers, displacement, rng)
    hu = head.hu.copy()
    labels = np.zeros((len(hu), len(NAMES)), np.uint8)
    lesion = np.full((len(hu), 2), np.nan, np.float32)
    cells = np.zeros((len(hu), CELLS, CELLS), np.uint8)
    shares = {name: np.zeros(hu.shape, np.float32) for name in layers.alpha}
    for k in np.flatnonzero(head.skull.cavity.any((1, 2))):
        blood = brush.paint(int(k), hu[k], hu_range)
        labels[k], place = label_slice(blood, PIXEL_MM)
        cells[k] = slice_cells(blood, labels[k], hu.shape[1])
        if place is not None:
            lesion[k] = place
        for name, share in blood.items():
            shares[name][k] = share
    return Implanted(hu, labels, lesion, cells, shares, plan)


class _Brush:
    """Painter of layers into the slices of a head."""

    def __init__(
        self, head: RealHead, layers: _Layers, displacement: Displacement, rng: np.random.Generator
    ) -> None:
        self.head, self.layers, self.rng = head, layers, rng
        self.field = displacement.field
        self.shape = displacement.grid.shape
        self.faint = rng.uniform(*FAINT)
        self.start = np.array([b.start for b in BRAIN_BOX], np.float32)[:, None, None]
        self.back = np.linalg.inv(head.skull.view.turn).astype(np.float32)

    def paint(self, k: int, plane: NDArray[np.int16], known: HuRange | None) -> dict[str, Float]:
        """Paint slice `k` into `plane`; return the shares of blood by subtype."""
        from scipy import ndimage

        head = self.head
        span = [slice(int(a.min()), int(a.max()) + 1) for a in np.nonzero(head.skull.cavity[k])]
        box = (span[0], span[1])
        cavity = head.skull.cavity[k][box]
        index = head.index(head.skull.position_mm[k])[:, *box] - self.start
        down, right = self._shift(index)
        moved = cavity & (np.hypot(down, right) > _LEAST_SHIFT_PX)
        layers = {name: self._seen(index, pair) for name, pair in self.layers.pairs().items()}
        dark = self._seen(index, (self.layers.oedema,))[0]
        if not moved.any() and not any(alpha.any() for alpha, _ in layers.values()):
            return {}
        rows, columns = np.mgrid[box].astype(np.float32)
        source = np.stack([rows - down, columns - right])

        def warped(volume: Float, order: int = 1) -> Float:
            image: Float = ndimage.map_coordinates(
                volume[k], source, order=order, mode="nearest", output=np.float32
            )
            return image

        fluid, ventricle = warped(head.fluid), warped(head.ventricle)
        room = {
            "intraventricular": ventricle,
            "subarachnoid": np.clip(1.4 * warped(head.sulcal), 0, 1),
            "intraparenchymal": 1 - ventricle,
        }
        soft = np.where(moved, warped(head.soft, 3), head.soft[k][box]) + dark * (1 - fluid)
        touched = moved | (cavity & (dark < -_LEAST_HU))
        if "intraparenchymal" in layers:
            layers["intraparenchymal"] = [
                ndimage.gaussian_filter(one, BLOB_BLUR_PX) for one in layers["intraparenchymal"]
            ]
        level = head.local[k][box] - PLAN_BRAIN_HU
        noise = noise_like(self.rng, len(plane), head.grain)[box] * head.noise[k]
        blood: dict[str, Float] = {}
        for name, (alpha, colour) in layers.items():
            share = alpha * room.get(name, 1) * cavity
            if share.max() < _LEAST_SHARE:
                continue
            hu = PLAN_BRAIN_HU + self.faint * (colour / np.maximum(alpha, 1e-3) - PLAN_BRAIN_HU)
            hu = hu + level
            if name in _IN_FLUID:  # the slice's own partial volume and noise stay
                soft = soft + share * (hu - (head.level - FLUID_BELOW_BRAIN_HU))
            else:
                soft = soft + share * (hu + noise - soft)
            touched |= share >= _LEAST_SHARE
            blood[name] = np.zeros(plane.shape, np.float32)
            blood[name][box] = share
        new = soft + plane[box] - head.soft[k][box]  # with the bone in part of a pixel
        if known is not None:
            new = np.where(new > known[1], FILLED_BONE_HU, np.maximum(new, known[0]))
        touched &= plane[box] <= BONE_HU
        plane[box][touched] = np.rint(new[touched]).astype(np.int16)
        return blood

    def _shift(self, index: Float) -> tuple[Float, Float]:
        """Return how far each pixel's content came, down and to the right, pixels."""
        from scipy import ndimage

        knots = np.array(self.field.shape[1:])
        scale = ((knots - 1) / (np.array(self.shape) - 1)).astype(np.float32)
        place = index * scale[:, None, None]
        u = [ndimage.map_coordinates(f, place, order=1, output=np.float32) for f in self.field]
        y, x = (row[0] * u[0] + row[1] * u[1] + row[2] * u[2] for row in self.back[1:])
        return -y / np.float32(PIXEL_MM), -x / np.float32(PIXEL_MM)

    def _seen(self, index: Float, maps: tuple[Float, ...]) -> list[Float]:
        """Return maps over BRAIN_BOX averaged over the thickness of the slice in plane `index`."""
        from scipy import ndimage

        view = self.head.skull.view
        up = (view.turn[:, 0] / HEAD_GRID.spacing_mm).astype(np.float32)[:, None, None]
        steps = ((np.arange(DEPTHS) + 0.5) / DEPTHS - 0.5) * view.thickness_mm
        near = [np.rint(index[:, ::3, ::3] + np.float32(s) * up).astype(int) for s in steps]
        limits = np.array(self.shape)[:, None, None] - 1
        out = [np.zeros(index.shape[1:], np.float32) for _ in maps]
        if not any(maps[0][*np.clip(n, 0, limits)].any() for n in near):
            return out
        for step_mm in steps:
            place = index + np.float32(step_mm) * up
            for total, volume in zip(out, maps, strict=True):
                total += ndimage.map_coordinates(volume, place, order=1, output=np.float32)
        return [total / np.float32(DEPTHS) for total in out]
