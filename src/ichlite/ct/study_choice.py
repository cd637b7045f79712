"""Choose the one series of a study that is read: its plain head CT of soft-tissue kernel.

The rule, for reading a study and for the data sets that label whole scans. Worst are series whose
names speak of contrast agent, of bone or another sharp kernel, or of images made from slices; then
come those that are not whole, and those whose slices have no known place. Of the rest the one
nearest to 5 mm slices is best, which is the plain thick series where there is one, else the thin
one; then the one with most slices; then the first by name.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

from ichlite.ct.wording import (
    hints_at_contrast,
    hints_at_derived,
    hints_at_sharp_kernel,
    is_agent,
)
from ichlite.records import Series

PREFERRED_MM = 5
"""Slice thickness of a plain head CT."""

CONTRAST = "contrast"


@dataclass(frozen=True, slots=True)
class Objection:
    """A reason, found in its names, to prefer any other series of the study to a series.

    Attributes:
        kind: `contrast` where a contrast agent is named, else `other`.
        reason: The reason as a phrase, such as `named HEAD WITH CONTRAST`.
    """

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """The facts about a series by which the one to read is chosen among those of a study.

    Attributes:
        name: Names, such as the UID, by which series are ordered that are equal in all else.
        words: Descriptions of the series, and names of its folders where these describe it.
        agents: Values of ContrastBolusAgent.
        slices: Number of slices.
        thickness_mm: Median SliceThickness in mm, else median distance of slices; None when
            unknown.
        placed: Whether the position of every slice is known.
        whole: Whether no part of the scan is known to be missing.
    """

    name: tuple[str, ...]
    words: tuple[str, ...]
    agents: tuple[str, ...]
    slices: int
    thickness_mm: float | None
    placed: bool
    whole: bool = True

    @property
    def objection(self) -> Objection | None:
        """What speaks against the series by its names; None if nothing does.

        Example:
            >>> bone = SeriesFacts(("1",), ("HEAD BONE",), (), 30, 5.0, placed=True)
            >>> bone.objection.reason
            'a sharp kernel, named HEAD BONE'
        """
        for words in self.words:
            if hints_at_contrast(words):
                return Objection(CONTRAST, f"named {words}")
        for agent in self.agents:
            if is_agent(agent):
                return Objection(CONTRAST, f"ContrastBolusAgent {agent}")
        for words in self.words:
            if hints_at_sharp_kernel(words):
                return Objection("other", f"a sharp kernel, named {words}")
            if hints_at_derived(words):
                return Objection("other", f"not plain slices, named {words}")
        return None

    @property
    def rank(self) -> tuple[bool, bool, bool, float, int, tuple[str, ...]]:
        """Sort key of the series among those of its study; the lowest is the series to read."""
        thick = self.thickness_mm
        far = float("inf") if thick is None else abs(round(thick) - PREFERRED_MM)
        return (
            self.objection is not None,
            not self.whole,
            not self.placed,
            far,
            -self.slices,
            self.name,
        )

    def why_after(self, other: SeriesFacts) -> str:
        """Return, as a phrase, why another series of the study was preferred to this one.

        Args:
            other: Facts about the preferred series.

        Example:
            >>> thick, thin = (
            ...     SeriesFacts(("1",), (), (), count, mm, placed=True)
            ...     for count, mm in ((30, 5.0), (150, 1.0))
            ... )
            >>> thin.why_after(thick)
            'its slices are nearer to 5 mm'
        """
        objection = self.objection
        reasons = (
            f"this one is {objection.reason}" if objection else "",
            "this one is incomplete",
            "this one does not say where its slices lie",
            f"its slices are nearer to {PREFERRED_MM} mm",
            "it has more slices",
            "it comes first by its UID",
        )
        pairs = zip(self.rank, other.rank, reasons, strict=True)
        return next(reason for mine, its, reason in pairs if mine != its)


def facts_of(series: Series, *, whole: bool) -> SeriesFacts:
    """Collect the facts about a series by which the one to read of a study is chosen.

    Args:
        series: Series from `find_series`.
        whole: Whether no part of the scan is known to be missing.
    """
    slices = series.slices
    return SeriesFacts(
        name=(series.series_uid,),
        words=distinct(header.series_description for header in slices),
        agents=distinct(header.contrast_agent for header in slices),
        slices=len(slices),
        thickness_mm=thickness_mm(
            (header.slice_thickness_mm for header in slices), series.positions_mm
        ),
        placed=bool(series.positions_mm),
        whole=whole,
    )


def distinct(values: Iterable[str | None]) -> tuple[str, ...]:
    """Return the distinct texts that are neither None nor empty, sorted."""
    return tuple(sorted({value for value in values if value}))


def thickness_mm(stated: Iterable[float | None], positions: Iterable[float]) -> float | None:
    """Return the median slice thickness in mm; else the median slice distance; None if unknown.

    Args:
        stated: SliceThickness of each slice, in mm; None where a slice does not state it.
        positions: Position of each slice along the slice normal, in mm, in any order.

    Example:
        >>> thickness_mm([None, None], [0.0, 5.0, 10.0])
        5.0
    """
    known = [value for value in stated if value]
    if known:
        return median(known)
    places = sorted(positions)
    return median([b - a for a, b in pairwise(places)] or [0.0]) or None
