"""Build the template head from nilearn's MNI152 maps: tissue maps and distances on one grid.

The maps ship inside nilearn's wheel (ICBM 152 nonlinear symmetric 2009a); nothing is downloaded.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import MissingExtra
from ichlite.phantom.fields import Box, Float, Grid, capsule

HEAD_GRID = Grid((140, 249, 197), (-174.0, -134.0, -98.0), (2.0, 1.0, 1.0))
"""Whole head and neck: 2 mm along z (slices are 2.5 mm and more), 1 mm in plane."""

BRAIN_BOX: Box = (slice(50, 131), slice(24, 214), slice(22, 175))
"""Voxels of HEAD_GRID, as slices along (z, y, x), that contain the cranial cavity."""

COARSE = 4
"""In-plane voxels per knot of the brain displacement field."""


@dataclass(frozen=True, slots=True)
class Atlas:
    """Template head: tissue maps and distances, as arrays (z, y, x) on HEAD_GRID or BRAIN_BOX.

    Attributes:
        cavity_mm: Signed distance to the inner table over HEAD_GRID, negative inside, float32 mm.
        grey, white: Tissue fractions over BRAIN_BOX, [0, 1].
        ventricle: Share of ventricle in each voxel, [0, 1], over BRAIN_BOX.
        ventricle_push: (3, coarse z, y, x) unit vectors (z, y, x) away from the ventricles, times a
            weight that decays with distance; over BRAIN_BOX.
        inward: (3, coarse z, y, x) unit vectors (z, y, x) into the cavity; over BRAIN_BOX.
    """

    cavity_mm: Float
    grey: Float
    white: Float
    ventricle: Float
    ventricle_push: Float
    inward: Float

    @property
    def brain_grid(self) -> Grid:
        """Return the grid of BRAIN_BOX."""
        return box_grid(HEAD_GRID, BRAIN_BOX)


def box_grid(grid: Grid, box: Box) -> Grid:
    """Return the grid of the voxels of `grid` that lie in a box."""
    depth, rows, columns = (b.stop - b.start for b in box)
    z, y, x = (
        o + b.start * s for o, b, s in zip(grid.origin_mm, box, grid.spacing_mm, strict=True)
    )
    return Grid((depth, rows, columns), (z, y, x), grid.spacing_mm)


def _load_map(name: str) -> Float:
    """Return one MNI map over HEAD_GRID, (z, y, x) float32 in [0, 1]."""
    try:
        import nibabel

        folder = resources.files("nilearn") / "datasets" / "data"
    except ModuleNotFoundError as missing:
        raise MissingExtra("train", "nilearn") from missing
    with resources.as_file(
        folder / f"mni_icbm152_{name}_tal_nlin_sym_09a_converted.nii.gz"
    ) as path:
        image = nibabel.Nifti1Image.from_filename(path)
        values = np.asarray(image.dataobj, np.float32).transpose(2, 1, 0) / np.float32(255)
        offset = [float(image.affine[axis, 3]) for axis in (2, 1, 0)]
    thick = values.copy()
    thick[1:-1] = 0.5 * values[1:-1] + 0.25 * (values[:-2] + values[2:])
    out = np.zeros(HEAD_GRID.shape, np.float32)
    first_z = round((offset[0] - HEAD_GRID.origin_mm[0]) / 2)
    y, x = (round(offset[k] - HEAD_GRID.origin_mm[k]) for k in (1, 2))
    thick = thick[::2]
    keep = min(thick.shape[0], out.shape[0] - first_z)
    out[
        first_z : first_z + keep, y : y + values.shape[1], max(x, 0) : max(x, 0) + values.shape[2]
    ] = thick[:keep]
    return out


def signed_distance(
    mask: NDArray[np.bool_], spacing: tuple[float, ...], sigma_mm: float = 1.0
) -> Float:
    """Return the signed distance in mm to the edge of a mask, negative inside.

    Args:
        mask: (z, y, x) bool.
        spacing: Distance between voxel centres along each axis, mm.
        sigma_mm: Standard deviation of the Gaussian that smooths the distances in plane; half along
            z.

    Returns:
        (z, y, x) float32.
    """
    from scipy import ndimage

    outside = ndimage.distance_transform_edt(~mask, sampling=spacing)
    inside = ndimage.distance_transform_edt(mask, sampling=spacing)
    signed = (outside - inside).astype(np.float32)
    sigmas = [sigma_mm / 2, sigma_mm, sigma_mm]
    return np.asarray(ndimage.gaussian_filter(signed, sigmas), np.float32)


def _cavity_mask(tissue: Float) -> NDArray[np.bool_]:
    """Return the cranial cavity: brain, its sulci and cisterns, and the upper spinal canal."""
    from scipy import ndimage

    spacing = (2.0, 2.0, 2.0)
    half = tissue[:, ::2, ::2] > 0.3
    z, y, x = HEAD_GRID.mesh_mm()
    y, x = y[:, ::2], x[:, :, ::2]
    gap = ndimage.distance_transform_edt(~np.pad(half, 10), sampling=spacing)
    closed = np.zeros(half.shape, bool)
    for reach, lowest in ((7.5, -200.0), (18.0, -6.0)):  # the vault is rounder than the base
        shut = ndimage.distance_transform_edt(gap <= reach, sampling=spacing) > reach - 1.2
        closed |= shut[10:-10, 10:-10, 10:-10] & (z > lowest)
    cistern = ((x / 15) ** 2 + ((y + 2) / 15) ** 2 + ((z + 20) / 9) ** 2) < 1
    prepontine = ((x / 9) ** 2 + ((y + 20) / 8) ** 2 + ((z + 34) / 16) ** 2) < 1
    canal = ((x / 11) ** 2 + ((y + 46) / 10) ** 2 < 1) & (z < -56)
    magna = ((x / 14) ** 2 + ((y + 58) / 10) ** 2 + ((z + 56) / 10) ** 2) < 1
    mask = closed | cistern | prepontine | canal | magna
    full = np.repeat(np.repeat(mask, 2, 1), 2, 2)[:, : tissue.shape[1], : tissue.shape[2]]
    return np.asarray(full)


def _ventricle_mask(grey: Float, white: Float, t1: Float, depth_mm: Float) -> NDArray[np.bool_]:
    """Return the lateral, third and fourth ventricles and the drawn temporal horns."""
    from scipy import ndimage

    grid = box_grid(HEAD_GRID, BRAIN_BOX)
    z, y, x = grid.mesh_mm()
    dark = (t1 < 0.62) & (grey + white < 0.75)
    lateral = (np.abs(x) < 38) & (y > -62) & (y < 42) & (z > -6) & (z < 34)
    lateral &= (depth_mm > 14) & ~((np.abs(x) < 14) & (y < -30) & (z < 14))
    lateral &= (np.abs(x) > 3) | ((y > -20) & (y < 22) & (z < 22))
    third = (np.abs(x) < 5) & (y > -28) & (y < 8) & (z > -12) & (z < 12)
    fourth = (np.abs(x) < 10) & (y > -54) & (y < -34) & (z > -46) & (z < -18)
    mask = dark & (lateral | third | fourth)
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    sizes[0] = 0
    mask = sizes[labels] > 60
    for side in (-1.0, 1.0):
        for start, end, radius in (
            ((26, -38, 2), (32, -22, -14), 2.0),
            ((32, -22, -14), (29, -10, -20), 2.2),
            ((24, -46, 12), (22, -66, 8), 2.6),
        ):
            box, distance = capsule(
                grid, (side * start[0], *start[1:]), (side * end[0], *end[1:]), radius
            )
            mask[box] |= distance < 0
    return np.asarray(mask)


def _coarse_gradient(distance: Float, sigma: float) -> Float:
    """Return unit gradient vectors (3, coarse z, y, x) of a distance over BRAIN_BOX."""
    from scipy import ndimage

    smooth = ndimage.gaussian_filter(distance, [sigma / 2, sigma, sigma])
    grid = box_grid(HEAD_GRID, BRAIN_BOX)
    index = _coarse_index(grid.shape)
    rows = [
        ndimage.map_coordinates(g, index, order=1) for g in np.gradient(smooth, *grid.spacing_mm)
    ]
    vectors = np.stack(rows).astype(np.float32)
    length = np.sqrt((vectors**2).sum(0, keepdims=True))
    return np.asarray(vectors / np.maximum(length, 0.6), np.float32)


def coarse_shape(shape: tuple[int, ...]) -> tuple[int, int, int]:
    """Return the number of knots, along (z, y, x), of the displacement field over an array.

    Args:
        shape: Voxels along (z, y, x); knots are 2, 4 and 4 voxels apart.
    """
    return (shape[0] // 2 + 1, shape[1] // COARSE + 1, shape[2] // COARSE + 1)


def _coarse_index(shape: tuple[int, ...]) -> tuple[NDArray[np.float64], ...]:
    """Return where the knots of the displacement field lie, in voxels (z, y, x) of `shape`."""
    ends = zip(shape, coarse_shape(shape), strict=True)
    return np.meshgrid(*(np.linspace(0, n - 1, k) for n, k in ends), indexing="ij")


@lru_cache(maxsize=1)
def load_atlas() -> Atlas:
    """Return the template head, which is built on the first call and then kept in memory.

    Raises:
        MissingExtra: nilearn is not installed.
    """
    grey, white, t1 = (_load_map(name) for name in ("gm", "wm", "t1"))
    cavity = signed_distance(_cavity_mask(grey + white), HEAD_GRID.spacing_mm, sigma_mm=2.2)
    grey, white, t1 = (a[BRAIN_BOX].copy() for a in (grey, white, t1))
    ventricle = _ventricle_mask(grey, white, t1, -cavity[BRAIN_BOX])
    distance = signed_distance(ventricle, HEAD_GRID.spacing_mm)
    soft = np.clip(0.5 - distance / 1.5, 0, 1).astype(np.float32)
    keep = 1 - soft
    return Atlas(
        cavity_mm=cavity,
        grey=grey * keep,
        white=white * keep,
        ventricle=soft,
        ventricle_push=_ventricle_push(distance, cavity[BRAIN_BOX]),
        inward=-_coarse_gradient(cavity[BRAIN_BOX], 4.0),
    )


def atlas_of(cavity: NDArray[np.bool_], ventricle: Float) -> Atlas:
    """Build an atlas of a real head on the template's grid, without maps of grey and white matter.

    Args:
        cavity: (z, y, x) bool over BRAIN_BOX, inside the inner table.
        ventricle: Share of ventricle, [0, 1], over BRAIN_BOX.

    Returns:
        The atlas, with `grey` and `white` 0 everywhere.
    """
    inside = signed_distance(cavity, HEAD_GRID.spacing_mm)
    everywhere = np.full(HEAD_GRID.shape, inside.max(), np.float32)
    everywhere[BRAIN_BOX] = inside
    mask = ventricle > 0.5
    if mask.any():
        push = _ventricle_push(signed_distance(mask, HEAD_GRID.spacing_mm), inside)
    else:
        push = np.zeros((3, *coarse_shape(mask.shape)), np.float32)
    none = np.zeros(mask.shape, np.float32)
    return Atlas(
        cavity_mm=everywhere,
        grey=none,
        white=none,
        ventricle=ventricle,
        ventricle_push=push,
        inward=-_coarse_gradient(inside, 4.0),
    )


def _ventricle_push(distance: Float, cavity_mm: Float) -> Float:
    """Return `Atlas.ventricle_push` of the distances to the ventricles and to the inner table."""
    from scipy import ndimage

    push = _coarse_gradient(distance, 2.6)
    index = _coarse_index(distance.shape)
    far = ndimage.map_coordinates(distance, index, order=1)
    depth = -ndimage.map_coordinates(cavity_mm, index, order=1)
    decay = np.exp(-np.maximum(far, 0) / 16) * np.clip(depth / 22, 0, 1)
    return np.asarray(push * decay, np.float32)
