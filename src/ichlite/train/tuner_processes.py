"""Run a command as one chief and several workers on this machine.

Loads neither Keras nor KerasTuner: the process that starts the others waits and computes nothing.

They find each other by KerasTuner's three environment variables. A worker that dies is started
again under its name, and so goes on with its trial; all of them end with this process.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import Any

from ichlite.errors import IchliteError, UsageError

BEST_FILE = "best.json"
ROLE_VARIABLES = ("KERASTUNER_TUNER_ID", "KERASTUNER_ORACLE_IP", "KERASTUNER_ORACLE_PORT")
LEASH = "ICHLITE_TUNE_LEASH"
"""Environment variable set in the processes of `run_team`, whose stdin is a pipe that closes when
their parent dies."""
HOST = "127.0.0.1"
RESTARTS = 3
POLL_SECONDS = 0.2
END_SECONDS = 30.0


def role() -> str:
    """Return this process's role in a search: `alone`, `chief` or `worker`.

    It follows from the three environment variables of a distributed KerasTuner search.

    Raises:
        UsageError: Only some of the variables are set.
    """
    given = [name for name in ROLE_VARIABLES if os.environ.get(name)]
    if not given:
        return "alone"
    if len(given) < len(ROLE_VARIABLES):
        raise UsageError(
            "a search on several machines needs three environment variables",
            found=", ".join(given),
            expected=", ".join(ROLE_VARIABLES),
        )
    return "chief" if "chief" in os.environ["KERASTUNER_TUNER_ID"] else "worker"


def read_best(out: Path) -> dict[str, Any]:
    """Read the `best.json` of a finished search.

    Args:
        out: Folder of the search.

    Raises:
        IchliteError: There is no such file.
    """
    path = out / BEST_FILE
    if not path.is_file():
        raise IchliteError(f"no {BEST_FILE} in {out}", remedy="run the search again to go on")
    document: dict[str, Any] = json.loads(path.read_text())
    return document


def run_team(words: Sequence[str], workers: int, *, cores: int, say: Callable[[str], None]) -> None:
    """Run a command as one chief and several workers, and wait until the chief has finished.

    Args:
        words: Words of the command line after `ichlite`.
        workers: Number of training processes.
        cores: Processor cores to divide among the workers.
        say: Called with a line of text when a worker is restarted.

    Raises:
        IchliteError: The chief ended without success, or a worker died again and again.
        KeyboardInterrupt: After Ctrl-C or SIGTERM; every process has saved and ended.
    """
    port = _free_port()
    common = {
        "KERASTUNER_ORACLE_IP": HOST,
        "KERASTUNER_ORACLE_PORT": str(port),
        LEASH: "1",
    }
    threads = str(max(1, cores // workers))
    each = {"TF_NUM_INTRAOP_THREADS": threads, "OMP_NUM_THREADS": threads}
    names = [f"worker-{number}" for number in range(1, workers + 1)]
    team: dict[str, subprocess.Popen[bytes]] = {}
    with _sigterm_interrupts():
        try:
            team["chief"] = _start(words, {**common, "KERASTUNER_TUNER_ID": "chief"})
            # Not before it listens: what is wrong with the words is said once, by the chief.
            while team["chief"].poll() is None and not _listens(port):
                time.sleep(POLL_SECONDS)
            for name in names:
                team[name] = _start(words, {**common, **each, "KERASTUNER_TUNER_ID": name})
            restarts = 0
            while (code := team["chief"].poll()) is None:
                for name in names:
                    if team[name].poll() in (None, 0):
                        continue
                    restarts += 1
                    if restarts > RESTARTS * workers:
                        raise IchliteError(
                            "workers of the search end again and again",
                            found=f"exit code {team[name].returncode} of {name}",
                            remedy="see their messages above; the same command goes on",
                        )
                    say(f"{name} ended with code {team[name].returncode}; started again")
                    team[name] = _start(words, {**common, **each, "KERASTUNER_TUNER_ID": name})
                time.sleep(POLL_SECONDS)
            if code:
                kind = UsageError if code == UsageError.exit_code else IchliteError
                raise kind(
                    "the chief of the search failed",
                    found=f"exit code {code}",
                    remedy="see its message above; the same command goes on",
                )
        finally:
            _end(list(team.values()))


def end_with_parent() -> None:
    """End this process as after Ctrl-C once its parent is gone, if `run_team` started it."""
    if LEASH not in os.environ:
        return

    def wait() -> None:
        # Not sys.stdin, whose lock Python would wait for at exit.
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    Thread(target=wait, name="leash", daemon=True).start()


def _start(words: Sequence[str], variables: Mapping[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "ichlite", *words],
        env={**os.environ, **variables},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
    )


def _end(team: Sequence[subprocess.Popen[bytes]]) -> None:
    """End what still runs: asked first, so that a trial is saved; then not asked."""
    for process in team:
        if process.poll() is None:
            process.terminate()
    until = time.monotonic() + END_SECONDS
    for process in team:
        try:
            process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


@contextmanager
def _sigterm_interrupts() -> Iterator[None]:
    def interrupt(number: int, frame: FrameType | None) -> None:
        del number, frame
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _listens(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex((HOST, port)) == 0


def _free_port() -> int:
    with closing(socket.socket()) as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
        return port
