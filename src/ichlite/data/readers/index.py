"""Hold what a reader finds: a row for each image, before a pixel is read, and findings.

A reader walks a folder in the data set's own layout and pairs images with labels; `prepare` takes
its `Index` and does the rest (pixels, duplicates, splits, store) in the same way for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ichlite.data.audit import Finding
from ichlite.data.rows import StoreRow
from ichlite.data.workers import Engine
from ichlite.errors import InputError

LabelLevel = Literal["slice", "scan"]


@dataclass(frozen=True, slots=True)
class Index:
    """A data set as its reader found it.

    Attributes:
        kind: `rsna`, `cq500`, `ct-ich`, `csv` or `phantom`.
        root: The folder that every `source` is below.
        label_level: Whether labels are of the slice, or of the scan that the slice is in.
        images: Sorted by `StoreRow.order`; each `image` and each `source` once.
        findings: What was repaired, left out or noticed while reading, one entry for each case.
        hu_range: Lowest and highest HU that are known; what lies outside of it is filled in. None
            where all are.
    """

    kind: str
    root: Path
    label_level: LabelLevel
    images: tuple[StoreRow, ...]
    findings: tuple[Finding, ...]
    hu_range: tuple[int, int] | None = None


Progress = Callable[[int, int], None]
Reader = Callable[[Path, Progress, Engine], Index]
"""Reads a folder, tells progress (files done, files in all), and gives the index.

Headers are read by the engine. Raises InputError when the folder is no such set."""


def assemble(
    kind: str,
    root: Path,
    label_level: LabelLevel,
    images: Iterable[StoreRow],
    findings: Iterable[Finding],
    expected: str,
    hu_range: tuple[int, int] | None = None,
) -> Index:
    """Make the index of what a reader found.

    Args:
        kind: Kind of data set.
        root: The data set's folder.
        label_level: `slice` or `scan`.
        images: Records in any order; those that share a name are left out, with a finding.
        findings: Findings so far.
        expected: What the folder should have held, for the error.
        hu_range: Lowest and highest HU that are known, as in `Index`.

    Returns:
        The index, sorted.

    Raises:
        InputError: There is no image.
    """
    records, all_findings = list(images), list(findings)
    names = Counter(record.image for record in records)
    kept = []
    for record in records:
        if names[record.image] > 1:
            said = f"image {record.image}"
            all_findings.append(Finding("duplicate_image_name", record.source, said))
        else:
            kept.append(record)
    if not kept:
        raise InputError(
            f"{root} has no labelled image",
            found=f"{len(all_findings)} findings: {_kinds(all_findings)}",
            expected=expected,
        )
    ordered = tuple(sorted(kept, key=StoreRow.order))
    return Index(kind, root, label_level, ordered, tuple(all_findings), hu_range)


def _kinds(findings: list[Finding]) -> str:
    counts = Counter(finding.kind for finding in findings)
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())) or "nothing"
