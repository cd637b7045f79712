"""Write phantoms as folders of DICOM CT images with a `labels.csv`.

The folder is whole or absent. Every image says that it is synthetic: PatientID, SeriesDescription,
Manufacturer and QualityControlImage. The same phantom has the same UIDs.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import replacing_folder
from ichlite.ct.image_checks import CT_IMAGE_STORAGE
from ichlite.labels import ANY, NAMES
from ichlite.phantom.generate import (
    Made,
    Order,
    Progress,
    Tally,
    patient_name,
    split_of,
    subjects_of,
)
from ichlite.phantom.subject import Subject

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

RESCALE_INTERCEPT = -1024

LABEL_COLUMNS = (
    "file", "patient", "study", "series", "instance", "position_mm", ANY, *NAMES, "lesion_row",
    "lesion_column", "split",
)  # fmt: skip


def write_studies(
    path: Path,
    order: Order,
    *,
    processes: int = 1,
    compress: bool = False,
    progress: Progress | None = None,
) -> Made:
    """Generate phantoms as DICOM studies with a label table.

    Args:
        path: Folder to make: `PHANTOM-…/001.dcm …` and `labels.csv`, lesion positions in pixels.
        order: Specification of the phantoms.
        processes: Number of processes; it does not change the files.
        compress: Whether to write lossless JPEG 2000 instead of uncompressed pixels.
        progress: Called with (subjects done, subjects in all).

    Returns:
        Counts of images, patients and positives.

    Raises:
        StoreError: `path` holds something already.
        UsageError: Counts below one, an unknown balance.
    """
    tally = Tally()
    with (
        replacing_folder(Path(path)) as part,
        (part / "labels.csv").open("w", newline="", encoding="utf-8") as file,
    ):
        lines = csv.writer(file, lineterminator="\n")
        lines.writerow(LABEL_COLUMNS)
        for done, subject in enumerate(subjects_of(order, processes), start=1):
            lines.writerows(_write_subject(part, subject, order.seed, compress))
            tally.add(subject.labels)
            if progress is not None:
                progress(done, order.subjects)
    return tally.made()


def _write_subject(part: Path, subject: Subject, seed: int, compress: bool) -> list[list[str]]:
    """Write one phantom's files; return its rows of `labels.csv`."""
    patient = patient_name(seed, subject.index)
    (part / patient).mkdir()
    rows = []
    for k, image in enumerate(images_of(subject, patient, compress=compress)):
        name = f"{patient}/{k + 1:03d}.dcm"
        image.save_as(part / name, enforce_file_format=True)
        spot = subject.lesion[k]
        rows.append(
            [
                name,
                patient,
                str(image.StudyInstanceUID),
                str(image.SeriesInstanceUID),
                str(image.SOPInstanceUID),
                f"{float(subject.position_mm[k]):.3f}",
                str(int(subject.labels[k].any())),
                *(str(int(v)) for v in subject.labels[k]),
                *("" if np.isnan(v) else f"{float(v):.1f}" for v in spot),
                split_of(seed, subject.index),
            ]
        )
    return rows


def uid_of(*parts: object) -> str:
    """Return a UID under 2.25 derived from the given values (DICOM PS3.5 section B.2).

    Example:
        >>> uid_of("study", 1, 2) == uid_of("study", 1, 2) != uid_of("study", 1, 3)
        True
    """
    text = "\x1f".join(str(part) for part in ("ichlite-phantom", *parts))
    return f"2.25.{int.from_bytes(hashlib.sha256(text.encode()).digest()[:16], 'big')}"


def images_of(subject: Subject, patient: str, *, compress: bool = False) -> Iterator[Dataset]:
    """Yield a phantom's slices, feet to head, as CT images (DICOM PS3.3 section A.3).

    Args:
        subject: The scanned phantom.
        patient: PatientID; UIDs are derived from it, from the matrix and from the pixels.
        compress: Lossless JPEG 2000 instead of native pixels.
    """
    digest = hashlib.sha256(subject.hu.tobytes()).hexdigest()
    for k in range(len(subject.hu)):
        dataset = _image(subject, patient, digest, k)
        if compress:
            from pydicom.uid import JPEG2000Lossless

            dataset.compress(JPEG2000Lossless, generate_instance_uid=False)
        yield dataset


def _image(subject: Subject, patient: str, digest: str, k: int) -> Dataset:
    """Return slice `k` with native pixels."""
    from pydicom.dataset import Dataset, FileMetaDataset
    from pydicom.uid import UID, ExplicitVRLittleEndian

    view = subject.view
    corner = -(view.grid - 1) / 2 * view.pixel_mm
    position = round(float(subject.position_mm[k]), 3)
    dataset = Dataset()
    dataset.file_meta = FileMetaDataset()
    dataset.file_meta.MediaStorageSOPClassUID = UID(CT_IMAGE_STORAGE)
    dataset.file_meta.MediaStorageSOPInstanceUID = UID(uid_of(patient, digest, "image", k))
    dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    dataset.SpecificCharacterSet = "ISO_IR 100"
    dataset.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
    dataset.SOPClassUID = UID(CT_IMAGE_STORAGE)
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID
    for keyword in ("StudyDate", "ContentDate", "StudyTime", "ContentTime", "AccessionNumber"):
        setattr(dataset, keyword, "")
    dataset.Modality = "CT"
    dataset.Manufacturer = "ichlite phantom"
    dataset.ReferringPhysicianName = ""
    dataset.StudyDescription = "Synthetic head CT"
    dataset.SeriesDescription = "Synthetic head CT, no patient"
    dataset.PatientName = f"{patient}^Synthetic"
    dataset.PatientID = patient
    dataset.PatientBirthDate = ""
    dataset.PatientSex = ""
    dataset.BodyPartExamined = "HEAD"
    dataset.SliceThickness = f"{view.thickness_mm:g}"
    dataset.KVP = "120"
    dataset.SpacingBetweenSlices = f"{view.spacing_mm:.4f}"
    dataset.PatientPosition = "HFS"
    dataset.StudyInstanceUID = uid_of(patient, digest, "study")
    dataset.SeriesInstanceUID = uid_of(patient, digest, "series")
    dataset.StudyID = "1"
    dataset.SeriesNumber = "1"
    dataset.AcquisitionNumber = "1"
    dataset.InstanceNumber = str(k + 1)
    dataset.ImagePositionPatient = [f"{corner:.4f}", f"{corner:.4f}", f"{position:.3f}"]
    dataset.ImageOrientationPatient = ["1", "0", "0", "0", "1", "0"]
    dataset.FrameOfReferenceUID = uid_of(patient, digest, "frame")
    dataset.PositionReferenceIndicator = ""
    dataset.SliceLocation = f"{position:.3f}"
    dataset.SamplesPerPixel = 1
    dataset.PhotometricInterpretation = "MONOCHROME2"
    dataset.Rows = dataset.Columns = view.grid
    dataset.PixelSpacing = [f"{view.pixel_mm:.6f}", f"{view.pixel_mm:.6f}"]
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = 16, 16, 15
    dataset.PixelRepresentation = 1
    dataset.QualityControlImage = "YES"
    dataset.WindowCenter = "40"
    dataset.WindowWidth = "80"
    dataset.RescaleIntercept = str(RESCALE_INTERCEPT)
    dataset.RescaleSlope = "1"
    dataset.RescaleType = "HU"
    dataset.PixelData = _stored(subject.hu[k]).tobytes()
    return dataset


def _stored(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return stored values (int16, little-endian) of HU in [-1024, 3071]."""
    return (hu - np.int16(RESCALE_INTERCEPT)).astype("<i2")
