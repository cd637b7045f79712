"""Make a DICOM secondary capture of a result: its page as a picture that every viewer shows.

Source:
    DICOM PS3.3 A.8.1 (Secondary Capture Image IOD).
"""

from __future__ import annotations

from datetime import datetime

import numpy as np
from numpy.typing import NDArray
from pydicom import config
from pydicom.dataset import Dataset
from pydicom.uid import SecondaryCaptureImageStorage

from ichlite import __version__
from ichlite.write.dicom_object import MAKER, describe
from ichlite.write.result_uid import ResultUids
from ichlite.write.source_study import SourceStudy

SERIES_NUMBER = 9902


def secondary_capture(
    picture: NDArray[np.uint8],
    source: SourceStudy,
    *,
    uids: ResultUids,
    at: datetime,
    is_head: bool,
) -> Dataset:
    """Make a DICOM Secondary Capture Image of the summary picture of a result.

    Args:
        picture: (row, column, 3) uint8 RGB, from `summary_picture`.
        source: Patient, study and images of the result, from `read_source`.
        uids: UIDs of the object and its series, from `result_uids`.
        at: Time at which the result was made.
        is_head: Whether the images are known to show a head, for BodyPartExamined.
    """
    capture = Dataset()
    capture.SOPClassUID = SecondaryCaptureImageStorage
    capture.Modality = "OT"  # a page about a CT is none, and nothing shall take it for one
    describe(
        capture,
        source,
        series_uid=uids.capture_series,
        instance_uid=uids.capture,
        series_number=SERIES_NUMBER,
        at=at,
    )
    capture.ConversionType = "WSD"
    capture.SecondaryCaptureDeviceManufacturer = MAKER
    capture.SecondaryCaptureDeviceManufacturerModelName = MAKER
    capture.SecondaryCaptureDeviceSoftwareVersions = __version__
    capture.DateOfSecondaryCapture = capture.ContentDate
    capture.TimeOfSecondaryCapture = capture.ContentTime
    capture.ImageType = ["DERIVED", "SECONDARY"]
    capture.PatientOrientation = ""
    if is_head:
        capture.BodyPartExamined = "HEAD"
    else:
        capture.Laterality = ""  # of what may be one of a pair
    capture.DerivationDescription = "Page on a result of ichlite. Research use only."
    capture.BurnedInAnnotation = "NO"  # words and numbers, and nothing that says who it is
    if source.lossy:
        capture.LossyImageCompression = "01"
    with config.disable_value_validation():
        capture.SourceImageSequence = _references(source)
    capture.SamplesPerPixel = 3
    capture.PhotometricInterpretation = "RGB"
    capture.PlanarConfiguration = 0
    capture.Rows, capture.Columns = picture.shape[:2]
    capture.BitsAllocated = capture.BitsStored = 8
    capture.HighBit = 7
    capture.PixelRepresentation = 0
    capture.PixelData = np.ascontiguousarray(picture).tobytes()
    capture["PixelData"].VR = "OB"
    return capture


def _references(source: SourceStudy) -> list[Dataset]:
    """Return the images that the page is about; frames of one file together."""
    frames: dict[tuple[str, str], list[int]] = {}
    for image in source.images:
        numbers = frames.setdefault((image.sop_class_uid, image.instance_uid), [])
        numbers += [] if image.frame is None else [image.frame]
    references = []
    for (sop_class, instance), numbers in frames.items():
        one = Dataset()
        one.ReferencedSOPClassUID, one.ReferencedSOPInstanceUID = sop_class, instance
        if numbers:
            one.ReferencedFrameNumber = numbers
        references.append(one)
    return references
