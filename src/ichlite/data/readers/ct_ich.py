"""PhysioNet CT-ICH v1.3.1 in, its index out: a label table, `ct_scans/` and `masks/`.

Labels are of the slice; SliceNumber counts from 1 along the volume as it is stored. A volume whose
slices are not the table's is left out whole, because nothing says which label is whose.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ichlite.data.audit import Finding
from ichlite.data.readers.assemble import assemble
from ichlite.data.readers.index import ImageRecord, Index, Progress
from ichlite.data.readers.label_table import (
    check_any,
    find_table,
    is_blank,
    labels_of,
    merge_rows,
    read_rows,
)
from ichlite.data.readers.lesion import largest_bleed
from ichlite.data.readers.nifti import read_mask_plane, read_nifti_geometry
from ichlite.data.workers import Engine, in_this_process
from ichlite.errors import InputError
from ichlite.labels import NAMES

TABLE = "hemorrhage_diagnosis_raw_ct.csv"
SCANS, MASKS = "ct_scans", "masks"
NO_BLEED = "No_Hemorrhage"
COLUMNS = ("PatientNumber", "SliceNumber", *(name.capitalize() for name in NAMES), NO_BLEED)
SUFFIXES = (".nii", ".nii.gz")

_OLD_TABLE = "hemorrhage_diagnosis.csv"
_OLD_FOLDER = "Patients_CT"

Labels = tuple[int, ...]
Slice = tuple[int, int]
"""PatientNumber and SliceNumber."""


def read(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Folder of CT-ICH v1.3.1 → its index.

    Args:
        root: Holds the table, `ct_scans/049.nii` … and `masks/049.nii` … (or .nii.gz), or one
            folder that does.
        progress: Called with (volumes done, volumes in all).
        engine: Where headers and masks are read.

    Returns:
        The labelled slices; findings say what is not in it and why.

    Raises:
        InputError: No label table, version 1.0.0, or no volume that the table names.
    """
    _refuse_first_version(root)
    table = find_table(root, TABLE)
    labels, said, findings = read_slice_labels(table)
    volumes, odd = _volumes(table.parent / SCANS)
    findings += odd
    images: list[ImageRecord] = []
    of_patient: dict[int, dict[Slice, tuple[Labels, int]]] = {number: {} for number in said}
    for key, one in labels.items():
        of_patient[key[0]][key] = one
    scans = [
        _Scan(root, number, volume, of_patient[number], said[number])
        for number, volume in sorted(volumes.items())
        if number in said
    ]
    for done, (records, noted) in enumerate(engine(_read_scan, scans), start=1):
        images += records
        findings += noted
        progress(done, len(scans))
    findings += [
        Finding("image_without_label", f"{SCANS}/{volume.name}", f"no line in {TABLE}")
        for number, volume in sorted(volumes.items())
        if number not in said
    ]
    findings += [
        Finding("label_without_image", _patient_name(number), f"no volume in {SCANS}/")
        for number in sorted(said)
        if number not in volumes
    ]
    expected = f"{TABLE} and {SCANS}/049.nii"
    return assemble("ct-ich", root, "slice", images, findings, expected)


def read_slice_labels(
    table: Path,
) -> tuple[dict[Slice, tuple[Labels, int]], dict[int, set[int]], list[Finding]]:
    """`hemorrhage_diagnosis_raw_ct.csv` → labels by slice, and which slices it names at all.

    Args:
        table: The file.

    Returns:
        (PatientNumber, SliceNumber) → subtypes in the order of `labels.NAMES`, and `any`: 1 where
        No_Hemorrhage is 0 or a subtype is 1; PatientNumber → every SliceNumber in the table, those
        whose labels cannot be used too; findings.

    Raises:
        InputError: No such file, or another table.
    """
    findings: list[Finding] = []
    said: dict[int, set[int]] = {}
    merged, repeats = merge_rows(_rows(table, said, findings), _image_name)
    labels: dict[Slice, tuple[Labels, int]] = {}
    for key, cells in merged.items():
        if cells is None:
            detail = "a label is missing or is not 0 or 1"
            findings.append(Finding("incomplete_labels", _image_name(key), detail))
            continue
        *subtypes, no_bleed = cells
        findings += check_any(_image_name(key), subtypes, 1 - no_bleed)
        labels[key] = tuple(subtypes), max(1 - no_bleed, *subtypes)
    return labels, said, findings + repeats


def _rows(
    table: Path, said: dict[int, set[int]], findings: list[Finding]
) -> Iterator[tuple[int, Slice, Labels | None]]:
    """Line number, slice, and its subtypes and No_Hemorrhage; None where one is not 0 or 1."""
    for line, row in read_rows(table, COLUMNS, kind="label table of CT-ICH v1.3.1"):
        if all(is_blank(cell) for cell in row.values()):
            continue
        patient, number = _whole(row["PatientNumber"]), _whole(row["SliceNumber"])
        if patient is None:
            where = f"{TABLE} line {line}"
            found = row["PatientNumber"]
            findings.append(Finding("missing_patient", where, f"PatientNumber {found!r}"))
        elif number is None:
            said.setdefault(patient, set())
            detail = f"line {line}: SliceNumber {row['SliceNumber']!r}"
            findings.append(Finding("incomplete_labels", _patient_name(patient), detail))
        else:
            said.setdefault(patient, set()).add(number)
            yield line, (patient, number), labels_of(row, COLUMNS[2:])


@dataclass(frozen=True, slots=True)
class _Scan:
    """One patient's volume below `root`, the labels of its slices, and the slices of the table."""

    root: Path
    number: int
    volume: Path
    labels: dict[Slice, tuple[Labels, int]]
    said: set[int]


def _read_scan(scan: _Scan) -> tuple[list[ImageRecord], list[Finding]]:
    """One patient's volume and labels → records of the slices, feet to head."""
    number, volume, labels, said = scan.number, scan.volume, scan.labels, scan.said
    name = _patient_name(number)
    try:
        geometry = read_nifti_geometry(volume)
    except InputError as fault:
        return [], [Finding("undecodable_pixels", name, str(fault))]
    if said != set(range(1, geometry.slices + 1)):
        detail = f"{geometry.slices} slices, {_listed(said)} in {TABLE}"
        return [], [Finding("slice_count_mismatch", name, detail)]
    findings = []
    if not geometry.stated:
        findings.append(Finding("unknown_orientation", name))
    places, odd = _lesions(volume, geometry.slices, name)
    findings += odd
    source = volume.relative_to(scan.root).as_posix()
    images = []
    for k, stored in enumerate(geometry.stored):
        key = (number, stored + 1)
        if key not in labels:
            continue
        subtypes, any_bleed = labels[key]
        if places is not None and (places[k] is not None) != bool(any_bleed):
            detail = "no bleed in the mask" if any_bleed else "a bleed in the mask alone"
            findings.append(Finding("mask_disagrees", _image_name(key), detail))
        images.append(
            ImageRecord(
                image=_image_name(key),
                patient=name,
                study=name,
                series=name,
                position_mm=geometry.positions_mm[k],
                labels=subtypes,
                any=any_bleed,
                source=f"{source}#{k}",
                lesion=places[k] if places is not None and any_bleed else None,
            )
        )
    return images, findings


def _lesions(
    volume: Path, slices: int, name: str
) -> tuple[list[tuple[float, float] | None] | None, list[Finding]]:
    """Volume → where the largest bleed of each slice is by its mask; None without a usable mask."""
    stem = volume.name.removesuffix(".gz").removesuffix(".nii")
    paths = [volume.parent.parent / MASKS / (stem + suffix) for suffix in SUFFIXES]
    mask = next((path for path in paths if path.is_file()), None)
    if mask is None:
        return None, []
    try:
        return [largest_bleed(read_mask_plane(mask, k, volume)) for k in range(slices)], []
    except InputError as fault:
        return None, [Finding("unusable_mask", name, str(fault))]


def _volumes(folder: Path) -> tuple[dict[int, Path], list[Finding]]:
    """`ct_scans/` → PatientNumber → its volume; other files are findings."""
    volumes: dict[int, Path] = {}
    findings = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else []:
        stem = path.name.removesuffix(".gz").removesuffix(".nii")
        if not path.name.endswith(SUFFIXES) or not stem.isdecimal():
            findings.append(Finding("not_an_image", f"{SCANS}/{path.name}"))
        elif int(stem) in volumes:
            first = volumes[int(stem)].name
            findings.append(
                Finding("duplicate_image_name", f"{SCANS}/{path.name}", f"{first} is read")
            )
        else:
            volumes[int(stem)] = path
    return volumes, findings


def _refuse_first_version(root: Path) -> None:
    """Raise InputError for v1.0.0, whose slices are JPEG pictures of two windows."""
    folders = [root, *(path for path in sorted(root.glob("*")) if path.is_dir())]
    for folder in folders:
        if (folder / TABLE).exists() or (folder / f"{TABLE}.gz").exists():
            return
        if (folder / _OLD_TABLE).exists() or (folder / _OLD_FOLDER).is_dir():
            raise InputError(
                f"{folder} is CT-ICH v1.0.0: JPEG pictures of windows, which hold no HU",
                expected=f"v1.3.1, with {TABLE} and {SCANS}/",
                remedy="download version 1.3.1 from PhysioNet",
            )


def _whole(cell: str) -> int | None:
    """`49` or `49.0` → 49; None for anything else."""
    digits = cell.removesuffix(".0")
    return int(digits) if digits.isdecimal() and digits.isascii() else None


def _patient_name(number: int) -> str:
    return f"{number:03d}"


def _image_name(key: Slice) -> str:
    return f"{key[0]:03d}-{key[1]:03d}"


def _listed(numbers: set[int]) -> str:
    """SliceNumbers → how many, and which: `{1, 2, 4}` → `3 (1 to 4)`."""
    return f"{len(numbers)} ({min(numbers)} to {max(numbers)})" if numbers else "none"
