"""What is read arrives at each peer exactly once in effect, whatever the peer does meanwhile."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import build_context
from pynetdicom.sop_class import CTImageStorage
from tests.node.peers_of_tests import QUICK, http_peer, make_reading, orthanc, scp

from ichlite.node import deliveries
from ichlite.node.database import Database
from ichlite.node.outbox import Outbox
from ichlite.node.peers import associated, peer_sender
from ichlite.node.settings import DicomSettings, OutboxSettings, PeerSettings
from ichlite.node.store import FileStore

NOWHERE = PeerSettings(name="nowhere", aet="X", host="127.0.0.1", port=1)


@pytest.fixture
def parts(tmp_path):
    database = Database(tmp_path)
    yield database, FileStore(tmp_path, 0)
    database.close()


def _outbox(parts: Any, *peers: PeerSettings, settings: OutboxSettings = QUICK) -> Outbox:
    database, store = parts
    senders = {peer.name: peer_sender(peer, DicomSettings(), store.results) for peer in peers}
    return Outbox(database, settings, senders)


def _rows(database: Database) -> list[dict[str, Any]]:
    with database.read() as tables:
        return [dict(row) for row in tables.execute("SELECT * FROM delivery ORDER BY id")]


def _states(database: Database, peer: str = "pacs") -> list[str]:
    return [row["state"] for row in _rows(database) if row["peer"] == peer]


def _actions(database: Database) -> list[tuple[str, dict[str, Any]]]:
    with database.read() as tables:
        rows = tables.execute("SELECT action, details FROM audit ORDER BY number").fetchall()
    return [(row["action"], json.loads(row["details"])) for row in rows]


def _until(holds: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_all_that_waits_goes_over_one_association_and_is_audited(parts):
    database, store = parts
    with scp() as peer:
        uids = make_reading(database, store, (peer.peer,), objects=3)
        outbox = _outbox(parts, peer.peer)
        _until(lambda: _states(database) == ["sent"] * 3)
        outbox.close()
        assert peer.requests == dict.fromkeys(uids, 1)
    told = [details for action, details in _actions(database) if action == "result.sent"]
    assert [one["file"] for one in told] == ["0.dcm", "1.dcm", "2.dcm"]
    assert {one["peer"] for one in told} == {"pacs"}


def test_the_thread_of_an_association_takes_no_answer():
    """pynetdicom's would, at times, and the sender wait for it until its time-out."""
    message = 1, "an answer"
    with (
        scp() as peer,
        associated(peer.peer, DicomSettings(), [build_context(CTImageStorage)]) as opened,
    ):
        opened.dimse.msg_queue.put(message)
        time.sleep(0.1)
        assert opened.dimse.get_msg(block=True) == message


@pytest.mark.long
@pytest.mark.parametrize("seed", range(4))
def test_a_flapping_peer_gets_each_object(parts, seed):
    database, store = parts
    with scp(drop=0.6, seed=seed) as peer:
        uids = make_reading(database, store, (peer.peer,), objects=4)
        outbox = _outbox(parts, peer.peer)
        _until(lambda: _states(database) == ["sent"] * 4)
        outbox.close()
        assert peer.kept == set(uids)
        assert sum(peer.requests.values()) > 4


def test_what_comes_while_a_peer_is_down_waits_with_the_rest(parts):
    """Else each new result would have all that wait tried at once, again and again."""
    database, store = parts
    patient = OutboxSettings(longest_pause_s=600)
    made = 1_700_000_000.0
    make_reading(database, store, (NOWHERE,), study="1", objects=1)

    def due(now: float) -> tuple[deliveries.Parcel, ...]:
        with database.read() as tables:
            return deliveries.due(tables, "nowhere", now, patient)

    now = made
    for attempt in range(6):
        (parcel,) = due(now)
        assert parcel.attempts == attempt
        database.write(
            lambda tables, one=parcel, at=now: deliveries.failed(
                tables, [one], "down", refused=False, now=at, settings=patient
            )
        )
        now = _rows(database)[0]["next_at"]
    make_reading(database, store, (NOWHERE,), study="2", objects=1)
    assert due(now - 10) == ()
    both = due(now)
    assert [one.attempts for one in both] == [6, 0]
    database.write(
        lambda tables: deliveries.failed(
            tables, both, "down", refused=False, now=now, settings=patient
        )
    )
    assert all(row["next_at"] - now > 100 for row in _rows(database))
    assert due(now + 100) == ()


def test_a_retry_is_tried_at_once_though_others_wait_for_the_target(parts):
    database, store = parts
    for study in ("1", "2"):
        make_reading(database, store, (NOWHERE,), study=study, objects=1)
    for change in (
        "UPDATE delivery SET attempts = 5, next_at = 2e9, tried_at = 2e9 - 64",
        "UPDATE delivery SET state = 'dead' WHERE id = 1",
    ):
        database.write(lambda tables, change=change: tables.execute(change).rowcount)
    now, patient = 2e9 - 60, OutboxSettings(longest_pause_s=600)
    with database.read() as tables:
        assert deliveries.due(tables, "nowhere", now, patient) == ()
    assert database.write(lambda tables: deliveries.retry_dead(tables, now, "ann", "nowhere")) == 1
    with database.read() as tables:
        assert len(deliveries.due(tables, "nowhere", now, patient)) == 2


def test_a_peer_that_was_down_gets_each_object_once(parts):
    database, store = parts
    with scp() as peer:
        peer.stop()
        uids = make_reading(database, store, (peer.peer,))
        outbox = _outbox(parts, peer.peer)
        _until(lambda: all(row["attempts"] >= 3 for row in _rows(database)))
        assert _states(database) == ["waiting"] * 2
        assert "does not answer" in _rows(database)[0]["fault"]
        peer.start()
        _until(lambda: _states(database) == ["sent"] * 2)
        outbox.close()
        assert peer.requests == dict.fromkeys(uids, 1)


def test_a_dead_peer_holds_up_no_other(parts):
    database, store = parts
    # An address that swallows packets would take 10 s an attempt; what refuses is enough here.
    with scp() as peer:
        make_reading(database, store, (NOWHERE, peer.peer))
        outbox = _outbox(parts, NOWHERE, peer.peer)
        _until(lambda: _states(database) == ["sent"] * 2)
        assert _states(database, "nowhere") == ["waiting"] * 2
        outbox.close()


@pytest.mark.parametrize("status", [0xB000, 0xB006, 0xB007, 0x0107, 0x0111])
def test_a_warning_and_being_there_already_count_as_sent(parts, status):
    database, store = parts
    with scp(statuses=(status,)) as peer:
        make_reading(database, store, (peer.peer,), objects=1)
        outbox = _outbox(parts, peer.peer)
        _until(lambda: _states(database) == ["sent"])
        outbox.close()
        assert sum(peer.requests.values()) == 1


def test_what_is_refused_is_tried_again_and_holds_up_nothing(parts):
    database, store = parts
    with scp(statuses=(0xA700, 0)) as peer:
        first, second = make_reading(database, store, (peer.peer,))
        outbox = _outbox(parts, peer.peer)
        _until(lambda: _states(database) == ["sent"] * 2)
        outbox.close()
        assert peer.requests == {first: 2, second: 1}


def test_what_cannot_be_sent_for_long_is_dead_until_it_is_tried_again(parts):
    database, store = parts
    with scp(statuses=(0xC000,) * 1000) as peer:
        (uid,) = make_reading(database, store, (peer.peer,), objects=1, now=time.time())
        outbox = _outbox(
            parts, peer.peer, settings=OutboxSettings(longest_pause_s=0.2, dead_after_s=0.5)
        )
        _until(lambda: _states(database) == ["dead"])
        (row,) = _rows(database)
        assert row["fault"] == "the peer answers C000"
        assert 2 <= row["attempts"] == peer.requests[uid]
        (dead,) = [details for action, details in _actions(database) if action == "result.dead"]
        assert (dead["peer"], dead["why"]) == ("pacs", "the peer answers C000")
        peer._statuses.clear()
        assert database.write(lambda tables: deliveries.retry_dead(tables, time.time(), "ann")) == 1
        _until(lambda: _states(database) == ["sent"])
        outbox.close()


def test_a_clock_that_jumps_kills_nothing_and_delays_nothing(parts):
    database, store = parts
    make_reading(database, store, (NOWHERE,), objects=1, now=0)
    month = 30 * 86_400.0
    settings = OutboxSettings()

    def fail(now: float) -> None:
        with database.read() as tables:
            parcels = deliveries.due(tables, "nowhere", now, settings)
        assert parcels
        database.write(
            lambda tables: deliveries.failed(
                tables, parcels, "down", refused=False, now=now, settings=settings
            )
        )

    fail(month)
    fail(2 * month)
    fail(100)  # set back: what was put off to a far day is due at once
    assert _states(database, "nowhere") == ["waiting"]


def test_two_hours_without_a_peer_are_survived(parts):
    """By the clock that the queue is given: attempts go on, none is the last."""
    database, store = parts
    make_reading(database, store, (NOWHERE,), objects=1, now=0)
    settings, now, tries = OutboxSettings(), 0.0, 0
    while now < 7200:
        with database.read() as tables:
            parcels = deliveries.due(tables, "nowhere", now, settings)
        if parcels:
            tries += 1
            database.write(
                lambda tables, parcels=parcels, now=now: deliveries.failed(
                    tables, parcels, "down", refused=False, now=now, settings=settings
                )
            )
        now += 1
    assert _states(database, "nowhere") == ["waiting"]
    assert 15 <= tries <= 30


def test_a_peer_that_is_configured_no_more_leaves_dead_letters(parts):
    database, store = parts
    make_reading(database, store, (NOWHERE,), objects=1)
    database.write(lambda tables: deliveries.bury_unknown(tables, ()))
    assert _states(database, "nowhere") == ["dead"]
    retried = database.write(
        lambda tables: deliveries.retry_dead(tables, time.time(), "ann", among=("pacs",))
    )
    assert (retried, _states(database, "nowhere")) == (0, ["dead"])
    assert database.write(lambda tables: deliveries.discard_dead(tables, "ann", "nowhere")) == 1
    assert _states(database, "nowhere") == []


def test_what_is_due_goes_out_before_the_node_ends(parts):
    database, store = parts
    with scp() as peer:
        outbox = _outbox(parts, peer.peer)
        uids = make_reading(database, store, (peer.peer,), objects=5)
        outbox.close()
        assert peer.kept == set(uids)


def test_a_later_version_is_sent_in_place_of_one_that_waits(parts):
    database, store = parts
    with scp() as peer:
        make_reading(database, store, (peer.peer,), objects=1)
        late = make_reading(database, store, (peer.peer,), objects=1)
        _outbox(parts, peer.peer).close()
        assert _states(database) == ["superseded", "sent"]
        assert peer.kept == set(late)


def test_urgent_studies_go_first(parts):
    database, store = parts
    with scp() as peer:
        make_reading(database, store, (peer.peer,), objects=1, study="1", urgent=False)
        make_reading(database, store, (peer.peer,), objects=1, study="2", urgent=True)
        _outbox(parts, peer.peer).close()
        assert [uid.split(".9.")[0][-1] for uid in peer.requests] == ["2", "1"]


def _stow(url: str) -> PeerSettings:
    return PeerSettings(name="pacs", stow_url=url, authorization="Basic eA==")


def test_stow_posts_the_file_as_it_is(parts):
    database, store = parts
    with http_peer() as peer:
        make_reading(database, store, (_stow(peer.url),), objects=1)
        _outbox(parts, _stow(peer.url)).close()
        ((headers, body),) = peer.posts
    (file,) = store.results.rglob("*.dcm")
    boundary = headers["Content-Type"].rpartition("boundary=")[2].encode()
    assert headers["Authorization"] == "Basic eA=="
    assert body.split(b"--" + boundary)[1].partition(b"\r\n\r\n")[2] == file.read_bytes() + b"\r\n"
    assert _states(database) == ["sent"]


FAILED = b'{"00081198": {"vr": "SQ", "Value": [{"00081197": {"vr": "US", "Value": [%d]}}]}}'


@pytest.mark.parametrize(
    ("status", "body", "state", "fault"),
    [
        (200, b"", "sent", ""),
        (202, b"{}", "sent", ""),
        (409, FAILED % 0x0111, "sent", ""),
        (200, FAILED % 0xA700, "waiting", "200 and A700"),
        (409, FAILED % 0x0110, "waiting", "409 and 0110"),
        (409, b"<html>", "waiting", "answers 409"),
        (301, b"", "waiting", "redirect"),
        (401, b"", "waiting", "answers 401"),
        (503, b"", "waiting", "answers 503"),
        (202, b'{"00081198": {"Value": [{}]}}', "waiting", "0110"),
    ],
)
def test_answers_to_stow(parts, status, body, state, fault):
    database, store = parts
    with http_peer(*(status,) * 50, body=body) as peer:
        make_reading(database, store, (_stow(peer.url),), objects=1)
        _outbox(parts, _stow(peer.url)).close()
    (row,) = _rows(database)
    assert row["state"] == state
    assert fault in row["fault"]


@pytest.mark.long
@pytest.mark.parametrize("how", ["C-STORE", "STOW-RS"])
def test_orthanc_that_was_down_has_exactly_what_was_sent(parts, tmp_path: Path, how: str):
    database, store = parts
    with orthanc(tmp_path / "orthanc") as real:
        peer = PeerSettings(
            name="pacs", aet=real.aet, host="127.0.0.1", port=real.dicom_port,
            stow_url=real.stow_url if how == "STOW-RS" else None,
        )  # fmt: skip
        outbox = _outbox(parts, peer)
        uids = make_reading(database, store, (peer,), study="5")
        _until(lambda: _states(database) == ["sent"] * 2)
        real.stop()
        uids += make_reading(database, store, (peer,), study="6")
        _until(lambda: any(row["attempts"] >= 2 and row["fault"] for row in _rows(database)))
        real.start()
        _until(lambda: _states(database) == ["sent"] * 4)
        # As after a node that died before it noted that it had sent them.
        database.write(
            lambda tables: tables.execute("UPDATE delivery SET state = 'waiting'").rowcount
        )
        _until(lambda: _states(database) == ["sent"] * 4)
        outbox.close()
        assert real.uids() == sorted(uids)
