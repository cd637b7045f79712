"""Read one series of each study under paths; list all that was not read.

Of a study the series that stands first by `ct.study_choice` is read. Where it cannot be analysed,
or cannot clear the patient because it is incomplete, the next one is tried. All others are listed
as not chosen, with the reason. Where no series of a study is analysed, each says why.

One series at a time: its volume is dropped before the next is read, so memory does not grow with
the number of studies. A series that fails says why and the others are still read.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

from ichlite.ct.archives import is_member
from ichlite.ct.series import find_series
from ichlite.errors import SeriesError
from ichlite.infer.bundle import MANIFEST_FILE, MODEL_FILE, Bundle
from ichlite.infer.datasets import as_paths
from ichlite.infer.nifti import read_volumes, volumes_among
from ichlite.infer.reader import Reader
from ichlite.infer.results import Analysed, ReadResult, ScanResult
from ichlite.infer.study import read_study
from ichlite.infer.worth import doubts
from ichlite.records import HeadVolume, Series, SkippedFile

if TYPE_CHECKING:
    from ichlite.infer.datasets import Paths

Visit = Callable[[ScanResult], None]
Progress = Callable[[int, int], None]
_NO_INPUT = {
    # As `data.store` names them, which needs the other half.
    ("store.json", "index.csv"): (
        "a prepared store, which is for training and evaluation: no DICOM files"
    ),
    (MANIFEST_FILE, MODEL_FILE): "a bundle, which holds a model; pass it with --bundle",
}
"""What a folder with certain files is, for folders that hold no images."""


def read_paths(
    paths: Paths,
    *,
    bundle: Bundle | str | Path | None = None,
    force: bool = False,
    threads: int = 1,
    keep_pixels: bool = False,
    visit: Visit | None = None,
    progress: Progress | None = None,
    pixels_for_visit: bool = False,
    operating_point: str | None = None,
    every_series: bool = False,
) -> ReadResult:
    """Read all studies in files and folders: a result for each, a reason for all that is not read.

    Args:
        paths: A file or folder, or several; folders are searched through all sub-folders. Files
            of DICOM, or NIfTI volumes (.nii, .nii.gz; needs `ichlite[nifti]`). Or pydicom data
            sets, with their pixels.
        bundle: Bundle with the model, or its folder; None for the embedded one.
        force: Judge series that the input check refused; what has no HU, or mixes patients or
            studies, is still not judged.
        threads: Threads that read files and run the model, no more than there are cores; the
            result is the same for any number.
        keep_pixels: Keep each series' HU and activation maps in its result.
        visit: Called with each result as it is ready.
        progress: Called with (studies done, studies in all) as each is begun.
        pixels_for_visit: Give `visit` the pixels and then drop them: for reports on many studies
            without all of them in memory.
        operating_point: The bundle's thresholds to decide by, such as `high_sensitivity`; None for
            those that the bundle is at, `balanced` unless it was put to others.
        every_series: Read each series by itself, and choose none.

    Returns:
        Results sorted by study and series UID, whatever the order and names of the files.

    Raises:
        UsageError: The bundle has no such operating point.
        BundleError: The bundle cannot be used. Bad input raises nothing: it is in the result.

    Example:
        >>> from ichlite.samples import SAMPLES
        >>> read_paths(SAMPLES[0].folder).studies[0].status
        'analysed'
    """
    with Reader(bundle, threads, operating_point=operating_point) as reader:
        return read_with(
            reader,
            paths,
            force=force,
            keep_pixels=keep_pixels,
            visit=visit,
            progress=progress,
            pixels_for_visit=pixels_for_visit,
            every_series=every_series,
        )


def read_with(
    reader: Reader,
    paths: Paths,
    *,
    force: bool = False,
    keep_pixels: bool = False,
    visit: Visit | None = None,
    progress: Progress | None = None,
    pixels_for_visit: bool = False,
    every_series: bool = False,
) -> ReadResult:
    """Read all studies as `read_paths` does, with a `Reader` that is kept for many calls.

    Args:
        reader: Reader with its bundle, operating point and threads.
        paths: See `read_paths`.
        force: See `read_paths`.
        keep_pixels: See `read_paths`.
        visit: See `read_paths`.
        progress: See `read_paths`.
        pixels_for_visit: See `read_paths`.
        every_series: See `read_paths`.
    """
    with as_paths(paths) as files:
        findable, skipped = _findable(files)
        found: tuple[Series, ...] = ()
        if findable:
            found, unread = find_series(findable)
            skipped += unread
        crowded = _crowded_folders(found)
        doubted = doubts(reader.bundle.manifest)
        studies: list[ScanResult] = []
        pixels = keep_pixels or pixels_for_visit
        volumes, skipped = volumes_among(skipped)
        groups = _studies(found, every_series=every_series)
        answers = chain(
            (
                _of_patient(read_study(reader, one.members, force=force, keep_pixels=pixels), one)
                for one in groups
            ),
            (_read_volume(reader, one, force, pixels) for one in read_volumes(volumes)),
        )
        count = len(groups) + len(volumes)
        for done, answer in enumerate(answers):
            if progress is not None:
                progress(done, count)
            if isinstance(answer, SkippedFile):
                skipped += (answer,)
                continue
            for one in answer:
                notes = one.notes + _crowd_notes(one, crowded)
                if isinstance(one, Analysed):
                    notes += doubted
                result = replace(one, notes=notes)
                if visit is not None:
                    visit(result)
                studies.append(result if keep_pixels else _without_pixels(result))
                skipped += result.left_out
    studies.sort(key=lambda one: (one.study, one.series))
    return ReadResult(
        reader.bundle.label,
        tuple(studies),
        skipped,
        warnings=tuple(dict.fromkeys((*doubted, *crowded.values(), *_shared_uids(groups)))),
        model=reader.bundle,
    )


def read_scan(
    path: Paths,
    *,
    bundle: Bundle | str | Path | None = None,
    force: bool = False,
    threads: int = 1,
    keep_pixels: bool = False,
    operating_point: str | None = None,
) -> Analysed:
    """Read a single head CT scan from a file or folder.

    Args:
        path: File or folder; a NIfTI volume; or the pydicom data sets of one study.
        bundle: Bundle with the model, or its folder; None for the embedded one.
        force: Judge the series although the input check refuses it.
        threads: Threads that read files and run the model.
        keep_pixels: Keep the HU and activation maps in the result.
        operating_point: See `read_paths`.

    Returns:
        The result of the series that was analysed. `urgent` is None for a scan that is not urgent
        and cannot be cleared: see its `not_cleared`.

    Raises:
        SeriesError: No series could be analysed, or more than one was.
        UsageError: The bundle has no such operating point.
        BundleError: The bundle cannot be used.

    Example:
        >>> from ichlite.samples import SAMPLES
        >>> len(read_scan(SAMPLES[0].folder).slices)
        28
    """
    result = read_paths(
        path,
        bundle=bundle,
        force=force,
        threads=threads,
        keep_pixels=keep_pixels,
        operating_point=operating_point,
    )
    analysed = [scan for scan in result.studies if isinstance(scan, Analysed)]
    if len(analysed) == 1:
        return analysed[0]
    if analysed:
        raise SeriesError(
            f"{_named(path)} is not one scan",
            found=f"{len(analysed)} series",
            expected="one",
            remedy="use read_paths",
        )
    why = _why_not(result)
    raise SeriesError(f"{_named(path)} holds no series that can be analysed", found=why)


def _read_volume(
    reader: Reader, volume: HeadVolume | SkippedFile, force: bool, keep_pixels: bool
) -> list[ScanResult] | SkippedFile:
    """Return the result of a volume that is a study by itself, in one file."""
    if isinstance(volume, SkippedFile):
        return volume
    series = volume.series
    result = reader.read(series, force=force, keep_pixels=keep_pixels, volume=volume)
    file = series.slices[0].path.rpartition("#")[0]
    return [replace(result, files=(file,))]


@dataclass(frozen=True, slots=True)
class _Study:
    """The series of one patient's study, and which of the patients who share its UID that is."""

    members: tuple[Series, ...]
    patient: int
    patients: int


def _studies(found: Sequence[Series], *, every_series: bool) -> list[_Study]:
    """Return the series of each study, or each series by itself; of each patient in it."""
    by_uid: dict[str, dict[str, list[Series]]] = {}
    for series in found:
        by_patient = by_uid.setdefault(series.study_uid, {})
        by_patient.setdefault(_patient_of(series), []).append(series)
    studies = []
    for by_patient in by_uid.values():
        unnamed = by_patient.pop("", [])
        if len(by_patient) != 1:
            by_patient = by_patient | ({"": unnamed} if unnamed else {})
        else:
            next(iter(by_patient.values())).extend(unnamed)
        for number, members in enumerate(by_patient.values(), 1):
            parts = [[one] for one in members] if every_series else [members]
            studies += [_Study(tuple(part), number, len(by_patient)) for part in parts]
    return studies


def _patient_of(series: Series) -> str:
    """Return what tells a patient from others: PatientID, else name, else birth date, else ""."""
    first = series.slices[0]
    name = (first.patient_name or "").upper().strip("^ ")
    return first.patient_id or name or first.patient_birth_date or ""


def _of_patient(results: list[ScanResult], study: _Study) -> list[ScanResult]:
    """Return results with the number of their patient, and a note where several share the UID."""
    if study.patients == 1:
        return results
    note = _shared(study)
    return [replace(one, patient=study.patient, notes=(*one.notes, note)) for one in results]


def _shared(study: _Study) -> str:
    return f"images of {study.patients} patients share this StudyInstanceUID; each is read apart"


def _shared_uids(studies: Sequence[_Study]) -> list[str]:
    crowded = [one for one in studies if one.patients > 1]
    return [f"study {one.members[0].study_uid}: {_shared(one)}" for one in crowded]


def _named(paths: Paths) -> str:
    """Return what was read, in a word."""
    return os.fspath(paths) if isinstance(paths, str | os.PathLike) else "the input"


def _why_not(result: ReadResult) -> str:
    reasons = [reason for scan in result.studies for reason in scan.reasons]
    reasons = reasons or [f"{file.file}: {file.reason}" for file in result.skipped]
    if not reasons:
        return "nothing"
    more = f" (and {len(reasons) - 1} more)" if len(reasons) > 1 else ""
    return reasons[0] + more


def _without_pixels(result: ScanResult) -> ScanResult:
    if isinstance(result, Analysed):
        return replace(result, hu=None, activation_maps=None)
    return result


def _findable(paths: Sequence[str]) -> tuple[list[str], tuple[SkippedFile, ...]]:
    """Return the paths that have files in them, and why each other one is skipped."""
    kept, skipped = [], []
    for path in paths:
        known = (
            what
            for names, what in _NO_INPUT.items()
            if all(Path(path, name).is_file() for name in names)
        )
        reason = next(known, None)
        if not os.path.lexists(path) and not is_member(path):
            reason = "stdin is not read: name files or folders" if path == "-" else "does not exist"
        elif Path(path).is_dir() and not any(files for _, _, files in os.walk(path)):
            reason = "an empty folder: no files to read"
        if reason is None:
            kept.append(path)
        else:
            skipped.append(SkippedFile(path, reason, may_be_ct=True))
    return kept, tuple(skipped)


def _crowded_folders(found: Sequence[Series]) -> dict[str, str]:
    """Return the folders that hold more than one patient, with a line on each."""
    patients = defaultdict(set)
    for series in found:
        for header in series.slices:
            if header.patient_id:
                patients[str(Path(header.path).parent)].add(header.patient_id)
    return {
        folder: f"folder {folder} holds {len(ids)} patients; each study is read by itself"
        for folder, ids in sorted(patients.items())
        if len(ids) > 1
    }


def _crowd_notes(result: ScanResult, crowded: dict[str, str]) -> tuple[str, ...]:
    folders = {str(Path(file).parent) for file in result.files}
    return tuple(line for folder, line in crowded.items() if folder in folders)
