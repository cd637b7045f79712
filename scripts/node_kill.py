"""Kill a node at random moments, again and again, and see whether it lost or doubled anything.

    python -m scripts.node_kill --runs 1000 --out benchmarks/results/node_kill.json

One store lives through all runs. In each, a study is sent while earlier ones are read and results
are sent to a peer; then the whole process tree is killed (SIGKILL), at a moment drawn from the span
that all of this takes, and started again. What was not acknowledged is sent again, as a scanner
would. After each start every instance that was acknowledged since the last must be in the tables
and on disk, byte for byte; at the end all of them, each study must have been read once from the
same instances, and the peer must have each result once. Exit code 1 when something is wrong.
"""

from __future__ import annotations

import argparse
import json
import random
import sqlite3
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from pydicom import dcmread
from pydicom.uid import ExplicitVRLittleEndian
from pynetdicom import AE
from pynetdicom.dsutils import split_dataset
from pynetdicom.sop_class import CTImageStorage
from tests.dicom_files import write_head_series
from tests.node.peers_of_tests import Scp
from tests.node.running_node import SETTINGS, RunningNode

from ichlite.node import audit
from ichlite.node.database import Database
from ichlite.node.peers import associate
from ichlite.node.store import instance_path
from ichlite.node.studies import retry_parked

SLICES = 24
RESUME_S = 10.0
SPAN_S = 7.0
"""That sending, waiting, reading and delivering a study take about, on a slow core."""
DRAIN_S = 1800.0
MOST_UNFINISHED = 4
"""Studies; beyond, no new one is sent, so that kills fall into reading and sending, too."""
_PARKED = "SELECT uid FROM study WHERE state = 'parked'"


@dataclass
class Result:
    """What a campaign came to.

    Attributes:
        kills_while: Kills while something was received, read or sent; several may hold at once.
        restarts_with_work: Restarts at which something had been queued or being read.
        resume_s: Longest time from such a restart to a reading that began.
        start_s: Longest time from a start to open ports.
        lost: Instances that were acknowledged and are not there, or are other bytes.
        duplicates: Readings, or results at the peer, more than one for the same instances.
        parked: Studies whose reading was begun ten times and never ended: a person has them read.
        faults: Everything that was wrong, in words.
    """

    runs: int = 0
    seconds: float = 0
    acknowledged: int = 0
    studies: int = 0
    readings: int = 0
    results_at_peer: int = 0
    requests_at_peer: int = 0
    kills_while: dict[str, int] = field(default_factory=dict)
    restarts_with_work: int = 0
    resume_s: float = 0
    start_s: float = 0
    lost: int = 0
    duplicates: int = 0
    parked: int = 0
    faults: list[str] = field(default_factory=list)


class Campaign:
    """A node, a peer and a sender.

    Args:
        folder: For all files.
        seed: Of the moments.
        span_s: In which a kill falls.
    """

    def __init__(self, folder: Path, seed: int, span_s: float = SPAN_S) -> None:
        self._folder = folder
        self._draw = random.Random(seed)
        self._span_s = span_s
        self._peer = Scp()
        self._acknowledged: dict[str, bytes] = {}
        self._unsent: list[Path] = []
        self._sending = threading.Event()
        self.result = Result()
        node = folder / "node"
        node.mkdir()
        (node / "node.toml").write_text(
            SETTINGS.replace("quiet_s = 0.5", "quiet_s = 0.3")
            + f'[[peer]]\nname = "pacs"\naet = "SCP"\nhost = "127.0.0.1"\nport = {self._peer.port}',
            encoding="utf-8",
        )
        self._node = RunningNode(node)
        self._tables = node / "store" / "node.sqlite"

    def run(self, runs: int, seconds: float = float("inf")) -> Result:
        """Kill the node so often, or for so long; then let it finish and look at everything."""
        began = time.monotonic()
        while self.result.runs < runs and time.monotonic() - began < seconds:
            self._once()
            if self.result.runs % 20 == 0:
                said = f"{self.result.runs} runs, {self.result.acknowledged} acknowledged"
                print(said, self.result.faults, file=sys.stderr, flush=True)
        self._finish()
        self.result.seconds = round(time.monotonic() - began, 1)
        return self.result

    def close(self) -> None:
        """End what was started."""
        if self._node.process.poll() is None:
            self._node.kill()
        self._peer.stop()

    def _once(self) -> None:
        before = set(self._acknowledged)
        if self._unfinished() < MOST_UNFINISHED:
            self._unsent += self._new_study()
        sender = threading.Thread(target=self._send)
        sender.start()
        time.sleep(self._draw.uniform(0, self._span_s))
        self._note_kill()
        self._node.kill()
        sender.join()
        with self._reading() as tables:
            work = tables.execute(
                "SELECT count(*) FROM reading WHERE state IN ('queued', 'running')"
            ).fetchone()[0]
        at, clock = time.monotonic(), time.time()
        self._node.start()
        self.result.start_s = round(max(self.result.start_s, time.monotonic() - at), 2)
        if work:
            self._wait_for_reading(at, clock)
        self._look_at({uid: self._acknowledged[uid] for uid in set(self._acknowledged) - before})
        self.result.runs += 1
        self.result.acknowledged = len(self._acknowledged)

    def _unfinished(self) -> int:
        with self._reading() as tables:
            ask = "SELECT count(*) FROM study WHERE state NOT IN ('done', 'parked')"
            return int(tables.execute(ask).fetchone()[0])

    def _new_study(self) -> list[Path]:
        self.result.studies += 1
        folder = self._folder / "sent" / str(self.result.studies)
        study = f"4.{self.result.studies}"
        return write_head_series(folder, SLICES, study=study, seed=self.result.studies)

    def _send(self) -> None:
        """Send what is not acknowledged; stop where the node goes away."""
        entity = AE("CT1")
        entity.acse_timeout = entity.dimse_timeout = entity.connection_timeout = 10
        entity.add_requested_context(CTImageStorage, ExplicitVRLittleEndian)
        self._sending.set()
        opened = associate(entity, "127.0.0.1", self._node.dicom_port, "ICHLITE")
        try:
            while opened.is_established and self._unsent:
                path = self._unsent[0]
                data = dcmread(path)
                status = opened.send_c_store(data).get("Status")
                if status != 0:
                    break
                self._acknowledged[str(data.SOPInstanceUID)] = _data_set(path)
                self._unsent.pop(0)
        except (RuntimeError, ValueError, AttributeError, OSError):
            pass
        finally:
            self._sending.clear()
            if opened.is_established:
                opened.release()

    def _note_kill(self) -> None:
        with self._reading() as tables:
            ask = "SELECT EXISTS (SELECT 1 FROM {} WHERE state = '{}')"
            reading = tables.execute(ask.format("reading", "running")).fetchone()[0]
            sending = tables.execute(ask.format("delivery", "waiting")).fetchone()[0]
        found = {"receiving": self._sending.is_set(), "reading": reading, "sending": sending}
        found["none of them"] = not any(found.values())
        for name, holds in found.items():
            self.result.kills_while[name] = self.result.kills_while.get(name, 0) + bool(holds)

    def _wait_for_reading(self, at: float, clock: float) -> None:
        self.result.restarts_with_work += 1
        while time.monotonic() - at < 60:
            with self._reading() as tables:
                found = tables.execute(
                    "SELECT min(started_at) FROM reading WHERE started_at >= ?", (clock,)
                ).fetchone()[0]
            if found is not None:
                took = found - clock
                self.result.resume_s = round(max(self.result.resume_s, took), 2)
                if took > RESUME_S:
                    self._fault(f"the queue resumed after {took:.1f} s")
                return
            time.sleep(0.05)
        self._fault("the queue did not resume")

    def _look_at(self, acknowledged: dict[str, bytes]) -> None:
        with self._reading() as tables:
            rows = dict(tables.execute("SELECT uid, digest FROM instance").fetchall())
        for uid, data in acknowledged.items():
            digest = rows.get(uid)
            path = self._tables.parent / instance_path(digest or "none")
            if digest is None or not path.exists() or _data_set(path) != data:
                self.result.lost += 1
                if self.result.lost < 10:
                    self._fault(f"{uid} was acknowledged and is lost")

    def _finish(self) -> None:
        while self._unsent:
            self._send()
        self._node.wait_for(_is_idle, DRAIN_S)
        self._retry_parked()
        self._node.wait_for(_is_idle, DRAIN_S)
        self._look_at(self._acknowledged)
        with self._reading() as tables:
            self._look_at_readings(tables)
        if self._node.stop() != 0:
            self._fault("the node did not end well")

    def _retry_parked(self) -> None:
        """Have it read again, as a person would, what the node was killed over ten times."""
        with self._reading() as tables:
            parked = [row[0] for row in tables.execute(_PARKED)]
        self.result.parked = len(parked)
        database = Database(self._tables.parent)
        for uid in parked:
            database.write(lambda tables, uid=uid: retry_parked(tables, uid, time.time()))
        database.close()

    def _look_at_readings(self, tables: sqlite3.Connection) -> None:
        one = "SELECT count(*) FROM reading WHERE state = '{}'"
        self.result.readings = tables.execute(one.format("done")).fetchone()[0]
        twice = tables.execute(
            "SELECT study_id, count(*) FROM reading WHERE state = 'done' "
            "GROUP BY study_id, inputs HAVING count(*) > 1"
        ).fetchall()
        unread = tables.execute("SELECT count(*) FROM study WHERE state != 'done'").fetchone()[0]
        if unread:
            self._fault(f"{unread} studies were not read")
        delivered = tables.execute(
            "SELECT folder, file FROM delivery JOIN reading ON reading.id = reading_id "
            "WHERE delivery.state = 'sent'"
        ).fetchall()
        results = self._tables.parent / "results"
        sent = [str(dcmread(results / where / file).SOPInstanceUID) for where, file in delivered]
        superseded = tables.execute(
            "SELECT folder, file FROM delivery JOIN reading ON reading.id = reading_id "
            "WHERE delivery.state = 'superseded'"
        ).fetchall()
        may = {str(dcmread(results / where / file).SOPInstanceUID) for where, file in superseded}
        self.result.duplicates = len(twice) + len(sent) - len(set(sent))
        if not set(sent) <= self._peer.kept <= set(sent) | may:
            self._fault("the peer has other results than the node sent")
        if not delivered:
            self._fault("no result was sent")
        self.result.results_at_peer = len(self._peer.kept)
        self.result.requests_at_peer = sum(self._peer.requests.values())
        if self.result.duplicates:
            self._fault(f"{self.result.duplicates} results twice")
        if audit.verify(tables).broken_at is not None:
            self._fault("the audit log does not follow")

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._tables, timeout=30)) as tables:
            tables.execute("PRAGMA query_only = 1")
            yield tables

    def _fault(self, words: str) -> None:
        self.result.faults.append(f"run {self.result.runs}: {words}")


def _data_set(path: Path) -> bytes:
    """Return the bytes of a file after its header, which the network does not carry."""
    _, offset = split_dataset(path)
    return path.read_bytes()[offset:]


def _is_idle(status: dict[str, Any]) -> bool:
    waits = status["received"] + status["queued"] + status["running"] + status["outbox"]["waiting"]
    return waits == 0


def main() -> None:
    """Run a campaign and print what it came to."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--runs", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end sooner")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--span", type=float, default=SPAN_S, help="s in which a kill falls")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    asked = parser.parse_args()
    with TemporaryDirectory() as folder:
        campaign = Campaign(Path(folder), asked.seed, asked.span)
        try:
            result = campaign.run(asked.runs, asked.seconds)
        finally:
            campaign.close()
    text = json.dumps(asdict(result), indent=2)
    print(text)
    if asked.out is not None:
        asked.out.write_text(text + "\n", encoding="utf-8")
    sys.exit(bool(result.faults))


if __name__ == "__main__":
    main()
