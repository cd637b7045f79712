"""Read a folder of DICOM files with a label table, such as `ichlite phantom` writes.

A path of the table is a file, and its labels are of that slice; or a folder, and its labels are of
the scan, for which one series stands (see `series_choice`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from pathlib import Path, PurePosixPath

from ichlite.ct.header import read_header
from ichlite.data.audit import Finding
from ichlite.data.readers.dicom_folder import Found, walk
from ichlite.data.readers.folder_table import (
    PHANTOM_NAMES,
    SAME_NAMES,
    TABLE,
    FolderRow,
    find_folder_table,
    read_folder_table,
)
from ichlite.data.readers.index import Index, LabelLevel, Progress, assemble
from ichlite.data.readers.lesion import on_grid
from ichlite.data.readers.series_choice import choose_series, folder_of
from ichlite.data.rows import StoreRow
from ichlite.data.workers import Engine, in_this_process
from ichlite.errors import InputError
from ichlite.records import SliceHeader

LEAKED_TO = "train"
"""Split given to a patient listed in two splits, so that validation and test stay clean."""


def read(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read a folder of DICOM files with a label table into an index of labelled images.

    Args:
        root: Holds DICOM files at any depth and, at its top, `labels.csv` or a single `*.csv`, with
            `folder_table.COLUMNS` and any of `folder_table.OPTIONAL`.
        progress: Called with (files done, files in all).
        engine: Applies functions to headers, in this process or in others.

    Returns:
        Every labelled image; findings list what was left out and why.

    Raises:
        InputError: No table or several, paths to both files and folders, an unknown split, a lesion
            outside its image, or no image that the table names.
    """
    return _read("csv", root, find_folder_table(root), SAME_NAMES, progress, engine)


def read_phantom(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read a folder that `ichlite phantom --format dicom` wrote, with its splits.

    Args:
        root: Holds `labels.csv` and a folder for each phantom.
        progress: Called with (files done, files in all).
        engine: Applies functions to headers, in this process or in others.

    Returns:
        Every slice, with lesion positions converted to the 256x256 grid.

    Raises:
        InputError: As `read`.
    """
    return _read("phantom", root, root / TABLE, PHANTOM_NAMES, progress, engine)


def settle_splits(images: Iterable[StoreRow]) -> tuple[list[StoreRow], list[Finding]]:
    """Give all images of each patient one split, and report patients listed in two.

    A split that is given for some images of a patient holds for all of them.

    Example:
        >>> image = StoreRow("a", "p", "s", "t", None, (0,) * 5, split="test")
        >>> images, findings = settle_splits([image, replace(image, image="b", split="train")])
        >>> [one.split for one in images], findings[0].kind
        (['train', 'train'], 'patient_in_two_splits')
    """
    images = list(images)
    given: dict[str, set[str]] = {}
    for one in images:
        if one.split is not None:
            given.setdefault(one.patient, set()).add(one.split)
    settled = {
        patient: LEAKED_TO if len(splits) > 1 else next(iter(splits))
        for patient, splits in given.items()
    }
    findings = [
        Finding("patient_in_two_splits", patient, ", ".join(sorted(splits)))
        for patient, splits in sorted(given.items())
        if len(splits) > 1
    ]
    return [replace(one, split=settled.get(one.patient)) for one in images], findings


def _read(
    kind: str,
    root: Path,
    table: Path,
    names: Mapping[str, str],
    progress: Progress,
    engine: Engine,
) -> Index:
    rows, findings = read_folder_table(table, names)
    dropped = {one.item for one in findings if one.action == "quarantined"}
    level = _level(root, rows)
    found, odd = walk(root, progress, engine)
    findings += [one for one in odd if root / one.item != table]
    pair = _slices if level == "slice" else _scans
    images, noted = pair(root, rows, found, dropped)
    images, leaks = settle_splits(images)
    findings += [*noted, *leaks]
    answered = {one.item for one in findings}
    paired = {_named(one.source, rows, level) for one in images}
    findings += [
        Finding("label_without_image", path)
        for path in rows
        if path not in paired and path not in answered
    ]
    expected = "files or folders as in the table's paths"
    return assemble(kind, root, level, images, findings, expected)


def _level(root: Path, rows: Mapping[str, FolderRow]) -> LabelLevel:
    """Return whether labels are of slices (files) or scans (folders); InputError where of both."""
    folders = [path for path in rows if (root / path).is_dir()]
    files = [path for path in rows if (root / path).is_file()]
    if folders and files:
        raise InputError(
            "the table has labels of slices and labels of scans",
            found=f"file {files[0]}, folder {folders[0]}",
            expected="paths to files alone, or to folders alone",
        )
    for path in folders:
        above = _named(path, set(folders), "scan")
        if above is not None:
            raise InputError(f"the table labels folder {above} and folder {path} inside of it")
        if rows[path].image or rows[path].lesion:
            raise InputError(
                f"{path} is a folder, so it cannot have an image name or a lesion position"
            )
    return "scan" if folders else "slice"


def _slices(
    root: Path, rows: Mapping[str, FolderRow], found: Iterable[Found], dropped: Container[str]
) -> tuple[list[StoreRow], list[Finding]]:
    """Return records of the files that the table names, and findings about the others."""
    images = []
    findings = []
    for one in found:
        if one.source in rows:
            row = rows[one.source]
            lesion = None if row.lesion is None else _placed(root, one, row.lesion)
            images.append(_record(one, row, lesion))
        elif one.source not in dropped:
            findings.append(Finding("image_without_label", one.source))
    return images, findings


def _scans(
    _root: Path, rows: Mapping[str, FolderRow], found: Iterable[Found], dropped: Container[str]
) -> tuple[list[StoreRow], list[Finding]]:
    """Return records of one series in each folder that the table names, and findings."""
    scans: dict[str, list[Found]] = {}
    unnamed: Counter[str] = Counter()
    for one in found:
        path = _named(one.source, rows, "scan")
        if path is not None:
            scans.setdefault(path, []).append(one)
        elif _named(one.source, dropped, "scan") is None:
            unnamed[folder_of(one.source) or "."] += 1
    images: list[StoreRow] = []
    findings = [
        Finding("image_without_label", folder, f"{count} images")
        for folder, count in unnamed.items()
    ]
    for path, members in scans.items():
        chosen, left_out = choose_series(path, members)
        findings += left_out
        images += (_record(one, rows[path], None) for one in chosen)
    return images, findings


def _named(source: str, paths: Container[str], level: LabelLevel) -> str | None:
    """Return the path that labels a file: its own, or that of a folder above it."""
    if level == "slice":
        return source if source in paths else None
    return next((str(path) for path in PurePosixPath(source).parents if str(path) in paths), None)


def _record(one: Found, row: FolderRow, lesion: tuple[float, float] | None) -> StoreRow:
    record = one.labelled(row.image or one.source, row.patient, (row.any, *row.labels))
    return replace(
        record,
        study=row.study or one.study,
        series=f"{row.patient}/{row.series}" if row.series else one.series,
        lesion=lesion,
        split=row.split,
    )


def _placed(root: Path, one: Found, lesion: tuple[float, float]) -> tuple[float, float]:
    """Bring a lesion from the image's own matrix to the 256 grid (reads the header again)."""
    header = read_header(str(root / one.source))
    if not isinstance(header, SliceHeader):
        raise InputError(f"{one.source} changed while it was read: {header.reason}")
    row, column = lesion
    if not (-0.5 <= row <= header.rows - 0.5 and -0.5 <= column <= header.columns - 0.5):
        raise InputError(
            f"the lesion of {one.source} lies outside the image",
            found=f"row {row:g}, column {column:g}",
            expected=f"within {header.rows} rows and {header.columns} columns",
        )
    return on_grid(row, column, header.rows, header.columns)
