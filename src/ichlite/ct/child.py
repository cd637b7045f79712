"""Tell whether a head is a child's, by the age in the headers or by its size."""

from __future__ import annotations

from datetime import date

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.brain_level import BONE_HU, grid_pixel_mm
from ichlite.records import HeadVolume, Series, SliceHeader

ADULT_YEARS = 16
"""Younger patients are children; the models are made from adults' heads."""

SMALL_HEAD_CM2 = 165.0
"""Largest cross-section of the skull below which a head is a small child's.

Head circumference is 55.2 cm in women and about 48 cm at two years; areas go with its square, so a
two-year-old has three quarters of a woman's area. In the 13 real scans at hand it is 194-258.
"""

_SAMPLE = 2
_MAX_MEASURED_SLICES = 8
_DAYS_PER_YEAR = 365.25


def child_signs(volume: HeadVolume, *, whole: bool) -> tuple[str, ...]:
    """Return the sign, if any, that a scan shows a child: the age in its headers, or a small skull.

    Args:
        volume: Head CT with its headers and HU.
        whole: Whether the scan covers the whole head; of a part of it no size is measured.

    Returns:
        A tuple of one line, which starts with `child: ` and names the age below `ADULT_YEARS` or
        the skull's cross-section in cm²; empty where nothing says that it is a child.

    Source:
        Bushby et al. 1992, Arch. Dis. Child. 67, 1286 (adults); WHO Child Growth Standards 2007
        (children).
    """
    for header in volume.series.slices:
        by_age = _young(header)
        if by_age is not None:
            return (f"child: {by_age}; the model is made for {ADULT_YEARS} years and older",)
    if whole:
        area_cm2 = _skull_cm2(volume.hu, grid_pixel_mm(volume.series.slices[0]))
        if area_cm2 < SMALL_HEAD_CM2:
            return (
                "child: the head has the size of a small child's; "
                f"found a largest cross-section of {area_cm2:.0f} cm2; "
                f"expected at least {SMALL_HEAD_CM2:.0f}",
            )
    return ()


def age_notes(series: Series) -> tuple[str, ...]:
    """Return a note for the report where PatientAge is unreadable and no birth date replaces it.

    Args:
        series: CT series whose headers are looked at.

    Returns:
        A tuple of one line if that is so for any slice, else empty.
    """
    if any(_age_by_dates(one) is None and not one.patient_age_readable for one in series.slices):
        return (
            "PatientAge cannot be read; the head is judged as an adult's, unless its size is a "
            "small child's",
        )
    return ()


def _young(header: SliceHeader) -> str | None:
    """Describe an age of less than `ADULT_YEARS`; None when it is more, or not said."""
    said = header.patient_age_years
    if said is not None:
        return f"PatientAge is {said:.3g} years" if said < ADULT_YEARS else None
    years = _age_by_dates(header)
    if years is not None and years < ADULT_YEARS:
        return f"{years:.3g} years old by PatientBirthDate and the date of the scan"
    return None


def _age_by_dates(header: SliceHeader) -> float | None:
    """Return the years from birth to scan; None if a date is missing or birth is after the scan."""
    born, examined = _date(header.patient_birth_date), _date(header.examination_date)
    if born is None or examined is None or examined < born:
        return None
    return (examined - born).days / _DAYS_PER_YEAR


def _date(text: str | None) -> date | None:
    """Return a DICOM date, `YYYYMMDD`, as a date; None for anything else."""
    if text is None or len(text) != 8 or not (text.isascii() and text.isdigit()):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def _skull_cm2(hu: NDArray[np.int16], pixel_mm: float) -> float:
    """Return the largest area that bone encloses on a slice, seen along rows and columns."""
    step = -(-len(hu) // _MAX_MEASURED_SLICES)
    bone = hu[::step, ::_SAMPLE, ::_SAMPLE] > BONE_HU
    within = np.ones(bone.shape, np.bool_)
    for axis in (1, 2):
        within &= np.maximum.accumulate(bone, axis=axis)
        within &= np.flip(np.maximum.accumulate(np.flip(bone, axis), axis=axis), axis)
    return float(within.sum(axis=(1, 2)).max()) * (_SAMPLE * pixel_mm / 10) ** 2
