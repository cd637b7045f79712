"""Notices of urgent studies: signed, sent again until they are taken, without patient data."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email import message_from_bytes
from pathlib import Path

import msgspec
import pytest
from tests.node.peers_of_tests import QUICK, http_peer, make_reading

from ichlite.errors import UsageError
from ichlite.node import http_post
from ichlite.node.database import Database
from ichlite.node.hooks import hook_names, hook_senders
from ichlite.node.outbox import Outbox, Unreachable
from ichlite.node.settings import EmailSettings, Settings, WebhookSettings, read_settings
from ichlite.node.store import FileStore

KEY = bytes(range(32))
SECRET = "whsec_" + base64.b64encode(KEY).decode()


@pytest.fixture
def parts(tmp_path):
    database = Database(tmp_path)
    yield database, FileStore(tmp_path, 0)
    database.close()


def _settings(url: str = "", mail_port: int = 0, to: tuple[str, ...] = ("on@call",)) -> Settings:
    webhook = (WebhookSettings(name="pager", url=url, secret=SECRET),) if url else ()
    email = None
    if mail_port:
        email = EmailSettings(
            host="127.0.0.1", port=mail_port, security="none", sender="node@here", to=to
        )
    return Settings(webhook=webhook, email=email, outbox=QUICK)


def _send(parts, settings: Settings, seconds: float = 10, *, sent: int, **reading) -> None:
    database, store = parts
    outbox = Outbox(database, settings.outbox, hook_senders(settings))
    make_reading(database, store, hooks=hook_names(settings), **reading)
    until = time.monotonic() + seconds
    while _count(database, "sent") < sent:
        assert time.monotonic() < until
        time.sleep(0.05)
    outbox.close()


def _count(database: Database, state: str) -> int:
    with database.read() as tables:
        found = tables.execute("SELECT count(*) FROM delivery WHERE state = ?", (state,))
        return int(found.fetchone()[0])


def test_a_notice_is_signed_and_names_no_patient(parts):
    database, _ = parts
    with http_peer() as peer:
        _send(parts, _settings(peer.url), sent=1)
        ((headers, body),) = peer.posts
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    mark = base64.b64encode(hmac.new(KEY, signed, hashlib.sha256).digest()).decode()
    assert headers["webhook-signature"] == f"v1,{mark}"
    said = json.loads(body)
    assert set(said) == {"type", "id", "node", "study", "version", "any", "read_at", "note"}
    assert (said["type"], said["id"]) == ("study.urgent", headers["webhook-id"])
    with database.read() as tables:
        actions = [row["action"] for row in tables.execute("SELECT action FROM audit")]
    assert actions[-1] == "notice.sent"


def test_a_notice_is_sent_again_with_the_same_identifier(parts):
    with http_peer(500, 404) as peer:
        _send(parts, _settings(peer.url), sent=1)
        assert len({headers["webhook-id"] for headers, _ in peer.posts}) == 1
        assert len(peer.posts) == 3


def test_only_urgent_studies_are_told(parts):
    database, _ = parts
    with http_peer() as peer:
        _send(parts, _settings(peer.url), sent=0, urgent=False)
        assert peer.posts == []
    assert _count(database, "waiting") == 0


class _Mail(socketserver.StreamRequestHandler):
    """Enough of SMTP (RFC 5321) for a message to be handed over."""

    def handle(self) -> None:
        self.wfile.write(b"220 here\r\n")
        while line := self.rfile.readline():
            word = line[:4].upper().strip()
            if word == b"RCPT" and b"gone" in line:
                self.wfile.write(b"550 no such box\r\n")
            elif word == b"DATA":
                self.wfile.write(b"354 go on\r\n")
                data = b""
                while (piece := self.rfile.readline()) != b".\r\n":
                    data += piece
                answer = self.server.answers.pop(0) if self.server.answers else b"250 taken"
                if answer.startswith(b"250"):
                    self.server.mails.append(data)
                self.wfile.write(answer + b"\r\n")
            elif word == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"250 yes\r\n")


@contextmanager
def mail_server(*answers: bytes) -> Iterator[socketserver.ThreadingTCPServer]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Mail) as server:
        server.daemon_threads = True
        server.answers, server.mails = list(answers), []
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        yield server
        server.shutdown()


def test_an_e_mail_is_sent_until_it_is_taken(parts):
    with mail_server(b"451 later", b"451 later") as server:
        _send(parts, _settings(mail_port=server.server_address[1]), sent=1)
        (mail,) = server.mails
    message = message_from_bytes(mail)
    assert (message["From"], message["To"]) == ("node@here", "on@call")
    assert message["Subject"] == "ichlite ICHLITE: urgent head CT"
    assert "Research use only" in message.get_payload()


def test_a_recipient_who_is_refused_is_tried_again_and_nobody_else(parts):
    database, _ = parts
    with mail_server() as server:
        settings = _settings(mail_port=server.server_address[1], to=("on@call", "gone@call"))
        _send(parts, settings, sent=1)
        assert [message_from_bytes(mail)["To"] for mail in server.mails] == ["on@call"]
    with database.read() as tables:
        (left,) = tables.execute("SELECT * FROM delivery WHERE state = 'waiting'").fetchall()
    assert (left["peer"], left["fault"]) == (
        "e-mail: gone@call", "the mail server refuses it: SMTPRecipientsRefused"
    )  # fmt: skip


def test_an_answer_that_drips_has_a_deadline(parts, monkeypatch):
    monkeypatch.setattr(http_post, "MOST_SECONDS", 0.5)
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), _Drip) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        began = time.monotonic()
        with pytest.raises(Unreachable):
            http_post.request("POST", f"http://127.0.0.1:{server.server_address[1]}/", b"{}")
        assert time.monotonic() - began < 10
        server.shutdown()


class _Drip(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        with suppress(OSError):
            for byte in b"HTTP/1.1 200 OK\r\nX: " + b"x" * 300:
                self.wfile.write(bytes([byte]))
                time.sleep(0.1)


def test_a_fault_of_our_own_is_told_and_tried_again(parts):
    database, store = parts

    def sends(parcels):
        raise ZeroDivisionError
        yield

    outbox = Outbox(database, QUICK, {"webhook: pager": sends})
    make_reading(database, store, hooks=("webhook: pager",))
    until = time.monotonic() + 10
    while not _count(database, "waiting") or not _fault(database):
        assert time.monotonic() < until
        time.sleep(0.05)
    outbox.close()
    assert _fault(database) == "a fault in sending: ZeroDivisionError"


def _fault(database: Database) -> str:
    with database.read() as tables:
        return str(tables.execute("SELECT fault FROM delivery").fetchone()[0])


def test_a_mail_server_that_is_away_holds_up_no_webhook(parts):
    database, _ = parts
    with http_peer() as peer:
        _send(parts, _settings(peer.url, mail_port=1), sent=1)
    assert _count(database, "waiting") == 1


@pytest.mark.parametrize(
    "lines",
    [
        '[[webhook]]\nname = "a"\nurl = "ftp://x"\nsecret = "' + SECRET + '"',
        '[[webhook]]\nname = "a"\nurl = "http://x"\nsecret = "short"',
        '[[peer]]\nname = "webhook: a"\nhost = "x"',
        '[[peer]]\nname = "a"',
        '[email]\nhost = "x"\nsender = "a@b"\nto = []',
        '[email]\nhost = "x"\nsender = "a@b"\nto = ["a@b, c@d"]',
    ],
)
def test_settings_that_cannot_work_are_refused(tmp_path: Path, lines: str):
    (tmp_path / "node.toml").write_text(lines)
    with pytest.raises(UsageError):
        read_settings(tmp_path)


def test_settings_of_the_guide_are_taken():
    guide = (Path(__file__).resolve().parents[2] / "docs" / "node.md").read_text()
    import tomllib

    blocks = [block.partition("```")[0] for block in guide.split("```toml\n")[1:]]
    assert len(blocks) >= 5
    for block in blocks:
        msgspec.convert(tomllib.loads(block), Settings)
