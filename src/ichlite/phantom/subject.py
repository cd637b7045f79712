"""Make one scanned subject: slices, labels, and where the blood is.

The same seed and index give the same bytes, whatever else is generated, in whatever order.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.data.store_parts import CELLS, cells_of
from ichlite.labels import NAMES
from ichlite.phantom import lookalikes
from ichlite.phantom.atlas import load_atlas
from ichlite.phantom.bleed_plan import BleedPlan
from ichlite.phantom.bleeds import Blood, displace
from ichlite.phantom.brain_tissue import Displacement, draw_brain_traits, grow_brain
from ichlite.phantom.fields import Float
from ichlite.phantom.head import HeadBuilder, draw_skull_traits
from ichlite.phantom.plans import Mix, draw_plan
from ichlite.phantom.scanner import Scanner, draw_physics
from ichlite.phantom.view import Camera, View, draw_view

SEEN = 0.38
"""Share of blood above which a pixel counts as blood when labels are computed."""

LABEL_MM2 = 25.0
"""Area of blood, mm², that makes a slice positive."""


@dataclass(frozen=True, slots=True)
class Subject:
    """A generated phantom: scanned slices, labels and geometry.

    Attributes:
        index: Number of the subject within its seed.
        hu: (slice, row, column) int16 HU, feet to head.
        labels: (slice, 5) uint8, columns as `labels.NAMES`.
        lesion: (slice, 2) float32 row and column of the largest bleed, in pixels; NaN where none.
        lesion_cells: (slice, 32, 32) uint8; see `data.store_parts.LesionCells`.
        position_mm: (slice,) float32 positions along the scan axis.
        view: Geometry of the scan.
        plan: Bleeds of the subject.
    """

    index: int
    hu: NDArray[np.int16]
    labels: NDArray[np.uint8]
    lesion: Float
    lesion_cells: NDArray[np.uint8]
    position_mm: Float
    view: View
    plan: BleedPlan


def label_slice(
    blood: dict[str, Float], pixel_mm: float
) -> tuple[NDArray[np.uint8], tuple[float, float] | None]:
    """Return the five labels of a slice and the (row, column) of its largest bleed.

    Args:
        blood: Share of visible blood in each pixel, [0, 1], (row, column), by subtype.
        pixel_mm: Pixel size of those maps.

    Returns:
        (5,) uint8, and the position in pixels of those maps, None when no label is set.

    Example:
        >>> share = np.zeros((8, 8), np.float32)
        >>> share[2, 3] = 1
        >>> labels, place = label_slice({"subdural": share}, 5.0)
        >>> labels.tolist(), place
        ([0, 0, 0, 0, 1], (2.0, 3.0))
    """
    from scipy import ndimage

    labels = np.zeros(len(NAMES), np.uint8)
    best, place = 0.0, None
    for k, name in enumerate(NAMES):
        share = blood.get(name)
        if share is None:
            continue
        seen = share * (share > SEEN)
        area = float((share > SEEN).sum()) * pixel_mm**2
        if area < LABEL_MM2:
            continue
        labels[k] = 1
        mass = float(seen.sum())
        if mass > best:
            best = mass
            smooth = ndimage.gaussian_filter(seen, 6.0 / pixel_mm, mode="constant")
            row, column = np.unravel_index(int(np.argmax(smooth * (seen > 0))), seen.shape)
            place = (float(row), float(column))
    return labels, place


def slice_cells(blood: dict[str, Float], labels: NDArray[np.uint8], side: int) -> NDArray[np.uint8]:
    """Return the lesion cells of a slice, (32, 32) uint8; see `data.store_parts.LesionCells`.

    Args:
        blood: Share of visible blood, [0, 1], (side, side), by subtype.
        labels: (5,) labels of the slice, from `label_slice`.
        side: Rows and columns of those maps, a multiple of 32.
    """
    if not labels.any():
        return np.zeros((CELLS, CELLS), np.uint8)
    nowhere = np.zeros((side, side), bool)
    covered = np.stack([blood[name] > SEEN if name in blood else nowhere for name in NAMES])
    return cells_of(covered, labels)


def _blow(plan: BleedPlan) -> tuple[float, float, float] | None:
    """Return the direction of the injury that an epidural speaks of."""
    return next((one.direction for one in plan.surfaces if one.subtype == "epidural"), None)


def generate_subject(seed: int, index: int, mix: Mix, *, grid: int = 256) -> Subject:
    """Generate one phantom subject, determined by seed and index.

    Args:
        seed: Random seed of the whole set.
        index: Number of the subject, from 0.
        mix: Combinations of subtypes with their frequencies; see `plans.BALANCES`.
        grid: Rows and columns of the images: 256 for stores, 512 for DICOM.

    Returns:
        The scanned subject.
    """
    streams = [np.random.default_rng(s) for s in np.random.SeedSequence([seed, index]).spawn(4)]
    plan_rng, body_rng, view_rng, scan_rng = streams
    atlas = load_atlas()
    plan = draw_plan(plan_rng, mix)
    view = draw_view(view_rng, grid)
    physics = draw_physics(view_rng)

    traits = draw_brain_traits(body_rng)
    displacement = Displacement(atlas)
    displacement.wobble(body_rng, 1.5)
    displacement.widen_ventricles(traits.ventricle_mm)
    thickness = displace(plan, atlas, displacement)
    brain = grow_brain(atlas, traits, displacement, body_rng)
    lookalikes.old_lesions(brain, body_rng)
    lookalikes.vessels(brain, displacement, body_rng)
    lookalikes.membranes(brain, body_rng)
    blood = Blood(brain, displacement, body_rng)
    blood.paint(plan, thickness)
    lookalikes.calcifications(brain, displacement, body_rng)

    head = HeadBuilder(atlas, draw_skull_traits(body_rng, _blow(plan)), body_rng)
    head.skull_base()
    head.face()
    head.spine(float(traits.grey_hu), float(traits.csf_hu))
    head.insert(brain)
    lookalikes.sinus_edge(head)
    metal = body_rng.random() < 0.09 and lookalikes.operated(head, displacement, body_rng)

    camera, scanner = Camera(view), Scanner(physics, view, scan_rng)
    hu = np.empty((view.slices, grid, grid), np.int16)
    labels = np.zeros((view.slices, len(NAMES)), np.uint8)
    lesion = np.full((view.slices, 2), np.nan, np.float32)
    cells = np.zeros((view.slices, CELLS, CELLS), np.uint8)
    for k in range(view.slices):
        true, shares = camera.expose(k, head.hu, blood.weight)
        labels[k], place = label_slice(shares, 2 * view.pixel_mm)
        cells[k] = slice_cells(shares, labels[k], grid // 2)
        if place is not None:
            lesion[k] = (2 * place[0] + 0.5, 2 * place[1] + 0.5)
        hu[k] = scanner.scan(true, metal=metal and float(true.max()) > 2500)
    positions = view.first_mm + view.spacing_mm * np.arange(view.slices)
    return Subject(index, hu, labels, lesion, cells, positions.astype(np.float32), view, plan)
