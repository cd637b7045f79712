"""A real Ray cluster on this machine: a head and a second node, each with one core to give."""

from __future__ import annotations

import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

# Before Ray is imported, which reads them once: nobody else on this machine's network gets in.
os.environ.setdefault("RAY_AUTH_MODE", "token")
os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
pytest.importorskip("ray", reason="Ray is not installed (ichlite[ray])")

STARTED = "Ray runtime started"
START_SECONDS = 90
OPTIONS = ("--block", "--num-cpus", "1", "--object-store-memory", "100000000")


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a cluster of two nodes; both end with the tests."""
    logs = tmp_path_factory.mktemp("ray")
    port = free_port()
    address = f"127.0.0.1:{port}"
    nodes: list[subprocess.Popen[bytes]] = []
    try:
        head = ("--head", "--port", str(port), "--include-dashboard=false")
        nodes.append(start(logs / "head", *head, *OPTIONS))
        nodes.append(start(logs / "node", "--address", address, *OPTIONS))
        yield address
    finally:
        for node in reversed(nodes):
            stop(node)


def free_port() -> int:
    """A port outside the range that Ray's own processes are given ports from."""
    for port in random.sample(range(20_000, 30_000), 100):
        with closing(socket.socket()) as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port
    pytest.fail("no free port")


def start(log: Path, *words: str) -> subprocess.Popen[bytes]:
    """`ray start` and words → the running process, once it says that it is ready."""
    ray = Path(sys.executable).with_name("ray")
    with log.open("wb") as file:
        node = subprocess.Popen(
            [str(ray), "start", *words],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0", **quick_jax(log.parent)},
            start_new_session=True,
        )
    until = time.monotonic() + START_SECONDS
    while STARTED not in log.read_text(errors="replace"):
        if node.poll() is not None or time.monotonic() > until:
            stop(node)
            pytest.fail(f"ray start {' '.join(words)}: {log.read_text(errors='replace')[-800:]}")
        time.sleep(0.1)
    return node


def quick_jax(folder: Path) -> dict[str, str]:
    """Variables for worker processes: compile little, and what was compiled not again."""
    return {
        "XLA_FLAGS": "--xla_backend_optimization_level=0",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "xla"),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "TF_CPP_MIN_LOG_LEVEL": "3",
    }


def stop(node: subprocess.Popen[bytes]) -> None:
    """End a node and all processes that it began, without the half minute that Ray takes."""
    processes = below(node.pid)
    node.kill()
    for pid in processes:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    node.wait()


def below(pid: int) -> list[int]:
    """A process → all that it and its children began, as far as they still are there."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    return [one for child in map(int, children) for one in (child, *below(child))]


def kill_worker(*titles: str, seconds: float = 20.0) -> int:
    """Titles → the first worker of our own clusters that has one of them, killed; its process."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for pid in below(os.getpid()):
            with suppress(OSError):
                title = Path(f"/proc/{pid}/cmdline").read_bytes()
                if title.startswith(tuple(f"ray::{one}".encode() for one in titles)):
                    os.kill(pid, signal.SIGKILL)
                    return pid
        time.sleep(0.02)
    pytest.fail(f"no worker {' or '.join(titles)} within {seconds:g} s")
