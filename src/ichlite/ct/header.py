"""Read a file's `SliceHeader`, or say why it is not a CT slice that can be used."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from io import FileIO
from typing import cast

from ichlite.ct.elements import (
    DEFLATED_LITTLE,
    EXPLICIT_BIG,
    EXPLICIT_LITTLE,
    IMPLICIT_LITTLE,
    Elements,
    read_elements,
    read_first_bytes,
)
from ichlite.ct.values import WANTED, Values
from ichlite.errors import NotCT, UnreadableFile
from ichlite.records import PixelLayout, SliceHeader, Vector3

Orientation = tuple[float, float, float, float, float, float]

MAX_SIDE = 4096
"""Pixels a side: twice the largest matrix that CT scanners reconstruct; 32 MiB of pixels."""

MIN_SIDE = 16
"""Pixels a side, below which there is no image."""

NATIVE_SYNTAXES = frozenset({IMPLICIT_LITTLE, EXPLICIT_LITTLE, EXPLICIT_BIG, DEFLATED_LITTLE})

COMPRESSED_SYNTAXES: dict[str, str] = {
    "1.2.840.10008.1.2.4.51": "JPEG extended (12 bits)",
    "1.2.840.10008.1.2.4.57": "JPEG lossless (process 14)",
    "1.2.840.10008.1.2.4.70": "JPEG lossless (first-order prediction)",
    "1.2.840.10008.1.2.4.80": "JPEG-LS lossless",
    "1.2.840.10008.1.2.4.81": "JPEG-LS near-lossless",
    "1.2.840.10008.1.2.4.90": "JPEG 2000 lossless",
    "1.2.840.10008.1.2.4.91": "JPEG 2000",
    "1.2.840.10008.1.2.4.201": "HTJ2K lossless",
    "1.2.840.10008.1.2.4.202": "HTJ2K lossless (RPCL)",
    "1.2.840.10008.1.2.4.203": "HTJ2K",
    "1.2.840.10008.1.2.5": "RLE",
}
"""Compressed transfer syntaxes that are read (DICOM PS3.5 annex A.4), and their names."""

LOSSY_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (51, 81, 91, 203))

_GREY = ("MONOCHROME2", "MONOCHROME1")
_SCREEN_BITS = 8
"""Bits of a pixel of a screen or picture: too few for Hounsfield units."""

_JPEG_BASELINE = "1.2.840.10008.1.2.4.50"

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_STORAGE = {
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT (multi-frame)",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted Enhanced CT (multi-frame)",
}
"""Many slices a file, each frame with the header values of a slice of its own."""
_DICOMDIR_STORAGE = "1.2.840.10008.1.3.10"
_OTHER_CLASSES = {
    "1.2.840.10008.5.1.4.1.1.4": "MR image",
    "1.2.840.10008.5.1.4.1.1.4.1": "Enhanced MR",
    "1.2.840.10008.5.1.4.1.1.6.1": "ultrasound image",
    "1.2.840.10008.5.1.4.1.1.7": "secondary capture (a screen or derived picture)",
    "1.2.840.10008.5.1.4.1.1.30": "parametric map",
    "1.2.840.10008.5.1.4.1.1.66.4": "segmentation",
    "1.2.840.10008.5.1.4.1.1.88.67": "radiation dose report",
    "1.2.840.10008.5.1.4.1.1.104.1": "encapsulated PDF",
    "1.2.840.10008.5.1.4.1.1.128": "PET image",
    "1.2.840.10008.5.1.4.1.1.481.3": "radiotherapy structure set",
}

_ARCHIVES: dict[bytes, str] = {
    b"PK\x03\x04": "zip",
    b"PK\x05\x06": "zip",
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"(\xb5/\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}
_TAR_MAGIC = slice(257, 262)
OWN_REPORT = "a report of ichlite, no input"
_OWN_STARTS = (b"study,series,status,urgent,file", b'{\n  "schema": "ichlite-read/')
_OWN_TITLE = b"<title>ichlite"
"""In the first page of every HTML report."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file that gives no slice, and why.

    Attributes:
        path: As the caller named it.
        reason: One line.
        lost_from_series: SeriesInstanceUID of the CT series that lacks a slice because of this
            damaged file; None when nothing is lost (another kind of file) or it is not known.
        damaged: Whether it claims to be a CT slice that cannot be used, not another kind of file.
        code: Short name of the fault, as `IchliteError.code`.
        unopened: Whether it was not looked into: an archive, or no permission.
    """

    path: str
    reason: str
    lost_from_series: str | None = None
    damaged: bool = False
    code: str | None = None
    unopened: bool = False

    @property
    def may_be_ct(self) -> bool:
        """Whether it may be, or hold, a CT slice: it is damaged, or was not looked into."""
        return self.damaged or self.unopened


def read_header(path: str) -> SliceHeader | Refusal:
    """Read a file's slice header (opens the file once, reads a few pages).

    Args:
        path: An existing file; any name.

    Returns:
        The header of a single-frame greyscale CT image whose pixels are all there, else why not.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  as text: a Path for each file would cost more
        if not stat.S_ISREG(status.st_mode):
            return Refusal(path, "not a regular file")  # opening a pipe could wait for ever
        if status.st_size == 0:
            return Refusal(
                path, "empty file", unopened=True
            )  # so are those of /proc, of which some never end
        with FileIO(path) as file:
            first = read_first_bytes(file)
            if is_own_report(first):
                return Refusal(path, OWN_REPORT)
            kind = _not_dicom(first)
            if kind is not None:
                return Refusal(path, kind, unopened=True)
            elements = read_elements(file, first, status.st_size, WANTED)
    except OSError as error:
        return Refusal(path, f"cannot be opened or read: {error.strerror}", unopened=True)
    if elements is None:
        if not first.strip(b"\0"):
            return Refusal(path, "no content; found zeros alone", unopened=True)
        return Refusal(path, "not a DICOM file")
    return _header(path, elements)


def is_localizer(header: SliceHeader) -> bool:
    """Return whether ImageType calls the image a localizer (scout).

    Source:
        DICOM PS3.3 C.8.2.1.1.1.
    """
    return any("LOCALIZER" in part.upper() for part in header.image_type)


def is_own_report(first: bytes) -> bool:
    """Return whether a file with these first bytes is a report that `ichlite read` wrote.

    Example:
        >>> is_own_report(b"study,series,status,urgent,file,position_mm")
        True
    """
    return first.startswith(_OWN_STARTS) or _OWN_TITLE in first


def _not_dicom(first: bytes) -> str | None:
    if not first:
        return "empty file"
    for magic, name in _ARCHIVES.items():
        if first.startswith(magic):
            return f"{name} archive or compressed file: unpack it first"
    if first[_TAR_MAGIC] == b"ustar":
        return "tar archive: unpack it first"
    return None


def _header(path: str, elements: Elements) -> SliceHeader | Refusal:
    values = Values(elements)
    try:
        _check_kind(values, elements)
        if elements.fault is not None:
            return Refusal(path, elements.fault, values.text("SeriesInstanceUID"), damaged=True)
        _check_pixels(values, elements)
        return _slice_header(path, values, _layout(values, elements))
    except NotCT as error:
        return Refusal(path, str(error))
    except UnreadableFile as error:
        series = values.text("SeriesInstanceUID")
        return Refusal(path, str(error), series, damaged=True, code=error.code)


def _check_kind(values: Values, elements: Elements) -> None:
    """Raise unless the file says that it is a CT image.

    Raises:
        NotCT: It is something else.
        UnreadableFile: It does not say what it is.
    """
    media_class = values.text("MediaStorageSOPClassUID")
    if media_class == _DICOMDIR_STORAGE:
        raise NotCT("DICOMDIR: an index, no image; its files are read by themselves")
    sop_class = values.text("SOPClassUID") or media_class
    modality = values.text("Modality")
    is_ct = sop_class in (None, CT_IMAGE_STORAGE, *ENHANCED_STORAGE)
    if not is_ct or modality not in (None, "CT"):
        found = _OTHER_CLASSES.get(sop_class or "", sop_class)
        if found is None or is_ct:
            found = f"Modality {modality}"
        raise NotCT("not a CT image", found=found, expected="CT Image Storage, Modality CT")
    if sop_class is None and modality is None:
        if elements.fault is not None:
            raise UnreadableFile(elements.fault)
        raise UnreadableFile("the file is no image", found="neither SOPClassUID nor Modality")


def _check_pixels(values: Values, elements: Elements) -> None:
    """Raise unless the pixels are those of one greyscale CT slice.

    Raises:
        NotCT: They have colours or 8 bits, as screens have: no slice is lost.
        UnreadableFile: They may be those of CT, in a form that is not read.
    """
    samples = values.whole("SamplesPerPixel")
    photometric = values.text("PhotometricInterpretation")
    allocated = values.whole("BitsAllocated")
    grey = samples in (None, 1) and photometric in (None, *_GREY)
    if not grey or (allocated is not None and allocated <= _SCREEN_BITS):
        raise NotCT(
            "not a greyscale CT image",
            found=f"{photometric}, {samples or 1} samples a pixel, BitsAllocated {allocated}",
            expected="MONOCHROME2, 1 sample a pixel, BitsAllocated 16",
        )
    if elements.float_pixels is not None:
        raise UnreadableFile(
            "the pixels are floating-point numbers",
            found=elements.float_pixels,
            expected="PixelData",
        )
    frames = values.integer_text("NumberOfFrames")
    enhanced = ENHANCED_STORAGE.get(values.text("SOPClassUID") or "")
    if frames not in (None, 1) or enhanced is not None:
        found = enhanced or f"{frames} frames"
        raise UnreadableFile("not a single image", found=found, expected="one slice a file")
    if photometric == "MONOCHROME1":
        raise UnreadableFile("dark and bright are swapped", found=photometric, expected=_GREY[0])
    if allocated != 16:
        raise UnreadableFile(
            "pixels of an odd size", found=f"BitsAllocated {allocated}", expected="16"
        )
    if elements.pixel_offset is None:
        raise UnreadableFile("there is no image in the file", expected="PixelData")


def _layout(values: Values, elements: Elements) -> PixelLayout:
    """Return sizes and coding of the pixels, checked against each other and the file."""
    rows, columns = values.required_whole("Rows"), values.required_whole("Columns")
    if not (MIN_SIDE <= rows <= MAX_SIDE and MIN_SIDE <= columns <= MAX_SIDE):
        raise UnreadableFile(
            "the image has a size that CT does not have",
            found=f"{rows}x{columns} pixels",
            expected=f"{MIN_SIDE} to {MAX_SIDE} a side",
        )
    stored, high_bit = values.required_whole("BitsStored"), values.required_whole("HighBit")
    signed = values.required_whole("PixelRepresentation")
    if not (8 <= stored <= 16 and stored - 1 <= high_bit <= 15 and signed in (0, 1)):
        raise UnreadableFile(
            "the pixel coding makes no sense",
            found=f"BitsStored {stored}, HighBit {high_bit}, PixelRepresentation {signed}",
        )
    syntax = elements.transfer_syntax_uid
    offset, length = elements.pixel_offset or 0, elements.pixel_length
    if syntax in NATIVE_SYNTAXES:
        _check_native_length(rows * columns * 2, length, elements.size - offset)
    elif syntax == _JPEG_BASELINE:
        raise UnreadableFile(
            "JPEG baseline has 8 bits a pixel, too few for Hounsfield units",
            remedy="export the scan again, uncompressed or lossless",
        )
    elif syntax not in COMPRESSED_SYNTAXES:
        raise UnreadableFile(
            "the transfer syntax is not supported",
            found=syntax,
            expected="uncompressed, deflated, RLE, JPEG of 12-16 bits, JPEG-LS, JPEG 2000, HTJ2K",
        )
    elif length is not None:
        raise UnreadableFile(
            "the compressed pixel data is not encapsulated", found=f"{length} bytes"
        )
    return PixelLayout(syntax, offset, length, 16, stored, high_bit, signed)


def _check_native_length(expected: int, declared: int | None, available: int) -> None:
    if declared is None:
        raise UnreadableFile("the uncompressed pixel data has no length")
    found = min(declared, available)
    if found < expected:
        raise UnreadableFile(
            "the pixel data is short",
            found=f"{found} bytes",
            expected=expected,
            code="short_pixel_data",
        )
    if declared > expected + 1:
        raise UnreadableFile("the pixel data is long", found=f"{declared} bytes", expected=expected)


def _is_lossy(said: str | None, layout: PixelLayout) -> bool:
    """Return what the file says of loss, or else whether its transfer syntax is made for it."""
    return said == "01" or (said is None and layout.transfer_syntax_uid in LOSSY_SYNTAXES)


_DATES = ("StudyDate", "SeriesDate", "AcquisitionDate", "ContentDate")


def _slice_header(path: str, values: Values, layout: PixelLayout) -> SliceHeader:
    spacing = values.numbers("PixelSpacing", 2)
    position = values.numbers("ImagePositionPatient", 3)
    orientation = values.numbers("ImageOrientationPatient", 6)
    age_years = values.age_years("PatientAge")
    return SliceHeader(
        path=path,
        patient_id=values.text("PatientID") or "",
        patient_name=values.text("PatientName"),
        patient_birth_date=values.text("PatientBirthDate"),
        patient_sex=values.text("PatientSex"),
        patient_age_years=age_years,
        patient_age_readable=age_years is not None or values.text("PatientAge") is None,
        study_date=values.text("StudyDate"),
        examination_date=next(filter(None, map(values.text, _DATES)), None),
        frame_of_reference_uid=values.text("FrameOfReferenceUID"),
        study_uid=values.required_text("StudyInstanceUID"),
        series_uid=values.required_text("SeriesInstanceUID"),
        instance_uid=values.required_text("SOPInstanceUID"),
        rows=values.required_whole("Rows"),
        columns=values.required_whole("Columns"),
        layout=layout,
        pixel_spacing_mm=cast("tuple[float, float] | None", spacing),
        image_position_mm=cast("Vector3 | None", position),
        image_orientation=cast("Orientation | None", orientation),
        rescale_slope=values.number("RescaleSlope"),
        rescale_intercept=values.number("RescaleIntercept"),
        rescale_type=values.text("RescaleType"),
        pixel_padding_value=values.padding(signed=bool(layout.pixel_representation)),
        image_type=tuple(
            part.strip() for part in (values.text("ImageType") or "").split("\\") if part.strip()
        ),
        body_part_examined=values.text("BodyPartExamined"),
        study_description=values.text("StudyDescription"),
        series_description=values.text("SeriesDescription"),
        contrast_agent=values.text("ContrastBolusAgent"),
        convolution_kernel=values.text("ConvolutionKernel"),
        kvp=values.number("KVP"),
        slice_thickness_mm=values.number("SliceThickness"),
        instance_number=values.integer_text("InstanceNumber"),
        lossy_compressed=_is_lossy(values.text("LossyImageCompression"), layout),
    )
