"""Connect this process to a Ray cluster for the time of a block, quietly.

`local` is this machine's cores, `auto` the cluster that this machine is part of, `HOST:PORT` a head
node. Ray itself tries an address that does not answer for two minutes and then ends the process, so
it is asked first.
"""

from __future__ import annotations

import logging
import os
import secrets
import socket
import sys
import warnings
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ichlite.errors import InputError, MissingExtra, UsageError
from ichlite.native_output import STDERR, native_output_held

LOCAL = "local"
AUTO = "auto"
ANSWER_SECONDS = 15.0
LOCAL_STORE_BYTES = 200_000_000
"""Bytes of Ray's shared memory on a local cluster; ichlite passes little between processes."""
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # Future defaults of Ray, taken now: without them each is announced on stderr.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    "RAY_TRAIN_V2_ENABLED": "1",
    # Of its C++ parts; they warn of what Ray Data does, and their logs go to files as well.
    "RAY_BACKEND_LOG_LEVEL": "fatal",
}
QUIET_LOGGERS = ("ray", "ray.data", "ray.train", "ray.tune")
TOKENS = ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH")
TOKEN_VARIABLES = ("RAY_AUTH_MODE", *TOKENS)
NEEDED = ("ray", "pyarrow")
_HTTP2_GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])
_SETTINGS_FRAME = 4


@dataclass(frozen=True, slots=True)
class Cluster:
    """The size of the connected cluster.

    Attributes:
        address: The address that was given.
        nodes: Machines that are alive.
        cpus, gpus: Cores and GPUs of them all, as they were started.
    """

    address: str
    nodes: int
    cpus: int
    gpus: int


@contextmanager
def session(address: str = LOCAL, *, cpus: int | None = None) -> Iterator[Cluster]:
    """Connect to a Ray cluster; a process that was connected already stays so afterwards.

    Args:
        address: `local`, `auto` or `HOST:PORT` of the head node (Ray's default port is 6379). This
            machine must be one of the cluster's.
        cpus: Cores of a local cluster; None: all that this process may use.

    Yields:
        Size of the connected cluster.

    Raises:
        MissingExtra: Ray is not installed.
        UsageError: No address of that form.
        InputError: Nothing answers there, or it is no Ray cluster of this version.
    """
    for module in NEEDED:
        if find_spec(module) is None:
            raise MissingExtra("ray", module)
    os.environ.update({name: os.environ.get(name, value) for name, value in SETTINGS.items()})
    if address == LOCAL:
        _own_token()
    import ray
    import ray.data

    with _quiet():
        if ray.is_initialized():
            yield _cluster(address)
            return
        with native_output_held(STDERR, dropping=b"["):  # its C++ part tells its log level
            _connect(address, cpus)
        try:
            yield _cluster(address)
        finally:
            ray.shutdown()


def find_head(address: str) -> tuple[str, int]:
    """Return host and port of the head node that `auto` or `HOST:PORT` names.

    Raises:
        UsageError: No address of that form.
        InputError: `auto`, and no cluster was started on this machine.

    Example:
        >>> find_head("10.0.0.5:6379")
        ('10.0.0.5', 6379)
    """
    given = address
    if address == AUTO:
        # Where `ray start` writes the cluster that this machine is part of.
        note = Path(os.environ.get("RAY_TMPDIR", "/tmp")) / "ray" / "ray_current_cluster"  # noqa: S108
        given = os.environ.get("RAY_ADDRESS", "")
        if not given and note.is_file():
            given = note.read_text().strip()
        if not given:
            raise InputError(
                "no Ray cluster was started on this machine",
                remedy="start one with `ray start`, or give --ray HOST:PORT or --ray local",
            )
    host, colon, port = given.rpartition(":")
    if not (host and colon and port.isdecimal() and int(port) < 1 << 16):
        raise UsageError(
            f"{given} is not the address of a Ray cluster",
            expected=f"{LOCAL}, {AUTO} or HOST:PORT",
        )
    return host.strip("[]"), int(port)


def answers(host: str, port: int, *, seconds: float = ANSWER_SECONDS) -> bool:
    """Return whether the server at a port speaks HTTP/2, as the head node of a Ray cluster does.

    Args:
        host: Host name or address.
        port: TCP port.
        seconds: Time to wait for an answer.

    Returns:
        Also true, without a test, where Ray's TLS is switched on and the port accepts connections.
    """
    try:
        with socket.create_connection((host, port), seconds) as line:
            if os.environ.get("RAY_USE_TLS") == "1":
                return True
            line.settimeout(seconds)
            line.sendall(_HTTP2_GREETING)
            heard = line.recv(9)
    except OSError:
        return False
    return len(heard) == 9 and heard[3] == _SETTINGS_FRAME


def _connect(address: str, cpus: int | None) -> None:
    import ray

    common: Mapping[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "configure_logging": True,
    }
    if address == LOCAL:
        from ichlite.infer.reader import usable_cores

        ray.init(
            LOCAL,
            num_cpus=cpus or usable_cores(),
            include_dashboard=False,
            object_store_memory=LOCAL_STORE_BYTES,
            **common,
        )
        return
    host, port = find_head(address)
    _check_token()
    if not answers(host, port):
        started = ", where this machine's was started" if address == AUTO else ""
        raise InputError(
            f"no Ray cluster answers at {host}:{port}{started}",
            remedy="start its head with `ray start --head`, or check the address",
        )
    try:
        ray.init(f"{host}:{port}", **common)
    except ray.exceptions.AuthenticationError as failure:
        raise InputError(
            f"the Ray cluster at {host}:{port} asks for its token",
            remedy=f"export RAY_AUTH_MODE=token and {' or '.join(TOKENS)}, as on its head",
        ) from failure
    except (ConnectionError, RuntimeError, ValueError) as failure:
        raise InputError(
            f"the Ray cluster at {host}:{port} cannot be used",
            found=str(failure).strip().splitlines()[0],
            remedy="run `ray start` on this machine, too, with the same version of Ray",
        ) from failure


def _check_token() -> None:
    """Refuse to go on where Ray would look for a token in vain."""
    given = any(os.environ.get(name) for name in TOKENS)
    if os.environ.get("RAY_AUTH_MODE") == "token" and not given:
        kept = Path.home() / ".ray" / "auth_token"
        if not kept.is_file():
            raise UsageError(
                "RAY_AUTH_MODE=token, but there is no token",
                expected=f"{' or '.join(TOKENS)}, or the file {kept}",
                remedy="give the token that the head of the cluster was started with",
            )


def _own_token() -> None:
    """Protect a local cluster by a token of its own, which Ray would else leave in the home."""
    if "ray" not in sys.modules and not any(name in os.environ for name in TOKEN_VARIABLES):
        os.environ.update({"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)})


def _cluster(address: str) -> Cluster:
    import ray

    there = ray.cluster_resources()
    nodes = sum(bool(node["Alive"]) for node in ray.nodes())
    return Cluster(address, nodes, int(there.get("CPU", 0)), int(there.get("GPU", 0)))


@contextmanager
def _quiet() -> Iterator[None]:
    """Let Ray's libraries tell errors alone, and warn of nothing that is theirs."""
    import ray.data

    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"ray\.")
        # Sockets and pipes to its processes, which Ray leaves to the garbage collector.
        warnings.filterwarnings("ignore", category=ResourceWarning)
        context = ray.data.DataContext.get_current()
        bars = context.enable_progress_bars
        levels = {name: logging.getLogger(name).level for name in QUIET_LOGGERS}
        context.enable_progress_bars = False
        for name in QUIET_LOGGERS:
            logging.getLogger(name).setLevel(logging.ERROR)
        try:
            yield
        finally:
            context.enable_progress_bars = bars
            for name, level in levels.items():
                logging.getLogger(name).setLevel(level)
