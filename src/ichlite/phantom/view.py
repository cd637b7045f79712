"""Cut a head volume into the slices of a scan, for a patient position.

Slices are (row, column): row 0 in front, column 0 at the patient's right, as in an axial DICOM.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.phantom.atlas import BRAIN_BOX, HEAD_GRID
from ichlite.phantom.fields import Float, upsample

Z_SAMPLES = 3
"""Number of heights averaged over a slice's thickness."""


@dataclass(frozen=True, slots=True)
class View:
    """Position of the head in the scanner, and geometry of the slices.

    Attributes:
        pixel_mm: Pixel size of the rendered slices.
        grid: Rows and columns of the rendered slices.
        first_mm, spacing_mm, thickness_mm, slices: Position of the first slice along the scan axis,
            slice spacing, slice thickness, and number of slices, feet to head.
        turn: (3, 3) rotation and scaling from scan to template coordinates, axes (z, y, x).
        shift_mm: Offset of the head in the scan, (z, y, x).
        bend: (3, kz, ky, kx) smooth deformation, mm, over ±130 mm.
    """

    pixel_mm: float
    grid: int
    first_mm: float
    spacing_mm: float
    thickness_mm: float
    slices: int
    turn: NDArray[np.float64]
    shift_mm: tuple[float, float, float]
    bend: Float


def turn_of(angles: NDArray[np.float64], scale: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the matrix `View.turn` of rotation angles and scales.

    Args:
        angles: (3,) rotations about x, y and z, radians.
        scale: (3,) scales along z, y and x.

    Returns:
        (3, 3) matrix, axes (z, y, x).
    """
    cx, cy, cz = np.cos(angles)
    sx, sy, sz = np.sin(angles)
    about_x = np.array([[cx, -sx, 0], [sx, cx, 0], [0, 0, 1]])
    about_y = np.array([[cy, 0, -sy], [0, 1, 0], [sy, 0, cy]])
    about_z = np.array([[1, 0, 0], [0, cz, -sz], [0, sz, cz]])
    return np.asarray(np.diag(scale) @ about_x @ about_y @ about_z)


def draw_view(rng: np.random.Generator, grid: int) -> View:
    """Draw a random patient position and slice geometry.

    Args:
        rng: Source of randomness.
        grid: Rows and columns of the slices.
    """
    angles = np.deg2rad([rng.normal(-2, 9), rng.normal(0, 4), rng.normal(0, 6)])
    size = rng.normal(0.925, 0.035)
    aspect = rng.normal(1, 0.035)
    scale = np.array([size * rng.normal(1, 0.03), size * aspect, size / aspect])
    turn = turn_of(angles, 1 / scale)
    bend = rng.normal(0, 3.2, (3, 8, 8, 8)).astype(np.float32)
    thick = float(rng.choice([5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 4.0, 3.0, 2.5]))
    spacing = thick * float(rng.choice([1.0, 1.0, rng.uniform(0.97, 1.1)]))
    low = float(
        rng.choice(
            [rng.uniform(-88, -58), rng.uniform(-112, -75), rng.uniform(-140, -95)],
            p=[0.45, 0.4, 0.15],
        )
    )
    high = 99 * scale[0] + rng.uniform(-6, 26)
    slices = int(np.clip(round((high - low) / spacing), 12, 64))
    return View(
        pixel_mm=float(rng.choice([0.9766, 0.9766, 0.9219, rng.uniform(0.8, 1.0)])) * 256 / grid,
        grid=grid,
        first_mm=low,
        spacing_mm=spacing,
        thickness_mm=thick,
        slices=slices,
        turn=turn,
        shift_mm=(0.0, rng.normal(8, 8), rng.normal(0, 6)),
        bend=bend,
    )


class Camera:
    """Sampler of head volumes along the slices of a view.

    Args:
        view: Geometry of the scan.
    """

    def __init__(self, view: View) -> None:
        self.view = view
        n = view.grid
        self.y_mm = ((n - 1) / 2 - np.arange(n, dtype=np.float32)) * np.float32(view.pixel_mm)
        self.x_mm = self.y_mm.copy()  # column 0 is the patient's right, +x in MNI

    def index(self, z_mm: float, stride: int = 1) -> Float:
        """Return HEAD_GRID voxel coordinates of a plane of the scan.

        Args:
            z_mm: Position of the plane along the scan axis.
            stride: Step between pixels.

        Returns:
            (3, rows, columns).
        """
        view = self.view
        y = self.y_mm[::stride][:, None] - np.float32(view.shift_mm[1])
        x = self.x_mm[::stride][None, :] - np.float32(view.shift_mm[2])
        knots = view.bend.shape[1]
        place = float(np.clip((z_mm + 130) / 260 * (knots - 1), 0, knots - 1.001))
        low = int(place)
        plane = view.bend[:, low] + np.float32(place - low) * (
            view.bend[:, low + 1] - view.bend[:, low]
        )
        shape = (y.shape[0], x.shape[1])
        out = np.empty((3, *shape), np.float32)
        for axis in range(3):
            row = view.turn[axis]
            place_mm = np.float32(row[0] * z_mm) + np.float32(row[1]) * y + np.float32(row[2]) * x
            place_mm = place_mm + upsample(plane[axis], shape, smooth=True)
            out[axis] = (place_mm - np.float32(HEAD_GRID.origin_mm[axis])) / np.float32(
                HEAD_GRID.spacing_mm[axis]
            )
        return out

    def depths(self, position: int) -> NDArray[np.float64]:
        """Return the heights, in mm, that are averaged for a slice.

        Args:
            position: Number of the slice, from 0 at the feet.
        """
        view = self.view
        middle = view.first_mm + position * view.spacing_mm
        steps = (np.arange(Z_SAMPLES) + 0.5) / Z_SAMPLES - 0.5
        return np.asarray(middle + steps * view.thickness_mm)

    def expose(
        self, position: int, hu: Float, weights: dict[str, Float]
    ) -> tuple[Float, dict[str, Float]]:
        """Return one slice of the head, and of each weight map at half the resolution.

        Args:
            position: Number of the slice, from 0 at the feet.
            hu: (z, y, x) float32 HU over HEAD_GRID.
            weights: Weight maps over BRAIN_BOX, by name.
        """
        from scipy import ndimage

        image = np.zeros((self.view.grid, self.view.grid), np.float32)
        start = np.array([b.start for b in BRAIN_BOX], np.float32)[:, None, None]
        blood: dict[str, Float] = {}
        for z_mm in self.depths(position):
            index = self.index(float(z_mm))
            image += ndimage.map_coordinates(
                hu, index, order=1, cval=-1000.0, output=np.float32, mode="constant"
            )
            if weights:
                half = index[:, ::2, ::2] - start
                for name, weight in weights.items():
                    part = ndimage.map_coordinates(
                        weight, half, order=1, output=np.float32, mode="constant"
                    )
                    blood[name] = blood[name] + part if name in blood else part
        return image / np.float32(Z_SAMPLES), {
            k: v / np.float32(Z_SAMPLES) for k, v in blood.items()
        }
