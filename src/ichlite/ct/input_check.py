"""Judge whether a series is a plain axial head CT, and whether it is the whole of one.

Two stages, so that a series which its headers rule out is not read: `judge_series` looks at the
headers, `judge_volume` at the pixels. What is no such scan is "not analysed"; what is a part of one
is judged, can be urgent, and is never cleared.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from ichlite.ct.brain_level import grid_pixel_mm, measure_brains
from ichlite.ct.gaps import MAX_SPACING_MM
from ichlite.ct.header import is_localizer
from ichlite.ct.missing_pixels import lost_slices, repeated_images
from ichlite.ct.stack import slice_normal
from ichlite.ct.tensor import is_upside_down, leave_out
from ichlite.ct.wording import is_agent, names_head, names_no_part, names_other_part, says_contrast
from ichlite.records import HeadVolume, Series, SliceHeader

MIN_SLICES = 10
COVERAGE_RANGE_MM = (80.0, 280.0)
"""Shortest and longest head scan, in mm along the slice normal. One of 2,214 series of the RSNA
test table is longer (319 mm); a head stacked twice is 300 mm and more."""

MAX_TILT_DEGREES = 35.0
"""Gantries tilt to 30 degrees; sagittal and coronal planes lie at 90."""

KVP_RANGE = (100.0, 140.0)
FIELD_OF_VIEW_RANGE_MM = (160.0, 350.0)

MIN_BRAIN_CM3 = 250.0
"""Least volume of brain in a whole head, in cm³; coarsely measured, adults have 750-1700, other
scans 0."""

MIN_PART_CM3 = 50.0
"""Least volume of brain, in cm³, for a scan to count as part of a head where most slices show none:
more than one 5 mm slice can have, since soft tissue may lie in a ring of bone by chance."""

BRAIN_MEAN_RANGE_HU = (12.0, 55.0)
MIN_BRAIN_SPREAD_HU = 2.5
"""Grey matter, white matter and CSF differ; a block of water or plastic does not."""

_SHARP_KERNEL = re.compile(r"^(BONE|EDGE|LUNG|[BHJ][rfu]?[6-9]\d)", re.IGNORECASE)

CUT_BRAIN_CM2 = 50.0
END_MARGIN_MM = 12.0
"""A brain of 7 cm radius goes on for 13 mm beyond a cross-section of 50 cm2, then comes the skull;
the 13 real scans at hand go on for 20 mm at least."""

_MAX_MEASURED_SLICES = 16
_UNIT_TOLERANCE = 1e-2
_SPACING_WHEN_UNKNOWN_MM = 5.0


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the input check objects to in a scan; nothing for a whole, plain, axial head CT.

    Attributes:
        refusals: Why the model must not judge the scan, one line each: it is not, or cannot be
            shown to be, a plain axial head CT.
        defects: Why the model cannot clear the scan, one line each: it does not cover the whole
            head.
        may_be_head: Whether the scan may be a head CT of any kind; False for a scout, and where
            the headers name another body part.
    """

    refusals: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    may_be_head: bool = True


def judge_series(series: Series) -> Judgement:
    """Check by its headers whether a series is a whole, plain, axial head CT.

    Args:
        series: Series from `find_series`.

    Returns:
        The objections, most basic first. A missing attribute is no objection, except
        ImageOrientationPatient and PixelSpacing, without which an image cannot be placed.
    """
    if any(is_localizer(header) for header in series.slices):
        why = "the series is a localizer (scout), not an axial scan"
        return Judgement((why,), may_be_head=False)
    first = series.slices[0]
    refusals = [
        *series.faults,
        *_plane_reasons(first),
        *_size_reasons(first),
        *_content_reasons(series),
    ]
    extent_mm = _extent_mm(series)
    least, most = COVERAGE_RANGE_MM
    if extent_mm is not None and extent_mm > most:
        refusals.append(
            f"the scan is longer than a head; found {extent_mm:.0f} mm; expected at most {most:.0f}"
        )
    defects = list(series.defects)
    count = len(series.slices)
    if count < MIN_SLICES:
        found = "a single slice" if count == 1 else f"{count} slices"
        defects.append(f"too few slices for a scan; found {found}; expected at least {MIN_SLICES}")
    if extent_mm is not None and extent_mm < least:
        defects.append(
            "the scan does not cover a head; "
            f"found {extent_mm:.0f} mm; expected at least {least:.0f}"
        )
    parts = {header.body_part_examined or "" for header in series.slices}
    return Judgement(
        tuple(dict.fromkeys(refusals)),
        tuple(dict.fromkeys(defects)),
        may_be_head=not all(map(names_other_part, parts)),
    )


def without_lost_slices(volume: HeadVolume) -> HeadVolume:
    """Remove the slices whose pixels were lost, or repeat those of another slice, from a volume.

    Args:
        volume: Volume from `read_volume`.

    Returns:
        The volume without these slices, which are listed with their reasons in `left_out`.
    """
    return leave_out(volume, repeated_images(volume.hu) | lost_slices(volume.hu))


def judge_volume(volume: HeadVolume) -> Judgement:
    """Check from its pixels whether a volume shows a whole head.

    There must be enough tissue inside the skull, with the mean and the spread of HU that brain has,
    and neither end of the scan may lie inside the brain.

    Args:
        volume: Volume from `without_lost_slices`.

    Returns:
        The objections: refusals where the pixels show no head; defects for slices that were left
        out, for each end of the scan that lies inside the brain, and for too little brain.
    """
    count = len(volume.hu)
    step = max(1, math.ceil(count / _MAX_MEASURED_SLICES))
    pixel_mm = grid_pixel_mm(volume.series.slices[0])
    measured = measure_brains(volume.hu[::step], pixel_mm)
    brains = [one for one in measured if one is not None]
    spacing_mm = min(_mean_spacing_mm(volume.series), MAX_SPACING_MM) * step
    brain_cm3 = sum(one.area_cm2 for one in brains) * spacing_mm / 10
    if not brains or (brain_cm3 < MIN_PART_CM3 and 2 * len(brains) < len(measured)):
        return Judgement(
            (
                "the pixels do not show a head: too little brain inside bone; "
                f"found {brain_cm3:.0f} cm3; expected at least {MIN_BRAIN_CM3:.0f}",
            )
        )
    refusals = []
    pixels = sum(one.pixels for one in brains)
    mean_hu = sum(one.sum_hu for one in brains) / pixels
    spread_hu = math.sqrt(max(0.0, sum(one.sum_hu2 for one in brains) / pixels - mean_hu**2))
    low, high = BRAIN_MEAN_RANGE_HU
    if not low <= mean_hu <= high:
        refusals.append(
            "the tissue inside the skull is no brain; "
            f"found a mean of {mean_hu:.0f} HU; expected {low:.0f} to {high:.0f}"
        )
    if spread_hu < MIN_BRAIN_SPREAD_HU:
        refusals.append(
            "the tissue inside the skull is uniform, as in a test phantom; "
            f"found a spread of {spread_hu:.1f} HU; expected at least {MIN_BRAIN_SPREAD_HU}"
        )
    defects = [*_left_out(volume), *_cut_ends(volume, pixel_mm)]
    if brain_cm3 < MIN_BRAIN_CM3:
        defects.append(
            "the pixels show a part of a head only; "
            f"found {brain_cm3:.0f} cm3 of brain; expected at least {MIN_BRAIN_CM3:.0f}"
        )
    return Judgement(tuple(refusals), tuple(defects))


def _left_out(volume: HeadVolume) -> list[str]:
    count = len(volume.left_out)
    if count == 0:
        return []
    were = "1 slice was" if count == 1 else f"{count} slices were"
    first = volume.left_out[0].reason
    return [f"{were} left out: {first}" + (f" (and {count - 1} more)" if count > 1 else "")]


def _cut_ends(volume: HeadVolume, pixel_mm: float) -> list[str]:
    """Describe each end of the scan that lies inside the brain; empty images are no end."""
    positions = np.array(volume.series.positions_mm or np.arange(len(volume.hu)) * END_MARGIN_MM)
    from_end = {
        "lower": (volume.hu, positions - positions[0]),
        "upper": (volume.hu[::-1], positions[-1] - positions[::-1]),
    }
    lines = []
    for end, (hu, depth_mm) in from_end.items():
        first = next((index for index, image in enumerate(hu) if np.ptp(image) > 0), 0)
        last = int(np.searchsorted(depth_mm, depth_mm[first] + END_MARGIN_MM)) - 1
        found = [one.area_cm2 for one in measure_brains(hu[[first, last]], pixel_mm) if one]
        if found and max(found) >= CUT_BRAIN_CM2:
            lines.append(
                f"the head is cut at its {end} end; found {max(found):.0f} cm2 of brain within "
                f"{END_MARGIN_MM:.0f} mm of it; expected less than {CUT_BRAIN_CM2:.0f}"
            )
    return lines


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
    turned = -1.0 if is_upside_down(header) else 1.0
    if turned * row[0] < upright or turned * column[1] < 0:
        return [
            "the images are mirrored or lie on their side; "
            "expected rows towards the patient's left and columns towards the back"
        ]
    return []


def _size_reasons(header: SliceHeader) -> list[str]:
    if header.pixel_spacing_mm is None:
        return ["the pixel size is not known; expected PixelSpacing"]
    between_rows, between_columns = header.pixel_spacing_mm
    if min(between_rows, between_columns) <= 0:
        found = f"{between_rows:g} x {between_columns:g} mm"
        return [f"PixelSpacing must be positive; found {found}"]
    reasons = []
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


def _content_reasons(series: Series) -> list[str]:
    """Describe what body part and technique speak against the series; each value once."""
    reasons = []
    low, high = KVP_RANGE
    for header in series.slices:
        part = (header.body_part_examined or "").upper()
        if not (names_head(part) or names_no_part(part)):
            reasons.append(f"the scan is not of a head; found BodyPartExamined {part}")
        if header.kvp is not None and not low <= header.kvp <= high:
            reasons.append(
                f"the tube voltage is out of range; found {header.kvp:g} kV; "
                f"expected {low:.0f} to {high:.0f}"
            )
        agent = (header.contrast_agent or "").upper()
        if is_agent(agent):
            reasons.append(f"a contrast agent was given; found {agent}; expected a plain scan")
        if says_contrast(header.series_description or ""):
            said = f"found SeriesDescription {header.series_description}"
            reasons.append(f"the series is not a plain scan; {said}")
        if _SHARP_KERNEL.match(header.convolution_kernel or ""):
            reasons.append(
                "the images were made with a bone or lung kernel; "
                f"found {header.convolution_kernel}; expected a soft-tissue kernel"
            )
        if any(part.upper() in ("MIP", "MINIP") for part in header.image_type):
            reasons.append("the images are intensity projections, not slices")
    return list(dict.fromkeys(reasons))


def _mean_spacing_mm(series: Series) -> float:
    positions = series.positions_mm
    if len(positions) < 2 or positions[0] == positions[-1]:
        return _SPACING_WHEN_UNKNOWN_MM
    return (positions[-1] - positions[0]) / (len(positions) - 1)


def _extent_mm(series: Series) -> float | None:
    """Return how far the scan reaches, with half a slice distance beyond its first and last."""
    positions = series.positions_mm
    if len(positions) < 2:
        return None
    return positions[-1] - positions[0] + _mean_spacing_mm(series)
