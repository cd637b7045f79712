"""Find the studies of an archive by their headers, on all machines of a cluster."""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path
from typing import Any

from ichlite.ct.header import Refusal
from ichlite.ct.series import files_below, read_images
from ichlite.errors import InputError
from ichlite.records import SkippedFile, SliceHeader

FILES_A_TASK = 256


@dataclass(frozen=True, slots=True)
class Study:
    """All series of one StudyInstanceUID, which are read together.

    Attributes:
        uid: StudyInstanceUID; of a series that mixes studies, the first of them.
        files: Its files and members of zip archives, as `ichlite read` names them; damaged ones
            that belong to it, too.
    """

    uid: str
    files: tuple[str, ...]

    @property
    def digest(self) -> str:
        """Hash of the file names; it changes when files are added to or removed from the study."""
        return hashlib.sha256(b"\0".join(map(os.fsencode, self.files))).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Archive:
    """Studies found in a folder, with the files that belong to none.

    Attributes:
        studies: Studies, sorted by StudyInstanceUID.
        skipped: Files that belong to no study, each with its reason.
        warnings: One line for each folder that mixes patients.
    """

    studies: tuple[Study, ...]
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...]


def check_archive(folder: Path) -> None:
    """Check that there is a folder of that name.

    Raises:
        InputError: There is none.
    """
    if not folder.is_dir():
        raise InputError(
            f"{folder} {'is not a folder' if folder.exists() else 'does not exist'}",
            remedy="name the folder that holds the DICOM studies",
        )


def find_studies(folder: Path) -> Archive:
    """Find the studies of a folder, reading headers by tasks on the connected Ray cluster.

    Args:
        folder: Archive folder, under a path that is the same on every machine.

    Raises:
        InputError: There are no files in it.
    """
    import ray

    files, skipped = files_below([folder.absolute()])  # workers have other current folders
    if not files:
        raise InputError(f"{folder} has no files in it", expected="DICOM studies")
    rows = [
        {"names": [os.fsencode(name) for name in files[first : first + FILES_A_TASK]]}
        for first in range(0, len(files), FILES_A_TASK)
    ]
    headers = ray.data.from_items(rows, override_num_blocks=len(rows)).flat_map(_headers)
    return group(headers.iter_rows(), skipped)


def group(headers: Iterable[dict[str, Any]], skipped: Sequence[SkippedFile] = ()) -> Archive:
    """Group file headers into studies.

    All files of a series go to one study, so that the result is that of `ichlite read` on the whole
    archive.

    Args:
        headers: One row for each file, in any order, with the keys `name` (bytes), `study`,
            `series` and `patient` (UIDs and PatientID), `reason` (why it is refused; empty for a
            CT slice) and `may_be_ct`.
        skipped: Files that were skipped before their headers were read.

    Returns:
        The studies with their files, the files that belong to none, and a warning for each folder
        with several patients.
    """
    files: dict[str, list[str]] = defaultdict(list)
    study_of: dict[str, str] = {}
    patients: dict[str, set[str]] = defaultdict(set)
    refused: list[tuple[SkippedFile, str]] = []
    for row in headers:
        name = os.fsdecode(row["name"])
        if row["reason"]:
            refused.append((SkippedFile(name, row["reason"], row["may_be_ct"]), row["series"]))
            continue
        files[row["series"]].append(name)
        study_of[row["series"]] = min(row["study"], study_of.get(row["series"], row["study"]))
        if row["patient"]:
            patients[str(Path(name).parent)].add(row["patient"])
    left = list(skipped)
    for file, series in refused:
        if series in files:
            files[series].append(file.file)  # its series lacks a slice, and must say so
        else:
            left.append(file)
    together: dict[str, list[str]] = defaultdict(list)
    for series, names in files.items():
        together[study_of[series]] += names
    return Archive(
        tuple(Study(uid, tuple(sorted(names))) for uid, names in sorted(together.items())),
        tuple(sorted(left, key=lambda one: (one.file, one.reason))),
        tuple(
            f"folder {where} holds {len(ids)} patients; each study is read by itself"
            for where, ids in sorted(patients.items())
            if len(ids) > 1
        ),
    )


def _headers(row: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row for each file or archive member; `reason` is empty if it holds a CT slice."""
    return [
        _row(path, list(images))
        for name in row["names"]
        for path, images in groupby(read_images(os.fsdecode(name)), attrgetter("path"))
    ]


def _row(path: str, images: Sequence[SliceHeader | Refusal]) -> dict[str, Any]:
    """Return the row of a file; all its frames, where it has several, are of one series."""
    name = os.fsencode(path)
    found = next((one for one in images if not isinstance(one, Refusal)), images[0])
    if isinstance(found, Refusal):
        ids = {"study": "", "series": found.lost_from_series or "", "patient": ""}
        return {"name": name, "reason": found.reason, "may_be_ct": found.may_be_ct, **ids}
    ids = {"study": found.study_uid, "series": found.series_uid, "patient": found.patient_id}
    return {"name": name, "reason": "", "may_be_ct": True, **ids}
