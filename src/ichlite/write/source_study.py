"""Read again, of the files that a result is about, what its objects must say of them.

Patient and study are those of the source, with its character set. What is missing or makes no sense
there is left empty: it never keeps a result back. The walk is that of `ct.elements`, which reads a
bounded number of bytes of a file.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from pydicom import config
from pydicom.charset import convert_encodings, decode_bytes, encode_string
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.valuerep import validate_value

from ichlite.ct.elements import Elements, read_elements, read_first_bytes
from ichlite.ct.image_checks import CT_IMAGE_STORAGE
from ichlite.ct.sources import open_source, size_of
from ichlite.ct.tags import WANTED
from ichlite.ct.values import Values
from ichlite.errors import InputError, UnreadableFile
from ichlite.infer.results import ScanResult

PATIENT = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex"),
    *("PatientAge", "PatientSize", "PatientWeight"),
)
STUDY = (
    *("StudyDate", "StudyTime", "AccessionNumber", "ReferringPhysicianName", "StudyID"),
    "StudyDescription",
)
"""DICOM keywords of the study's attributes that result objects copy from the source; `PATIENT` has
those of the patient. None of them is a sequence."""

MUST_BE_THERE = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName", "StudyID"),
)
"""Those of `PATIENT` and `STUDY` that an object has even where they are not known (type 2)."""

_TAGS = {keyword: tag_for_keyword(keyword) or 0 for keyword in (*PATIENT, *STUDY)}
_CHARACTER_SET = 0x00080005
_NAMES_AND_IDS = ("PN", "LO", "SH")
_DELIMITERS = {"PN": {ord("^"), ord("=")}}
_ASCII = (("",), ("ISO_IR 6",), ("ISO 2022 IR 6",))
_ESCAPE = b"\x1b"
"""Changes the character set, where several are said; else it has no business in a name."""
_UTF_8, _LATIN_1 = "ISO_IR 192", "ISO_IR 100"
_SEXES = ("M", "F", "O")
_LONGEST_UID = 64


@dataclass(frozen=True, slots=True)
class SourceImage:
    """A source image (file or frame) of a result, for references in DICOM objects.

    Attributes:
        file: Path of the file as the caller gave it.
        sop_class_uid, instance_uid, series_uid: SOPClassUID, SOPInstanceUID and SeriesInstanceUID.
        rows, columns: Size of the image in pixels.
        frame_of_reference_uid: FrameOfReferenceUID; None where the file does not state it.
        frame: Number of the frame, from 1, in a multi-frame file; None in a file of one image.
    """

    file: str
    sop_class_uid: str
    instance_uid: str
    series_uid: str
    rows: int
    columns: int
    frame_of_reference_uid: str | None = None
    frame: int | None = None

    @property
    def key(self) -> str:
        """Unique name of the image: its SOPInstanceUID, with `#frame` for a frame."""
        return self.instance_uid if self.frame is None else f"{self.instance_uid}#{self.frame}"


@dataclass(frozen=True, slots=True)
class SourceStudy:
    """The source images of a result, and the attributes of their patient and study.

    Attributes:
        study_uid: StudyInstanceUID.
        images: Images in the order of the results' files, without those of another study.
        attributes: DICOM keyword → text of `PATIENT` and `STUDY`, without missing and malformed
            values; without those of the patient where the images are of two patients.
        character_set: SpecificCharacterSet that the text can be written in; empty for ASCII.
        lossy: Whether any image states that it was compressed with loss (LossyImageCompression).
    """

    study_uid: str
    images: tuple[SourceImage, ...]
    attributes: Mapping[str, str]
    character_set: tuple[str, ...] = ()
    lossy: bool = False


def read_source(scans: Sequence[ScanResult]) -> SourceStudy:
    """Read again from the headers of a result's files what its DICOM objects copy from them.

    Args:
        scans: Results of one study.

    Raises:
        UnreadableFile: None of their files can be read any more.
    """
    images: list[SourceImage] = []
    described: Elements | None = None
    patients: set[bytes | None] = set()
    lossy = False
    frames_of: dict[str, list[int | None]] = {}
    for one in (one for scan in scans for one in scan.slices):
        frames_of.setdefault(one.file, []).append(one.frame)
    for file in (file for scan in scans for file in scan.files):
        try:
            elements = _elements(file)
            image = _image(file, Values(elements))
        except (InputError, OSError):
            continue
        if Values(elements).text("StudyInstanceUID") != scans[0].study:
            continue
        images += [replace(image, frame=frame) for frame in frames_of.get(file, [None])]
        described = described or elements
        patients.add(elements.values.get(_TAGS["PatientID"]))
        lossy = lossy or Values(elements).text("LossyImageCompression") == "01"
    if described is None:
        raise UnreadableFile(
            f"no result can be written for study {scans[0].study}",
            found="no file of it that can still be read",
            remedy="keep the files until the results are written",
        )
    attributes, character_set = _attributes(described.values)
    if len(patients) > 1:
        attributes = {keyword: attributes[keyword] for keyword in STUDY if keyword in attributes}
    return SourceStudy(scans[0].study, tuple(images), attributes, character_set, lossy)


def _elements(file: str) -> Elements:
    """Return the elements of a file that are asked for."""
    with open_source(file) as opened:
        opened.seek(0)
        wanted = WANTED | {_CHARACTER_SET, *_TAGS.values()}
        elements = read_elements(opened, read_first_bytes(opened), size_of(opened), wanted)
    if elements is None:
        raise UnreadableFile(f"{file} is not a DICOM file")
    return elements


def _image(file: str, values: Values) -> SourceImage:
    return SourceImage(
        file=file,
        sop_class_uid=values.text("SOPClassUID") or CT_IMAGE_STORAGE,
        instance_uid=values.required_text("SOPInstanceUID")[:_LONGEST_UID],
        series_uid=values.required_text("SeriesInstanceUID")[:_LONGEST_UID],
        rows=values.required_whole("Rows"),
        columns=values.required_whole("Columns"),
        frame_of_reference_uid=values.text("FrameOfReferenceUID"),
    )


def _attributes(raw: Mapping[int, bytes]) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return the attributes that make sense, and the character set to write them in."""
    there = {keyword: raw[tag].strip(b" \0") for keyword, tag in _TAGS.items() if raw.get(tag)}
    declared = tuple(
        one.strip(" \0") for one in raw.get(_CHARACTER_SET, b"").decode("latin-1").split("\\")
    )
    # A file may hold text in another character set than it says, or say none. UTF-8 is recognised,
    # and by Latin-1 no byte is lost.
    for character_set in (declared, (_UTF_8,), (_LATIN_1,)):
        if character_set is not declared:
            there = {keyword: value.replace(_ESCAPE, b" ") for keyword, value in there.items()}
        texts = _decoded(there, character_set)
        if texts is not None:
            return _sensible(texts), character_set if any(character_set) else ()
    return {}, ()


def _decoded(there: Mapping[str, bytes], character_set: tuple[str, ...]) -> dict[str, str] | None:
    """Return bytes as text; None where they are not of this character set, there and back."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            encodings = convert_encodings(list(character_set))
            texts: dict[str, str] = {}
            for keyword, value in there.items():
                delimiters = _DELIMITERS.get(dictionary_VR(keyword), set())
                text = decode_bytes(value, encodings, delimiters)
                encode_string(text, encodings)
                if character_set in _ASCII and not text.isascii():
                    return None
                texts[keyword] = text
    except (UserWarning, ValueError, LookupError):
        return None
    return texts


def _sensible(texts: Mapping[str, str]) -> dict[str, str]:
    """Return the texts without control characters, and without codes and dates that are none.

    Who the patient is stands as the file has it, even where it is too long: that is what an archive
    finds the patient by.
    """
    kept: dict[str, str] = {}
    for keyword, text in texts.items():
        vr = dictionary_VR(keyword)
        if vr in _NAMES_AND_IDS:
            kept[keyword] = "".join(one if one.isprintable() else " " for one in text).strip()
        elif keyword != "PatientSex" or text in _SEXES:
            try:
                validate_value(vr, text, config.RAISE)
            except ValueError:
                continue
            kept[keyword] = text
    return {keyword: text for keyword, text in kept.items() if text}
