"""Besiege a node's DICOM port with all that its guard is for, and see what it costs.

    python -m scripts.node_siege --out benchmarks/results/node_siege.json

One after another: peers that declare a PDU of 300 MB and send on; a slow drip; 50 peers that open
a connection, or half a PDU, and fall silent; 10,000 connections; 25 associations that send at once,
and a 26th. While each lasts, a scanner sends slices, which must all be taken; after each, the
memory (VmRSS), descriptors and threads of the node's process are noted. Exit code 1 where memory
grew by 20 MB or more, threads or descriptors are left over, or a slice was refused.
"""

from __future__ import annotations

import argparse
import copy
import json
import socket
import struct
import sys
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import Dataset, dcmread
from pynetdicom import AE
from pynetdicom.association import Association
from pynetdicom.sop_class import CTImageStorage
from scripts.node_soak import note
from tests.dicom_files import write_head_series
from tests.node.running_node import SETTINGS, RunningNode

from ichlite.node.peers import associate

HUGE_PDU = struct.pack(">BBL", 1, 0, 300_000_000)
MOST_GROWTH_MB = 20.0
SETTLE_S = 40.0
"""At most, for what a siege leaves to go: the deadline of a PDU, and of an association."""


class Siege:
    """A node and what is done to it.

    Args:
        node: The node.
        slices: To send; each time with identifiers of its own.
        scale: Of the numbers of peers: 1 for those that are asked for.
    """

    def __init__(self, node: RunningNode, slices: list[Dataset], scale: float = 1.0) -> None:
        self._node = node
        self._slices = slices
        self._scale = scale
        self._names = count(1)
        self._lock = threading.Lock()
        self.sent = self.refused = 0

    def run(self) -> dict[str, Any]:
        """Do all of it; return what was noted."""
        self._send_for(lambda: time.sleep(2))
        before = self._note()
        sieges: dict[str, Callable[[], Any]] = {
            "declared 300 MB": self._declare_much,
            "slow drip": self._drip,
            "half-open": self._stay_silent,
            "connects": self._connect,
            "25 associations": self._fill,
        }
        found: dict[str, Any] = {"before": before}
        for name, siege in sieges.items():
            began = time.monotonic()
            said = self._send_for(siege)
            seconds = round(time.monotonic() - began, 1)
            found[name] = {"seconds": seconds, "said": said, **self._settled(before)}
        return {**found, "slices_sent": self.sent, "slices_refused": self.refused}

    def _note(self) -> dict[str, float]:
        return note(self._node.process.pid)

    def _settled(self, before: dict[str, float]) -> dict[str, Any]:
        """Wait until threads and descriptors are what they were, and note what is."""
        until = time.monotonic() + SETTLE_S
        while True:
            now = self._note()
            left = {name: now[name] - before[name] for name in ("threads", "descriptors")}
            if max(left.values()) <= 2 or time.monotonic() > until:
                break
            time.sleep(0.5)
        grown = round(now["rss_mb"] - before["rss_mb"], 1)
        return {"grown_mb": grown, "left_over": left, "held": grown < MOST_GROWTH_MB}

    def _count(self, number: int) -> int:
        return max(1, round(number * self._scale))

    def _open(self, aet: str = "CT1") -> Association:
        entity = AE(aet)
        entity.add_requested_context(CTImageStorage)
        return associate(entity, "127.0.0.1", self._node.dicom_port, "ICHLITE")

    def _socket(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self._node.dicom_port), timeout=30)

    def _new_slice(self, place: int) -> Dataset:
        with self._lock:
            number = next(self._names)
        data = copy.deepcopy(self._slices[place % len(self._slices)])
        data.SOPInstanceUID = f"1.2.826.0.1.3680043.8.498.8.{number}"
        return data

    def _store(self, opened: Association, place: int) -> None:
        status = opened.send_c_store(self._new_slice(place)).get("Status")
        with self._lock:
            self.sent += 1
            self.refused += status != 0

    def _send_for(self, siege: Callable[[], Any]) -> Any:
        """Send slices, as a scanner does, until a siege is over; return what the siege says."""
        over = threading.Event()

        def send() -> None:
            place = 0
            while not over.is_set():
                opened = self._open()
                while opened.is_established and not over.is_set():
                    self._store(opened, place)
                    place += 1
                    time.sleep(0.1)
                if opened.is_established:
                    opened.release()
                else:
                    time.sleep(0.5)

        sender = threading.Thread(target=send)
        sender.start()
        try:
            return siege()
        finally:
            over.set()
            sender.join()

    def _declare_much(self) -> str:
        taken = 0
        for _ in range(self._count(20)):
            with self._socket() as peer, suppress(OSError):
                peer.sendall(HUGE_PDU)
                for _ in range(300):
                    peer.sendall(bytes(1 << 20))
                    taken += 1
        return f"{taken} MB sent before the connections were closed"

    def _drip(self) -> str:
        began = time.monotonic()
        with self._socket() as peer, suppress(OSError):
            peer.sendall(struct.pack(">BBL", 1, 0, 1000))
            while time.monotonic() - began < SETTLE_S:
                peer.sendall(b"\0")
                time.sleep(0.2)
        return f"closed after {time.monotonic() - began:.1f} s"

    def _stay_silent(self) -> str:
        with ExitStack() as peers:
            most = 0.0
            for number in range(self._count(50)):
                peer = peers.enter_context(self._socket())
                with suppress(OSError):
                    peer.sendall(b"\1\0\0" if number % 2 else b"")
                most = max(most, self._note()["threads"])
            time.sleep(SETTLE_S if self._scale >= 1 else 1)
            return f"{most:.0f} threads at most, {self._note()['threads']:.0f} with all still open"

    def _connect(self) -> str:
        most = 0.0
        refused = 0
        for number in range(self._count(10_000)):
            try:
                with self._socket() as peer:
                    if number % 3 == 0:
                        peer.sendall(b"GET / HTTP/1.1\r\n\r\n")
            except OSError:
                refused += 1
            if number % 100 == 0:
                most = max(most, self._note()["rss_mb"])
        return f"{most:.1f} MB at most, {refused} not accepted"

    def _fill(self) -> str:
        """Open all associations but the scanner's, have each send, and ask for one more."""
        time.sleep(1)
        opened = [self._open(f"CT{number}") for number in range(2, 26)]
        established = 1 + sum(one.is_established for one in opened)
        extra = self._open("CT26")
        said = "rejected" if extra.is_rejected else "accepted" if extra.is_established else "lost"
        senders = [
            threading.Thread(target=lambda one=one: [self._store(one, place) for place in range(4)])
            for one in opened
        ]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()
        for one in [*opened, extra]:
            if one.is_established:
                one.release()
        return f"{established} established, the 26th {said}"


def besiege(folder: Path, scale: float = 1.0) -> dict[str, Any]:
    """Start a node in a folder, besiege it, and return what was noted."""
    slices = [dcmread(path) for path in write_head_series(folder / "head", 8, side=256)]
    place = folder / "node"
    place.mkdir()
    settings = SETTINGS.replace("quiet_s = 0.5", "quiet_s = 3600")  # nothing is read meanwhile
    (place / "node.toml").write_text(settings, encoding="utf-8")
    node = RunningNode(place)
    try:
        found = Siege(node, slices, scale).run()
        found["ended_with"] = node.stop()
    finally:
        if node.process.poll() is None:
            node.kill()
    parts = [part for part in found.values() if isinstance(part, dict) and "held" in part]
    found["held"] = (
        all(part["held"] and max(part["left_over"].values()) <= 2 for part in parts)
        and found["slices_refused"] == found["ended_with"] == 0
        and found["25 associations"]["said"] == "25 established, the 26th rejected"
    )
    return found


def main() -> None:
    """Besiege and print."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the numbers of peers")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        found = besiege(Path(folder), asked.scale)
    text = json.dumps(found, indent=1)
    sys.stdout.write(text + "\n")
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(not found["held"])


if __name__ == "__main__":
    main()
