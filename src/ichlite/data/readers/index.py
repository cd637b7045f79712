"""Hold what a reader finds: a record of each image, before a pixel is read, and findings.

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
from ichlite.data.workers import Engine
from ichlite.errors import InputError
from ichlite.labels import NAMES

LabelLevel = Literal["slice", "scan"]
NO_LABELS: tuple[int, ...] = (0,) * len(NAMES)


@dataclass(frozen=True, slots=True)
class ImageRecord:
    """An image and what is known of it before its pixels are read.

    Attributes:
        image: Unique name within the data set.
        patient, study, series: Names of whom it shows and where it came from.
        position_mm: Along the slice normal, feet to head; None when unknown.
        labels: 0 or 1 for each subtype, in the order of `labels.NAMES`.
        any: 0 or 1: any haemorrhage.
        source: File below the data set's folder, with `/`; slice k (from 0) of a NIfTI volume is
            `ct_scans/049.nii#k`, a picture of a CT window `1.jpg#hu=-20:100`.
        lesion: (row, column) of the largest bleed in pixels of the 256 grid; None when there is
            none or it is not known.
        split: `train`, `validation` or `test` where the data set prescribes it, which holds under
            `--split given`; `unused` for all images of a patient who is never trained or tested
            on, whatever the split; else None.
    """

    image: str
    patient: str
    study: str
    series: str
    position_mm: float | None
    labels: tuple[int, ...]
    any: int
    source: str
    lesion: tuple[float, float] | None = None
    split: str | None = None

    def order(self) -> tuple[str, str, str, float, str]:
        """Return the sorting key: patient, study, series, position (unknown first), image."""
        position = float("-inf") if self.position_mm is None else self.position_mm
        return self.patient, self.study, self.series, position, self.image


@dataclass(frozen=True, slots=True)
class Index:
    """A data set as its reader found it.

    Attributes:
        kind: `rsna`, `cq500`, `ct-ich`, `csv` or `phantom`.
        root: The folder that every `source` is below.
        label_level: Whether labels are of the slice, or of the scan that the slice is in.
        images: Sorted by `ImageRecord.order`; each `image` and each `source` once.
        findings: What was repaired, left out or noticed while reading, one entry for each case.
        hu_range: Lowest and highest HU that are known; what lies outside of it is filled in. None
            where all are.
    """

    kind: str
    root: Path
    label_level: LabelLevel
    images: tuple[ImageRecord, ...]
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
    images: Iterable[ImageRecord],
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
    ordered = tuple(sorted(kept, key=ImageRecord.order))
    return Index(kind, root, label_level, ordered, tuple(all_findings), hu_range)


def _kinds(findings: list[Finding]) -> str:
    counts = Counter(finding.kind for finding in findings)
    return ", ".join(f"{kind} {count}" for kind, count in sorted(counts.items())) or "nothing"
