"""Connecting: quick and plain errors where there is no cluster; what there is where there is."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import ray

from ichlite.cluster import session as module
from ichlite.cluster.session import answers, find_head, session
from ichlite.errors import InputError, MissingExtra, UsageError


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that takes connections and says nothing."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen()
        yield listener.getsockname()[1]


@pytest.mark.long
def test_a_cluster_of_two_nodes_is_used_and_left_running(cluster: str) -> None:
    for _ in range(2):
        with session(cluster) as there:
            assert (there.nodes, there.cpus, there.gpus) == (2, 2, 0)
            with session(cluster) as again:  # already connected: shared, not closed
                assert again == there
            assert ray.is_initialized()
        assert not ray.is_initialized()


def test_ray_sends_no_statistics_from_here(cluster: str) -> None:
    import os

    with session(cluster):
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"


def test_an_address_that_does_not_answer_is_said_at_once() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        began = time.monotonic()
        says = pytest.raises(InputError, match=f"no Ray cluster answers at 127.0.0.1:{port}")
        with says, session(f"127.0.0.1:{port}"):
            pass
        assert time.monotonic() - began < module.ANSWER_SECONDS


def test_something_else_on_the_port_is_no_cluster(silent_port: int) -> None:
    assert not answers("127.0.0.1", silent_port, seconds=0.2)


@pytest.mark.parametrize("address", ["somewhere", "host:", ":6379", "host:port", "host:99999"])
def test_what_is_no_address_is_wrong_usage(address: str) -> None:
    with pytest.raises(UsageError, match="expected local, auto or HOST:PORT"):
        find_head(address)


def test_auto_is_the_cluster_of_this_machine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    with pytest.raises(InputError, match="no Ray cluster was started on this machine"):
        find_head("auto")
    (tmp_path / "ray").mkdir()
    (tmp_path / "ray" / "ray_current_cluster").write_text("10.0.0.5:6379\n")
    assert find_head("auto") == ("10.0.0.5", 6379)
    monkeypatch.setenv("RAY_ADDRESS", "[::1]:1234")
    assert find_head("auto") == ("::1", 1234)


def test_without_ray_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"pip install '\.\[ray\]'"), session():
        pass


def test_a_token_that_is_missing_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, silent_port: int
) -> None:
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH", raising=False)
    says = pytest.raises(UsageError, match="RAY_AUTH_TOKEN or RAY_AUTH_TOKEN_PATH, or the file")
    with says, session(f"127.0.0.1:{silent_port}"):
        pass
