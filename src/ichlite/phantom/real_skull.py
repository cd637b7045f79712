"""Find the cranial cavity of a real head, and lay the template head over it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import SeriesError
from ichlite.phantom.atlas import HEAD_GRID, load_atlas
from ichlite.phantom.fields import Float
from ichlite.phantom.view import View, turn_of

BONE_HU = 98
"""HU from which a pixel is bone; sources that measure only -20 to 100 HU clip brighter ones."""

PIXEL_MM = 250 / 256
"""Pixel size on the 256 grid, for a field of view of 250 mm, where no header states it."""

WORST_FIT_MM = 4.0
_FAR_MM = 12.0
_MIN_AREA_MM2 = 300.0
_BRAIN_HU = (0, 75)
_MIN_BRAIN_SHARE = 0.8
_GAP_PX = 3
_STRIDE = 8
_LEAST_SLICES = 8


@dataclass(frozen=True, slots=True)
class Skull:
    """Cranial cavity of a real head, and its alignment with the template.

    Attributes:
        cavity: (slice, 256, 256) bool: inside the inner table.
        edge_mm: (slice, 256, 256) float32 distance to the inner table in the plane of the slice,
            negative inside, mm.
        position_mm: (slice,) along the scan axis, feet to head, 0 at the middle of the cavity.
        view: Transformation that aligns the template with the scan.
        fit_mm: Mean distance between the inner tables of head and template.
    """

    cavity: NDArray[np.bool_]
    edge_mm: Float
    position_mm: NDArray[np.float64]
    view: View
    fit_mm: float


def find_skull(hu: NDArray[np.int16], position_mm: NDArray[np.floating]) -> Skull:
    """Find the cranial cavity of a scan and align the template with it.

    Args:
        hu: (slice, 256, 256) int16 HU, feet to head, front in row 0.
        position_mm: (slice,) positions along the scan axis, ascending.

    Raises:
        SeriesError: There is no closed skull, or the template fits none.
    """
    cavity = find_cavity(hu)
    slices = np.flatnonzero(cavity.any((1, 2)))
    if len(slices) < _LEAST_SLICES:
        raise SeriesError(
            "there is no closed skull in the scan",
            found=f"{len(slices)} slices with a cavity",
            expected=f"{_LEAST_SLICES} or more",
        )
    edge = np.stack([_edge_mm(mask) for mask in cavity])
    position = np.asarray(position_mm, np.float64)
    position = position - position[slices].mean()
    view, fit_mm = _fit(edge, position, slices)
    if fit_mm > WORST_FIT_MM:
        raise SeriesError(
            "the template head does not fit the skull",
            found=f"{fit_mm:.1f} mm apart",
            expected=f"at most {WORST_FIT_MM:g}",
        )
    return Skull(cavity, edge, position, view, fit_mm)


def find_cavity(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Find the cranial cavity of a scan: brain and fluid, (slice, 256, 256) bool.

    A cavity is soft tissue that bone encloses in its slice; from the widest slice on, up and down,
    it must lie over or under the cavity of the slice before.

    Args:
        hu: (slice, 256, 256) int16 HU, feet to head, front in row 0.
    """
    from scipy import ndimage

    enclosed = np.stack([_enclosed(plane) for plane in hu])
    areas = enclosed.sum((1, 2))
    cavity = np.zeros(hu.shape, bool)
    widest = int(np.argmax(areas))
    cavity[widest] = enclosed[widest]
    for step in (1, -1):
        before = cavity[widest]
        k = widest + step
        while 0 <= k < len(hu) and before.any():
            parts, count = ndimage.label(enclosed[k])
            near = ndimage.binary_dilation(before, iterations=3)
            for part in range(1, count + 1):
                own = parts == part
                if (own & near).sum() > 0.6 * own.sum():
                    cavity[k] |= own
            before = cavity[k]
            k += step
    return cavity


def _enclosed(plane: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return the parts of a slice that bone encloses and that look like brain."""
    from scipy import ndimage

    bone = plane > BONE_HU
    wall = bone
    if bone.any():  # sutures and fractures are gaps of a few pixels
        far = ndimage.distance_transform_edt(~bone)
        shut = ndimage.distance_transform_edt(far <= _GAP_PX) > _GAP_PX
        wall = bone | shut
    inside = ndimage.binary_fill_holes(wall) & ~wall
    core = ndimage.binary_opening(inside, iterations=2)
    parts, count = ndimage.label(core)
    out = np.zeros(plane.shape, bool)
    smooth = ndimage.uniform_filter(plane.astype(np.float32), 3)
    low, high = _BRAIN_HU
    for part in range(1, count + 1):
        own = parts == part
        values = smooth[own]
        if own.sum() * PIXEL_MM**2 < _MIN_AREA_MM2:
            continue
        if ((values > low) & (values < high)).mean() >= _MIN_BRAIN_SHARE:
            out |= own
    # Closing and opening rounded the corners: give back what is not bone beside the core.
    grown = ndimage.binary_dilation(out, iterations=_GAP_PX + 1, mask=~bone & ~_outside(wall))
    return np.asarray(ndimage.binary_fill_holes(grown) & ndimage.binary_fill_holes(wall))


def _outside(wall: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy import ndimage

    return np.asarray(~ndimage.binary_fill_holes(wall))


def _edge_mm(mask: NDArray[np.bool_]) -> Float:
    """Return the signed distance to the edge of a mask, negative inside, at most 40 mm."""
    from scipy import ndimage

    if not mask.any():
        return np.full(mask.shape, 40, np.float32)
    signed = ndimage.distance_transform_edt(~mask) - ndimage.distance_transform_edt(mask)
    signed -= np.where(signed > 0, 0.5, -0.5)
    return np.asarray(np.clip(signed * PIXEL_MM, -40, 40), np.float32)


def _fit(
    edge: Float, position: NDArray[np.float64], slices: NDArray[np.intp]
) -> tuple[View, float]:
    """Return the view that lays the template's inner table on the scan's, and how far they are."""
    from scipy import ndimage

    # Every second voxel in the plane: as cubes of 2 mm the template is small and as good.
    template = np.clip(load_atlas().cavity_mm[:, ::2, ::2], -_FAR_MM, _FAR_MM)
    origin = np.asarray(HEAD_GRID.origin_mm)[:, None]
    spacing = 2.0
    scan, seen = _wall(edge, position, slices)

    def gaps(p: NDArray[np.float64]) -> NDArray[np.float64]:
        place = turn_of(p[:3], np.exp(p[3:6])) @ (scan - 10 * p[6:9, None])
        there = ndimage.map_coordinates(
            template, (place - origin) / spacing, order=1, cval=_FAR_MM, mode="constant"
        )
        return np.asarray(np.clip(there, -8, 8) - np.clip(seen, -8, 8), np.float64)

    def cost(p: NDArray[np.float64]) -> NDArray[np.float64]:
        uneven = (p[3:6] - p[3:6].mean()) / 0.06
        held = np.array([p[0] / 0.25, p[1] / 0.15, *uneven])
        return np.concatenate([gaps(p), np.sqrt(len(seen) / 200) * held])

    inside = seen < 0
    middle, spread = scan[:, inside].mean(1), np.cov(scan[1:, inside])
    lean = -0.5 * np.arctan2(2 * spread[0, 1], spread[0, 0] - spread[1, 1])
    shift = [position[slices[-1]] / 10 - 7.8, middle[1] / 10 + 1.8, middle[2] / 10]
    starts = [np.array([tilt, 0, lean, 0.08, 0.08, 0.08, *shift]) for tilt in (-0.2, 0.1)]
    found = min((_least(cost, start) for start in starts), key=lambda one: one[1])
    # Rounded, so that the last bits of a linear algebra library change no byte.
    p = np.round(found[0], 3)
    fit_mm = float(np.abs(gaps(p)[np.abs(seen) < 6]).mean())
    step_mm = float(np.median(np.diff(position)))
    view = View(
        pixel_mm=PIXEL_MM,
        grid=edge.shape[1],
        first_mm=float(position[0]),
        spacing_mm=step_mm,
        thickness_mm=step_mm,
        slices=len(position),
        turn=turn_of(p[:3], np.exp(p[3:6])),
        shift_mm=(float(10 * p[6]), float(10 * p[7]), float(10 * p[8])),
        bend=np.zeros((3, 3, 3, 3), np.float32),
    )
    return view, fit_mm


def _least(
    residuals: Callable[[NDArray[np.float64]], NDArray[np.float64]], start: NDArray[np.float64]
) -> tuple[NDArray[np.float64], float]:
    """Return where robust (soft L1, 2 mm) least squares end from `start`, and their sum there.

    Levenberg-Marquardt on normal equations: nine unknowns need no decomposition of all residuals.
    """

    def total(r: NDArray[np.float64]) -> float:
        return float((np.sqrt(1 + (r / 2) ** 2) - 1).sum())

    p, damping = start, 1e-2
    r = residuals(p)
    best = total(r)
    for _ in range(40):
        slope = np.stack([(residuals(p + step) - r) / 1e-3 for step in 1e-3 * np.eye(len(p))])
        weighted = slope / np.sqrt(1 + (r / 2) ** 2)
        square, pull = weighted @ slope.T, weighted @ r
        while damping < 1e4:
            trial = p - np.linalg.solve(square + damping * np.diag(np.diag(square) + 1e-6), pull)
            r_trial = residuals(trial)
            if total(r_trial) < best:
                break
            damping *= 8
        else:
            break
        gain, best = best - total(r_trial), total(r_trial)
        p, r, damping = trial, r_trial, max(damping / 4, 1e-6)
        if gain < 1e-4 * best:
            break
    return p, best


def _wall(
    edge: Float, position: NDArray[np.float64], slices: NDArray[np.intp]
) -> tuple[NDArray[np.float64], Float]:
    """Return points (3, n) near the inner table, scan mm (z, y, x), and their distance to it.

    The base of the skull is found less surely than the vault: the upper 110 mm are used.
    """
    n = edge.shape[1]
    side = ((n - 1) / 2 - np.arange(n)) * PIXEL_MM
    top = slices[-1]
    points, values = [], []
    for k in (*slices[position[slices] > position[top] - 110.0], top + 1):
        if k > top:  # over the vertex there is no cavity
            rows, columns = np.nonzero(edge[top][::_STRIDE, ::_STRIDE] < 0)
            known = np.ones(len(rows), np.float32)
            z = position[top] + 5.0
        else:
            rows, columns = np.nonzero(np.abs(edge[k][::_STRIDE, ::_STRIDE]) < _FAR_MM)
            known = edge[k][_STRIDE * rows, _STRIDE * columns]
            z = position[k]
        points.append(
            np.stack([np.full(len(rows), z), side[_STRIDE * rows], side[_STRIDE * columns]])
        )
        values.append(known)
    return np.concatenate(points, 1), np.concatenate(values)
