"""Judge a folder of RSNA DICOM files, reading them as `ichlite read` does."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ichlite.ct.header import Refusal, read_header
from ichlite.data.readers.rsna import RsnaLabels
from ichlite.data.rows import pixel_sha256
from ichlite.errors import InputError
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.evaluate.scores import ScoreTable, join_scores
from ichlite.infer.bundle import Bundle
from ichlite.infer.pipeline import read_paths
from ichlite.infer.results import Analysed, NotAnalysed, ScanResult
from ichlite.labels import CLASSES


@dataclass(frozen=True, slots=True)
class Archive:
    """The judged slices and scans of a folder of DICOM files, and what of it was not judged.

    Attributes:
        judged: Labels and probabilities of the slices and scans with a label.
        scores: Table of scores of the slices with a label.
        unlabelled: Number of slices that were read and have no label.
        unread: A line for each file or series that gave no probabilities, with the reason.
        patients: (slice,) PatientID of each slice that was read; empty where its header has none.
        pixels: (slice,) hash of the HU of each slice that was read (`rows.pixel_sha256`).
    """

    judged: Judged
    scores: ScoreTable
    unlabelled: int
    unread: tuple[str, ...]
    patients: tuple[str, ...]
    pixels: tuple[str, ...]


def judge_archive(bundle: Bundle, folder: Path, labels: RsnaLabels, *, threads: int = 1) -> Archive:
    """Judge the slices and scans of a folder of DICOM files that have labels.

    Every series is judged, also where the input check refuses it, so that no scan is missing from
    the figures.

    Args:
        bundle: Bundle to judge with.
        folder: Folder, searched with its sub-folders; a file's name without suffix is the ID of
            its image.
        labels: Labels of each image, by its ID.
        threads: Threads that read the files.

    Returns:
        The judged archive; a scan is positive when one of its labelled slices is.

    Raises:
        InputError: No file of the folder has a label.
    """
    patients: list[str] = []
    pixels: list[str] = []

    def look(result: ScanResult) -> None:
        """Remember whose slices these are, and a hash of each."""
        if isinstance(result, Analysed) and result.hu is not None:
            header = read_header(result.files[0])
            patient = "" if isinstance(header, Refusal) else header.patient_id
            patients.extend([patient] * len(result.hu))
            pixels.extend(pixel_sha256(hu) for hu in result.hu)

    result = read_paths(
        [folder],
        bundle=bundle,
        force=True,
        threads=threads,
        visit=look,
        pixels_for_visit=True,
        every_series=True,
    )
    slices: list[tuple[tuple[int, ...], list[float], str]] = []
    scans: list[tuple[tuple[int, ...], list[float], str]] = []
    tables: list[ScoreTable] = []
    unlabelled = 0
    unread = [f"{skipped.file}: {skipped.reason}" for skipped in result.skipped]
    for study in result.studies:
        if isinstance(study, NotAnalysed):
            unread.append(f"{study.series}: {'; '.join(study.reasons)}")
            continue
        rows = _labelled(study, labels)
        unlabelled += len(study.slices) - len(rows)
        if not rows:
            continue
        slices += [(truth, p, study.study) for truth, p in rows]
        truth = tuple(int(any(column)) for column in zip(*(t for t, _ in rows), strict=True))
        scans.append((truth, [study.scan[key] for key in CLASSES], study.study))
        tables.append(_scores(study, labels))
    if not slices:
        raise InputError(
            f"no image of {folder} has a label",
            found=f"{unlabelled} images without, {len(unread)} not read",
            expected="files named like the IDs of the label file",
        )
    return Archive(
        Judged(_cases(slices), _cases(scans)),
        join_scores(tables, str(folder)),
        unlabelled,
        tuple(unread),
        tuple(patients),
        tuple(pixels),
    )


def _scores(study: Analysed, labels: RsnaLabels) -> ScoreTable:
    """Return the scores of a scan's labelled slices."""
    images = [Path(scores.file).stem for scores in study.slices]
    rows = [row for row, image in enumerate(images) if image in labels.labels]
    cases = _cases([(truth, p, study.study) for truth, p in _labelled(study, labels)])
    position = [study.slices[row].position_mm for row in rows]
    return ScoreTable(
        image=np.array([images[row] for row in rows]),
        patient=cases.patients,
        study=cases.patients,
        series=np.full(len(rows), study.series),
        position_mm=np.array([np.nan if one is None else one for one in position], np.float32),
        fold=np.full(len(rows), ""),
        labels=cases.labels,
        logits=study.logits[rows],
        probabilities=cases.probabilities,
        by_slice=np.ones(len(rows), bool),
        folds=np.full(len(rows), ""),
        recipe=np.full(len(rows), ""),
    )


def _labelled(study: Analysed, labels: RsnaLabels) -> list[tuple[tuple[int, ...], list[float]]]:
    """Return labels and probabilities of the slices that have labels."""
    return [
        (labels.labels[image], [scores.probabilities[key] for key in CLASSES])
        for scores in study.slices
        if (image := Path(scores.file).stem) in labels.labels
    ]


def _cases(rows: list[tuple[tuple[int, ...], list[float], str]]) -> Cases:
    """Return rows of labels, probabilities and study as cases."""
    return Cases(
        labels=np.array([truth for truth, _, _ in rows], np.uint8),
        probabilities=np.array([p for _, p, _ in rows], np.float64),
        # RSNA's stage-2 files carry no reliable patient; the study stands for it.
        patients=np.array([owner for _, _, owner in rows], np.str_),
    )
