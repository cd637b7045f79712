"""Find images, headers and texts that several patients of a set share."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ichlite.data.audit import Finding
from ichlite.data.rows import CONSTANT, StoreRow

_NAMED = 6


def find_duplicates(rows: Sequence[StoreRow], pixels: Sequence[str]) -> list[Finding]:
    """Return a finding for each group of equal slices, constant ones aside.

    Example:
        >>> row = StoreRow("a", "p", "s", "t", None, (0,) * 5, None, "train")
        >>> [found.item for found in find_duplicates([row, row], ["x", "x"])]
        ['a']
    """
    groups: dict[str, list[StoreRow]] = defaultdict(list)
    for row, pixel in zip(rows, pixels, strict=True):
        if not pixel.startswith(CONSTANT):
            groups[pixel].append(row)
    findings = []
    for same in groups.values():
        if len(same) == 1:
            continue
        names = ", ".join(row.image for row in same[1 : 1 + _NAMED])
        more = f" and {len(same) - 1 - _NAMED} more" if len(same) - 1 > _NAMED else ""
        across = len({row.patient for row in same}) > 1
        kind = "duplicate_pixels_across_patients" if across else "duplicate_pixels"
        findings.append(Finding(kind, same[0].image, f"same pixels: {names}{more}"))
        if len({(row.labels, row.any) for row in same}) > 1:
            said = f"other labels than {names}{more}"
            findings.append(Finding("duplicate_pixels_other_labels", same[0].image, said))
    return findings


def shared_series(rows: Sequence[StoreRow]) -> list[Finding]:
    """Return a finding for each series that stands under several patients.

    Example:
        >>> one = StoreRow("a", "p", "s", "t", None, (0,) * 5, None, "train")
        >>> other = StoreRow("b", "q", "s", "t", None, (0,) * 5, None, "train")
        >>> [(found.item, found.detail) for found in shared_series([one, other])]
        [('t', 'patients p, q')]
    """
    owners: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        owners[row.series].add(row.patient)
    return [
        Finding("series_of_several_patients", series, f"patients {', '.join(sorted(who)[:_NAMED])}")
        for series, who in owners.items()
        if len(who) > 1
    ]
