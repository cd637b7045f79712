"""What `ichlite score` prints: what was read of an archive, what was not, and how fast."""

from __future__ import annotations

from typing import Literal

from ichlite.contracts.codec import Document
from ichlite.contracts.reading import SkippedEntry
from ichlite.contracts.values import Count

SCHEMA: Literal["ichlite-score/1"] = "ichlite-score/1"


class SeriesCounts(Document, frozen=True, kw_only=True):
    """How many series were analysed, how many not, and how many another series answers for."""

    analysed: Count
    not_analysed: Count
    not_chosen: Count = 0


class NamedSeries(Document, frozen=True, kw_only=True):
    """A series that needs a second look, and why; no series where a whole study does."""

    study: str
    series: str
    reasons: tuple[str, ...]
    may_be_head: bool = True


class ScoreSummary(Document, frozen=True, kw_only=True):
    """What the data sets of an archive hold, and how the last run went.

    Attributes:
        bundle: Name and version of the model.
        archive, out: Folders.
        studies: In the archive; `scored` by this run, `scored_before` by earlier ones.
        series, slices: In the data sets.
        not_analysed, not_cleared, skipped_files: What needs a second look.
        warnings: Folders that mix patients.
        changed: Studies that have other files than when they were read.
        seconds, studies_per_s: Of this run.
        nodes, cpus: Of the cluster.
    """

    schema: Literal["ichlite-score/1"]
    bundle: str
    archive: str
    out: str
    studies: Count
    scored: Count
    scored_before: Count
    series: SeriesCounts
    slices: Count
    not_analysed: tuple[NamedSeries, ...]
    not_cleared: tuple[NamedSeries, ...]
    skipped_files: tuple[SkippedEntry, ...]
    warnings: tuple[str, ...]
    changed: tuple[str, ...]
    seconds: float
    studies_per_s: float
    nodes: Count
    cpus: Count

    @property
    def succeeded(self) -> bool:
        """Whether each study that may hold a head CT was read as a whole, as for `read`."""
        unread = [one for one in self.not_analysed if one.may_be_head]
        lost = [one for one in self.skipped_files if one.may_be_ct]
        return self.series.analysed > 0 and not (unread or self.not_cleared or lost or self.changed)
