"""Assemble a reader's records and findings into an index: one order, each image once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from ichlite.data.audit import Finding
from ichlite.data.readers.index import ImageRecord, Index, LabelLevel
from ichlite.errors import InputError


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
        hu_range: As in `Index`.

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
