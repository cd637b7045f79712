"""Read PhysioNet CT-ICH v1.0-1.2: a label table, and pictures of one window in `Patients_CT/`.

Labels are of the slice; picture n of a patient, counted from the feet, is SliceNumber n. Nothing
says where a slice lies but its number. The pictures were taken from videos with the brain window,
level 40 and width 120; those in `bone/`, level 700 and width 3200, are not read: 12.5 HU a grey,
and nobody has checked that they lie on the others.

Source: Hssayeni et al., Data 2020, 5(1), 14, doi 10.3390/data5010014; README of the data set.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from ichlite.data.audit import Finding
from ichlite.data.readers.ct_ich_table import (
    Scan,
    image_name,
    patient_name,
    read_scans,
)
from ichlite.data.readers.index import Index, Progress, assemble
from ichlite.data.readers.label_table import find_table
from ichlite.data.readers.lesion import largest_bleed
from ichlite.data.rows import UNUSED, StoreRow
from ichlite.data.windowed import open_picture, picture_source, read_grey
from ichlite.data.workers import Engine, in_this_process
from ichlite.errors import InputError

TABLES = ("hemorrhage_diagnosis.csv", "hemorrhage_diagnosis_raw_ct.csv")
PATIENTS, BRAIN, BONE = "Patients_CT", "brain", "bone"
WINDOW_HU = (-20, 100)
SPACING_MM = 5.0
"""Slice thickness that the data descriptor states for all scans."""

UNCHECKED_PATIENTS = frozenset({49})
"""Patients whose published file numbers cannot confirm that their labels belong to these slices."""

_PICTURE = re.compile(r"(?P<number>\d{1,4})(?P<mask>_HGE_Seg)?\.jpe?g", re.IGNORECASE | re.ASCII)
_MARKED = 127
"""Grey above which a mask's pixel is marked; JPEG blurs masks too."""


def read(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read PhysioNet CT-ICH v1.0 to 1.2, whose scans are JPEG pictures of one window.

    Args:
        root: Holds the table and `Patients_CT/049/brain/1.jpg` …, masks `1_HGE_Seg.jpg` beside
            them where there are any; or one folder that does.
        progress: Called with (patients done, patients in all).
        engine: Applies functions to headers and masks, in this process or in others.

    Returns:
        The labelled slices; findings list what was left out and why.

    Raises:
        InputError: No label table, no pictures, or none that the table names.
    """
    table = find_table(root, *TABLES)
    folders, odd = _patient_folders(root)
    images, findings = read_scans(
        root, table, folders, _read_scan, f"no folder in {PATIENTS}/", progress, engine
    )
    known = f"{WINDOW_HU[0]} to {WINDOW_HU[1]} HU are known; air and bone are filled in"
    findings += [
        *odd,
        Finding("windowed_pictures", PATIENTS, known),
        Finding("nominal_positions", PATIENTS, f"SliceNumber x {SPACING_MM:g} mm"),
    ]
    expected = f"{TABLES[0]} and {PATIENTS}/049/{BRAIN}/1.jpg"
    return assemble("ct-ich", root, "slice", images, findings, expected, WINDOW_HU)


@dataclass(frozen=True, slots=True)
class _Pictures:
    """Pictures and masks of one scan, by the number in their names."""

    slices: dict[int, Path]
    masks: dict[int, Path]


def _read_scan(scan: Scan) -> tuple[list[StoreRow], list[Finding]]:
    """Return one patient's labelled slices, feet to head."""
    name = patient_name(scan.number)
    pictures, findings = _pictures(scan)
    findings += _look(scan, pictures.slices.values())
    rows, odd = _rows_of(scan, pictures.slices)
    findings += odd
    if rows is None:
        return [], findings
    findings += [
        Finding("label_without_image", image_name((scan.number, number)))
        for number in sorted(scan.said - set(rows.values()))
    ]
    images = []
    for number, picture in sorted(pictures.slices.items()):
        file = picture.relative_to(scan.root).as_posix()
        key = (scan.number, rows.get(number, number))
        if key[1] not in scan.said:
            findings.append(Finding("image_without_label", file, "no line in the table"))
        if key not in scan.labels:
            continue
        subtypes, any_bleed = scan.labels[key]
        lesion, odd = _lesion(picture, pictures.masks.get(number), image_name(key), any_bleed)
        # Only in a release that came with masks does a bleed without one say anything.
        findings += odd if pictures.masks else []
        images.append(
            StoreRow(
                image=image_name(key),
                patient=name,
                study=name,
                series=name,
                position_mm=SPACING_MM * key[1],
                labels=subtypes,
                any=any_bleed,
                source=picture_source(file, WINDOW_HU),
                lesion=lesion,
                split=UNUSED if scan.number in UNCHECKED_PATIENTS else None,
            )
        )
    if images and scan.number in UNCHECKED_PATIENTS:
        detail = "the published file numbers do not confirm them; split `unused`"
        findings.append(Finding("unchecked_slice_labels", name, detail))
    return images, findings


def _rows_of(scan: Scan, slices: Iterable[int]) -> tuple[dict[int, int] | None, list[Finding]]:
    """Return the SliceNumber of each picture's number that has one; None where nothing says it.

    As published, files skip a number after each slice that bleeds, and rows do not. Numbers that
    skip so are counted through; numbers that skip otherwise and run past the table are refused.
    """
    numbers = sorted(slices)
    rows = {number: number for number in numbers if number in scan.said}
    # Lost or spare files leave numbers or rows over; skipped numbers leave both, and run past.
    both_left = scan.said - set(numbers) and set(numbers) - scan.said
    counted = scan.said == set(range(1, len(scan.said) + 1))
    if not both_left or not counted or numbers[-1] <= len(scan.said):
        return rows, []
    name = patient_name(scan.number)
    if len(numbers) == len(scan.said) and (
        scan.number in UNCHECKED_PATIENTS or _skip_after_bleeds(scan, numbers)
    ):
        detail = f"{len(numbers)} pictures numbered up to {numbers[-1]} are counted through"
        return {number: row for row, number in enumerate(numbers, start=1)}, [
            Finding("renumbered_slices", name, detail)
        ]
    detail = f"{len(numbers)} pictures numbered up to {numbers[-1]}, {len(scan.said)} rows"
    return None, [Finding("slice_count_mismatch", name, detail)]


def _skip_after_bleeds(scan: Scan, numbers: list[int]) -> bool:
    """Return whether numbers skip one after each row that bleeds, and nowhere else."""
    steps = [after - before for before, after in pairwise(numbers)]
    for row, step in enumerate(steps, start=1):
        _, any_bleed = scan.labels.get((scan.number, row), ((), None))
        if step not in {0: (1,), 1: (2,), None: (1, 2)}[any_bleed]:
            return False
    return numbers[0] == 1


def _lesion(
    picture: Path, mask: Path | None, name: str, any_bleed: int
) -> tuple[tuple[float, float] | None, list[Finding]]:
    """Return where the largest bleed is by its mask, and how mask and label contradict."""
    if mask is None:
        return None, [Finding("mask_disagrees", name, "a bleed without a mask")] * any_bleed
    try:
        marked = read_grey(mask) > _MARKED
        with open_picture(picture) as shown:
            size = shown.size
        if size != marked.shape[::-1]:
            found = "x".join(map(str, marked.shape[::-1]))
            raise InputError("the mask does not fit its picture", found=found, expected=size)
    except InputError as fault:
        detail = str(fault).replace(f"{mask.parent}/", "")
        return None, [Finding("unusable_mask", name, detail)]
    place = largest_bleed(marked)
    if (place is not None) == bool(any_bleed):
        return place, []
    detail = "no bleed in the mask" if any_bleed else "a bleed in the mask alone"
    return None, [Finding("mask_disagrees", name, detail)]


def _look(scan: Scan, slices: Iterable[Path]) -> list[Finding]:
    """Return what the pictures' headers show; those without a readable one are found later."""
    findings = []
    sizes: Counter[str] = Counter()
    for picture in slices:
        try:
            with open_picture(picture) as shown:
                size, mode = shown.size, shown.mode
        except InputError:
            continue
        said = "x".join(map(str, size))
        sizes[said] += 1
        file = picture.relative_to(scan.root).as_posix()
        if size[0] != size[1]:
            findings.append(Finding("not_square", file, said))
        if mode != "L":
            findings.append(Finding("colour_picture", file, mode))
    if len(sizes) > 1:
        said = ", ".join(f"{size} ({count})" for size, count in sizes.most_common())
        findings.append(Finding("mixed_sizes", patient_name(scan.number), said))
    return findings


def _pictures(scan: Scan) -> tuple[_Pictures, list[Finding]]:
    """Return the files of a patient's folder by what they are; all else are findings."""
    found = _Pictures({}, {})
    findings = []
    brain, bone = scan.path / BRAIN, scan.path / BONE
    for path in sorted(brain.iterdir()) if brain.is_dir() else []:
        file = path.relative_to(scan.root).as_posix()
        parts = _PICTURE.fullmatch(path.name)
        if parts is None or not path.is_file():
            findings.append(Finding("not_an_image", file))
            continue
        of_kind = found.masks if parts["mask"] else found.slices
        first = of_kind.setdefault(int(parts["number"]), path)
        if first != path:
            findings.append(Finding("duplicate_image_name", file, f"{first.name} is read"))
    others = sum(1 for path in bone.iterdir() if path.is_file()) if bone.is_dir() else 0
    if others:
        detail = f"{others} files of the bone window, 12.5 HU a grey"
        where = bone.relative_to(scan.root).as_posix()
        findings.append(Finding("unused_pictures", where, detail))
    return found, findings


def _patient_folders(root: Path) -> tuple[dict[int, Path], list[Finding]]:
    """Return the folder of each PatientNumber below the one `Patients_CT`."""
    tops = [path for name in (PATIENTS, f"*/{PATIENTS}") for path in sorted(root.glob(name))]
    if len(tops) != 1:
        found = ", ".join(path.relative_to(root).as_posix() for path in tops) or "no such folder"
        raise InputError(
            f"{root} does not hold the pictures of CT-ICH",
            found=found,
            expected=f"one folder {PATIENTS}",
        )
    folders: dict[int, Path] = {}
    findings = []
    for path in sorted(tops[0].iterdir()):
        file = path.relative_to(root).as_posix()
        if not (path.is_dir() and path.name.isdecimal() and path.name.isascii()):
            findings.append(Finding("not_an_image", file))
        elif int(path.name) in folders:
            said = f"{folders[int(path.name)].name} is read"
            findings.append(Finding("duplicate_image_name", file, said))
        else:
            folders[int(path.name)] = path
    return folders, findings
