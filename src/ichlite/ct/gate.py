"""A series, then its volume, in; the reasons why the model may not judge it (none: it may) out.

Two stages, so that a series which its headers rule out is not read: `judge_series` looks at the
headers, `judge_volume` at the pixels. A series with a reason is "not analysed", never "negative".
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.header import is_localizer
from ichlite.ct.stack import GAP_RATIO, slice_normal
from ichlite.records import HeadVolume, Series, SliceHeader

MIN_SLICES = 10
MIN_COVERAGE_MM = 80.0
MAX_TILT_DEGREES = 35.0
"""Gantries tilt to 30 degrees; sagittal and coronal planes lie at 90."""

KVP_RANGE = (100.0, 140.0)
FIELD_OF_VIEW_RANGE_MM = (160.0, 350.0)

MIN_BRAIN_CM3 = 250.0
"""Brain that the coarse measure must find: it finds 750-1700 in adults' heads, 0 elsewhere."""

BRAIN_MEAN_RANGE_HU = (12.0, 55.0)
MIN_BRAIN_SPREAD_HU = 2.5
"""Grey matter, white matter and CSF differ; a block of water or plastic does not."""

_HEAD_WORDS = ("HEAD", "BRAIN", "SKULL", "NEURO", "CRANI", "CEREB", "ENCEPH")
_NO_CONTRAST = frozenset({"NONE", "NO", "N", "C-", "-", "0", "WITHOUT", "UNENHANCED", "NATIVE"})
_CONTRAST_SERIES = re.compile(
    r"\b(post[ _-]?contrast|with[ _]contrast|cect|cta|angio\w*|perfusion)\b|\bc\+", re.IGNORECASE
)
_SHARP_KERNEL = re.compile(r"^(BONE|EDGE|LUNG|[BHJ][rfu]?[6-9]\d)", re.IGNORECASE)

_COARSE = 4
_BONE_HU = 250
_AIR_HU = -300
_SOLID_BELOW_HU = 150
_BRAIN_HU = (-10, 90)
_MIN_BRAIN_CM2 = 30.0
_MIN_BRAIN_SHARE = 0.85
_MAX_MEASURED_SLICES = 16
_SPACING_WHEN_UNKNOWN_MM = 5.0


def judge_series(series: Series) -> tuple[str, ...]:
    """A series in; the reasons its headers give against judging it out, most basic first.

    Args:
        series: As `find_series` made it.

    Returns:
        One line a reason; empty when there is none. What a header does not say is no reason, except
        orientation and pixel spacing, without which an image cannot be placed.
    """
    if any(is_localizer(header) for header in series.slices):
        return ("a localizer (scout), not an axial scan",)
    first = series.slices[0]
    reasons = [
        *series.faults,
        *_plane_reasons(first),
        *_size_reasons(series),
        *_content_reasons(series),
    ]
    return tuple(dict.fromkeys(reasons))


def judge_volume(volume: HeadVolume) -> tuple[str, ...]:
    """A volume in; the reasons its pixels give against being a head with a brain out.

    A brain is tissue of -10 to 90 HU from which, in all four directions of the slice, bone comes
    before air. That holds in a head and hardly anywhere else: chest and belly have air or fat, a
    plastic head has nothing in its skull, water phantoms have no skull.

    Args:
        volume: As `read_volume` made it.

    Returns:
        One line a reason; empty when this is a head.
    """
    count = len(volume.hu)
    step = max(1, math.ceil(count / _MAX_MEASURED_SLICES))
    pixel_mm = _grid_pixel_mm(volume.series.slices[0])
    measured = [_measure(image, pixel_mm) for image in volume.hu[::step]]
    brains = [one for one in measured if one is not None]
    spacing_mm = _mean_spacing_mm(volume.series) * step
    brain_cm3 = sum(one.area_cm2 for one in brains) * spacing_mm / 10
    if brain_cm3 < MIN_BRAIN_CM3 and not _few_but_brains(count, len(brains)):
        return (
            "the pixels do not show a head: too little brain inside bone; "
            f"found {brain_cm3:.0f} cm3; expected at least {MIN_BRAIN_CM3:.0f}",
        )
    reasons = []
    pixels = sum(one.pixels for one in brains)
    mean_hu = sum(one.sum_hu for one in brains) / pixels
    spread_hu = math.sqrt(max(0.0, sum(one.sum_hu2 for one in brains) / pixels - mean_hu**2))
    low, high = BRAIN_MEAN_RANGE_HU
    if not low <= mean_hu <= high:
        reasons.append(
            "the tissue inside the skull is no brain; "
            f"found a mean of {mean_hu:.0f} HU; expected {low:.0f} to {high:.0f}"
        )
    if spread_hu < MIN_BRAIN_SPREAD_HU:
        reasons.append(
            "the tissue inside the skull is uniform, as in a test phantom; "
            f"found a spread of {spread_hu:.1f} HU; expected at least {MIN_BRAIN_SPREAD_HU}"
        )
    return tuple(reasons)


def _plane_reasons(header: SliceHeader) -> list[str]:
    if header.image_orientation is None:
        return ["the orientation of the slices is not known; expected ImageOrientationPatient"]
    row = np.array(header.image_orientation[:3])
    upright = math.cos(math.radians(MAX_TILT_DEGREES))
    tilt_cosine = min(1.0, float(slice_normal(header.image_orientation)[2]))
    if tilt_cosine < upright:
        tilt = math.degrees(math.acos(max(-1.0, tilt_cosine)))
        return [
            f"the slices are not axial; found {tilt:.0f} degrees off the body axis; "
            f"expected at most {MAX_TILT_DEGREES:.0f}"
        ]
    if row[0] < upright or header.image_orientation[4] < 0:
        return [
            "the images are turned or mirrored; "
            "expected rows towards the patient's left and columns towards the back"
        ]
    return []


def _size_reasons(series: Series) -> list[str]:
    reasons = []
    count = len(series.slices)
    if count < MIN_SLICES:
        found = "a single slice" if count == 1 else f"{count} slices"
        reasons.append(f"too few slices for a scan; found {found}; expected at least {MIN_SLICES}")
    if count > 1 and series.positions_mm:
        coverage_mm = series.positions_mm[-1] - series.positions_mm[0] + _mean_spacing_mm(series)
        if coverage_mm < MIN_COVERAGE_MM:
            reasons.append(
                "the scan does not cover a head; "
                f"found {coverage_mm:.0f} mm; expected at least {MIN_COVERAGE_MM:.0f}"
            )
    reasons += _thickness_reasons(series)
    header = series.slices[0]
    if header.pixel_spacing_mm is None:
        reasons.append("the pixel size is not known; expected PixelSpacing")
        return reasons
    between_rows, between_columns = header.pixel_spacing_mm
    field_mm = max(between_rows * header.rows, between_columns * header.columns)
    low, high = FIELD_OF_VIEW_RANGE_MM
    if not low <= field_mm <= high:
        reasons.append(
            "the field of view is not that of a head scan; "
            f"found {field_mm:.0f} mm; expected {low:.0f} to {high:.0f}"
        )
    if not 0.99 <= between_rows / max(between_columns, 1e-6) <= 1.01:
        reasons.append(
            f"the pixels are not square; found {between_rows:g} x {between_columns:g} mm"
        )
    return reasons


def _thickness_reasons(series: Series) -> list[str]:
    """Tissue that no slice shows; when every second slice is lost, this is the only trace."""
    worst = (GAP_RATIO, 0.0, 0.0)
    for index, distance_mm in enumerate(np.diff(series.positions_mm)):
        pair = series.slices[index : index + 2]
        known = [one.slice_thickness_mm for one in pair if one.slice_thickness_mm]
        if known:
            worst = max(worst, (distance_mm / max(known), distance_mm, max(known)))
    if worst[1] == 0:
        return []
    return [
        "the slices leave tissue out between them; "
        f"found a distance of {worst[1]:.1f} mm between slices of {worst[2]:.1f} mm"
    ]


def _content_reasons(series: Series) -> list[str]:
    """What the headers say of the body part and the technique; each value once."""
    reasons = []
    low, high = KVP_RANGE
    for header in series.slices:
        part = (header.body_part_examined or "").upper()
        if part and not any(word in part for word in _HEAD_WORDS):
            reasons.append(f"not a head; found BodyPartExamined {part}")
        if header.kvp is not None and not low <= header.kvp <= high:
            reasons.append(
                f"tube voltage out of range; found {header.kvp:g} kV; "
                f"expected {low:.0f} to {high:.0f}"
            )
        agent = (header.contrast_agent or "").upper()
        if agent and agent not in _NO_CONTRAST:
            reasons.append(f"contrast agent was given; found {agent}; expected a plain scan")
        if _CONTRAST_SERIES.search(header.series_description or ""):
            reasons.append(f"not a plain scan; found SeriesDescription {header.series_description}")
        if _SHARP_KERNEL.match(header.convolution_kernel or ""):
            reasons.append(
                f"a bone or lung kernel; found {header.convolution_kernel}; "
                "expected a soft-tissue kernel"
            )
        if any(part.upper() in ("MIP", "MINIP") for part in header.image_type):
            reasons.append("an intensity projection, not slices")
    return list(dict.fromkeys(reasons))


@dataclass(frozen=True, slots=True)
class _Brain:
    """What one slice has of brain inside bone."""

    area_cm2: float
    pixels: int
    sum_hu: float
    sum_hu2: float


def _measure(hu: NDArray[np.int16], pixel_mm: float) -> _Brain | None:
    """One slice on the model's grid in; its brain out, None when it has too little."""
    coarse = _coarse_means(hu)
    inside = _enclosed_by_bone(coarse)
    inside &= coarse < _SOLID_BELOW_HU
    low, high = _BRAIN_HU
    values = coarse[inside]
    brain = values[(values >= low) & (values <= high)].astype(np.float64)
    area_cm2 = len(brain) * (_COARSE * pixel_mm / 10) ** 2
    if area_cm2 < _MIN_BRAIN_CM2 or len(brain) < _MIN_BRAIN_SHARE * len(values):
        return None
    return _Brain(area_cm2, len(brain), float(brain.sum()), float(brain @ brain))


def _coarse_means(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Means of 4x4 pixels, in two steps that stay within int16."""
    rows = hu[0::4] + hu[1::4] + hu[2::4] + hu[3::4]
    rows >>= 2
    means: NDArray[np.int16] = rows[:, 0::4] + rows[:, 1::4] + rows[:, 2::4] + rows[:, 3::4]
    means >>= 2
    return means


def _enclosed_by_bone(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Where bone comes before air to the left, right, front and back."""
    bone = hu > _BONE_HU
    stop = bone | (hu < _AIR_HU)
    side = len(hu)
    # A stop is worth twice its rank from the start of the ray, plus 1 for bone, so that the running
    # maximum is the nearest stop and its last bit says which kind.
    rank = np.arange(2, 2 * side + 2, 2, dtype=np.int16)
    last_bit = np.ones((side, side), np.int16)
    for flip in (False, True):
        for axis in (0, 1):
            ranks = rank if axis else rank[:, None]
            worth = np.where(stop, (np.flip(ranks) if flip else ranks) + bone, 0).astype(np.int16)
            seen_from = np.flip(worth, axis) if flip else worth
            nearest = np.maximum.accumulate(seen_from, axis=axis)
            last_bit &= np.flip(nearest, axis) if flip else nearest
    return last_bit.astype(np.bool_) & ~stop


def _few_but_brains(slices: int, brains: int) -> bool:
    """Whether most of a handful of slices show brain; their number is `judge_series`' matter."""
    return slices < MIN_SLICES and 2 * brains >= slices


def _grid_pixel_mm(header: SliceHeader) -> float:
    """Millimetres a pixel of the model's grid."""
    spacing = header.pixel_spacing_mm or (0.49, 0.49)
    return max(header.rows * spacing[0], header.columns * spacing[1]) / 256


def _mean_spacing_mm(series: Series) -> float:
    positions = series.positions_mm
    if len(positions) < 2:
        return _SPACING_WHEN_UNKNOWN_MM
    return (positions[-1] - positions[0]) / (len(positions) - 1)
