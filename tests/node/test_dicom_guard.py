"""The guard: peers that lie, stall or crowd cost little, and others are served all the while."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from contextlib import suppress
from io import BytesIO
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pynetdicom.dimse_primitives import C_STORE
from pynetdicom.sop_class import CTImageStorage
from tests.node.test_dicom_server import association, port

from ichlite.node import dicom_guard


def _rss_mb() -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0]) / 1024


def _connect(opened) -> socket.socket:
    return socket.create_connection(("127.0.0.1", opened.server.port), timeout=20)


def _send_until_closed(peer: socket.socket, piece: bytes, every_s: float) -> int:
    """Send until the other side has closed; return how many bytes that took."""
    sent = 0
    with suppress(BrokenPipeError, ConnectionResetError):
        while sent < 200 * len(piece):
            peer.sendall(piece)
            sent += len(piece)
            time.sleep(every_s)
    return sent


def _wait_until(holds, seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.fixture(autouse=True)
def _short_deadlines(monkeypatch):
    monkeypatch.setattr(dicom_guard, "PDU_SECONDS", 1.5)
    monkeypatch.setattr(dicom_guard, "READ_SECONDS", 0.5)


def test_a_length_that_no_pdu_has_closes_the_connection_and_takes_no_memory(tmp_path):
    with port(tmp_path / "store") as opened:
        before = _rss_mb()
        with _connect(opened) as peer:
            peer.sendall(struct.pack(">BBL", 1, 0, 300_000_000))
            assert _send_until_closed(peer, bytes(1 << 20), every_s=0) < 100 << 20
        assert _rss_mb() - before < 20


@pytest.mark.long
def test_peers_that_stall_are_reaped(tmp_path):
    with port(tmp_path / "store") as opened:
        threads = threading.active_count()
        peers = [_connect(opened) for _ in range(20)]
        for peer in peers:
            peer.sendall(b"\1\0\0")
        _wait_until(lambda: threading.active_count() > threads)
        with association(opened) as sender:
            assert sender.send_c_echo().Status == 0
        _wait_until(lambda: threading.active_count() <= threads)
        for peer in peers:
            peer.close()


@pytest.mark.long
def test_a_slow_drip_meets_the_deadline(tmp_path):
    with port(tmp_path / "store") as opened, _connect(opened) as peer:
        peer.sendall(struct.pack(">BBL", 1, 0, 1000))
        assert _send_until_closed(peer, b"\0", every_s=0.1) < 100


def test_an_instance_without_end_is_cut_off(tmp_path):
    limit = 1 << 20
    with port(tmp_path / "store", max_instance_bytes=limit) as opened:
        before = _rss_mb()
        with association(opened) as sender:
            request = C_STORE()
            request.MessageID, request.Priority = 1, 2
            request.AffectedSOPClassUID, request.AffectedSOPInstanceUID = CTImageStorage, "1.2"
            request.DataSet = BytesIO(os.urandom(8 * limit))
            context = next(
                c for c in sender.accepted_contexts if c.abstract_syntax == CTImageStorage
            )
            sender.dimse.send_msg(request, context.context_id)
            _wait_until(lambda: not sender.is_established)
        assert _rss_mb() - before < 60
        with association(opened) as other:
            assert other.send_c_echo().Status == 0


def test_bare_connections_do_not_keep_others_out_for_long(tmp_path):
    with port(tmp_path / "store", max_associations=2) as opened:
        for _ in range(300):
            _connect(opened).close()

        def answered() -> bool:
            with association(opened) as sender:
                return sender.is_established and sender.send_c_echo().Status == 0

        _wait_until(answered)


@pytest.mark.long
def test_nonsense_in_place_of_a_pdu_ends_the_connection(tmp_path):
    with port(tmp_path / "store") as opened:
        for words in (b"GET / HTTP/1.1\r\n\r\n", os.urandom(64), b"\1\0\0\0\0\4abcd"):
            with _connect(opened) as peer:
                peer.sendall(words)
                peer.settimeout(10)
                try:
                    while peer.recv(4096):
                        pass
                except ConnectionResetError:
                    pass
        with association(opened) as sender:
            assert sender.send_c_echo().Status == 0


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(struct.pack(">LBB", 9, 1, 3) + b"abc", id="longer than the PDU"),
        pytest.param(struct.pack(">LB", 1, 1), id="without a control byte"),
        pytest.param(struct.pack(">LBB", 2 + 8, 1, 3) + bytes(8), id="no command"),
    ],
)
def test_data_that_are_none_end_their_association_alone(data, tmp_path):
    with port(tmp_path / "store") as opened, association(opened) as other:
        with association(opened) as sender:
            sender.dul.socket.send(struct.pack(">BBL", 4, 0, len(data)) + data)
            _wait_until(lambda: not sender.is_established)
        assert other.send_c_echo().Status == 0


@given(st.lists(st.tuples(st.integers(0, 255), st.binary(min_size=1, max_size=20)), max_size=4))
def test_data_values_are_what_was_sent_or_refused(values):
    sent = [struct.pack(">LB", 1 + len(value), context) + value for context, value in values]
    whole = b"".join(sent)
    found = [(context, bytes(one)) for context, one in dicom_guard.data_values(bytearray(whole))]
    assert found == values
    ends = {sum(map(len, sent[:count])) for count in range(len(sent) + 1)}
    for cut in set(range(len(whole))) - ends:
        with pytest.raises(ValueError, match="cut short"):
            list(dicom_guard.data_values(bytearray(whole[:cut])))
