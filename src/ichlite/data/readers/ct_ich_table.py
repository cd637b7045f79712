"""Read the labels of PhysioNet CT-ICH from the table that all its releases have alike."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ichlite.data.audit import Finding
from ichlite.data.readers.index import Progress
from ichlite.data.readers.label_table import (
    check_any,
    is_blank,
    labels_of,
    merge_rows,
    read_rows,
)
from ichlite.data.rows import StoreRow
from ichlite.data.workers import Engine
from ichlite.labels import NAMES

NO_BLEED = "No_Hemorrhage"
COLUMNS = ("PatientNumber", "SliceNumber", *(name.capitalize() for name in NAMES), NO_BLEED)

Labels = tuple[int, ...]
Slice = tuple[int, int]
"""PatientNumber and SliceNumber, which together name a slice."""
SliceLabels = dict[Slice, tuple[Labels, int]]
"""Labels of each slice: subtypes in the order of `labels.NAMES`, and any haemorrhage."""


def read_slice_labels(table: Path) -> tuple[SliceLabels, dict[int, set[int]], list[Finding]]:
    """Read the labels of each slice from the table of PhysioNet CT-ICH.

    Args:
        table: Path of the CSV file.

    Returns:
        Three things. Labels of each slice: subtypes in the order of `labels.NAMES`, and `any`, 1
        where No_Hemorrhage is 0 or a subtype is 1. Every SliceNumber of each patient, also where
        labels cannot be used. Findings.

    Raises:
        InputError: No such file, or another table.
    """
    findings: list[Finding] = []
    said: dict[int, set[int]] = {}
    merged, repeats = merge_rows(_rows(table, said, findings), image_name)
    labels: SliceLabels = {}
    for key, cells in merged.items():
        if cells is None:
            detail = "a label is missing or is not 0 or 1"
            findings.append(Finding("incomplete_labels", image_name(key), detail))
            continue
        *subtypes, no_bleed = cells
        findings += check_any(image_name(key), subtypes, 1 - no_bleed)
        labels[key] = tuple(subtypes), max(1 - no_bleed, *subtypes)
    return labels, said, findings + repeats


@dataclass(frozen=True, slots=True)
class Scan:
    """One patient's scan with the labels of its slices.

    Attributes:
        root: Folder of the data set.
        number: PatientNumber.
        path: File or folder of the scan, inside `root`.
        labels: Labels of those of its slices that have usable ones.
        said: Every SliceNumber that the table lists for the patient.
        named: Whether the table lists the patient.
    """

    root: Path
    number: int
    path: Path
    labels: SliceLabels
    said: frozenset[int]
    named: bool


ScanReader = Callable[[Scan], tuple[list[StoreRow], list[Finding]]]


def read_scans(
    root: Path,
    table: Path,
    paths: Mapping[int, Path],
    read_scan: ScanReader,
    missing: str,
    progress: Progress,
    engine: Engine,
) -> tuple[list[StoreRow], list[Finding]]:
    """Read the scans of a release with the labels of its table.

    Args:
        root: Folder of the data set.
        table: Path of the label table.
        paths: File or folder of each patient's scan, by PatientNumber.
        read_scan: Function that returns one scan's labelled slices and findings.
        missing: Detail of the finding for a patient in the table who has no scan.
        progress: Called with (scans done, scans in all).
        engine: Applies `read_scan` to the scans, in this process or in others.

    Returns:
        All labelled slices, and findings, those about the table first.
    """
    labels, said, findings = read_slice_labels(table)
    of_patient: dict[int, SliceLabels] = {}
    for key, one in labels.items():
        of_patient.setdefault(key[0], {})[key] = one
    scans = [
        Scan(
            root,
            number,
            path,
            of_patient.get(number, {}),
            frozenset(said.get(number, ())),
            number in said,
        )
        for number, path in sorted(paths.items())
    ]
    images: list[StoreRow] = []
    for done, (records, noted) in enumerate(engine(read_scan, scans), start=1):
        images += records
        findings += noted
        progress(done, len(scans))
    findings += [
        Finding("label_without_image", patient_name(number), missing)
        for number in sorted(said)
        if number not in paths
    ]
    return images, findings


def patient_name(number: int) -> str:
    """Return a patient's name in stores: PatientNumber in three digits, as in file names."""
    return f"{number:03d}"


def image_name(key: Slice) -> str:
    """Return a slice's name in stores: PatientNumber and SliceNumber, such as `049-012`."""
    return f"{key[0]:03d}-{key[1]:03d}"


def _rows(
    table: Path, said: dict[int, set[int]], findings: list[Finding]
) -> Iterator[tuple[int, Slice, Labels | None]]:
    """Yield line number, slice, its subtypes and No_Hemorrhage; None where one is not 0 or 1."""
    for line, row in read_rows(table, COLUMNS, kind="label table of CT-ICH"):
        if all(is_blank(cell) for cell in row.values()):
            continue
        patient, number = _whole(row["PatientNumber"]), _whole(row["SliceNumber"])
        if patient is None:
            where = f"{table.name} line {line}"
            found = row["PatientNumber"]
            findings.append(Finding("missing_patient", where, f"PatientNumber {found!r}"))
        elif number is None:
            said.setdefault(patient, set())
            detail = f"line {line}: SliceNumber {row['SliceNumber']!r}"
            findings.append(Finding("incomplete_labels", patient_name(patient), detail))
        else:
            said.setdefault(patient, set()).add(number)
            yield line, (patient, number), labels_of(row, COLUMNS[2:])


def _whole(cell: str) -> int | None:
    """Return 49 for `49` or `49.0`; None for anything that is no whole number."""
    digits = cell.removesuffix(".0")
    return int(digits) if digits.isdecimal() and digits.isascii() else None
