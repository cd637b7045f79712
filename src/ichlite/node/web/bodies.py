"""Read what a request carries, never more than is allowed: forms whole, files piece by piece."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import parse_qsl

import anyio.from_thread
from starlette.exceptions import HTTPException
from starlette.requests import Request

FORM_BYTES = 16_384
_FORM_FIELDS = 20
FORM_TYPE = "application/x-www-form-urlencoded"


def content_type(request: Request) -> str:
    """Return the media type of a request's body, without parameters, in lower case."""
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_form(request: Request) -> dict[str, str]:
    """Read the fields of a URL-encoded form from a request.

    Raises:
        HTTPException: The body is too large (413), of another media type (415), or malformed.
    """
    if content_type(request) != FORM_TYPE:
        raise HTTPException(415, f"a form is {FORM_TYPE}")
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > FORM_BYTES:
            raise HTTPException(413, f"a form has at most {FORM_BYTES} bytes")
    try:
        pairs = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_FORM_FIELDS,
            errors="strict",
        )  # fmt: skip
    except ValueError:
        raise HTTPException(400, "this is no form") from None
    return dict(pairs)


class TooLarge(ValueError):
    """Error: a request's body is longer than is accepted."""


def pieces_of(request: Request, most_bytes: int) -> Iterator[bytes]:
    """Yield the bytes of a request's body as they arrive; call it in a worker thread of anyio.

    Args:
        request: Request to read.
        most_bytes: Largest length of the body.

    Raises:
        TooLarge: It is longer than `most_bytes`.
        ClientDisconnect: The sender went away.
    """
    stream = request.stream()
    left = most_bytes
    while True:
        piece = anyio.from_thread.run(_next, stream)
        if piece is None:
            return
        left -= len(piece)
        if left < 0:
            raise TooLarge(f"more than {most_bytes} bytes")
        if piece:
            yield piece


async def _next(stream: AsyncIterator[bytes]) -> bytes | None:
    return await anext(stream, None)
