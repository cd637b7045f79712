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
    """Why a series should not stand for its study.

    Attributes:
        kind: `contrast`, or `other`.
        reason: One phrase.
    """

    kind: str
    reason: str


@dataclass(frozen=True, slots=True)
class SeriesFacts:
    """What the choice goes by.

    Attributes:
        name: By which series are ordered that are alike in all else.
        words: Descriptions, and names of folders where these name series.
        agents: Values of ContrastBolusAgent.
        slices: How many.
        thickness_mm: Median SliceThickness, else distance of slices; None when unknown.
        placed: Whether the place of every slice is known.
        whole: Whether nothing is known to be missing.
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
        """The place of the series among those of its study; the lowest is the best."""
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
        """Return why another series was preferred to this one, in a phrase.

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
    """Return what the choice goes by of a series in files."""
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
    """Return the texts that are not empty, each once, in their order by letters."""
    return tuple(sorted({value for value in values if value}))


def thickness_mm(stated: Iterable[float | None], positions: Iterable[float]) -> float | None:
    """Return the median of what slices state, else their median distance; None if unknown.

    Example:
        >>> thickness_mm([None, None], [0.0, 5.0, 10.0])
        5.0
    """
    known = [value for value in stated if value]
    if known:
        return median(known)
    places = sorted(positions)
    return median([b - a for a, b in pairwise(places)] or [0.0]) or None
