"""What `ichlite score` prints: what was read of an archive, what was not, and how fast."""

from __future__ import annotations

from typing import Literal

from ichlite.contracts.codec import Document
from ichlite.contracts.reading import SkippedEntry
from ichlite.contracts.values import Count

SCHEMA: Literal["ichlite-score/1"] = "ichlite-score/1"


class SeriesCounts(Document, frozen=True, kw_only=True):
    """How many series were analysed, and how many were not."""

    analysed: Count
    not_analysed: Count


class NamedSeries(Document, frozen=True, kw_only=True):
    """A series that needs a second look, and why; no series where a whole study does."""

    study: str
    series: str
    reasons: tuple[str, ...]


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
        """Whether every input was analysed and none needs a second look, as for `read`."""
        open_ends = self.not_analysed + self.not_cleared + self.skipped_files
        return self.series.analysed > 0 and not (open_ends or self.warnings or self.changed)
