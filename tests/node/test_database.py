"""The tables: groups of writes commit together, each whole or not at all; damage is said."""

from __future__ import annotations

import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from ichlite.errors import StoreError
from ichlite.node.database import FILE, Database
from ichlite.node.migrations import MIGRATIONS


@pytest.fixture
def database(tmp_path):
    opened = Database(tmp_path)
    yield opened
    opened.close()


def _add_user(name: str):
    def work(tables: sqlite3.Connection) -> int:
        tables.execute("INSERT INTO user VALUES (?, '', 0, 0)", (name,))
        return tables.execute("SELECT count(*) FROM user").fetchone()[0]

    return work


def test_many_threads_write_and_each_gets_its_own_answer(database):
    with ThreadPoolExecutor(16) as pool:
        counts = list(pool.map(lambda n: database.write(_add_user(f"u{n}")), range(200)))
    assert sorted(counts) == list(range(1, 201))


def test_a_fault_undoes_its_own_part_alone(database):
    def fails(tables: sqlite3.Connection) -> None:
        _add_user("lost")(tables)
        raise ValueError("on purpose")

    def attempt(number: int) -> str:
        try:
            database.write(fails if number % 2 else _add_user(f"u{number}"))
        except ValueError as error:
            return str(error)
        return "written"

    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(attempt, range(60)))
    assert said == ["written", "on purpose"] * 30
    with database.read() as tables:
        names = {row["name"] for row in tables.execute("SELECT name FROM user")}
    assert names == {f"u{number}" for number in range(0, 60, 2)}


def test_readers_cannot_write(database):
    with database.read() as tables, pytest.raises(sqlite3.OperationalError, match="readonly"):
        _add_user("x")(tables)


def test_a_reader_sees_one_state(database):
    with database.read() as tables:
        before = tables.execute("SELECT count(*) FROM user").fetchone()[0]
        database.write(_add_user("later"))
        assert tables.execute("SELECT count(*) FROM user").fetchone()[0] == before


def test_a_damaged_file_is_said(tmp_path):
    Database(tmp_path).close()
    raw = bytearray((tmp_path / FILE).read_bytes())
    raw[:100] = bytes(100)
    (tmp_path / FILE).write_bytes(raw)
    with pytest.raises(StoreError, match="is damaged"):
        Database(tmp_path)


def test_the_tables_of_a_later_version_are_left_alone(tmp_path):
    Database(tmp_path).close()
    with sqlite3.connect(tmp_path / FILE) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    with pytest.raises(StoreError, match="later ichlite"):
        Database(tmp_path)
