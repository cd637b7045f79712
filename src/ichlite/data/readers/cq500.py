"""Read CQ500, unzipped: `reads.csv` and folders `CQ500CT0 CQ500CT0/Unknown Study/…`.

Labels are of the scan: what at least two of the three readers say. Every image of the scan's one
chosen series (see `series_choice`) carries them. `CQ500-CT-0` of the table is folder `CQ500CT0`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from ichlite.data.audit import Finding
from ichlite.data.readers.dicom_folder import Found, walk
from ichlite.data.readers.index import Index, Progress, assemble
from ichlite.data.readers.label_table import check_any, find_table, labels_of, merge_rows, read_rows
from ichlite.data.readers.series_choice import choose_series
from ichlite.data.rows import StoreRow
from ichlite.data.workers import Engine, in_this_process
from ichlite.labels import SUBTYPES

TABLE = "reads.csv"
READERS = ("R1", "R2", "R3")
SIGNS: tuple[str, ...] = ("ICH", *(subtype.abbreviation for subtype in SUBTYPES))
"""Column names in `reads.csv` for any haemorrhage and for each subtype, in ichlite's order."""

COLUMNS = ("name", *(f"{reader}:{sign}" for reader in READERS for sign in SIGNS))

_SCAN = re.compile(r"CQ500[-_ ]?CT[-_ ]?0*(\d+)(?!\d)", re.IGNORECASE)


def read(root: Path, progress: Progress, engine: Engine = in_this_process) -> Index:
    """Read a folder of the CQ500 data set into an index of labelled images.

    Args:
        root: Holds `reads.csv` and, at any depth, the folders of the scans.
        progress: Called with (files done, files in all).
        engine: Applies functions to headers, in this process or in others.

    Returns:
        One series of each labelled scan; findings list what was left out and why.

    Raises:
        InputError: No label table, or no scan that it names.
    """
    table = find_table(root, TABLE)
    labels, findings = read_majorities(table)
    named = set(labels) | {one.item for one in findings}
    found, odd = walk(root, progress, engine)
    findings += [one for one in odd if root / one.item != table]
    scans: dict[str, list[Found]] = {}
    for one in found:
        scan = _scan_of_source(one.source)
        if scan is None:
            detail = "in no folder named CQ500CT…"
            findings.append(Finding("image_without_label", one.source, detail))
        else:
            scans.setdefault(scan, []).append(one)
    images: list[StoreRow] = []
    for scan, members in scans.items():
        if scan in labels:
            chosen, left_out = choose_series(scan, members, folder_named=True)
            findings += left_out
            images += (one.labelled(one.source, scan, labels[scan]) for one in chosen)
        elif scan not in named:
            detail = f"{len(members)} images, no line in {TABLE}"
            findings.append(Finding("image_without_label", scan, detail))
    findings += [Finding("label_without_image", scan) for scan in labels if scan not in scans]
    expected = f"{TABLE} and folders such as CQ500CT0 CQ500CT0/Unknown Study/CT Plain"
    return assemble("cq500", root, "scan", images, findings, expected)


def read_majorities(table: Path) -> tuple[dict[str, tuple[int, ...]], list[Finding]]:
    """Read the majority label of three readers for each scan of CQ500.

    Args:
        table: Path of `reads.csv`.

    Returns:
        The labels of each scan, such as `CQ500-CT-0`, and findings. Labels are 0 or 1 for `any`
        (the table's ICH), then for each of `labels.NAMES`: 1 where at least two readers say so.
        Scans with a read that is missing or not 0 or 1 are left out.

    Raises:
        InputError: No such file, or another table.
    """
    findings: list[Finding] = []
    merged, repeats = merge_rows(_majorities(table, findings))
    labels: dict[str, tuple[int, ...]] = {}
    for scan, said in merged.items():
        if said is None:
            findings.append(Finding("incomplete_labels", scan, f"a read in {TABLE} is not 0 or 1"))
        else:
            labels[scan] = said
            findings += check_any(scan, said[1:], said[0])
    return labels, findings + repeats


def _majorities(
    table: Path, findings: list[Finding]
) -> Iterator[tuple[int, str, tuple[int, ...] | None]]:
    """Yield line number, scan, and its majorities by `SIGNS`; None where a read is not 0 or 1."""
    for line, row in read_rows(table, COLUMNS, kind="table of CQ500's reads"):
        match = _SCAN.fullmatch(row["name"])
        if match is None:
            where = f"{TABLE} line {line}"
            findings.append(Finding("missing_patient", where, f"name {row['name']!r}"))
            continue
        reads = [labels_of(row, [f"{r}:{sign}" for r in READERS]) for sign in SIGNS]
        known = [read for read in reads if read is not None]
        whole = len(known) == len(reads)
        majorities = tuple(int(2 * sum(read) > len(READERS)) for read in known)
        yield line, _scan_name(match), majorities if whole else None


def _scan_name(match: re.Match[str]) -> str:
    return f"CQ500-CT-{int(match.group(1))}"


def _scan_of_source(source: str) -> str | None:
    """Return the scan of a file: `CQ500-CT-7` for one below `CQ500CT7 CQ500CT7/`."""
    for folder in reversed(source.split("/")[:-1]):
        match = _SCAN.search(folder)
        if match is not None:
            return _scan_name(match)
    return None
