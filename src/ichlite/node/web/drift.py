"""Count, week by week and source by source, what the model was given and what it said.

The scanner that drifts, or another one, shows here first: in the brain's level and noise, in the
share of studies that are urgent or get no answer, and in what readers think of the results.
"""

from __future__ import annotations

import sqlite3
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from statistics import median

from ichlite.contracts.codec import Document

REFERENCE_SCANS = 20
"""Number of a source's first scans from which its reference range is computed."""
FEWEST_SCANS = 3
"""Least number of scans in a week for a warning that the week lies outside the reference range."""
_LEVEL_MARGIN_HU, _NOISE_MARGIN_HU = 1.0, 0.3
"""Beyond what the first scans had: they may all have been alike."""
WEEKS = 26


class Range(Document, frozen=True, kw_only=True):
    """Reference range of a measurement, from the first scans of a source and a margin."""

    low: float
    high: float
    scans: int


class Week(Document, frozen=True, kw_only=True):
    """Statistics of one source's studies in one week.

    Attributes:
        week: Date of its Monday, ISO 8601.
        studies: Number of studies with a result.
        urgent, not_analysed, incomplete: Number of those studies with this result.
        brain_level_hu, noise_hu: Median brain level and noise of the scans, HU; null if none was
            measured.
        agree, disagree, unsure: Number of readers' verdicts of each kind.
        warnings: Measurements that left the source's reference range, in words.
    """

    week: str
    studies: int
    urgent: int
    not_analysed: int
    incomplete: int
    brain_level_hu: float | None
    noise_hu: float | None
    agree: int
    disagree: int
    unsure: int
    warnings: tuple[str, ...]


class SourceDrift(Document, frozen=True, kw_only=True):
    """Weekly statistics of one source, the newest week first.

    Attributes:
        source: Name of the sender.
        level_range, noise_range: Reference ranges of brain level and noise; null while there are
            too few scans.
        weeks: Weeks that have studies.
    """

    source: str
    level_range: Range | None
    noise_range: Range | None
    weeks: tuple[Week, ...]


class Drift(Document, frozen=True, kw_only=True):
    """Weekly statistics of all sources, to notice changes in the images that the node receives.

    Attributes:
        wanted_level_hu: Level to which the bundle shifts each scan's brain, HU; null if it uses HU
            as they are.
        sources: Sources, sorted by name.
    """

    wanted_level_hu: float | None
    sources: tuple[SourceDrift, ...]


def drift_of(tables: sqlite3.Connection, wanted_level_hu: float | None, now: float) -> Drift:
    """Return the weekly statistics of each source for the last half year.

    Args:
        tables: Connection to the node's database.
        wanted_level_hu: Brain level of the bundle, HU; None if it uses HU as they are.
        now: s since 1970.
    """
    rows = tables.execute(
        "SELECT study.source, reading.finished_at, status, urgent, complete, brain_level_hu, "
        "noise_hu, (SELECT group_concat(verdict) FROM verdict WHERE reading_id = reading.id) "
        "AS verdicts FROM reading JOIN study ON study.id = study_id "
        "WHERE reading.state = 'done' AND NOT superseded ORDER BY reading.finished_at"
    )
    by_source: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        by_source[row["source"]].append(row)
    since = now - WEEKS * 7 * 86_400
    return Drift(
        wanted_level_hu=wanted_level_hu,
        sources=tuple(_source(source, found, since) for source, found in sorted(by_source.items())),
    )


def _source(source: str, rows: Sequence[sqlite3.Row], since: float) -> SourceDrift:
    levels = range_of((row["brain_level_hu"] for row in rows), _LEVEL_MARGIN_HU)
    noises = range_of((row["noise_hu"] for row in rows), _NOISE_MARGIN_HU)
    by_week: dict[str, list[sqlite3.Row]] = defaultdict(list)
    for row in rows:
        if row["finished_at"] >= since:
            by_week[monday(row["finished_at"])].append(row)
    return SourceDrift(
        source=source,
        level_range=levels,
        noise_range=noises,
        weeks=tuple(
            _week(week, found, levels, noises)
            for week, found in sorted(by_week.items(), reverse=True)
        ),
    )


def _week(
    week: str, rows: Sequence[sqlite3.Row], levels: Range | None, noises: Range | None
) -> Week:
    found_levels = [row["brain_level_hu"] for row in rows if row["brain_level_hu"] is not None]
    found_noises = [row["noise_hu"] for row in rows if row["noise_hu"] is not None]
    verdicts = [word for row in rows for word in (row["verdicts"] or "").split(",")]
    level, noise = _median(found_levels), _median(found_noises)
    warnings = []
    for what, value, count, known in (
        ("brain level", level, len(found_levels), levels),
        ("noise", noise, len(found_noises), noises),
    ):
        if value is None or known is None or count < FEWEST_SCANS:
            continue
        if not known.low <= value <= known.high:
            way = "below" if value < known.low else "above"
            warnings.append(f"{what} {value:.1f} HU, {way} {known.low:.1f} to {known.high:.1f} HU")
    return Week(
        week=week,
        studies=len(rows),
        urgent=sum(bool(row["urgent"]) for row in rows),
        not_analysed=sum(row["status"] == "not_analysed" for row in rows),
        incomplete=sum(row["complete"] == 0 for row in rows),
        brain_level_hu=level,
        noise_hu=noise,
        agree=verdicts.count("agree"),
        disagree=verdicts.count("disagree"),
        unsure=verdicts.count("unsure"),
        warnings=tuple(warnings),
    )


def range_of(values: Iterable[float | None], margin: float) -> Range | None:
    """Return the reference range of a measurement; None while there are too few values.

    Args:
        values: Measurements, oldest first; None is ignored.
        margin: Amount by which the range exceeds the first values on both sides.

    Example:
        >>> range_of([30.0] * 10 + [34.0] * 10 + [90.0], 1.0)
        Range(low=29.0, high=35.0, scans=20)
        >>> range_of([30.0, None], 1.0) is None
        True
    """
    first = [value for value in values if value is not None][:REFERENCE_SCANS]
    if len(first) < REFERENCE_SCANS:
        return None
    return Range(low=min(first) - margin, high=max(first) + margin, scans=len(first))


def monday(seconds: float) -> str:
    """Return the date of the Monday of a time's week in UTC, as ISO 8601 text.

    Args:
        seconds: Time, s since 1970.

    Example:
        >>> monday(0)
        '1969-12-29'
    """
    day = datetime.fromtimestamp(seconds, UTC).date()
    return day.fromordinal(day.toordinal() - day.weekday()).isoformat()


def _median(values: Sequence[float]) -> float | None:
    return round(float(median(values)), 2) if values else None
