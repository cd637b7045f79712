"""A series, then its volume, in; the reasons why the model may not judge it (none: it may) out.

Two stages, so that a series which its headers rule out is not read: `judge_series` looks at the
headers, `judge_volume` at the pixels. A series with a reason is "not analysed", never "negative".
"""

from __future__ import annotations

import math
import re
from functools import partial

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.brain import grid_pixel_mm, measure_brain, measure_brains
from ichlite.ct.header import is_localizer
from ichlite.ct.lost import empty_slices, same_images
from ichlite.ct.stack import GAP_RATIO, slice_normal
from ichlite.records import HeadVolume, Series, SliceHeader

MIN_SLICES = 10
COVERAGE_RANGE_MM = (80.0, 280.0)
"""One of 2,214 series of the RSNA test table is longer (319 mm); a head
stacked twice is 300 mm and more."""

MAX_SPACING_MM = 8.0
"""The widest median spacing in that table is 6 mm."""

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
NO_CONTRAST = frozenset({"NONE", "NO", "N", "C-", "-", "0", "WITHOUT", "UNENHANCED", "NATIVE"})
_CONTRAST_SERIES = re.compile(
    r"\b(post[ _-]?contrast|with[ _]contrast|cect|cta|angio\w*|perfusion)\b|\bc\+", re.IGNORECASE
)
_SHARP_KERNEL = re.compile(r"^(BONE|EDGE|LUNG|[BHJ][rfu]?[6-9]\d)", re.IGNORECASE)

_MAX_MEASURED_SLICES = 16
_CUT_BRAIN_CM2 = 50.0
_UNIT_TOLERANCE = 1e-2
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

    It must show brain inside bone, with brain's HU; and no slice among those with brain may be
    empty, partly lost, or another slice's image.

    Args:
        volume: As `read_volume` made it.

    Returns:
        One line a reason; empty when this is a head.
    """
    count = len(volume.hu)
    step = max(1, math.ceil(count / _MAX_MEASURED_SLICES))
    pixel_mm = grid_pixel_mm(volume.series.slices[0])
    measured = measure_brains(volume.hu[::step], pixel_mm)
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
    shows_brain = partial(_shows_brain, volume.hu, pixel_mm)
    return (*reasons, *empty_slices(volume.hu, shows_brain), *same_images(volume.hu))


def coverage_notes(volume: HeadVolume) -> tuple[str, ...]:
    """A volume in; a note for each end of the scan that lies inside the brain out.

    Args:
        volume: As `read_volume` made it.

    Returns:
        None, one or two lines. A scan that ends at the skull base or above the vertex has none.
    """
    pixel_mm = grid_pixel_mm(volume.series.slices[0])
    notes = []
    ends = measure_brains(volume.hu[[0, -1]], pixel_mm)
    for end, brain in zip(("lowest", "highest"), ends, strict=True):
        if brain is not None and brain.area_cm2 >= _CUT_BRAIN_CM2:
            notes.append(f"the {end} slice still shows brain: the head may not be covered")
    return tuple(notes)


def _plane_reasons(header: SliceHeader) -> list[str]:
    if header.image_orientation is None:
        return ["the orientation of the slices is not known; expected ImageOrientationPatient"]
    row, column = np.array(header.image_orientation).reshape(2, 3)
    lengths = np.array([row @ row, column @ column]) ** 0.5
    if np.abs(lengths - 1).max() > _UNIT_TOLERANCE or abs(row @ column) > _UNIT_TOLERANCE:
        return ["ImageOrientationPatient is not two perpendicular unit vectors"]
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
        least, most = COVERAGE_RANGE_MM
        if coverage_mm < least:
            reasons.append(
                "the scan does not cover a head; "
                f"found {coverage_mm:.0f} mm; expected at least {least:.0f}"
            )
        if coverage_mm > most:
            reasons.append(
                "the scan is longer than a head; "
                f"found {coverage_mm:.0f} mm; expected at most {most:.0f}"
            )
    if series.slice_spacing_mm is not None and series.slice_spacing_mm > MAX_SPACING_MM:
        reasons.append(
            "slices too far apart; "
            f"found {series.slice_spacing_mm:.1f} mm; expected at most {MAX_SPACING_MM:.0f}"
        )
    reasons += _thickness_reasons(series)
    header = series.slices[0]
    if header.pixel_spacing_mm is None:
        reasons.append("the pixel size is not known; expected PixelSpacing")
        return reasons
    between_rows, between_columns = header.pixel_spacing_mm
    if min(between_rows, between_columns) <= 0:
        found = f"{between_rows:g} x {between_columns:g} mm"
        reasons.append(f"PixelSpacing must be positive; found {found}")
        return reasons
    field_mm = max(between_rows * header.rows, between_columns * header.columns)
    low, high = FIELD_OF_VIEW_RANGE_MM
    if not low <= field_mm <= high:
        reasons.append(
            "the field of view is not that of a head scan; "
            f"found {field_mm:.0f} mm; expected {low:.0f} to {high:.0f}"
        )
    if not 0.99 <= between_rows / between_columns <= 1.01:
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
        if agent and agent not in NO_CONTRAST:
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


def _few_but_brains(slices: int, brains: int) -> bool:
    """Whether most of a handful of slices show brain; their number is `judge_series`' matter."""
    return slices < MIN_SLICES and 2 * brains >= slices


def _shows_brain(hu: NDArray[np.int16], pixel_mm: float, index: int) -> bool:
    return measure_brain(hu[index], pixel_mm) is not None


def _mean_spacing_mm(series: Series) -> float:
    positions = series.positions_mm
    if len(positions) < 2:
        return _SPACING_WHEN_UNKNOWN_MM
    return (positions[-1] - positions[0]) / (len(positions) - 1)
