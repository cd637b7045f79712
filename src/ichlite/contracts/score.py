"""What `ichlite score` prints: what was read of an archive, what was not, and how fast."""

from __future__ import annotations

from typing import Literal

from ichlite.contracts.codec import Document
from ichlite.contracts.reading import SkippedEntry
from ichlite.contracts.values import Count

SCHEMA: Literal["ichlite-score/1"] = "ichlite-score/1"


class SeriesCounts(Document, frozen=True, kw_only=True):
    """Numbers of series.

    Attributes:
        analysed: Series that have a result.
        not_analysed: Series that could not be analysed.
        not_chosen: Series that were not read because another series of their study was.
    """

    analysed: Count
    not_analysed: Count
    not_chosen: Count = 0


class NamedSeries(Document, frozen=True, kw_only=True):
    """A series that a person must look at, and why.

    Attributes:
        study: StudyInstanceUID.
        series: SeriesInstanceUID; empty where the whole study is meant.
        reasons: Why, one line each.
        may_be_head: Whether it may be a head CT.
    """

    study: str
    series: str
    reasons: tuple[str, ...]
    may_be_head: bool = True


class ScoreSummary(Document, frozen=True, kw_only=True):
    """What scoring an archive has given so far, and how the last run went.

    Attributes:
        schema: Name and version of this kind of document.
        bundle: Name and version of the model.
        archive: Folder that was read.
        out: Folder of the Parquet data sets.
        studies: Number of studies in the archive.
        scored, scored_before: Number of studies that this run and earlier runs scored.
        series: Numbers of series in the data sets.
        slices: Number of slices in the data sets.
        not_analysed: Series that could not be analysed.
        not_cleared: Series that are not flagged, but cannot be called negative either.
        skipped_files: Files that belong to no series.
        warnings: Folders that mix patients, one line each.
        changed: StudyInstanceUIDs of studies whose files have changed since they were read.
        seconds: Time that this run took.
        studies_per_s: Studies that this run scored in a second.
        nodes, cpus: Number of machines and of processors of the cluster.
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
        """Whether every study that may contain a head CT was read as a whole, as for `read`."""
        unread = [one for one in self.not_analysed if one.may_be_head]
        lost = [one for one in self.skipped_files if one.may_be_ct]
        return self.series.analysed > 0 and not (unread or self.not_cleared or lost or self.changed)
