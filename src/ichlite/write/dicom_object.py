"""Fill in what every result object has: patient, study, series, maker and time; and its bytes."""

from __future__ import annotations

from datetime import datetime
from io import BytesIO

from pydicom import config
from pydicom.datadict import dictionary_VR, tag_for_keyword
from pydicom.dataelem import DataElement
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

from ichlite import __version__
from ichlite.write.source_study import MUST_BE_THERE, SourceStudy

MAKER = "ichlite"
SERIES_DESCRIPTION = "ichlite: research use only"


def describe(
    dataset: Dataset,
    source: SourceStudy,
    *,
    series_uid: str,
    instance_uid: str,
    series_number: int,
    at: datetime,
) -> None:
    """Put into an object whose patient and study it is of, and who made it when.

    Args:
        dataset: With its SOPClassUID and Modality.
        source: What it is about.
        series_uid: Its series'.
        instance_uid: Its own.
        series_number: Its series'.
        at: When the result was made; nothing else in the object depends on a clock.
    """
    # What the source says is not for pydicom to judge: it stands as the source has it.
    for keyword in MUST_BE_THERE:
        _put(dataset, keyword, "")
    for keyword, text in source.attributes.items():
        _put(dataset, keyword, text)
    _put(dataset, "StudyInstanceUID", source.study_uid)
    if source.character_set:
        dataset.SpecificCharacterSet = list(source.character_set)
    elif "SpecificCharacterSet" in dataset:
        del dataset.SpecificCharacterSet
    dataset.SeriesInstanceUID = series_uid
    dataset.SeriesNumber = series_number
    dataset.SeriesDescription = SERIES_DESCRIPTION
    dataset.SOPInstanceUID = instance_uid
    dataset.InstanceNumber = 1
    dataset.Manufacturer = MAKER
    dataset.ManufacturerModelName = MAKER
    dataset.SoftwareVersions = __version__
    date, time = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
    for kind in ("Series", "Content", "InstanceCreation"):
        _put(dataset, f"{kind}Date", date)
        _put(dataset, f"{kind}Time", time)


def _put(dataset: Dataset, keyword: str, value: str) -> None:
    tag, vr = tag_for_keyword(keyword) or 0, dictionary_VR(keyword)
    dataset.add(DataElement(tag, vr, value, validation_mode=config.IGNORE))


def file_bytes(dataset: Dataset) -> bytes:
    """Return an object as a DICOM file: the same bytes for the same object."""
    meta = FileMetaDataset()
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    meta.MediaStorageSOPClassUID = dataset.SOPClassUID
    meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID
    dataset.file_meta = meta
    dataset.preamble = bytes(128)
    file = BytesIO()
    dataset.save_as(file, enforce_file_format=True)
    return file.getvalue()


def ascii_text(text: str) -> str:
    r"""Return text as every character set can say it.

    Example:
        >>> ascii_text("“5 mm”, Größe")
        '"5 mm", Gr\\xf6\\xdfe'
    """
    plain = text.translate({ord("“"): '"', ord("”"): '"', ord("…"): "..."})
    said = plain.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(one if one.isprintable() else " " for one in said)
