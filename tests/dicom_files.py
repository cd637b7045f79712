"""Small synthetic CT files for tests: one slice, or a crude head that the gate takes for one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import dcmread
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian

CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
ENHANCED_CT_STORAGE = "1.2.840.10008.5.1.4.1.1.2.1"
_OF_IMAGE = (
    "ImageType", "Modality", "PatientID", "PatientAge", "StudyInstanceUID", "SeriesInstanceUID",
    "InstanceNumber", "SamplesPerPixel", "PhotometricInterpretation", "Rows", "Columns",
    "BitsAllocated", "BitsStored", "HighBit", "PixelRepresentation", "BodyPartExamined",
)  # fmt: skip
_OF_FRAMES = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "SliceThickness": "PixelMeasuresSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleType": "PixelValueTransformationSequence",
    "ConvolutionKernel": "CTReconstructionSequence",
    "KVP": "CTXRayDetailsSequence",
    "ImageType": "CTImageFrameTypeSequence",
}
UID_ROOT = "1.2.826.0.1.3680043.8.498."
HEAD_SPACING_MM = 5.0


def ct_dataset(pixels: NDArray[np.int16] | NDArray[np.uint16], **overrides: object) -> Dataset:
    """Stored values in; a complete CT data set out. An override of None removes the element."""
    data = Dataset()
    elements: dict[str, object] = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": CT_IMAGE_STORAGE,
        "SOPInstanceUID": UID_ROOT + "1.1.1",
        "Modality": "CT",
        "PatientID": "synthetic",
        "KVP": "120",
        "SliceThickness": "5",
        "StudyInstanceUID": UID_ROOT + "1",
        "SeriesInstanceUID": UID_ROOT + "1.1",
        "InstanceNumber": "1",
        "ImagePositionPatient": [-120.0, -120.0, 0.0],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "PixelSpacing": [240.0 / pixels.shape[0], 240.0 / pixels.shape[0]],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": int(pixels.dtype.kind == "i"),
        "RescaleIntercept": "0",
        "RescaleSlope": "1",
        "PixelData": pixels.astype(f"<{pixels.dtype.kind}2").tobytes(),
    }
    elements.update(overrides)
    for keyword, value in elements.items():
        if value is not None:
            setattr(data, keyword, value)
    if "PixelData" in data:
        data["PixelData"].VR = "OW"
    return data


def write_ct_slice(
    path: Path,
    pixels: NDArray[np.int16] | NDArray[np.uint16],
    *,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
    **overrides: object,
) -> Path:
    """Stored values in; a DICOM file at `path` out. Overrides are DICOM keywords."""
    data = ct_dataset(pixels, **overrides)
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = transfer_syntax_uid
    data.file_meta.MediaStorageSOPClassUID = data.get("SOPClassUID") or CT_IMAGE_STORAGE
    data.file_meta.MediaStorageSOPInstanceUID = data.get("SOPInstanceUID") or UID_ROOT + "9"
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def enhanced_dataset(slices: Sequence[Dataset], **overrides: object) -> Dataset:
    """Slices of one series in; the data set of one multi-frame image of them out.

    What is the same in all goes into the shared functional groups. An override of None removes the
    element.
    """
    data = Dataset()
    alike = [key for key in _OF_FRAMES if len({str(one.get(key)) for one in slices}) == 1]
    for key in _OF_IMAGE:
        if key in slices[0]:
            setattr(data, key, slices[0].get(key))
    data.SOPClassUID = ENHANCED_CT_STORAGE
    data.SOPInstanceUID = f"{slices[0].SOPInstanceUID[:60]}.9"
    data.NumberOfFrames = len(slices)
    data.SharedFunctionalGroupsSequence = [_groups(slices[0], alike)]
    data.PerFrameFunctionalGroupsSequence = [
        _groups(one, [key for key in _OF_FRAMES if key not in alike]) for one in slices
    ]
    for number, group in enumerate(data.PerFrameFunctionalGroupsSequence, 1):
        group.FrameContentSequence = [Dataset()]
        group.FrameContentSequence[0].StackID = "1"
        group.FrameContentSequence[0].InStackPositionNumber = number
        group.FrameContentSequence[0].TemporalPositionIndex = 1
    data.PixelData = b"".join(one.PixelData for one in slices)
    for keyword, value in overrides.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data["PixelData"].VR = "OW"
    return data


def _groups(data: Dataset, keywords: Sequence[str]) -> Dataset:
    """Return the functional groups that hold elements of a slice."""
    group = Dataset()
    for keyword in keywords:
        if keyword in data:
            if _OF_FRAMES[keyword] not in group:
                setattr(group, _OF_FRAMES[keyword], [Dataset()])
            named = "FrameType" if keyword == "ImageType" else keyword
            setattr(group[_OF_FRAMES[keyword]][0], named, data.get(keyword))
    return group


def save(data: Dataset, path: Path, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> Path:
    """Write a data set as a file, with its file meta information."""
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = transfer_syntax_uid
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    path.parent.mkdir(parents=True, exist_ok=True)
    data.save_as(path, enforce_file_format=True)
    return path


def write_enhanced(
    path: Path,
    files: Sequence[Path],
    *,
    transfer_syntax_uid: str = ExplicitVRLittleEndian,
    **overrides: object,
) -> Path:
    """Files of one series in; a file with a frame for each of them out."""
    slices = [dcmread(file) for file in files]
    return save(enhanced_dataset(slices, **overrides), path, transfer_syntax_uid)


def head_slice(height: float, *, side: int = 128, seed: int = 0) -> NDArray[np.int16]:
    """A crude head in HU: skin, skull, noisy brain with ventricles; `height` 0 (base) to 1 (top).

    Rows run from front to back; 240 mm across; the head lies off centre so that a flip shows. At
    either end there is bone without brain, so that a scan from base to top is whole.
    """
    noise = np.random.default_rng(seed).normal(0, 4, (side, side))
    row, column = np.mgrid[:side, :side] / side * 240 - 120
    size = np.sqrt(max(0.05, 1 - (1.6 * height - 0.6) ** 2))
    radius = np.hypot((row + 6) / (92 * size), (column - 4) / (74 * size))
    hu = np.full((side, side), -1000.0)
    hu[radius < 1.08] = -80
    hu[radius < 1.04] = 40
    hu[radius < 1.0] = 900
    brain = radius < 0.92
    grey = brain & (radius > 0.8)
    hu[brain] = 28 + noise[brain]
    hu[grey] = 38 + noise[grey]
    ventricle = np.hypot((row + 6) / (26 * size), (column - 4) / (12 * size)) < 1
    hu[ventricle & brain] = 8 + noise[ventricle & brain]
    if not 0.12 < height < 0.88:
        hu[radius < 1.0] = 900 + noise[radius < 1.0]
    return np.round(hu).astype(np.int16)


def write_head_series(
    folder: Path,
    n: int = 28,
    *,
    side: int = 128,
    study: str = "1",
    series: str = "1",
    seed: int = 0,
    **overrides: object,
) -> list[Path]:
    """A crude head scan of `n` slices in `folder`; returns the files, feet to head."""
    return [
        write_ct_slice(
            folder / f"IM{index:04d}",
            head_slice(index / max(1, n - 1), side=side, seed=seed * 1000 + index),
            **(
                {
                    "SOPInstanceUID": f"{UID_ROOT}{study}.{series}.{index + 1}",
                    "StudyInstanceUID": UID_ROOT + study,
                    "SeriesInstanceUID": f"{UID_ROOT}{study}.{series}",
                    "InstanceNumber": str(index + 1),
                    "ImagePositionPatient": [-120.0, -120.0, HEAD_SPACING_MM * index],
                }
                | overrides
            ),
        )
        for index in range(n)
    ]
