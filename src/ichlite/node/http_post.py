"""Post a body over HTTP: one request, no redirect followed, the answer of bounded length."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import SplitResult, urlsplit

from ichlite import __version__
from ichlite.node.outbox import Unreachable

SECONDS = 30.0
"""Time-out, in seconds, for connecting and for each piece of the answer."""
MOST_SECONDS = 60.0
"""Seconds after which a request ends, however slowly its answer still comes."""
MOST_ANSWER_BYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Answer:
    """Status and body of an HTTP response."""

    status: int
    body: bytes


def request(
    method: str,
    url: str,
    body: bytes | None = None,
    headers: Mapping[str, str] | None = None,
    *,
    authorities: str | None = None,
) -> Answer:
    """Make one HTTP request and return the response, whatever its status.

    Args:
        method: HTTP method, such as `POST`.
        url: Address, with scheme `http` or `https`.
        body: Body to send; None for none.
        headers: Headers to send.
        authorities: PEM file of certificate authorities to trust in place of the system's.

    Raises:
        Unreachable: There is no answer, or a redirect, which is not followed because it might lead
            results elsewhere.
    """
    place = urlsplit(url)
    host = place.hostname or ""
    with _reached(host):
        connection = _connection(place, authorities)
        target = (place.path or "/") + (f"?{place.query}" if place.query else "")
        late = threading.Timer(MOST_SECONDS, _hang_up, (connection,))
        late.daemon = True
        late.start()
        try:
            words = {"User-Agent": f"ichlite/{__version__}", **(headers or {})}
            connection.request(method, target, body, words)
            response = connection.getresponse()
            answer = Answer(response.status, response.read(MOST_ANSWER_BYTES))
        finally:
            late.cancel()
            connection.close()
    if 300 <= answer.status < 400:
        raise Unreachable(
            f"{host} answers with a redirect", remedy="write the address that it leads to"
        )
    return answer


def connect(url: str, *, authorities: str | None = None) -> None:
    """Connect to a web server, with the handshake of TLS where its address has it; send nothing.

    Args:
        url: Address, with scheme `http` or `https`.
        authorities: PEM file of certificate authorities to trust in place of the system's.

    Raises:
        Unreachable: It cannot be connected to, or its certificate is not trusted.
    """
    place = urlsplit(url)
    with _reached(place.hostname or ""), closing(_connection(place, authorities)) as connection:
        connection.connect()


def _connection(place: SplitResult, authorities: str | None) -> HTTPConnection:
    host = place.hostname or ""
    if place.scheme != "https":
        return HTTPConnection(host, place.port, timeout=SECONDS)
    context = ssl.create_default_context(cafile=authorities)
    return HTTPSConnection(host, place.port, timeout=SECONDS, context=context)


@contextmanager
def _reached(host: str) -> Iterator[None]:
    """Turn what goes wrong with a connection into `Unreachable`."""
    try:
        yield
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "verify_message", "") or getattr(error, "strerror", None)
        raise Unreachable(f"no answer from {host}: {why or type(error).__name__}") from None


def _hang_up(connection: HTTPConnection) -> None:
    """End a connection under the thread that waits for its answer, which then fails."""
    if connection.sock is not None:
        with suppress(OSError):
            connection.sock.shutdown(socket.SHUT_RDWR)
