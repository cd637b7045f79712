"""Read what the node files an instance under, from its first bytes, whatever kind it is."""

from __future__ import annotations

import re
from dataclasses import dataclass
from io import FileIO
from pathlib import Path

from ichlite.ct.elements import DEFLATED_LITTLE, read_elements, read_first_bytes
from ichlite.ct.values import decoded_text
from ichlite.errors import UnreadableFile

_TAGS = {
    "SpecificCharacterSet": 0x00080005,
    "SOPClassUID": 0x00080016,
    "SOPInstanceUID": 0x00080018,
    "StudyDate": 0x00080020,
    "AccessionNumber": 0x00080050,
    "StudyDescription": 0x00081030,
    "SeriesDescription": 0x0008103E,
    "PatientName": 0x00100010,
    "PatientID": 0x00100020,
    "StudyInstanceUID": 0x0020000D,
    "SeriesInstanceUID": 0x0020000E,
    "RequestedProcedurePriority": 0x00401003,
}
_WANTED = frozenset(_TAGS.values())
_UID = re.compile(r"\.{0,63}[0-9][0-9.]*")
_PRIORITIES = {"STAT": 2, "HIGH": 1}
_LONGEST_TEXT, _LONGEST_UID = 200, 64
_DIRECTORY = "1.2.840.10008.1.3.10"


@dataclass(frozen=True, slots=True)
class InstanceHeader:
    """Header values under which the node files a DICOM instance.

    Attributes:
        study_uid, series_uid, uid, class_uid: StudyInstanceUID, SeriesInstanceUID, SOPInstanceUID
            and SOPClassUID, of digits and dots only.
        priority: From RequestedProcedurePriority: 2 for STAT, 1 for HIGH, else 0.
        patient_name, patient_id, study_date, accession, description, series_description: Printable
            text of at most 200 characters; empty if absent.
    """

    study_uid: str
    series_uid: str
    uid: str
    class_uid: str
    priority: int
    patient_name: str
    patient_id: str
    study_date: str
    accession: str
    description: str
    series_description: str


def read_instance_header(path: Path) -> InstanceHeader:
    """Read the header of a DICOM file, without its pixels.

    Damaged pixels are no reason to refuse a file: reading the study reports what is wrong with a
    slice. A file that ends before its pixels do was cut short on its way, and its sender has it.

    Raises:
        UnreadableFile: It is not DICOM, uses the deflated transfer syntax, has no valid UIDs, or is
            cut short.
    """
    with FileIO(path) as file:
        size = path.stat().st_size
        elements = read_elements(file, read_first_bytes(file), size, _WANTED)
    if elements is None:
        raise UnreadableFile("not a DICOM file")
    if elements.transfer_syntax_uid == DEFLATED_LITTLE:
        raise UnreadableFile("deflated data sets are not taken", remedy="send it uncompressed")
    values = elements.values

    def uid(keyword: str) -> str:
        raw = values.get(_TAGS[keyword], b"").rstrip(b"\0 ")
        text = raw.decode("latin-1")
        if len(text) > _LONGEST_UID or not _UID.fullmatch(text):
            what = elements.fault or f"{keyword} is no UID"
            raise UnreadableFile(what, found=repr(text[:80]), expected="1 to 64 digits and dots")
        return text

    end = (elements.pixel_offset or 0) + (elements.pixel_length or 0)
    if end > size:
        raise UnreadableFile(
            "it is cut short", found=f"{size} bytes", expected=f"{end}", remedy="send it again"
        )
    declared = values.get(_TAGS["SpecificCharacterSet"], b"").decode("latin-1")

    def text(keyword: str) -> str:
        return _text(values.get(_TAGS[keyword], b""), declared)

    if uid("SOPClassUID") == _DIRECTORY:
        raise UnreadableFile("a DICOMDIR is an index; its files are taken by themselves")
    return InstanceHeader(
        study_uid=uid("StudyInstanceUID"),
        series_uid=uid("SeriesInstanceUID"),
        uid=uid("SOPInstanceUID"),
        class_uid=uid("SOPClassUID"),
        priority=_PRIORITIES.get(text("RequestedProcedurePriority").upper(), 0),
        patient_name=text("PatientName"),
        patient_id=text("PatientID"),
        study_date=text("StudyDate"),
        accession=text("AccessionNumber"),
        description=text("StudyDescription"),
        series_description=text("SeriesDescription"),
    )


def _text(raw: bytes, character_set: str) -> str:
    r"""Return text by its declared character set, without control characters.

    Example:
        >>> _text("Ägypten^José ".encode(), "ISO_IR 192")
        'Ägypten^José'
        >>> _text(b"a\x1b[31mb", "")
        'a [31mb'
    """
    decoded = decoded_text(raw.rstrip(b"\0 "), character_set)
    shown = "".join(c if c.isprintable() else " " for c in decoded[:_LONGEST_TEXT])
    return " ".join(shown.split(" ")).strip()
