"""Write phantoms as folders of DICOM files with a `labels.csv`.

The folder is whole or absent: it is written beside its place and renamed at the end.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

import numpy as np

from ichlite.errors import StoreError
from ichlite.labels import ANY, NAMES
from ichlite.phantom.dicom import images_of
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

LABEL_COLUMNS = (
    "file",
    "patient",
    "study",
    "series",
    "instance",
    "position_mm",
    ANY,
    *NAMES,
    "lesion_row",
    "lesion_column",
    "split",
)


def write_studies(
    path: Path,
    order: Order,
    *,
    processes: int = 1,
    compress: bool = False,
    progress: Progress | None = None,
) -> Made:
    """Generate DICOM studies of phantoms.

    Args:
        path: Folder to make: `PHANTOM-…/001.dcm …` and `labels.csv`, lesion positions in pixels.
        order: What to generate.
        processes: Worker processes; changes no byte.
        compress: Lossless JPEG 2000.
        progress: Called with (subjects done, subjects in all).

    Returns:
        Counts.

    Raises:
        StoreError: `path` holds something already.
        UsageError: Counts below one, an unknown balance.
    """
    path = Path(path)
    if path.exists() and (not path.is_dir() or any(path.iterdir())):
        raise StoreError(f"{path} is not empty", remedy="name a new folder or remove this one")
    part = path.with_name(path.name + ".part")
    if part.exists():
        shutil.rmtree(part)
    part.mkdir(parents=True)
    tally = Tally()
    try:
        with (part / "labels.csv").open("w", newline="", encoding="utf-8") as file:
            lines = csv.writer(file, lineterminator="\n")
            lines.writerow(LABEL_COLUMNS)
            for done, subject in enumerate(subjects_of(order, processes), start=1):
                lines.writerows(_write_subject(part, subject, order.seed, compress))
                tally.add(subject.labels)
                if progress is not None:
                    progress(done, order.subjects)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        raise
    if path.exists():
        path.rmdir()
    part.replace(path)
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
