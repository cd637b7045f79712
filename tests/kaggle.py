"""A small data set in the layout of RSNA 2019's download: files, and a label table that fits."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from tests.dicom_files import UID_ROOT, write_ct_slice

from ichlite.labels import CLASSES

SIDE = 32
SLICES = 4


def pixels(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 2000, (SIDE, SIDE)).astype(np.int16)


def add_slice(root: Path, name: str, patient: int, number: int, **changes: object) -> Path:
    """One file of the set; each study has one series, slices 5 mm apart."""
    study = f"{UID_ROOT}{patient}"
    header: dict[str, object] = {
        "PatientID": f"ID_p{patient}",
        "StudyInstanceUID": study,
        "SeriesInstanceUID": f"{study}.1",
        "SOPInstanceUID": f"{study}.1.{number}",
        "ImagePositionPatient": [0.0, 0.0, 5.0 * number],
        "RescaleIntercept": "-1024",
    }
    image = changes.pop("pixels", pixels(100 * patient + number))
    path = root / "stage_2_train_images" / f"{name}.dcm"
    return write_ct_slice(path, image, **{**header, **changes})  # type: ignore[arg-type]


def label_lines(name: str, six: tuple[int, ...]) -> list[str]:
    return [f"{name}_{one},{label}" for one, label in zip(CLASSES, six, strict=True)]


def make_set(root: Path) -> Path:
    """Ten patients of four slices in Kaggle's layout; the first seven bleed in slice 2."""
    lines = ["ID,Label"]
    for patient in range(10):
        for number in range(SLICES):
            name = f"ID_{patient:02d}{number}"
            add_slice(root, name, patient, number)
            bleeds = int(patient < 7 and number == 2)
            lines += label_lines(name, (bleeds, 0, bleeds, 0, 0, 0))
    (root / "stage_2_train.csv").write_text("\n".join(lines) + "\n")
    return root
