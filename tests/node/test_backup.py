"""A backup that is made while a node receives holds all that its tables name, and makes a node."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

import pytest
from tests.dicom_files import write_head_series
from tests.node.peers_of_tests import make_reading

from ichlite.errors import StoreError, UsageError
from ichlite.node import audit
from ichlite.node.backup import MANIFEST, back_up, restore
from ichlite.node.database import FILE as TABLES
from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.settings import FILE, Settings
from ichlite.node.store import FileStore, instance_path


@pytest.fixture
def parts(tmp_path):
    node = tmp_path / "node"
    store = FileStore(node / "store", 0)
    database = Database(node / "store")
    (node / FILE).write_text("[study]\nquiet_s = 9\n")
    yield database, store, node
    database.close()


def _fill(database: Database, store: FileStore, tmp_path: Path, n: int = 3) -> None:
    intake = Intake(database, store, Settings())
    for path in write_head_series(tmp_path / "made", n, side=32):
        intake.take([path.read_bytes()], "CT1")


def _named(store: Path) -> set[str]:
    with closing(sqlite3.connect(store / TABLES)) as tables:
        return {row[0] for row in tables.execute("SELECT digest FROM instance")}


@pytest.mark.parametrize("link", [False, True])
def test_a_backup_during_reception_is_whole(parts, tmp_path, link):
    database, store, node = parts
    files = write_head_series(tmp_path / "made", 60, side=32)
    intake = Intake(database, store, Settings())
    begun, stop = threading.Event(), threading.Event()
    taken: list[Path] = []

    def receive() -> None:
        for number in range(100_000):
            if stop.is_set():
                return
            data = files[number % len(files)].read_bytes() + number.to_bytes(4, "little") * 2
            intake.take([data], "CT1")
            taken.append(files[0])
            if len(taken) > 20:
                begun.set()

    sender = threading.Thread(target=receive)
    sender.start()
    assert begun.wait(60)
    before = len(taken)
    made = back_up(node, tmp_path / "copy", link=link)
    after = len(taken)
    stop.set()
    sender.join()
    assert before <= made.instances <= after
    assert after > before or link
    restore(tmp_path / "copy", tmp_path / "again")
    named = _named(tmp_path / "again" / "store")
    assert len(named) == made.instances
    again = FileStore(tmp_path / "again" / "store", 0)
    assert all(again.path(digest).is_file() for digest in named)
    assert again.path(next(iter(named))).stat().st_nlink == 1


def test_a_restored_node_goes_on(parts, tmp_path):
    database, store, node = parts
    _fill(database, store, tmp_path)
    uids = make_reading(database, store, study="4")
    database.write(lambda tables: audit.append(tables, "ann", "something"))
    back_up(node, tmp_path / "copy")
    restore(tmp_path / "copy", tmp_path / "again")
    assert (tmp_path / "again" / FILE).read_text() == (node / FILE).read_text()
    again = Database(tmp_path / "again" / "store")
    with again.read() as tables:
        assert audit.verify(tables).broken_at is None
        count = tables.execute("SELECT count(*) FROM reading WHERE state = 'done'").fetchone()[0]
    assert count == 1
    again.close()
    assert len(list((tmp_path / "again" / "store" / "results").rglob("*.dcm"))) == len(uids)


def test_sessions_stay_behind(parts, tmp_path):
    database, _, node = parts
    for row in (
        "INSERT INTO user VALUES ('ann', 'x', 1, 1)",
        "INSERT INTO session VALUES ('t', 'ann', 'c', 9e9)",
    ):
        database.write(lambda tables, row=row: tables.execute(row).rowcount)
    back_up(node, tmp_path / "copy")
    with closing(sqlite3.connect(tmp_path / "copy" / TABLES)) as tables:
        assert tables.execute("SELECT count(*) FROM user").fetchone() == (1,)
        assert tables.execute("SELECT count(*) FROM session").fetchone() == (0,)


@pytest.mark.parametrize("damage", ["changed", "missing"])
def test_a_store_that_is_damaged_makes_no_backup(parts, tmp_path, damage):
    database, store, node = parts
    _fill(database, store, tmp_path)
    path = store.path(sorted(_named(store.folder))[1])
    path.write_bytes(b"x") if damage == "changed" else path.unlink()
    with pytest.raises(StoreError, match="damaged" if damage == "changed" else "missing"):
        back_up(node, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()


def _first_instance(copy: Path) -> Path:
    return copy / instance_path(sorted(_named(copy))[0])


@pytest.mark.parametrize(
    "which",
    [
        _first_instance,
        lambda copy: copy / TABLES,
        lambda copy: copy / MANIFEST,
        lambda copy: copy / FILE,
    ],
)
def test_a_backup_that_is_damaged_makes_no_node(parts, tmp_path, which):
    database, store, node = parts
    _fill(database, store, tmp_path)
    back_up(node, tmp_path / "copy")
    path = which(tmp_path / "copy")
    path.write_bytes(path.read_bytes().replace(b"9", b"8") + b" x")
    with pytest.raises(Exception, match=r"damaged|whole|not valid"):
        restore(tmp_path / "copy", tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_nothing_is_written_over(parts, tmp_path):
    database, store, node = parts
    _fill(database, store, tmp_path)
    back_up(node, tmp_path / "copy")
    with pytest.raises(UsageError, match="not empty"):
        back_up(node, tmp_path / "copy")
    with pytest.raises(UsageError, match="not empty"):
        restore(tmp_path / "copy", node)


def test_a_damaged_backup_leaves_no_store_elsewhere(parts, tmp_path):
    database, store, node = parts
    _fill(database, store, tmp_path)
    back_up(node, tmp_path / "copy")
    elsewhere = tmp_path / "disk"
    settings = tmp_path / "copy" / FILE
    settings.write_text(f'[store]\npath = "{elsewhere}"\n')
    manifest = json.loads((tmp_path / "copy" / MANIFEST).read_text())
    manifest["files"][FILE] = hashlib.sha256(settings.read_bytes()).hexdigest()
    (tmp_path / "copy" / MANIFEST).write_text(json.dumps(manifest))
    last = tmp_path / "copy" / list(manifest["files"])[-1]
    whole = last.read_bytes()
    last.write_bytes(whole + b" ")
    with pytest.raises(StoreError, match="damaged"):
        restore(tmp_path / "copy", tmp_path / "again")
    assert list(elsewhere.iterdir()) == []
    last.write_bytes(whole)
    restore(tmp_path / "copy", tmp_path / "again")
    assert (elsewhere / TABLES).is_file()
