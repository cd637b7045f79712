"""Bound and check each request before a handler sees it, and harden each answer.

An ASGI layer around the whole application: what fails inside becomes a plain 500, of which the log
names the kind alone, as an error's words may quote a header of a patient.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from urllib.parse import urlsplit

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

RECEIVE_S = 20.0
"""Seconds to wait for the next bytes of a request's body."""
SEND_S = 60.0
"""Seconds to wait for a client to accept part of an answer."""
_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "frame-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",  # with "no-referrer" a browser says that forms are nobody's
    "Permissions-Policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Security headers of each answer that does not set them itself."""

_log = structlog.get_logger("web")


class Shield:
    """Outermost ASGI middleware: checks and limits requests, and adds security headers."""

    def __init__(self, app: ASGIApp, *, behind_https: bool) -> None:
        self._app = app
        self._headers = dict(HEADERS)
        if behind_https:
            self._headers["Strict-Transport-Security"] = "max-age=31536000"

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def harden(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                headers = MutableHeaders(scope=message)
                for name, value in self._headers.items():
                    headers.setdefault(name, value)
            await within(SEND_S, send, message)

        async def receive_in_time() -> Message:
            try:
                return await asyncio.wait_for(receive(), RECEIVE_S)
            except TimeoutError:
                return {"type": "http.disconnect"}

        refused = _refusal(scope["method"], Headers(scope=scope))
        if refused is not None:
            status, why = refused
            await PlainTextResponse(why, status, {"Connection": "close"})(scope, receive, harden)
            return
        try:
            await self._app(scope, receive_in_time if _has_body(scope) else receive, harden)
        except (ConnectionError, TimeoutError):
            _log.info("a reader went away")
        except Exception as error:  # noqa: BLE001  must not reach a log with its words
            _log.error("a request failed", why=type(error).__name__)
            if not started:
                await PlainTextResponse("The node failed on this.", 500)(scope, receive, harden)


async def within(
    seconds: float, send: Callable[[Message], Awaitable[None]], message: Message
) -> None:
    """Send an ASGI message, or raise TimeoutError.

    Args:
        seconds: Time limit.
        send: ASGI function to send with.
        message: ASGI message.
    """
    await asyncio.wait_for(send(message), seconds)


def _has_body(scope: Scope) -> bool:
    headers = Headers(scope=scope)
    return "transfer-encoding" in headers or headers.get("content-length", "0") != "0"


def _refusal(method: str, headers: Headers) -> tuple[int, str] | None:
    """Return why a request is not looked at; None for one that is."""
    if headers.get("content-encoding", "identity") != "identity":
        return 415, "Content-Encoding is not taken: send the bytes as they are."
    if method in _SAFE:
        return None
    # A browser says where a form or a script comes from; other programs do not.
    site = headers.get("sec-fetch-site")
    if site is not None:
        return None if site in ("same-origin", "none") else (403, "This came from another site.")
    origin = headers.get("origin")
    if origin is not None and urlsplit(origin).netloc != headers.get("host"):
        return 403, "This came from another site."
    return None
