"""Read the studies that are queued, one at a time, each in a confined process."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import msgspec
import structlog

from ichlite.node import studies
from ichlite.node.database import Database
from ichlite.node.hooks import hook_names
from ichlite.node.settings import Settings
from ichlite.node.store import FileStore, NoSpace, sync
from ichlite.node.studies import Claim, Outcome
from ichlite.node.study_child import OUTCOME, ChildOutcome, Task

LOOK_EVERY_S = 0.25
ROOM_BYTES = 64 << 20
"""Free bytes that a reading needs beyond the reserve, for its result and while it runs."""
DRAIN_S = 20.0
"""Seconds that a running reading is given to finish when the node is told to stop."""

_log = structlog.get_logger("worker")


class Worker:
    """Thread that reads queued studies, one at a time, each in a confined process.

    Args:
        database, store, settings: Database, file store and settings of the node.
    """

    def __init__(self, database: Database, store: FileStore, settings: Settings) -> None:
        self._database = database
        self._store = store
        self._settings = settings
        self._hooks = hook_names(settings)
        self._stop = threading.Event()
        self._child: subprocess.Popen[bytes] | None = None
        self._said: set[str] = set()
        self._broken_off: Claim | None = None
        self._thread = threading.Thread(target=self._run, name="worker")
        self._thread.start()

    @property
    def alive(self) -> bool:
        """Whether the reading thread is alive."""
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop after the current reading; kill it if it takes too long, and it is queued again."""
        self._stop.set()
        self._thread.join(DRAIN_S)
        child = self._child
        if child is not None:
            child.kill()
        self._thread.join()

    def _run(self) -> None:
        while not self._stop.is_set():
            try:
                worked = self._work()
            except Exception as error:  # noqa: BLE001  a full disk, say; the next round tries again
                _log.error("worker fault", why=type(error).__name__)
                worked = False
            if not worked:
                self._stop.wait(LOOK_EVERY_S)

    def _work(self) -> bool:
        """Queue what is due and read the next study; return whether there was one."""
        broken_off = self._broken_off
        if broken_off is not None:
            self._database.write(lambda tables: studies.put_back(tables, broken_off))
            self._broken_off = None
        now, longest_s = time.time(), self._settings.longest_quiet_s
        with self._database.read() as tables:
            due = tables.execute(
                "SELECT EXISTS (SELECT 1 FROM study WHERE due_at <= ? OR due_at > ?) "
                "OR EXISTS (SELECT 1 FROM reading WHERE state = 'queued')",
                (now, now + longest_s),
            ).fetchone()[0]
        if not due or not self._store.has_space(ROOM_BYTES):
            return False
        self._database.write(lambda tables: studies.queue_due(tables, now, longest_s))
        claim = self._database.write(lambda tables: studies.claim(tables, now))
        if claim is None:
            return False
        self._broken_off = claim
        self._read(claim)
        self._broken_off = None
        return True

    def _read(self, claim: Claim) -> None:
        scratch = self._store.incoming / f"reading-{claim.reading_id}-{os.urandom(4).hex()}"
        scratch.mkdir()
        try:
            found, why = self._run_child(claim, scratch)
            if self._stop.is_set() and found is None:
                return  # it is queued again at the next start
            if found is None and not self._store.has_space():
                raise NoSpace("the disk is full but for its reserve")
            if found is None:
                parked = self._database.write(
                    lambda tables: studies.child_died(tables, claim, why, time.time())
                )
                _log.warning("child died", study=claim.study_uid, why=why, parked=parked)
                return
            outcome = self._keep(claim, scratch, found)
            self._database.write(
                lambda tables: studies.finish(
                    tables, claim, outcome, self._settings.peer, time.time(), self._hooks
                )
            )
            _log.info(
                "study read", study=claim.study_uid, version=claim.version, status=outcome.status
            )
        finally:
            shutil.rmtree(scratch, ignore_errors=True)

    def _run_child(self, claim: Claim, scratch: Path) -> tuple[ChildOutcome | None, str]:
        """Return what the child found, or None and how it died."""
        limits = self._settings.read
        instances = self._store.path("").parent.parent
        folder = str(scratch.resolve())  # the child has a current folder of its own
        task = Task(
            folder=folder,
            store=str(instances.resolve()),
            files=tuple(str(self._store.path(one).relative_to(instances)) for one in claim.digests),
            bundle=limits.bundle,
            operating_point=limits.operating_point,
            memory_mb=limits.child_memory_mb,
            seconds=limits.child_seconds,
            at=claim.queued_at,
            inputs=claim.inputs,
        )
        command = (sys.executable, "-m", "ichlite.node.study_child")
        environment = {**os.environ, "TMPDIR": folder, "MALLOC_ARENA_MAX": "2"}
        with (scratch / "stderr").open("wb") as words:
            self._child = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=words,
                start_new_session=True, env=environment,
            )  # fmt: skip
            try:
                self._child.communicate(msgspec.json.encode(task), limits.child_seconds)
            except subprocess.TimeoutExpired:
                self._child.kill()
                self._child.wait()
                return None, f"reading it took longer than {limits.child_seconds:g} s"
            except BrokenPipeError:
                self._child.wait()
            code = self._child.returncode
            self._child = None
        try:
            found = msgspec.json.decode((scratch / OUTCOME).read_bytes(), type=ChildOutcome)
        except (OSError, msgspec.MsgspecError):
            return None, _how_it_died(code, scratch / "stderr")
        for words_on in set(found.unprotected) - self._said:
            _log.warning("child is not fully confined", why=words_on)
            self._said.add(words_on)
        return found, ""

    def _keep(self, claim: Claim, scratch: Path, found: ChildOutcome) -> Outcome:
        """Move the files of a reading to their place, durably."""
        below = studies.result_folder(claim.study_uid, claim.version)
        place = self._store.results / below
        place.parent.mkdir(parents=True, exist_ok=True)
        if place.exists():  # of a node that died before it could say so
            shutil.rmtree(place)
        (scratch / "stderr").unlink()
        for file in scratch.iterdir():
            descriptor = os.open(file, os.O_RDONLY)
            os.fsync(descriptor)
            os.close(descriptor)
        sync(scratch)
        scratch.rename(place)
        for folder in (place.parent, place.parent.parent, self._store.results):
            sync(folder)
        return Outcome(
            status=found.status,
            urgent=found.urgent,
            complete=found.complete,
            any_probability=found.any_probability,
            reasons=found.reasons + _of_several_contents(claim.repeated),
            bundle=found.bundle,
            settings=found.settings,
            folder=str(below),
            objects=found.objects,
            brain_level_hu=found.brain_level_hu,
            noise_hu=found.noise_hu,
        )


def _of_several_contents(images: int) -> tuple[str, ...]:
    """Return the line that says so where images came more than once and differed."""
    if not images:
        return ()
    what = "1 image" if images == 1 else f"{images} images"
    return (f"{what} came more than once with different content; what came last was read",)


def _how_it_died(code: int, words: Path) -> str:
    """Return why a child gave no outcome, without what a file may have put into its words."""
    if code < 0:
        return f"its reading was ended by {signal.Signals(-code).name}"
    last = words.read_bytes()[-2000:].decode("utf-8", "replace").strip().rpartition("\n")[2]
    kind = last.partition(":")[0]
    what = kind if kind.replace(".", "").isidentifier() else "an error"
    return f"its reading failed: {what}"
