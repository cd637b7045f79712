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
