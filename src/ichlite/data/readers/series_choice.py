"""Choose the one series that stands for a scan whose label is of the whole scan.

The rule is that of reading a study (`ct.study_choice`). Series that it objects to by their names,
and those of fewer slices than a head scan has, are left out altogether: a label must not stand on
images of another kind.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

from ichlite.ct.input_check import MIN_SLICES
from ichlite.ct.study_choice import CONTRAST, SeriesFacts, distinct, thickness_mm
from ichlite.data.audit import Finding
from ichlite.data.readers.dicom_folder import Found


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One series: a folder and a SeriesInstanceUID."""

    folder: str
    series: str
    images: tuple[Found, ...]

    def facts(self, *, folder_named: bool) -> SeriesFacts:
        """Return what the choice goes by."""
        places = [one.position_mm for one in self.images if one.position_mm is not None]
        name = PurePosixPath(self.folder).name if folder_named else None
        return SeriesFacts(
            name=(self.folder, self.series),
            words=distinct([name, *(one.series_description for one in self.images)]),
            agents=distinct(one.contrast_agent for one in self.images),
            slices=len(self.images),
            thickness_mm=thickness_mm((one.slice_thickness_mm for one in self.images), places),
            placed=len(places) == len(self.images),
        )


def choose_series(
    scan: str, images: Sequence[Found], *, folder_named: bool = False
) -> tuple[tuple[Found, ...], list[Finding]]:
    """Choose the one series that represents a scan whose label is of the whole scan.

    Args:
        scan: Name of the scan, for findings.
        images: All images of the scan, in any order.
        folder_named: Whether folders are named after the series in them, as in CQ500; otherwise
            only SeriesDescription is considered.

    Returns:
        The chosen images, in the order given; findings `contrast_series`, `series_not_chosen` (one
        for each series left out) and `no_usable_series` (nothing is left).

    Example:
        >>> def series(name, n):
        ...     return [Found(f"{name}/{k}", "p", "s", name, str(k), 5.0 * k) for k in range(n)]
        >>> chosen, findings = choose_series(
        ...     "a", series("CT Plain", 30) + series("CT POST CONTRAST", 40), folder_named=True
        ... )
        >>> chosen[0].source, findings[0].kind
        ('CT Plain/0', 'contrast_series')
    """
    groups: dict[tuple[str, str], list[Found]] = {}
    for one in images:
        groups.setdefault((folder_of(one.source), one.series), []).append(one)
    usable: list[tuple[SeriesFacts, _Candidate]] = []
    findings: list[Finding] = []
    for (folder, series), members in sorted(groups.items()):
        candidate = _Candidate(folder, series, tuple(members))
        facts = candidate.facts(folder_named=folder_named)
        kind, why = "series_not_chosen", None
        if facts.objection is not None:
            why = facts.objection.reason
            kind = "contrast_series" if facts.objection.kind == CONTRAST else kind
        elif facts.slices < MIN_SLICES:
            why = f"{facts.slices} slices, fewer than {MIN_SLICES}"
        if why is None:
            usable.append((facts, candidate))
        else:
            findings.append(Finding(kind, f"{folder} ({series})", why))
    if not usable:
        none = f"{len(groups)} series, none of them plain and whole"
        return (), [*findings, Finding("no_usable_series", scan, none)]
    best = min(usable, key=lambda pair: pair[0].rank)[1]
    findings += [
        Finding("series_not_chosen", f"{one.folder} ({one.series})", f"{best.folder} was chosen")
        for _, one in usable
        if one is not best
    ]
    return best.images, findings


def folder_of(source: str) -> str:
    """Return the folder of a source: `a/b` for `a/b/c.dcm`, empty for a file at the top."""
    return source.rpartition("/")[0]
