"""The audit log: every change of a row, every row removed or put between is found."""

from __future__ import annotations

import sqlite3

import pytest

from ichlite.node import audit
from ichlite.node.database import FILE, Database


@pytest.fixture
def tables(tmp_path):
    database = Database(tmp_path)
    for number in range(5):
        database.write(lambda tables, n=number: audit.append(tables, "node", "test", number=n))
    database.close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        yield connection


def test_an_untouched_log_holds(tables):
    found = audit.verify(tables)
    assert (found.rows, found.broken_at) == (5, None)
    assert len(found.last_hash) == 64


def test_rows_cannot_be_changed_or_removed(tables):
    for statement in ("UPDATE audit SET actor = 'x'", "DELETE FROM audit"):
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            tables.execute(statement)


@pytest.mark.parametrize(
    ("statement", "broken_at"),
    [
        ("UPDATE audit SET actor = 'x' WHERE number = 3", 3),
        ("UPDATE audit SET at = at + 1 WHERE number = 1", 1),
        ("UPDATE audit SET details = '{}' WHERE number = 5", 5),
        ("DELETE FROM audit WHERE number = 2", 2),
        ("UPDATE audit SET number = 6 WHERE number = 4", 4),
    ],
)
def test_what_is_changed_behind_its_back_is_found(tables, statement, broken_at):
    tables.execute("DROP TRIGGER audit_stays")
    tables.execute("DROP TRIGGER audit_is_kept")
    tables.execute(statement)
    assert audit.verify(tables).broken_at == broken_at


def test_rows_cut_off_its_end_are_found_by_a_hash_known_before(tables):
    known = audit.verify(tables).last_hash
    audit.append(tables, "node", "later")
    assert audit.verify(tables, known).known
    tables.execute("DROP TRIGGER audit_is_kept")
    tables.execute("DELETE FROM audit WHERE number >= 5")
    cut = audit.verify(tables, known)
    assert (cut.rows, cut.broken_at, cut.known) == (4, None, False)
    assert audit.verify(tables).known
