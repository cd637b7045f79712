"""Draw smooth random fields and soft shapes: the geometry that every stage shares.

Arrays are (z, y, x); coordinates are millimetres in MNI152 axes: x to the right, y to the front,
z to the top of the head.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Float = NDArray[np.float32]
Point = tuple[float, float, float]
Box = tuple[slice, slice, slice]


@dataclass(frozen=True, slots=True)
class Grid:
    """Regular grid of voxels in a coordinate system of millimetres.

    Attributes:
        shape: Voxels along (z, y, x).
        origin_mm: Coordinates (z, y, x) of the centre of voxel (0, 0, 0).
        spacing_mm: Distance between centres, (z, y, x).

    Example:
        >>> grid = Grid((3, 4, 5), (0.0, 0.0, 0.0), (2.0, 1.0, 1.0))
        >>> grid.axes_mm()[0].tolist()
        [0.0, 2.0, 4.0]
    """

    shape: tuple[int, int, int]
    origin_mm: Point
    spacing_mm: Point

    def axes_mm(self) -> tuple[Float, Float, Float]:
        """Return the coordinates along z, y and x, each 1-D float32, mm."""
        z, y, x = (
            (o + s * np.arange(n)).astype(np.float32)
            for n, o, s in zip(self.shape, self.origin_mm, self.spacing_mm, strict=True)
        )
        return z, y, x

    def mesh_mm(self, box: Box | None = None) -> tuple[Float, Float, Float]:
        """Return coordinate arrays z, y, x in mm that broadcast against each other.

        Args:
            box: Voxels to return them for, as slices along (z, y, x); None for all.
        """
        z, y, x = self.axes_mm()
        if box is not None:
            z, y, x = z[box[0]], y[box[1]], x[box[2]]
        return z[:, None, None], y[None, :, None], x[None, None, :]

    def box(self, centre: Point, reach: Point) -> Box:
        """Return the voxels around a point, as slices along (z, y, x), cut at the edge of the grid.

        Args:
            centre: Point (x, y, z), mm.
            reach: Half-widths of the box, (x, y, z) mm.
        """
        slices = []
        for axis, (c, r) in enumerate(zip(reversed(centre), reversed(reach), strict=True)):
            low = int(np.floor((c - r - self.origin_mm[axis]) / self.spacing_mm[axis]))
            high = int(np.ceil((c + r - self.origin_mm[axis]) / self.spacing_mm[axis])) + 1
            n = self.shape[axis]
            slices.append(slice(min(max(low, 0), n), min(max(high, 0), n)))
        return slices[0], slices[1], slices[2]


@lru_cache(maxsize=256)
def _taps(n: int, knots: int, smooth: bool) -> tuple[tuple[NDArray[np.intp], Float], ...]:
    """Return, for each of the 2 or 3 knots that reach a sample, its index and weight."""
    if not smooth:
        place = np.linspace(0, knots - 1, n)
        left = np.minimum(place.astype(int), knots - 2)
        share = (place - left).astype(np.float32)
        return ((left, 1 - share), (left + 1, share))
    place = np.linspace(0.5, knots - 1.5, n)
    near = np.clip(np.rint(place).astype(int), 1, knots - 2)
    off = (place - near).astype(np.float32)
    return (
        (near - 1, np.float32(0.5) * (np.float32(0.5) - off) ** 2),
        (near, np.float32(0.75) - off**2),
        (near + 1, np.float32(0.5) * (np.float32(0.5) + off) ** 2),
    )


def upsample(coarse: Float, shape: tuple[int, ...], *, smooth: bool = False) -> Float:
    """Interpolate a coarse array to a larger shape, linearly or by B-splines.

    Results do not depend on the number of threads, since plain sums are used, no matrix product.

    Args:
        coarse: Float array of any rank.
        shape: Shape of the result, of the same rank.
        smooth: Whether to use B-splines instead of linear interpolation.

    Example:
        >>> upsample(np.array([0.0, 1.0], np.float32), (3,)).tolist()
        [0.0, 0.5, 1.0]
    """
    out = coarse
    for axis in reversed(range(len(shape))):
        column = [1] * len(shape)
        column[axis] = shape[axis]
        total = None
        for index, weight in _taps(shape[axis], out.shape[axis], smooth):
            part = out.take(index, axis) * weight.reshape(column)
            if total is None:
                total = part
            else:
                total += part
        out = np.asarray(total, np.float32)
    return out


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], spacing_mm: tuple[float, ...], scale_mm: float
) -> Float:
    """Return a smooth random field of about unit variance.

    Args:
        rng: Source of randomness.
        shape: Shape of the result.
        spacing_mm: Voxel size along each axis.
        scale_mm: Distance between the knots of the field.
    """
    knots = tuple(
        max(3, round(n * s / scale_mm) + 2) for n, s in zip(shape, spacing_mm, strict=True)
    )
    coarse = rng.standard_normal(knots, dtype=np.float32)
    gain = 1.25 ** len(shape)
    return gain * upsample(coarse, shape, smooth=True)


def step(distance: NDArray[np.floating[Any]], width: float = 1.0) -> Float:
    """Return 1 where `distance` is well below 0, 0 where well above, a ramp of `width` between.

    Example:
        >>> step(np.array([-2.0, 0.0, 2.0], np.float32)).tolist()
        [1.0, 0.5, 0.0]
    """
    return np.asarray(np.clip(0.5 - distance / width, 0, 1))


def ellipsoid(
    grid: Grid, centre: Point, radii: Point, *, turn_deg: float = 0.0, margin: float = 1.0
) -> tuple[Box, Float]:
    """Return the signed distance to an ellipsoid in a box around it, approximately, in mm.

    Args:
        grid: Grid on which the distance is computed.
        centre: Centre of the ellipsoid, (x, y, z) mm.
        radii: Radii along (x, y, z), mm.
        turn_deg: Rotation about z, degrees.
        margin: Extra reach of the box beyond the surface, mm.

    Returns:
        The box, as slices along (z, y, x), and the distance in it, negative inside.
    """
    reach = max(radii[0], radii[1]) if turn_deg else 0.0
    box = grid.box(
        centre, (max(radii[0], reach) + margin, max(radii[1], reach) + margin, radii[2] + margin)
    )
    z, y, x = grid.mesh_mm(box)
    dx, dy, dz = x - np.float32(centre[0]), y - np.float32(centre[1]), z - np.float32(centre[2])
    if turn_deg:
        c, s = np.float32(np.cos(np.deg2rad(turn_deg))), np.float32(np.sin(np.deg2rad(turn_deg)))
        dx, dy = c * dx + s * dy, c * dy - s * dx
    a, b, c_ = (np.float32(max(r, 0.5)) for r in radii)
    q = np.sqrt((dx / a) ** 2 + (dy / b) ** 2 + (dz / c_) ** 2)
    return box, (q - 1) * np.float32(min(a, b, c_))


def capsule(grid: Grid, start: Point, end: Point, radius: float) -> tuple[Box, Float]:
    """Return the signed distance in mm to a rod with round ends, in a box around it.

    Args:
        grid: Grid on which the distance is computed.
        start: One end of the rod's axis, (x, y, z) mm.
        end: Other end of the axis, (x, y, z) mm.
        radius: Radius in mm.

    Returns:
        The box, as slices along (z, y, x), and the distance in it, negative inside.
    """
    p, q = np.asarray(start, np.float32), np.asarray(end, np.float32)
    centre, half = (p + q) / 2, np.abs(q - p) / 2 + np.float32(radius + 1)
    box = grid.box(
        (float(centre[0]), float(centre[1]), float(centre[2])),
        (float(half[0]), float(half[1]), float(half[2])),
    )
    z, y, x = grid.mesh_mm(box)
    axis = q - p
    length2 = float(axis @ axis) or 1.0
    along = ((x - p[0]) * axis[0] + (y - p[1]) * axis[1] + (z - p[2]) * axis[2]) / length2
    along = np.clip(along, 0, 1)
    gap = (
        (x - p[0] - along * axis[0]) ** 2
        + (y - p[1] - along * axis[1]) ** 2
        + (z - p[2] - along * axis[2]) ** 2
    )
    return box, np.sqrt(gap) - np.float32(radius)


def blend(hu: Float, box: Box, weight: Float, value: float | Float) -> None:
    """Mix a value into HU in place.

    Args:
        hu: (z, y, x) float32 HU.
        box: Voxels to change, as slices along (z, y, x).
        weight: Share of the new value in each voxel of the box, [0, 1].
        value: HU to mix in.
    """
    target = hu[box]
    target += weight * (value - target)
