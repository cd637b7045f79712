"""Peers that a test sends to: some that are real, some that drop what they are sent."""

from __future__ import annotations

import os
import random
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from pynetdicom import AE, AllStoragePresentationContexts, evt
from pynetdicom.sop_class import Verification
from tests.dicom_files import UID_ROOT, head_slice, write_ct_slice

from ichlite.node import studies
from ichlite.node.database import Database
from ichlite.node.settings import OutboxSettings, PeerSettings
from ichlite.node.store import FileStore
from ichlite.node.studies import Outcome
from scripts import orthanc as real

REQUIRED = os.environ.get("ICHLITE_DICOM_TESTS") == "required"
"""Whether a missing program fails a test: `.ci/run` sets it, having installed them."""

QUICK = OutboxSettings(longest_pause_s=0.3)


class Scp:
    """A DICOM peer on loopback.

    Args:
        statuses: That C-STORE answers in turn; then 0.
        drop: Share of requests before or after which the connection is dropped.
        seed: Of the draw of those.
    """

    def __init__(self, statuses: tuple[int, ...] = (), drop: float = 0, seed: int = 0) -> None:
        self.requests: Counter[str] = Counter()
        self.kept: set[str] = set()
        self.drop = drop
        self._statuses = list(statuses)
        self._draw = random.Random(seed)
        self.port = real.free_port()
        self.start()

    def start(self) -> None:
        entity = AE("SCP")
        entity.supported_contexts = AllStoragePresentationContexts
        entity.add_supported_context(Verification)
        handlers = [(evt.EVT_C_STORE, self._store)]
        self._server = entity.start_server(
            ("127.0.0.1", self.port), block=False, evt_handlers=handlers
        )

    def stop(self) -> None:
        self._server.shutdown()

    def _store(self, event: Any) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.requests[uid] += 1
        if self._draw.random() < self.drop:
            if self._draw.random() < 0.5:
                self.kept.add(uid)  # but the sender never hears of it
            event.assoc.abort()
            return 0xC000
        status = self._statuses.pop(0) if self._statuses else 0
        if status == 0 or 0xB000 <= status < 0xC000:
            self.kept.add(uid)
        return status

    @property
    def peer(self) -> PeerSettings:
        return PeerSettings(name="pacs", aet="SCP", host="127.0.0.1", port=self.port)


@contextmanager
def scp(**names: Any) -> Iterator[Scp]:
    peer = Scp(**names)
    try:
        yield peer
    finally:
        peer.stop()


@contextmanager
def orthanc(folder: Path, node_port: int | None = None) -> Iterator[real.Orthanc]:
    if not real.is_here():
        line = "no Orthanc here, and the outbox is not tested with it: apt-get install orthanc"
        pytest.fail(line) if REQUIRED else pytest.skip(line)
    peer = real.Orthanc(folder, node_port)
    try:
        yield peer
    finally:
        peer.stop()


class HttpPeer:
    """An HTTP server on loopback that keeps what is posted to it and answers as it is told."""

    def __init__(self, statuses: tuple[int, ...] = (), body: bytes = b"{}") -> None:
        self.posts: list[tuple[dict[str, str], bytes]] = []
        waiting = list(statuses)
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                data = self.rfile.read(int(self.headers["Content-Length"]))
                outer.posts.append((dict(self.headers), data))
                status = waiting.pop(0) if waiting else 200
                self.send_response(status)
                if 300 <= status < 400:
                    self.send_header("Location", "/elsewhere")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/studies"
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def http_peer(*statuses: int, body: bytes = b"{}") -> Iterator[HttpPeer]:
    peer = HttpPeer(statuses, body)
    try:
        yield peer
    finally:
        peer.close()


def make_reading(
    database: Database,
    store: FileStore,
    peers: tuple[PeerSettings, ...] = (),
    *,
    study: str = "77",
    objects: int = 2,
    urgent: bool = True,
    hooks: tuple[str, ...] = (),
    now: float = 1_700_000_000.0,
) -> list[str]:
    """Read a study, as the worker does, whose result is some DICOM files; return their UIDs."""
    uid = UID_ROOT + study

    def queue(tables: Any) -> studies.Claim:
        tables.execute(
            "INSERT INTO study (uid, state, source, first_at, last_at, due_at) "
            "VALUES (?1, 'received', 'CT1', ?2, ?2, ?2) "
            "ON CONFLICT (uid) DO UPDATE SET due_at = ?2",
            (uid, now),
        )
        studies.queue_due(tables, now)
        claimed = studies.claim(tables, now)
        assert claimed is not None
        return claimed

    claim = database.write(queue)
    below = studies.result_folder(uid, claim.version)
    uids = [f"{UID_ROOT}{study}.9.{claim.version}.{number}" for number in range(objects)]
    for number, one in enumerate(uids):
        path = store.results / below / f"{number}.dcm"
        write_ct_slice(path, head_slice(0.5, side=32), SOPInstanceUID=one)
    outcome = Outcome(
        status="analysed", urgent=urgent, complete=True, any_probability=0.9, reasons=(),
        bundle="b", settings="s", folder=str(below),
        objects=tuple(f"{number}.dcm" for number in range(objects)),
    )  # fmt: skip
    database.write(lambda tables: studies.finish(tables, claim, outcome, peers, now, hooks))
    return uids
