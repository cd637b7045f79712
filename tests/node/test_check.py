"""`ichlite node check` finds what is wrong with a node, and `send-test` sends to one that runs."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from tests.dicom_files import write_head_series
from tests.node.peers_of_tests import http_peer, make_reading, scp
from tests.node.running_node import SETTINGS, running_node

from ichlite.node import check as checks
from ichlite.node.database import FILE as TABLES
from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.settings import FILE, Settings
from ichlite.node.store import FileStore
from ichlite.node.study_child import DOCUMENT
from ichlite.samples import PHANTOM_BLEED


@pytest.fixture
def node(tmp_path):
    folder = tmp_path / "node"
    store = FileStore(folder / "store", 0)
    database = Database(folder / "store")
    (folder / FILE).write_text("[store]\nreserve_bytes = 0\n")
    intake = Intake(database, store, Settings())
    for path in write_head_series(tmp_path / "made", 3, side=32):
        intake.take([path.read_bytes()], "CT1")
    make_reading(database, store, study="4")
    (next(store.results.glob("*/*/*")) / DOCUMENT).write_text("{}")
    database.close()
    return folder


def _check(ichlite: Callable[..., Any], node: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    done = ichlite("node", "check", node, "--json")
    document = json.loads(done.out)
    assert document["ok"] == (done.exit_code == 0)
    return done.exit_code, {one["check"]: one for one in document["findings"]}


def test_a_sound_node_passes(ichlite, node):
    code, found = _check(ichlite, node)
    assert code == 0
    assert set(found) == {
        *("node", "database", "audit log", "instances", "results", "disk", "bundle"),
        *("confinement of readings", "files with secrets"),
    }
    assert found["instances"]["says"] == "3 files, each as it was received"
    assert "ok" in ichlite("node", "check", node).out


def _damage_instance(node: Path) -> None:
    next((node / "store" / "instances").rglob("*.dcm")).write_bytes(b"x")


def _remove_instance(node: Path) -> None:
    next((node / "store" / "instances").rglob("*.dcm")).unlink()


def _remove_result(node: Path) -> None:
    next((node / "store" / "results").rglob(DOCUMENT)).unlink()


def _change_audit(node: Path) -> None:
    with closing(sqlite3.connect(node / "store" / TABLES)) as tables:
        tables.executescript("DROP TRIGGER audit_stays; UPDATE audit SET actor = 'x'")


def _orphan_row(node: Path) -> None:
    with closing(sqlite3.connect(node / "store" / TABLES)) as tables:
        tables.executescript("PRAGMA foreign_keys = OFF; DELETE FROM study WHERE id = 1")


def _damage_tables(node: Path) -> None:
    path = node / "store" / TABLES
    data = bytearray(path.read_bytes())
    data[4096 * 2 : 4096 * 6] = b"\xff" * 4096 * 4
    path.write_bytes(data)


def _fill_disk(node: Path) -> None:
    (node / FILE).write_text("[store]\nreserve_bytes = 999_999_999_999_999\n")


def _unknown_point(node: Path) -> None:
    (node / FILE).write_text('[read]\noperating_point = "none"\n[store]\nreserve_bytes = 0\n')


@pytest.mark.parametrize(
    ("damage", "name"),
    [
        (_damage_instance, "instances"),
        (_remove_instance, "instances"),
        (_remove_result, "results"),
        (_change_audit, "audit log"),
        (_orphan_row, "database"),
        (_damage_tables, "database"),
        (_fill_disk, "disk"),
        (_unknown_point, "bundle"),
    ],
)
def test_what_is_wrong_is_found(ichlite, node, damage, name):
    damage(node)
    code, found = _check(ichlite, node)
    assert code == 1
    assert not found[name]["ok"]


def test_what_the_kernel_does_not_give_is_said_and_is_no_fault(ichlite, node, monkeypatch):
    monkeypatch.setattr(checks, "_CONFINE", "print('[\"no Landlock\"]')")
    code, found = _check(ichlite, node)
    assert code == 0
    assert found["confinement of readings"]["says"] == "no Landlock"
    monkeypatch.setattr(checks, "_CONFINE", "raise SystemExit(1)")
    assert _check(ichlite, node)[0] == 1


PEER = '[store]\nreserve_bytes = 0\n[[peer]]\nname = "pacs"\naet = "SCP"\n'


def test_peers_are_asked(ichlite, node):
    with scp() as peer:
        (node / FILE).write_text(PEER + f'host = "127.0.0.1"\nport = {peer.port}\n')
        assert _check(ichlite, node)[1]["peer pacs"]["ok"]
    code, found = _check(ichlite, node)
    assert code == 1
    assert "does not answer" in found["peer pacs"]["says"]


@pytest.mark.parametrize(("status", "code"), [(400, 0), (415, 0), (401, 1), (404, 1), (500, 1)])
def test_peers_of_stow_are_asked(ichlite, node, status, code):
    with http_peer(status) as peer:
        (node / FILE).write_text(PEER + f'stow_url = "{peer.url}"\n')
        assert _check(ichlite, node)[0] == code


@pytest.mark.long
def test_a_folder_is_sent_to_a_running_node(ichlite, tmp_path):
    with running_node(tmp_path / "node") as node:
        words = ("node", "send-test", node.folder, PHANTOM_BLEED.folder, "--port", node.dicom_port)
        done = ichlite(*words, "--json")
        sent = json.loads(done.out)
        assert (done.exit_code, sent["sent"]) == (0, len(PHANTOM_BLEED.files))
        assert sent["refused"] == {}
        assert all(not name.endswith(".dcm") for name in sent["skipped"])
        assert "answers C-ECHO and took" in ichlite(*words).out
        assert ichlite("node", "send-test", node.folder, tmp_path / "node").exit_code == 2
        node.wait_for(lambda status: status["done"] == 1)
    done = ichlite(*words)
    assert done.exit_code == 1
    assert "does not answer" in done.err


def test_what_a_node_refuses_is_said(ichlite, tmp_path):
    with running_node(tmp_path / "node") as node:
        text = SETTINGS.replace("1_000_000", "999_999_999_999_999")
        (node.folder / FILE).write_text(text)
        node.stop()
        node.start()
        words = ("node", "send-test", node.folder, PHANTOM_BLEED.folder)
        done = ichlite(*words, "--port", node.dicom_port)
    assert done.exit_code == 1
    assert "the peer answers A700" in done.out


def test_backup_restore_and_retry_are_commands(ichlite, node, tmp_path):
    assert ichlite("node", "backup", node, tmp_path / "copy").exit_code == 0
    assert ichlite("node", "restore", tmp_path / "copy", tmp_path / "again").exit_code == 0
    assert _check(ichlite, tmp_path / "again")[0] == 0
    with closing(sqlite3.connect(node / "store" / TABLES)) as tables:
        tables.execute(
            "INSERT INTO delivery (reading_id, peer, file, state, next_at, tried_at) "
            "SELECT id, 'pacs', '0.dcm', 'dead', 1, 1 FROM reading"
        )
        tables.commit()
    assert json.loads(ichlite("node", "retry", node, "--json").out) == {"retried": 0}
    (node / FILE).write_text(PEER + 'host = "127.0.0.1"\n')
    assert json.loads(ichlite("node", "retry", node, "--json").out) == {"retried": 1}
    assert json.loads(ichlite("node", "retry", node, "--json").out) == {"retried": 0}
    assert ichlite("node", "retry", node, "--peer", "pacs").out == "0 will be tried again\n"
    unknown = ichlite("node", "retry", node, "--peer", "foo")
    assert unknown.exit_code == 2
    assert "unknown peer or hook of node.toml; found foo; expected one of pacs" in unknown.err
    assert "given up for nobody" in ichlite("node", "discard", node, "--peer", "pacs").err
    with closing(sqlite3.connect(node / "store" / TABLES)) as tables:
        tables.execute("UPDATE delivery SET state = 'dead'")
        tables.commit()
    assert ichlite("node", "discard", node, "--peer", "pacs").out == "1 will not be sent\n"


def test_verify_audit_finds_rows_cut_off_the_end(ichlite, node):
    read = ichlite("node", "verify-audit", node, "--json")
    known = json.loads(read.out)["last_hash"]
    assert "each follows" in ichlite("node", "verify-audit", node, "--known-hash", known).out
    with closing(sqlite3.connect(node / "store" / TABLES)) as tables:
        tables.executescript(
            "DROP TRIGGER audit_is_kept; "
            "DELETE FROM audit WHERE number = (SELECT max(number) FROM audit)"
        )
    assert ichlite("node", "verify-audit", node).exit_code == 0
    cut = ichlite("node", "verify-audit", node, "--known-hash", known)
    assert cut.exit_code == 1
    assert "cut or replaced" in cut.err


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE audit SET actor = cast(x'ff80' AS TEXT)",
        "DROP TRIGGER audit_is_kept; DELETE FROM audit",
        "ALTER TABLE audit RENAME COLUMN actor TO who",
        "DROP TABLE audit",
    ],
)
def test_an_audit_log_that_is_spoilt_is_a_fault_in_a_line(ichlite, node, damage):
    with closing(sqlite3.connect(node / "store" / TABLES)) as tables:
        tables.executescript(f"DROP TRIGGER audit_stays; {damage}")
    done = ichlite("node", "verify-audit", node)
    assert done.exit_code == 1
    assert "Traceback" not in done.err
    assert _check(ichlite, node)[0] == 1


def test_verify_audit_makes_no_database(ichlite, node):
    (node / "store" / TABLES).unlink()
    done = ichlite("node", "verify-audit", node)
    assert (done.exit_code, "is missing" in done.err) == (1, True)
    assert not (node / "store" / TABLES).exists()


def test_hooks_are_called_without_a_notice(ichlite, node):
    with http_peer() as peer:
        hook = f'[[webhook]]\nname = "a"\nurl = "{peer.url}"\nsecret = "whsec_{"A" * 32}"\n'
        mail = '[email]\nhost = "127.0.0.1"\nport = 1\nsender = "a@b"\nto = ["c@d"]\n'
        (node / FILE).write_text(f"[store]\nreserve_bytes = 0\n{hook}{mail}")
        code, found = _check(ichlite, node)
        assert peer.posts == []
    assert code == 1
    assert found["webhook a"]["ok"]
    assert "does not take mail" in found["mail server 127.0.0.1"]["says"]


def test_users_are_added_and_removed(ichlite, node, monkeypatch):
    monkeypatch.setattr("sys.stdin", StringIO("a good password\n"))
    assert ichlite("node", "add-user", node, "anna", "--password-stdin").exit_code == 0
    assert ichlite("node", "remove-user", node, "anna").out == "Removed anna\n"
    gone = ichlite("node", "remove-user", node, "anna")
    assert (gone.exit_code, "unknown user" in gone.err) == (2, True)
