"""Read the `SliceHeader` of each CT slice in a file, or say why it is none that can be used."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass, replace
from io import FileIO
from typing import cast

from ichlite.ct.archives import open_member
from ichlite.ct.elements import read_elements, read_first_bytes
from ichlite.ct.frames import FrameSource, frame_sources
from ichlite.ct.functional_groups import has_groups
from ichlite.ct.image_checks import LOSSY_SYNTAXES, check_kind, check_pixels, pixel_layout
from ichlite.ct.pages import ByteSource
from ichlite.ct.tags import WANTED
from ichlite.ct.values import Values
from ichlite.errors import NotCT, UnreadableFile
from ichlite.records import PixelLayout, SliceHeader, Vector3

Orientation = tuple[float, float, float, float, float, float]

_ARCHIVES: dict[bytes, str] = {
    b"\x1f\x8b": "gzip",
    b"BZh": "bzip2",
    b"\xfd7zXZ\x00": "xz",
    b"(\xb5/\xfd": "zstd",
    b"7z\xbc\xaf\x27\x1c": "7z",
    b"Rar!\x1a\x07": "rar",
}
_ZIP_STARTS = (b"PK\x03\x04", b"PK\x05\x06")
_ZIP = "zip archive: unpack it first"
ZIP, NOT_DICOM = "zip", "not_dicom"
"""`Refusal.code` of a zip archive, whose members `ct.archives` reads, and of no DICOM file."""
_TAR_MAGIC, _MAGIC = slice(257, 262), slice(128, 132)
OWN_REPORT = "a report of ichlite, no input"
_OWN_STARTS = (b"study,series,status,urgent,file", b'{\n  "schema": "ichlite-read/')
_OWN_TITLE = b"<title>ichlite"
"""In the first page of every HTML report."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """A file, or a frame of one, from which no CT slice can be read, and why.

    Attributes:
        path: Path of the file as the caller gave it.
        reason: Why, in one line.
        lost_from_series: SeriesInstanceUID of the CT series that lacks a slice because of this
            damaged file; None when nothing is lost (another kind of file) or it is not known.
        damaged: Whether the file claims to be a CT slice and cannot be used; False for another
            kind of file.
        code: Short name of the fault, as `IchliteError.code`; None where it has none.
        unopened: Whether the content could not be examined: an archive, an empty file, no
            permission.
        frame: Number, from 1, of the frame that this is about; None for the whole file.
    """

    path: str
    reason: str
    lost_from_series: str | None = None
    damaged: bool = False
    code: str | None = None
    unopened: bool = False
    frame: int | None = None

    @property
    def may_be_ct(self) -> bool:
        """Whether a CT slice may be lost with the file: it is damaged, or could not be examined."""
        return self.damaged or self.unopened


def read_headers(path: str) -> tuple[SliceHeader | Refusal, ...]:
    """Read the header of each CT slice in a file, without its pixels.

    Args:
        path: File of any name, or member of a zip archive.

    Returns:
        One entry for each frame in order (a single one for a file of one image): its header, or a
        `Refusal` that says why it is no greyscale CT image with all its pixels. A single `Refusal`
        where that is true of the whole file.
    """
    try:
        status = os.stat(path)  # noqa: PTH116  as text: a Path for each file would cost more
        if not stat.S_ISREG(status.st_mode):
            return (Refusal(path, "not a regular file"),)  # opening a pipe could wait for ever
        if status.st_size == 0:  # so are those of /proc, of which some never end
            return (Refusal(path, "empty file", unopened=True),)
        with FileIO(path) as file:
            return _read_open(path, file, status.st_size)
    except NotADirectoryError:
        return _read_member(path)
    except OSError as error:
        return (Refusal(path, f"cannot be opened or read: {error.strerror}", unopened=True),)


def read_header(path: str) -> SliceHeader | Refusal:
    """Read the header of a file that holds a single CT slice, without its pixels.

    Args:
        path: File of any name, or member of a zip archive.

    Returns:
        The header of a single-frame greyscale CT image whose pixels are all there; else a `Refusal`
        that says why the file is none, which an enhanced (multi-frame) image gets too.
    """
    first, *others = read_headers(path)
    if others or first.frame is not None:
        frames = f"{1 + len(others)} frames" if others else "an enhanced image of one frame"
        line = UnreadableFile("not a single image", found=frames, expected="one slice a file")
        series = first.series_uid if isinstance(first, SliceHeader) else first.lost_from_series
        return Refusal(path, str(line), series, damaged=True)
    return first


def _read_member(path: str) -> tuple[SliceHeader | Refusal, ...]:
    try:
        with open_member(path) as member:
            if member.size == 0:
                return (Refusal(path, "empty file", unopened=True),)
            return _read_open(path, member, member.size)
    except UnreadableFile as error:
        return (Refusal(path, str(error), unopened=True),)
    except OSError as error:
        return (Refusal(path, f"cannot be opened or read: {error.strerror}", unopened=True),)


def _read_open(path: str, file: ByteSource, size: int) -> tuple[SliceHeader | Refusal, ...]:
    first = read_first_bytes(file)
    if is_own_report(first):
        return (Refusal(path, OWN_REPORT),)
    if first.startswith(_ZIP_STARTS):
        return (Refusal(path, _ZIP, unopened=True, code=ZIP),)
    kind = _not_dicom(first)
    if kind is not None:
        return (Refusal(path, kind, unopened=True),)
    elements = read_elements(file, first, size, WANTED)
    if elements is None:
        if not first.strip(b"\0"):
            return (Refusal(path, "no content; found zeros alone", unopened=True),)
        if path.lower().endswith(".zip"):
            return (Refusal(path, "not the zip archive that its name says"),)
        return (Refusal(path, "not a DICOM file", code=NOT_DICOM),)
    values = Values(elements)
    series = values.text("SeriesInstanceUID")
    try:
        check_kind(values, elements)
        if elements.fault is not None:
            raise UnreadableFile(elements.fault)
        check_pixels(values, elements)
        if not has_groups(elements.values):
            return (_slice_header(path, values, pixel_layout(values, elements)),)
        return tuple(_frame_header(path, one, series) for one in frame_sources(file, elements))
    except NotCT as error:
        return (Refusal(path, str(error)),)
    except UnreadableFile as error:
        return (Refusal(path, str(error), series, damaged=True, code=error.code),)


def _frame_header(path: str, source: FrameSource, series: str | None) -> SliceHeader | Refusal:
    number = source.frame.number
    try:
        if source.layout is None:
            raise UnreadableFile("the pixel data is short", code="short_pixel_data")
        header = _slice_header(path, Values(source.elements), source.layout)
        return replace(header, frame=source.frame)
    except UnreadableFile as error:
        return Refusal(path, str(error), series, damaged=True, code=error.code, frame=number)


def is_localizer(header: SliceHeader) -> bool:
    """Return whether ImageType calls the image a localizer (scout).

    Source:
        DICOM PS3.3 C.8.2.1.1.1.
    """
    return any("LOCALIZER" in part.upper() for part in header.image_type)


def is_own_report(first: bytes) -> bool:
    """Return whether the first bytes of a file are those of a report that `ichlite read` wrote.

    Args:
        first: First bytes of the file, as `elements.read_first_bytes` gave them.

    Example:
        >>> is_own_report(b"study,series,status,urgent,file,position_mm")
        True
    """
    if first[_MAGIC] == b"DICM":
        return False
    page = first.lower().startswith(b"<!doctype html") and _OWN_TITLE in first
    return page or first.startswith(_OWN_STARTS)


def _not_dicom(first: bytes) -> str | None:
    if not first:
        return "empty file"
    for magic, name in _ARCHIVES.items():
        if first.startswith(magic):
            return f"{name} archive or compressed file: unpack it first"
    if first[_TAR_MAGIC] == b"ustar":
        return "tar archive: unpack it first"
    return None


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
