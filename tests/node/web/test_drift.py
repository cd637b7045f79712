"""Drift: counts by week and source, and the warning when a source leaves its range."""

import pytest

from ichlite.node.web.drift import REFERENCE_SCANS, drift_of

WEEK = 7 * 86_400
NOW = 1_790_000_000


@pytest.fixture
def scans(site):
    """Returns a function that adds readings of a source in a week."""

    def add(source, week, count, level=30.0, noise=2.0, **reading):
        def work(tables):
            for _ in range(count):
                (number,) = tables.execute("SELECT count(*) FROM study").fetchone()
                tables.execute(
                    "INSERT INTO study (uid, state, source, first_at, last_at) "
                    "VALUES (?, 'done', ?, 0, 0)",
                    (f"1.2.{number}", source),
                )
                values = {"status": "analysed", "urgent": 0, "complete": 1} | reading
                tables.execute(
                    "INSERT INTO reading (study_id, version, state, queued_at, finished_at, "
                    "status, urgent, complete, brain_level_hu, noise_hu) VALUES "
                    "((SELECT max(id) FROM study), 1, 'done', 0, ?, ?, ?, ?, ?, ?)",
                    (NOW + week * WEEK, *values.values(), level, noise),
                )

        site.database.write(work)

    return add


def drift(site):
    with site.database.read() as tables:
        return {one.source: one for one in drift_of(tables, 30.0, NOW).sources}


def test_counts_by_week_and_source(site, scans):
    scans("CT1", -1, 2)
    scans("CT1", 0, 3, urgent=1)
    scans("CT1", 0, 1, None, None, status="not_analysed", urgent=None, complete=None)
    scans("CT2", 0, 1, complete=0, urgent=None)
    scans("CT2", -60, 1)  # longer ago than is shown
    scans("CT2", 0, 1)  # superseded below
    site.database.write(
        lambda t: t.execute(
            "INSERT INTO verdict (reading_id, reader, verdict, at) VALUES (3, 'a', 'agree', 0), "
            "(3, 'b', 'disagree', 0)"
        )
    )
    site.database.write(
        lambda t: t.execute(
            "UPDATE reading SET superseded = 1 WHERE id = (SELECT max(id) FROM reading)"
        )
    )
    found = drift(site)
    new, old = found["CT1"].weeks
    assert (new.studies, new.urgent, new.not_analysed, new.incomplete) == (4, 3, 1, 0)
    assert (new.agree, new.disagree, new.unsure) == (1, 1, 0)
    assert (old.studies, old.urgent) == (2, 0)
    assert [(one.studies, one.incomplete) for one in found["CT2"].weeks] == [(1, 1)]


@pytest.mark.parametrize(
    ("level", "noise", "said"),
    [(30.5, 2.1, ()), (36.0, 2.0, ("brain level",)), (20.0, 4.0, ("brain level", "noise"))],
)
def test_a_source_that_leaves_its_range_is_said(site, scans, level, noise, said):
    scans("CT1", -2, REFERENCE_SCANS)
    scans("CT1", 0, 5, level, noise)
    scans("CT2", 0, 5, level, noise)  # without a range of its own yet
    found = drift(site)
    warnings = found["CT1"].weeks[0].warnings
    assert len(warnings) == len(said)
    for warning, word in zip(warnings, said, strict=True):
        assert warning.startswith(word)
    assert found["CT1"].weeks[1].warnings == found["CT2"].weeks[0].warnings == ()
    text = site.ask("GET", "/drift", user="eva").text
    assert ("This source has left its range" in text) == bool(said)
