"""Send damaged files through a node's door, have it read what it took, and see whether it holds.

    python -m scripts.node_fuzz --mutations 1000000 --processes 2 --folder /dev/shm

Each file of `scripts.fuzz_read` is damaged at random and handed to the node's intake, as from a
scanner; it is taken or refused. After each thousand, the tables and the files must agree, and
nothing may lie outside of the store. What was taken of one thousand in `--read-every` is read in
the confined child, as one study or several. A fault is any exception but a refusal, a file that
took longer than 10 s, a child that died, and what does not agree; exit code 1 when there are any.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections import Counter
from contextlib import closing
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scripts.fuzz_read import in_processes, mutate, seeds

from ichlite.errors import UnreadableFile
from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.settings import Settings, StudySettings
from ichlite.node.store import FileStore
from ichlite.node.worker import Worker

A_STORE = 1000
"""Files that go into one store."""
SLOW_S = 10.0
READ_S = 1800.0
"""At most, for all studies of one store."""
_STATES = "SELECT state, count(*) FROM study GROUP BY state"


class FuzzedNode:
    """The intake, store and tables of a node, and what became of what was handed to it.

    Args:
        folder: For the store; there is nothing else in it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._settings = Settings(study=StudySettings(quiet_s=0.001))
        self.store = FileStore(folder / "store", 0)
        self.database = Database(folder / "store")
        self._intake = Intake(self.database, self.store, self._settings)
        self.counts: Counter[str] = Counter()
        self.faults: list[str] = []

    def take(self, content: bytes, name: str) -> None:
        """Hand over one file."""
        began = time.monotonic()
        try:
            taken = self._intake.take([content], "CT1")
            self.counts["taken" if taken.new else "known"] += 1
        except UnreadableFile:
            self.counts["refused"] += 1
        except Exception as error:  # noqa: BLE001  that is what is looked for
            self.faults.append(f"{name}: {type(error).__name__}: {error}")
        if time.monotonic() - began > SLOW_S:
            self.faults.append(f"{name}: took {time.monotonic() - began:.0f} s")

    def look(self) -> None:
        """Compare files with tables."""
        with self.database.read() as tables:
            digests = {row[0] for row in tables.execute("SELECT digest FROM instance")}
            (sound,) = tables.execute("PRAGMA quick_check").fetchone()
        there = {path for path in self._folder.rglob("*") if path.is_file()}
        tables_files = {path for path in there if path.name.startswith("node.sqlite")}
        strays = there - tables_files - {self.store.path(digest) for digest in digests}
        missing = [digest for digest in digests if not self.store.path(digest).exists()]
        if strays or missing or sound != "ok":
            self.faults.append(f"{len(strays)} strays, {len(missing)} missing, tables {sound}")

    def read(self) -> None:
        """Have all studies read; note how they ended."""
        worker = Worker(self.database, self.store, self._settings)
        until = time.monotonic() + READ_S
        while (states := self._states()) and set(states) - {"done", "parked"}:
            if time.monotonic() > until:
                self.faults.append(f"after {READ_S:g} s: {states}")
                break
            time.sleep(0.2)
        worker.close()
        with self.database.read() as tables:
            rows = tables.execute("SELECT state, status, reasons, deaths FROM reading").fetchall()
        for row in rows:
            self.counts[f"studies {row['status'] or row['state']}"] += 1
            if row["deaths"]:
                self.faults.append(f"a child died: {row['reasons']}")

    def _states(self) -> dict[str, int]:
        with self.database.read() as tables:
            return dict(tables.execute(_STATES).fetchall())


def fuzz(
    mutations: int, seed: int, read_every: int, folder: Path | None = None
) -> tuple[Counter[str], list[str]]:
    """Damage files and hand them to nodes; return how many had which outcome, and the faults."""
    originals = seeds()
    counts: Counter[str] = Counter()
    faults: list[str] = []
    rng = np.random.default_rng(seed)
    for first in range(0, mutations, A_STORE):
        with TemporaryDirectory(dir=folder) as place:
            node = FuzzedNode(Path(place))
            with closing(node.database):
                for number in range(first, min(first + A_STORE, mutations)):
                    content = mutate(originals[int(rng.integers(len(originals)))], rng)
                    node.take(content, f"seed {seed}, mutation {number}")
                node.look()
                if first // A_STORE % read_every == 0:
                    node.read()
        counts += node.counts
        faults += node.faults
    return counts, faults


def main() -> int:
    """Print counts and faults as JSON; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mutations", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=0, help="of the first process")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--read-every", type=int, default=10, help="thousands, of which one is")
    parser.add_argument("--folder", type=Path, help="for the stores")
    parser.add_argument("--out", type=Path, help="JSON file to write")
    given = parser.parse_args()
    job = partial(fuzz, read_every=given.read_every, folder=given.folder)
    document = in_processes(job, given.mutations, given.processes, given.seed)
    text = json.dumps(document, indent=1)
    print(text)
    if given.out is not None:
        given.out.write_text(text + "\n", encoding="utf-8")
    return 1 if document["faults"] else 0


if __name__ == "__main__":
    sys.exit(main())
