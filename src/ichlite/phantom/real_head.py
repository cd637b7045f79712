"""Measure a real head without blood: skull, fluid, ventricles, brain level, noise.

What bleeds need to know of the head is laid out like the template head, so that plans and brushes
of phantoms work in it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from ichlite.phantom.atlas import (
    BRAIN_BOX,
    HEAD_GRID,
    Atlas,
    atlas_of,
    box_grid,
    load_atlas,
    signed_distance,
)
from ichlite.phantom.fields import Float
from ichlite.phantom.real_skull import BONE_HU, PIXEL_MM, Skull, find_skull
from ichlite.phantom.view import Camera

FLUID_BELOW_BRAIN_HU = 26.0
"""Difference in HU between the median of a brain and its fluid."""

_RIM_MM = 1.5
_WIDEST_MM = 11.0
"""How far from the template's ventricles a wide one may reach."""


@dataclass(frozen=True, slots=True)
class RealHead:
    """Measurements of a real scan of a head without blood; volumes are (slice, 256, 256).

    Attributes:
        hu: int16 HU of the scan.
        skull: Cranial cavity, slice positions, and alignment with the template.
        soft: float32 HU, with bone and its rim replaced by the nearest brain.
        fluid: Share of cerebrospinal fluid, ventricles included, [0, 1].
        ventricle: Share of fluid in the ventricles, [0, 1].
        sulcal: Share of fluid in sulci and cisterns, [0, 1].
        local: HU of the brain around each pixel, without its fluid.
        level: Median HU of the deep brain.
        noise: (slice,) standard deviation of the pixel noise, HU.
        grain: Texture of the noise, as in `scanner.Physics`.
        atlas: The head on the template's grid.
    """

    hu: NDArray[np.int16]
    skull: Skull
    soft: Float
    fluid: Float
    ventricle: Float
    sulcal: Float
    local: Float
    level: float
    noise: Float
    grain: float
    atlas: Atlas

    def index(self, z_mm: float, stride: int = 1) -> Float:
        """Return HEAD_GRID voxel coordinates of a plane of the scan.

        Args:
            z_mm: Position of the plane along the scan axis.
            stride: Step between pixels.

        Returns:
            (3, rows, columns).
        """
        return Camera(self.skull.view).index(z_mm - self.skull.view.shift_mm[0], stride)

    def scan_mm(self) -> tuple[Float, Float, Float]:
        """Return the scan coordinates (z, y, x), mm, of each voxel of BRAIN_BOX."""
        z, y, x = self.atlas.brain_grid.mesh_mm()
        back = np.linalg.inv(self.skull.view.turn).astype(np.float32)
        scan = (
            row[0] * z + row[1] * y + row[2] * x + np.float32(shift)
            for row, shift in zip(back, self.skull.view.shift_mm, strict=True)
        )
        return next(scan), next(scan), next(scan)


def measure_head(hu: NDArray[np.int16], position_mm: NDArray[np.floating]) -> RealHead:
    """Measure skull, fluid, brain level and noise of a head without blood.

    Args:
        hu: (slice, 256, 256) int16 HU, feet to head, front in row 0.
        position_mm: (slice,) positions along the scan axis, ascending.

    Raises:
        SeriesError: There is no closed skull, or the template fits none.
    """
    skull = find_skull(hu, position_mm)
    deep = skull.edge_mm < -6
    soft = _soft(hu, skull)
    level = float(np.median(soft[deep]))
    noise, grain = _noise_of(soft, deep & (soft > level - 12))
    smooth = np.stack(
        [_denoised(plane, 2.5 * spread) for plane, spread in zip(soft, noise, strict=True)]
    )
    dark = np.clip((level - 7 - smooth) / (FLUID_BELOW_BRAIN_HU - 9), 0, 1) * skull.cavity
    solid = (skull.edge_mm < -3) & (dark < 0.15) & (smooth < level + 25)
    local = np.stack(
        [_local(plane, mask, level) for plane, mask in zip(smooth, solid, strict=True)]
    )
    head = RealHead(
        hu=hu,
        skull=skull,
        soft=soft,
        fluid=dark.astype(np.float32),
        ventricle=np.zeros(0, np.float32),
        sulcal=np.zeros(0, np.float32),
        local=local,
        level=level,
        noise=noise,
        grain=grain,
        atlas=load_atlas(),
    )
    near = _of_template(head, _ventricle_reach(), cval=20.0)
    ventricle = _ventricle(head.fluid, near)
    fluid = np.maximum(head.fluid * (1 - _deep_white(head)), ventricle)
    sulcal = (fluid - ventricle) * np.clip((near - 4) / 4, 0, 1)
    head = replace(head, ventricle=ventricle, fluid=fluid, sulcal=np.asarray(sulcal, np.float32))
    return replace(head, atlas=_atlas(head))


def _soft(hu: NDArray[np.int16], skull: Skull) -> Float:
    """Return HU with everything outside the brain replaced by the nearest pixel of brain."""
    from scipy import ndimage

    out = hu.astype(np.float32)
    for plane, edge in zip(out, skull.edge_mm, strict=True):
        good = (edge < -_RIM_MM) & (plane <= BONE_HU)
        if good.any():
            rows, columns = ndimage.distance_transform_edt(
                ~good, return_distances=False, return_indices=True
            )
            plane[:] = plane[rows, columns]
    return out


def _denoised(plane: Float, step_hu: float) -> Float:
    """Return `plane` smoothed where neighbours differ by less than about `step_hu` (bilateral)."""
    reach = 2
    rows, columns = plane.shape
    framed = np.pad(plane, reach, mode="edge")
    total, weights = np.zeros_like(plane), np.zeros_like(plane)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            near = framed[down : down + rows, right : right + columns]
            apart2 = (down - reach) ** 2 + (right - reach) ** 2
            weight = np.exp(
                -(((near - plane) / np.float32(step_hu)) ** 2) / 2 - np.float32(apart2 / 3)
            )
            total += weight * near
            weights += weight
    return np.asarray(total / weights)


def _local(plane: Float, mask: NDArray[np.bool_], level: float) -> Float:
    """Return the mean of `plane` in `mask` around each pixel; far from any, `level`."""
    from scipy import ndimage

    share = ndimage.gaussian_filter(mask.astype(np.float32), 9.0)
    total = ndimage.gaussian_filter(np.where(mask, plane - level, 0).astype(np.float32), 9.0)
    return np.asarray(level + total / np.maximum(share, 0.05), np.float32)


def _noise_of(soft: Float, quiet: NDArray[np.bool_]) -> tuple[Float, float]:
    """Return the spread of the noise of each slice, and its grain."""
    from scipy import ndimage

    from ichlite.phantom.scanner import grain_of

    rough = soft - ndimage.gaussian_filter(soft, (0, 2.0, 2.0))
    spread = np.zeros(len(soft), np.float32)
    pairs, squares = 0.0, 0.0
    for k, (plane, mask) in enumerate(zip(rough, quiet, strict=True)):
        if mask.sum() < 200:
            continue
        values = np.abs(plane[mask])
        spread[k] = np.median(values) / 0.6745
        plane = np.clip(plane, -3 * spread[k], 3 * spread[k])
        both = mask[:, 1:] & mask[:, :-1]
        pairs += float((plane[:, 1:] * plane[:, :-1])[both].mean())
        squares += float((plane[mask] ** 2).mean())
    usual = float(np.median(spread[spread > 0])) if (spread > 0).any() else 3.0
    spread[spread == 0] = usual
    return spread, grain_of(pairs / max(squares, 1e-6))


def _deep_white(head: RealHead) -> Float:
    """Return 1 deep in the template's white matter, where a dark pixel is no sulcus."""
    from scipy import ndimage

    white = ndimage.gaussian_filter(load_atlas().white, (1.5, 3, 3))
    deep = np.clip((white - 0.6) / 0.2, 0, 1)
    return _of_template(head, np.asarray(deep, np.float32))


def _of_template(head: RealHead, over_box: Float, cval: float = 0.0) -> Float:
    """Return a map over BRAIN_BOX at the pixels of the scan."""
    from scipy import ndimage

    start = np.array([b.start for b in BRAIN_BOX], np.float32)[:, None, None]
    out = np.full(head.hu.shape, cval, np.float32)
    for k in np.flatnonzero(head.skull.cavity.any((1, 2))):
        half = head.index(head.skull.position_mm[k], 2) - start
        coarse = ndimage.map_coordinates(over_box, half, order=1, cval=cval, output=np.float32)
        out[k] = np.repeat(np.repeat(coarse, 2, 0), 2, 1)
    return out


@lru_cache(maxsize=1)
def _ventricle_reach() -> Float:
    """Return the distance over BRAIN_BOX to the template's ventricles, 20 mm in cisterns."""
    grid = box_grid(HEAD_GRID, BRAIN_BOX)
    z, y, x = grid.mesh_mm()
    reach = signed_distance(load_atlas().ventricle > 0.5, grid.spacing_mm)
    # Cisterns and the gap between the hemispheres are as dark and as near.
    wrong = (np.abs(x) < 11) & (y < -29) & (z > -16)
    wrong |= (np.abs(x) < 4) & ((z > 24) | (y > 24))
    wrong |= (y > -22) & (z < -12) & (np.abs(x) < 22)
    return np.where(wrong, 20, reach).astype(np.float32)


def _ventricle(fluid: Float, near: Float) -> Float:
    """Return the share of ventricle: fluid that hangs together with the template's ventricles.

    Args:
        fluid: (slice, 256, 256) share of fluid.
        near: Distance to the template's ventricles, the same shape, mm.
    """
    from scipy import ndimage

    dark = ndimage.gaussian_filter(fluid, (0, 0.5, 0.5))
    may = (dark > 0.35) & (near < _WIDEST_MM)
    parts, count = ndimage.label(may)
    if not count:
        return np.zeros(fluid.shape, np.float32)
    core = ndimage.sum_labels(near < 2, parts, np.arange(count + 1))
    size = np.bincount(parts.ravel(), minlength=count + 1)
    keep = (core > 8) & (core > 0.15 * size)
    keep[0] = False
    mask = keep[parts]
    grown = ndimage.binary_dilation(mask, np.ones((1, 3, 3), bool))
    return np.asarray(fluid * grown * (near < _WIDEST_MM + 1), np.float32)


def _atlas(head: RealHead) -> Atlas:
    """Return the head over the template's grid."""
    from scipy import ndimage

    skull, scan = head.skull, head.scan_mm()
    number = np.arange(len(skull.position_mm), dtype=np.float64)
    place = np.interp(scan[0], skull.position_mm, number, left=-9, right=len(number) + 9)
    middle = (skull.view.grid - 1) / 2
    index = np.stack(
        [place.astype(np.float32), middle - scan[1] / PIXEL_MM, middle - scan[2] / PIXEL_MM]
    )
    edge = ndimage.map_coordinates(
        skull.edge_mm, index, order=1, cval=10.0, mode="constant", output=np.float32
    )
    ventricle = ndimage.map_coordinates(
        head.ventricle, index, order=1, mode="constant", output=np.float32
    )
    return atlas_of(edge < 0, ventricle)
