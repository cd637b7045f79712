"""Read PhysioNet CT-ICH, v1.3.1: a label table, NIfTI volumes in `ct_scans/`, and `masks/`.

Earlier releases have pictures (`ct_ich_jpeg`). Labels are of the slice; SliceNumber counts from 1
along the volume as it is stored. A volume whose slices are not the table's is left out whole,
because nothing says which label is whose.
"""

from __future__ import annotations

from pathlib import Path

from ichlite.ct.nifti import SUFFIXES, read_nifti_geometry
from ichlite.data.audit import Finding
from ichlite.data.readers import ct_ich_jpeg
from ichlite.data.readers.ct_ich_table import (
    Scan,
    image_name,
    patient_name,
    read_scans,
)
from ichlite.data.readers.index import Index, Progress, assemble
from ichlite.data.readers.label_table import find_table
from ichlite.data.readers.lesion import largest_bleed
from ichlite.data.readers.nifti import read_mask_plane
from ichlite.data.rows import StoreRow
from ichlite.data.workers import Engine, in_this_process
from ichlite.errors import InputError

TABLE = "hemorrhage_diagnosis_raw_ct.csv"
SCANS, MASKS = "ct_scans", "masks"


def read(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read PhysioNet CT-ICH of any release: NIfTI volumes where there are any, else pictures.

    Args:
        root: Folder of the release, or a folder whose sub-folder it is.
        progress: Called with (patients done, patients in all).
        engine: Applies functions to headers and masks, in this process or in others.

    Returns:
        The labelled slices; findings list what was left out and why.

    Raises:
        InputError: The folder holds no release of CT-ICH, or no image of it has a label.
    """
    folders = [root, *(path for path in sorted(root.glob("*")) if path.is_dir())]
    volumes = any((folder / SCANS).is_dir() for folder in folders)
    pictures = any((folder / ct_ich_jpeg.PATIENTS).is_dir() for folder in folders)
    if not volumes and not pictures:
        find_table(root, *ct_ich_jpeg.TABLES)  # one error that names the tables of all releases
    read_release = ct_ich_jpeg.read if pictures and not volumes else read_volumes
    return read_release(root, progress, engine)


def read_volumes(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read PhysioNet CT-ICH v1.3.1, whose scans are NIfTI volumes.

    Args:
        root: Holds the table, `ct_scans/049.nii` … and `masks/049.nii` … (or .nii.gz), or one
            folder that does.
        progress: Called with (volumes done, volumes in all).
        engine: Applies functions to headers and masks, in this process or in others.

    Returns:
        The labelled slices; findings list what was left out and why.

    Raises:
        InputError: No label table, or no volume that the table names.
    """
    table = find_table(root, TABLE)
    volumes, odd = _volumes(table.parent / SCANS)
    images, findings = read_scans(
        root, table, volumes, _read_scan, f"no volume in {SCANS}/", progress, engine
    )
    expected = f"{TABLE} and {SCANS}/049.nii"
    return assemble("ct-ich", root, "slice", images, [*findings, *odd], expected)


def _read_scan(scan: Scan) -> tuple[list[StoreRow], list[Finding]]:
    """Return one patient's labelled slices, feet to head."""
    number, volume, labels, said = scan.number, scan.path, scan.labels, scan.said
    if not scan.named:
        return [], [Finding("image_without_label", f"{SCANS}/{volume.name}", f"no line in {TABLE}")]
    name = patient_name(number)
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
            findings.append(Finding("mask_disagrees", image_name(key), detail))
        images.append(
            StoreRow(
                image=image_name(key),
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
    """Return where each slice's largest bleed is by its mask; None without a usable mask."""
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
    """Return the volume of each PatientNumber in `ct_scans/`; other files are findings."""
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


def _listed(numbers: frozenset[int]) -> str:
    """Return how many SliceNumbers there are, and which: `3 (1 to 4)` for `{1, 2, 4}`."""
    return f"{len(numbers)} ({min(numbers)} to {max(numbers)})" if numbers else "none"
