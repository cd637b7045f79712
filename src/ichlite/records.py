"""The frozen records that reading CT passes on: from header by series to volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector3 = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Where and how a file's pixels are stored (DICOM PS3.5 section 8, PS3.3 C.7.6.3).

    Attributes:
        transfer_syntax_uid: As in the file meta information.
        offset: Byte offset of the PixelData value in the file, or in the data set deflated in it.
        length: Bytes of that value; None when it is encapsulated (compressed).
        bits_allocated, bits_stored, high_bit, pixel_representation: As in the file.
    """

    transfer_syntax_uid: str
    offset: int
    length: int | None
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One CT image's header, as far as reading and judging need it; absent values are None.

    Attributes:
        path: The file as the caller named it (a file in a named folder: folder joined with name).
        rows, columns: Pixels.
        pixel_spacing_mm: (between rows, between columns).
        image_position_mm: ImagePositionPatient, of the first voxel's centre.
        image_orientation: ImageOrientationPatient, row then column direction cosines.
        rescale_slope, rescale_intercept: To HU; None when the file does not say.
        pixel_padding_value: Stored value of pixels outside the scan circle.
        lossy_compressed: The pixels went through lossy compression at some time.
        patient_age_years: By PatientAge; None when it is absent or no age.
        patient_age_readable: Whether PatientAge is absent or an age.
        examination_date: The first that is there of study, series, acquisition and content date.
        patient_name, patient_birth_date, patient_sex, study_date, frame_of_reference_uid: As in the
            file; only compared among slices or counted with, never shown.
    """

    path: str
    patient_id: str
    study_uid: str
    series_uid: str
    instance_uid: str
    rows: int
    columns: int
    layout: PixelLayout
    pixel_spacing_mm: tuple[float, float] | None = None
    image_position_mm: Vector3 | None = None
    image_orientation: tuple[float, float, float, float, float, float] | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str | None = None
    pixel_padding_value: int | None = None
    image_type: tuple[str, ...] = ()
    body_part_examined: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    contrast_agent: str | None = None
    convolution_kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    instance_number: int | None = None
    lossy_compressed: bool = False
    patient_age_years: float | None = None
    patient_age_readable: bool = True
    patient_name: str | None = None
    patient_birth_date: str | None = None
    patient_sex: str | None = None
    study_date: str | None = None
    examination_date: str | None = None
    frame_of_reference_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """The slices of one CT series, sorted along the slice normal, feet to head.

    Attributes:
        slices: Sorted headers.
        positions_mm: Each slice's position along the slice normal; empty when unknown.
        slice_spacing_mm: Median distance between neighbours; None with fewer than two positions.
        faults: One line for each thing that keeps the slices from being one scan (two patients,
            mixed matrices …); empty when they are one.
        defects: One line for each thing that keeps the scan from being whole (slices that are
            missing, repeated, damaged or without a place); empty when it is whole.
        breaks: Gaps, as indices into `slices`: i stands for one between slices i and i + 1, where
            another slice is missing or both lie at one place.
    """

    study_uid: str
    series_uid: str
    patient_id: str
    slices: tuple[SliceHeader, ...]
    positions_mm: tuple[float, ...]
    slice_spacing_mm: float | None
    faults: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is in no result, with the reason in one line.

    Attributes:
        file: The path as given.
        reason: One line.
        may_be_ct: Whether it may be, or hold, a slice of a head CT that could not be read; False
            for other kinds of files, copies and scouts.
    """

    file: str
    reason: str
    may_be_ct: bool = False


@dataclass(frozen=True, slots=True)
class HeadVolume:
    """A series in Hounsfield units on the model's grid.

    Attributes:
        series: The series that it came from.
        hu: (slice, row, column) int16, HU in [-1024, 3071], slice order of `series.slices`.
        notes: Repairs made on the way (12-bit offset …), one line each.
        left_out: Files of the series whose pixels cannot be judged; `series` is without them.
    """

    series: Series
    hu: NDArray[np.int16]
    notes: tuple[str, ...] = ()
    left_out: tuple[SkippedFile, ...] = ()
