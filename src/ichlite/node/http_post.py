"""Post a body over HTTP: one request, no redirect followed, the answer of bounded length."""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from ichlite import __version__
from ichlite.node.outbox import Unreachable

SECONDS = 30.0
"""Time-out, in seconds, for connecting and for each piece of the answer."""
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
    try:
        if place.scheme == "https":
            context = ssl.create_default_context(cafile=authorities)
            connection: HTTPConnection = HTTPSConnection(
                host, place.port, timeout=SECONDS, context=context
            )
        else:
            connection = HTTPConnection(host, place.port, timeout=SECONDS)
        target = (place.path or "/") + (f"?{place.query}" if place.query else "")
        try:
            words = {"User-Agent": f"ichlite/{__version__}", **(headers or {})}
            connection.request(method, target, body, words)
            response = connection.getresponse()
            answer = Answer(response.status, response.read(MOST_ANSWER_BYTES))
        finally:
            connection.close()
    except (OSError, HTTPException, ValueError) as error:
        why = getattr(error, "strerror", None) or type(error).__name__
        raise Unreachable(f"no answer from {host}: {why}") from None
    if 300 <= answer.status < 400:
        raise Unreachable(
            f"{host} answers with a redirect", remedy="write the address that it leads to"
        )
    return answer
