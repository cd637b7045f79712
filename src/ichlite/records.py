"""The frozen records that reading CT passes on: from header by series to volume."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Vector3 = tuple[float, float, float]


def image_name(file: str, frame: int | None) -> str:
    """Return the name of an image for people: its file, and its frame in a file of several.

    Example:
        >>> image_name("head.dcm", 3), image_name("IM0001", None)
        ('head.dcm, frame 3', 'IM0001')
    """
    return file if frame is None else f"{file}, frame {frame}"


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Where and how a file's pixels are stored (DICOM PS3.5 section 8, PS3.3 C.7.6.3).

    Attributes:
        transfer_syntax_uid: As in the file meta information.
        offset: Byte offset of the PixelData value in the file, or in the data set deflated in it.
        length: Bytes of that value; None when it is encapsulated (compressed).
        bits_allocated, bits_stored, high_bit, pixel_representation: As in the file.
        end: Byte after the last fragment of a compressed frame of a multi-frame file, whose first
            fragment is then at `offset`. None if `offset` is that of the whole PixelData value,
            where the basic offset table comes first.
    """

    transfer_syntax_uid: str
    offset: int
    length: int | None
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int
    end: int | None = None


@dataclass(frozen=True, slots=True)
class Frame:
    """The place of a slice in its file of several frames (DICOM PS3.3 C.7.6.16).

    Attributes:
        number: From 1, in the order of the pixels.
        count: Frames that the file says it has.
        stack_id, temporal_position: As in the file.
        concatenation: What the file is a part of; None for a whole image.
    """

    number: int
    count: int
    stack_id: str | None = None
    temporal_position: int | None = None
    concatenation: Concatenation | None = None


@dataclass(frozen=True, slots=True)
class Concatenation:
    """The place of a file among the parts of one image (DICOM PS3.3 C.7.6.16.1.2.2).

    Attributes:
        uid: ConcatenationUID.
        parts: How many there are; None when the file does not say.
        frames_before: Frames of the image in the parts before this one; None when not said.
    """

    uid: str
    parts: int | None
    frames_before: int | None


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
        frame: Where it lies in a file of several frames; None in a file of its own.
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
    frame: Frame | None = None

    @property
    def frame_number(self) -> int | None:
        """Its number in a file of several frames, from 1; None in a file of its own."""
        return None if self.frame is None else self.frame.number


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

    @property
    def files(self) -> tuple[str, ...]:
        """The files of the slices, each once."""
        return tuple(dict.fromkeys(header.path for header in self.slices))


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file, or a frame of one, that is in no result, with the reason in one line.

    Attributes:
        file: The path as given.
        reason: One line.
        may_be_ct: Whether it may be, or hold, a slice of a head CT that could not be read; False
            for other kinds of files, copies and scouts.
        frame: Number of the frame, from 1, where the rest of the file may be in a result.
    """

    file: str
    reason: str
    may_be_ct: bool = False
    frame: int | None = None


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
