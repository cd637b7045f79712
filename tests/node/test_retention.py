"""What is old and reported goes, what was not reported stays, and files follow their rows."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from pathlib import Path

import pytest
from tests.dicom_files import write_head_series
from tests.node.peers_of_tests import make_reading

from ichlite.node import audit
from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.retention import Retention, delete_studies, doom_files, files_held, sweep
from ichlite.node.settings import PeerSettings, Settings
from ichlite.node.store import FileStore

DAY_S = 86_400
PEER = PeerSettings(name="pacs", host="x")
LONG_AGO = 1_700_000_000.0


@pytest.fixture
def parts(tmp_path):
    store = FileStore(tmp_path / "store", 0)
    database = Database(tmp_path / "store")
    yield database, store
    database.close()


def _studies(database: Database) -> list[str]:
    with database.read() as tables:
        return [row["uid"].rpartition(".")[2] for row in tables.execute("SELECT uid FROM study")]


def _set(database: Database, statement: str) -> None:
    database.write(lambda tables: tables.execute(statement).rowcount)


def _delete(database: Database, before: float) -> int:
    return database.write(lambda tables: delete_studies(tables, before))


def test_an_old_study_that_was_reported_goes_with_an_audit_row(parts):
    database, store = parts
    make_reading(database, store, (PEER,), study="1")
    _set(database, "UPDATE delivery SET state = 'sent'")
    assert _delete(database, LONG_AGO + 1) == 1
    assert _studies(database) == []
    with database.read() as tables:
        last = tables.execute("SELECT action, details FROM audit ORDER BY number DESC").fetchone()
        assert last["action"] == "study.deleted"
        assert audit.verify(tables).broken_at is None
        for table in ("reading", "delivery", "instance"):
            assert tables.execute(f"SELECT count(*) FROM {table}").fetchone()[0] == 0


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE delivery SET state = 'waiting' WHERE file = '1.dcm'",
        "UPDATE delivery SET state = 'dead' WHERE file = '1.dcm'",
        "UPDATE study SET state = 'parked'",
        "UPDATE study SET state = 'received', due_at = 1",
        "UPDATE study SET last_at = last_at + 2",
        "UPDATE reading SET finished_at = finished_at + 2",
        "INSERT INTO reading (study_id, version, state, queued_at) VALUES (1, 2, 'queued', 1);",
    ],
)
def test_what_is_young_or_was_not_reported_stays(parts, statement):
    database, store = parts
    make_reading(database, store, (PEER,), study="1")
    _set(database, "UPDATE delivery SET state = 'sent'")
    _set(database, statement)
    if "INSERT" in statement:
        _set(database, "UPDATE study SET version = 2")
    assert _delete(database, LONG_AGO + 1) == 0
    assert _studies(database) == ["1"]


def test_a_dead_letter_of_an_earlier_version_keeps_the_study(parts):
    database, store = parts
    make_reading(database, store, (PEER,), study="1", objects=1)
    _set(database, "UPDATE delivery SET state = 'dead'")
    make_reading(database, store, (PEER,), study="1", objects=1)
    _set(database, "UPDATE delivery SET state = 'sent' WHERE state = 'waiting'")
    assert _delete(database, LONG_AGO + 1) == 0


def _age(folder: Path, seconds: float) -> None:
    at = time.time() - seconds
    for path in [folder, *folder.rglob("*")]:
        os.utime(path, (at, at))


def _taken(database: Database, store: FileStore, tmp_path: Path) -> tuple[Intake, bytes]:
    (made,) = write_head_series(tmp_path / "made", 1)
    intake = Intake(database, store, Settings())
    intake.take([made.read_bytes()], "CT1")
    return intake, made.read_bytes()


def _instances(store: FileStore) -> list[Path]:
    return list((store.folder / "instances").rglob("*.dcm"))


def _delete_all(database: Database) -> None:
    def delete(tables: sqlite3.Connection) -> None:
        for row in tables.execute("SELECT id FROM study").fetchall():
            doom_files(tables, row["id"])
        tables.execute("DELETE FROM study")

    database.write(delete)


def _doomed(database: Database) -> int:
    with database.read() as tables:
        return tables.execute("SELECT count(*) FROM doomed").fetchone()[0]


def test_files_of_deleted_studies_are_swept_when_they_are_old(parts, tmp_path):
    database, store = parts
    _taken(database, store, tmp_path)
    make_reading(database, store, study="1")
    assert sweep(database, store) == 0
    _delete_all(database)
    assert _doomed(database) == 2
    assert sweep(database, store) == 0
    _age(store.folder, 2 * 3600)
    assert sweep(database, store) == 2
    assert _instances(store) == []
    assert list(store.results.glob("*/*/*")) == []
    assert list(store.incoming.iterdir()) == []
    assert _doomed(database) == 0


def test_files_without_a_row_that_nobody_deleted_stay(parts, tmp_path):
    database, store = parts
    _taken(database, store, tmp_path)
    _set(database, "DELETE FROM study")
    _age(store.folder, 2 * 3600)
    assert sweep(database, store) == 0
    assert len(_instances(store)) == 1


def test_a_deleted_study_that_comes_again_keeps_its_files(parts, tmp_path):
    database, store = parts
    intake, data = _taken(database, store, tmp_path)
    _delete_all(database)
    intake.take([data], "CT1")
    _age(store.folder, 2 * 3600)
    assert sweep(database, store) == 0
    assert len(_instances(store)) == 1
    assert _doomed(database) == 0


def test_an_instance_that_arrives_again_during_the_sweep_is_kept(parts, tmp_path, monkeypatch):
    """Its file takes the old one's place after the sweep looked, its row comes after the sweep."""
    database, store = parts
    intake, data = _taken(database, store, tmp_path)
    _delete_all(database)
    _age(store.folder, 2 * 3600)
    kept, arrived = threading.Event(), threading.Event()
    original = FileStore.keep

    def keep(self: FileStore, part: object) -> Path:
        place = original(self, part)
        kept.set()
        return place

    monkeypatch.setattr(FileStore, "keep", keep)
    rename = Path.rename

    def slow_rename(self: Path, to: Path) -> Path:
        if to.name.startswith("swept-") and not arrived.is_set():
            arrived.set()
            sender = threading.Thread(target=intake.take, args=([data], "CT1"))
            sender.start()
            senders.append(sender)
            assert kept.wait(10)
        return rename(self, to)

    senders: list[threading.Thread] = []
    monkeypatch.setattr(Path, "rename", slow_rename)
    assert sweep(database, store) == 0
    senders[0].join(10)
    (path,) = _instances(store)
    assert path.read_bytes() == data
    with database.read() as tables:
        assert [row["digest"] for row in tables.execute("SELECT digest FROM instance")] == [
            path.stem
        ]


def test_the_sweep_gives_way_to_a_backup(parts, tmp_path):
    database, store = parts
    _taken(database, store, tmp_path)
    _delete_all(database)
    _age(store.folder, 2 * 3600)
    with files_held(store.folder, alone=False):
        assert sweep(database, store) == 0
    assert sweep(database, store) == 1


@pytest.mark.parametrize(("days", "left"), [(30, []), (0, ["1"])])
def test_the_thread_deletes_by_the_settings(parts, days, left):
    database, store = parts
    make_reading(database, store, study="1")
    retention = Retention(database, store, days)
    until = time.monotonic() + (10 if days else 1)
    while _studies(database) != [] and time.monotonic() < until:
        time.sleep(0.05)
    retention.close()
    assert _studies(database) == left
