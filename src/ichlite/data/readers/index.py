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
    """Labelled images and findings of a data set, as its reader found them.

    Attributes:
        kind: Kind of data set: `rsna`, `cq500`, `ct-ich`, `csv` or `phantom`.
        root: Folder that every `source` is relative to.
        label_level: `slice` if labels describe each slice, `scan` if they describe its whole scan.
        images: Rows sorted by `StoreRow.order`; no `image` and no `source` occurs twice.
        findings: One entry for each thing repaired, left out or noticed.
        hu_range: Lowest and highest HU that pixels were measured in; values beyond are filled in.
            None where all HU are measured.
    """

    kind: str
    root: Path
    label_level: LabelLevel
    images: tuple[StoreRow, ...]
    findings: tuple[Finding, ...]
    hu_range: tuple[int, int] | None = None


Progress = Callable[[int, int], None]
Reader = Callable[[Path, Progress, Engine], Index]
"""Function that reads a folder into an `Index`, given a progress callback and an engine.

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
    """Build the index of a data set from the images and findings of its reader.

    Args:
        kind: Kind of data set, such as `rsna`.
        root: Folder of the data set.
        label_level: `slice` or `scan`.
        images: Records in any order; those that share a name are left out, with a finding.
        findings: Findings so far.
        expected: What the folder should have held, for the error message.
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
