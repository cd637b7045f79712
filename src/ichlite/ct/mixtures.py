"""Say in which things the slices of one series must agree and do not.

Left free on purpose: AcquisitionNumber, which axial scans count up slice by slice, and
SliceThickness, which two-zone scans change.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ichlite.records import SliceHeader

_SPACING_TOLERANCE = 1e-3
_COSINE_TOLERANCE = 1e-3
_NAMED = 3


def find_mixtures(headers: Sequence[SliceHeader]) -> list[str]:
    """Slice headers with one SeriesInstanceUID in; one line a mixture out.

    Lines never hold what could tell who a patient is. What a header does not say, mixes with
    nothing, pixel spacing and orientation excepted.
    """
    spacings = [header.pixel_spacing_mm for header in headers]
    orientations = [header.image_orientation for header in headers]
    faults = [
        *_identities(headers),
        *_counted("studies", [header.study_uid for header in headers]),
        *_counted("study dates", [header.study_date for header in headers]),
        *_counted("frames of reference", [header.frame_of_reference_uid for header in headers]),
        *_listed("matrices", [f"{header.rows}x{header.columns}" for header in headers]),
    ]
    if not _all_close(spacings, _SPACING_TOLERANCE * abs((spacings[0] or (1.0, 1.0))[0])):
        faults.append("mixed pixel spacings in one series; expected 1")
    if not _all_close(orientations, _COSINE_TOLERANCE):
        faults.append("mixed orientations in one series; expected 1")
    return [
        *faults,
        *_listed("tube voltages", [_shown(header.kvp, " kV") for header in headers]),
        *_listed("convolution kernels", [header.convolution_kernel for header in headers]),
        *_listed("rescale values", [_rescale(header) for header in headers]),
    ]


def _identities(headers: Sequence[SliceHeader]) -> list[str]:
    """Two patients by PatientID, or by what else is said of them under one PatientID."""
    by_id = _counted("patients", [header.patient_id for header in headers])
    if by_id:
        return by_id
    said: dict[str, list[str | None]] = {
        "PatientName": [(header.patient_name or "").upper().strip("^ ") for header in headers],
        "PatientBirthDate": [header.patient_birth_date for header in headers],
        "PatientSex": [header.patient_sex for header in headers],
    }
    for keyword, values in said.items():
        count = len(set(values) - {None, ""})
        if count > 1:
            return [f"mixed patients in one series; found {count} values of {keyword}; expected 1"]
    return []


def _counted(what: str, values: Sequence[str | None]) -> list[str]:
    count = len(set(values) - {None})
    return [f"mixed {what} in one series; found {count}; expected 1"] if count > 1 else []


def _listed(what: str, values: Sequence[str | None]) -> list[str]:
    known = sorted({value for value in values if value is not None})
    if len(known) < 2:
        return []
    more = ", …" if len(known) > _NAMED else ""
    found = f"{len(known)} ({', '.join(known[:_NAMED])}{more})"
    return [f"mixed {what} in one series; found {found}; expected 1"]


def _shown(value: float | None, unit: str) -> str | None:
    return None if value is None else f"{value:g}{unit}"


def _rescale(header: SliceHeader) -> str | None:
    slope, intercept = header.rescale_slope, header.rescale_intercept
    return None if slope is None or intercept is None else f"x {slope:g} + {intercept:g}"


def _all_close(values: Sequence[tuple[float, ...] | None], tolerance: float) -> bool:
    known = [value for value in values if value is not None]
    if len(known) != len(values):
        return not known
    table = np.array(known)
    return bool(np.all(table.max(axis=0) - table.min(axis=0) <= tolerance))
