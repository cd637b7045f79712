"""TLS: who is let in, who is not and why, and what `check` says of a certificate."""

from __future__ import annotations

import datetime as dt
import socket
import time
from pathlib import Path

import pytest
import trustme
from pynetdicom import build_context
from pynetdicom.sop_class import Verification
from tests.node.test_dicom_server import Port, port

from ichlite.errors import IchliteError
from ichlite.node import check as checks
from ichlite.node import dicom_guard
from ichlite.node.dicom_server import tls_context
from ichlite.node.outbox import Unreachable
from ichlite.node.peers import ThisNode, associated, echo
from ichlite.node.settings import DicomSettings, PeerSettings


class Authority:
    """A certificate authority, and files of what it signs."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._authority = trustme.CA()
        self._folder = folder
        self.pem = str(folder / "authority.pem")
        self._authority.cert_pem.write_to_path(self.pem)

    def issue(self, name: str, **names: object) -> dict[str, str]:
        leaf = self._authority.issue_cert(name, **names)
        files = {}
        for what, pem in (
            ("tls_certificate", leaf.cert_chain_pems[0]),
            ("tls_key", leaf.private_key_pem),
        ):
            files[what] = str(self._folder / f"{name}-{what}.pem")
            pem.write_to_path(files[what])
        return files


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path / "ours")


def _peer(to: Port, authority: str, host: str = "127.0.0.1", **names: object) -> PeerSettings:
    return PeerSettings(
        name="node", aet="ICHLITE", host=host, port=to.server.port, tls=True,
        tls_authorities=authority, **names,
    )  # fmt: skip


def test_who_is_trusted_is_let_in_and_others_are_told_of(tmp_path, authority, capsys):
    strangers = Authority(tmp_path / "strangers")
    own = authority.issue("127.0.0.1")
    with port(tmp_path / "store", **own, tls_authorities=authority.pem) as opened:
        caller = DicomSettings(aet="CT1", **authority.issue("ct1.example"))
        echo(_peer(opened, authority.pem), caller)
        for calling, trusted, said in (
            (DicomSettings(aet="CT1"), authority.pem, "does not agree on TLS: .*CERTIFICATE"),
            (DicomSettings(aet="CT1", **strangers.issue("ct1.example")), authority.pem, "TLS"),
            (caller, strangers.pem, "certificate that is not trusted"),
        ):
            with pytest.raises(Unreachable, match=said):
                echo(_peer(opened, trusted), calling)
        plain = PeerSettings(name="node", aet="ICHLITE", host="127.0.0.1", port=opened.server.port)
        with pytest.raises(Unreachable):
            echo(plain, caller)
    logged = [line for line in capsys.readouterr().err.splitlines() if "no TLS" in line]
    assert len(logged) >= 4
    assert any("PEER_DID_NOT_RETURN_A_CERTIFICATE" in line for line in logged)


def test_a_certificate_for_another_name_is_not_trusted_but_by_the_node_itself(tmp_path, authority):
    own = authority.issue("ichlite.hospital.example")
    with port(tmp_path / "store", **own) as opened:
        caller = DicomSettings(aet="CT1")
        with pytest.raises(Unreachable, match="IP address mismatch"):
            echo(_peer(opened, authority.pem), caller)
        itself = ThisNode(
            name="this node", aet="ICHLITE", host="127.0.0.1", port=opened.server.port, tls=True,
            tls_authorities=own["tls_certificate"],
        )  # fmt: skip
        with associated(itself, caller, [build_context(Verification)]) as association:
            assert association.send_c_echo().Status == 0


def test_handshakes_count_among_the_connections(tmp_path, authority, monkeypatch):
    monkeypatch.setattr(dicom_guard, "PDU_SECONDS", 2.0)
    own = authority.issue("127.0.0.1")
    with port(tmp_path / "store", **own, max_associations=2) as opened:
        address = ("127.0.0.1", opened.server.port)
        peers = [socket.create_connection(address, timeout=5) for _ in range(40)]
        for peer in peers:
            peer.sendall(b"\x16\x03\x01\x02\x00")
        time.sleep(0.5)
        waiting = 0
        for peer in peers:
            peer.settimeout(0.01)
            try:
                waiting += bool(peer.recv(1))
            except TimeoutError:
                waiting += 1
            except ConnectionError:
                pass
        assert waiting == 2 + dicom_guard.SPARE_CONNECTIONS
        time.sleep(2.5)
        echo(_peer(opened, authority.pem), DicomSettings(aet="CT1"))
        for peer in peers:
            peer.close()


def test_a_key_that_cannot_be_used_says_so(tmp_path, authority):
    own, other = authority.issue("127.0.0.1"), authority.issue("other.example")
    for files in (
        {**own, "tls_key": other["tls_key"]},
        {**own, "tls_key": str(tmp_path / "none.pem")},
    ):
        with pytest.raises(IchliteError, match="certificate of the DICOM port cannot be used"):
            tls_context(DicomSettings(**files))


def test_check_says_how_long_a_certificate_is_valid(authority):
    now = dt.datetime.now(dt.UTC)
    for days, ok, must, said in ((90, True, False, "valid"), (9, False, False, "valid"),
                                 (-1, False, True, "expired")):  # fmt: skip
        until = now + dt.timedelta(days=days)
        files = authority.issue(f"in-{days}.example".replace("--", "-"), not_after=until)
        found = checks._certificate(DicomSettings(**files))
        assert (found.ok, found.must) == (ok, must)
        assert said in found.says


def test_what_others_can_read_is_weak(ichlite, tmp_path):
    assert ichlite("node", "init", tmp_path / "node").exit_code == 0
    (tmp_path / "node" / "node.toml").chmod(0o644)
    done = ichlite("node", "check", tmp_path / "node")
    assert "weak   files with secrets: other users can read" in done.out
