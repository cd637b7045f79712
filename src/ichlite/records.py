"""The frozen records that stages pass on: from Series by HeadVolume to ScanResult."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Literal

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
        breaks: Indices of the slices whose successor is not the next slice of the head: another
            lies between them, or both lie at one place.
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
    """A file that is in no result, with the reason in one line."""

    file: str
    reason: str


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


@dataclass(frozen=True, slots=True)
class SliceScores:
    """Calibrated probabilities of one slice.

    Attributes:
        file: The path as given.
        position_mm: Along the slice normal; None when the file does not say.
        probabilities: In [0, 1], of `any` and each subtype name.
    """

    file: str
    position_mm: float | None
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The result of a series that was analysed.

    Attributes:
        study, series: UIDs.
        files: The files that the result is about; those left out of it are in `left_out`.
        reasons: Why it is not cleared, after what the input check objected to when it was forced.
        scan: The scan's probability of `any` and each subtype name.
        slices: Feet to head.
        urgent: True when `any` reaches the threshold; False when it does not and the scan can be
            cleared; None when it does not and the scan cannot be cleared.
        notes: Repairs and remarks, one line each.
        complete: Whether the whole head was judged.
        not_cleared: Why the scan is never "not flagged", one line a reason: `incomplete: …`,
            `child: …`. Empty when a low probability clears it.
        operating_point, threshold: What `urgent` was decided by.
        left_out: Files of the series that were not judged, each with its reason.
        breaks: Indices of the slices whose successor is not the next slice of the head.
        logits: (slice, subtype) float32, of the model, before calibration.
        hu: The volume that was judged, (slice, row, column) int16 HU; None unless asked for.
        activation_maps: (slice, map row, map column, subtype) float32, logits of the model's
            second output, which is an activation or a lesion map (`contracts.bundle.OutputSpec`);
            None unless asked for.
    """

    study: str
    series: str
    files: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    scan: Mapping[str, float]
    slices: tuple[SliceScores, ...]
    urgent: bool | None
    notes: tuple[str, ...] = ()
    complete: bool = True
    not_cleared: tuple[str, ...] = ()
    operating_point: str
    threshold: float
    left_out: tuple[SkippedFile, ...] = ()
    breaks: tuple[int, ...] = ()
    logits: NDArray[np.float32] = field(repr=False, compare=False)
    hu: NDArray[np.int16] | None = field(default=None, repr=False, compare=False)
    activation_maps: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)

    status: ClassVar[Literal["analysed"]] = "analysed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnalysed:
    """The result of a series that was not analysed: the reasons why.

    Attributes:
        study, series: UIDs; no series where a whole study could not be read.
        files: Its files.
        reasons: Why, one line each; at least one.
        notes: Repairs and remarks, one line each.
        scan, urgent, complete, operating_point, threshold: None: there is no answer.
        slices, not_cleared, left_out: Empty.
    """

    study: str
    series: str
    files: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()

    status: ClassVar[Literal["not_analysed"]] = "not_analysed"
    scan: ClassVar[None] = None
    slices: ClassVar[tuple[()]] = ()
    urgent: ClassVar[None] = None
    complete: ClassVar[None] = None
    not_cleared: ClassVar[tuple[()]] = ()
    operating_point: ClassVar[None] = None
    threshold: ClassVar[None] = None
    left_out: ClassVar[tuple[()]] = ()


ScanResult = Analysed | NotAnalysed
"""The result of one series; `isinstance(result, Analysed)`, or its `status`, tells which."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The results of reading a set of paths; every input file is in exactly one place.

    Attributes:
        bundle: Name and version of the bundle that judged.
        studies: One result a series, in a stable order (study, then series UID).
        skipped: Files that belong to no series, or were left out of the one that they belong to.
        warnings: One line for each thing about the input as a whole that a person must look at,
            such as two patients in one folder.
    """

    bundle: str
    studies: tuple[ScanResult, ...]
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...] = ()
