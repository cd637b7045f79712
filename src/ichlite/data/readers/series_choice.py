"""Choose the one plain series that stands for a scan.

The rule. Series with contrast agent are left out, by name or by ContrastBolusAgent; so are bone and
other sharp kernels and images derived from slices, by name, and series of fewer slices than a head
scan has. Of the rest the one nearest to 5 mm slices is chosen, which is the plain thick series
where there is one, else the thin one; then the one with most slices; then the first by name.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import PurePosixPath
from statistics import median

from ichlite.ct.input_check import MIN_SLICES, NO_CONTRAST
from ichlite.data.audit import Finding
from ichlite.data.readers.dicom_folder import Found

PREFERRED_MM = 5
"""Slice thickness of a plain head CT."""

_COPY_NUMBER = re.compile(r"-\d+$")
_SAYS_PLAIN = re.compile(r"\b(PRE|NON|NO|WITHOUT|W/?O)[ _-]*(IV[ _-]*)?CONTRAST\b|\bC-(?!\w)")
_CONTRAST = re.compile(
    r"CONTRAST|\bPOST\b|\bCECT\b|\bORAL\b|\bIV\b|(\b|MM)C\+?(?![\w-])|\bCTA\b|ANGIO|PERFUSION"
    r"|VENOUS|ARTERIAL|DELAYED|\d ?CC\b"
)
_SHARP = re.compile(r"BONE|SHARP|HRCT|HI[ _-]?RES|\bEDGE\b|\bLUNG\b|DETAIL|\bPNS\b|ORBIT")
_DERIVED = re.compile(
    r"\b3D\b|MPR\b|\bMIP\b|\bMINIP\b|\bVRT?\b|\bSSD\b|\bSAG|\bCOR(ONAL)?\b|SCOUT|TOPOGRAM"
    r"|LOCALI[SZ]ER|SURVIEW|\bDOSE\b|\bDE\b"
)


@dataclass(frozen=True, slots=True)
class _Candidate:
    """One series: a folder and a SeriesInstanceUID."""

    folder: str
    series: str
    images: tuple[Found, ...]

    def objection(self, *, folder_named: bool) -> tuple[str, str] | None:
        """Return the finding's kind and why the rule leaves the series out; None if it does not."""
        descriptions = {one.series_description for one in self.images if one.series_description}
        names = sorted(
            descriptions | ({PurePosixPath(self.folder).name} if folder_named else set())
        )
        for name in names:
            if is_contrast_name(name):
                return "contrast_series", f"named {name}"
        agents = {(one.contrast_agent or "").strip() for one in self.images}
        for agent in sorted(agents):
            if agent and agent.upper() not in NO_CONTRAST:
                return "contrast_series", f"ContrastBolusAgent {agent}"
        for name in names:
            if _SHARP.search(name.upper()):
                return "series_not_chosen", f"a sharp kernel, named {name}"
            if _DERIVED.search(name.upper()):
                return "series_not_chosen", f"not plain slices, named {name}"
        if len(self.images) < MIN_SLICES:
            return "series_not_chosen", f"{len(self.images)} slices, fewer than {MIN_SLICES}"
        return None

    def thickness_mm(self) -> float | None:
        """Return the median SliceThickness, else the slices' median distance; None if unknown."""
        stated = [one.slice_thickness_mm for one in self.images if one.slice_thickness_mm]
        if stated:
            return median(stated)
        places = sorted(one.position_mm for one in self.images if one.position_mm is not None)
        distances = [b - a for a, b in pairwise(places)]
        return median(distances) if distances else None

    def rank(self) -> tuple[bool, float, int, str, str]:
        """Return positions known, near to 5 mm (in whole mm), many slices, name; lowest is best."""
        unplaced = any(one.position_mm is None for one in self.images)
        thick = self.thickness_mm()
        far = float("inf") if thick is None else abs(round(thick) - PREFERRED_MM)
        return unplaced, far, -len(self.images), self.folder, self.series


def choose_series(
    scan: str, images: Sequence[Found], *, folder_named: bool = False
) -> tuple[tuple[Found, ...], list[Finding]]:
    """Choose the images of the one series that stands for a scan, and note the others.

    Args:
        scan: Name of the scan, for findings.
        images: All images that were found of it, in any order.
        folder_named: Whether folders are named like the series in them, as in CQ500; else only
            SeriesDescription is looked at.

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
    usable: list[_Candidate] = []
    findings: list[Finding] = []
    for (folder, series), members in sorted(groups.items()):
        candidate = _Candidate(folder, series, tuple(members))
        objection = candidate.objection(folder_named=folder_named)
        if objection is None:
            usable.append(candidate)
        else:
            findings.append(Finding(objection[0], f"{folder} ({series})", objection[1]))
    if not usable:
        why = f"{len(groups)} series, none of them plain and whole"
        return (), [*findings, Finding("no_usable_series", scan, why)]
    best = min(usable, key=_Candidate.rank)
    findings += [
        Finding("series_not_chosen", f"{one.folder} ({one.series})", f"{best.folder} was chosen")
        for one in usable
        if one is not best
    ]
    return best.images, findings


def is_contrast_name(name: str) -> bool:
    """Return whether a series' name says that contrast agent was given.

    Example:
        >>> [is_contrast_name(n) for n in ("CT POST CONTRAST-2", "CT C", "CT PRE CONTRAST THIN")]
        [True, True, False]
    """
    plain = _SAYS_PLAIN.sub(" ", _COPY_NUMBER.sub("", name.upper()))
    return _CONTRAST.search(plain) is not None


def folder_of(source: str) -> str:
    """Return the folder of a source: `a/b` for `a/b/c.dcm`, empty for a file at the top."""
    return source.rpartition("/")[0]
