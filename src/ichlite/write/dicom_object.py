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
    """Fill in the patient, study, series, equipment and date attributes of a DICOM result object.

    Args:
        dataset: Object to fill in, with its SOPClassUID and Modality; changed.
        source: Patient, study and images that the result is about.
        series_uid: SeriesInstanceUID of the object.
        instance_uid: SOPInstanceUID of the object.
        series_number: SeriesNumber of the object.
        at: Time at which the result was made; nothing else in the object depends on a clock.
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
    """Encode a data set as a DICOM file, explicit little endian; equal data sets give equal bytes.

    Args:
        dataset: Data set with SOPClassUID and SOPInstanceUID; file meta information and preamble
            are added to it.
    """
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
    r"""Return text in printable ASCII, which every DICOM character set has; others as escapes.

    Example:
        >>> ascii_text("“5 mm”, Größe")
        '"5 mm", Gr\\xf6\\xdfe'
    """
    plain = text.translate({ord("“"): '"', ord("”"): '"', ord("…"): "..."})
    said = plain.encode("ascii", "backslashreplace").decode("ascii")
    return "".join(one if one.isprintable() else " " for one in said)
