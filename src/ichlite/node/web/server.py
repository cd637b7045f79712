"""Serve the application from a thread of the node's process, on a port with bounds.

uvicorn bounds a request's line and headers, and hangs up on idle connections between requests.
Added here: a deadline for the headers of a request, and a largest number of connections.
"""

from __future__ import annotations

import asyncio
import socket
import threading
import time
from typing import Any

from starlette.types import ASGIApp
from uvicorn import Config, Server
from uvicorn.protocols.http.h11_impl import H11Protocol

from ichlite.errors import IchliteError
from ichlite.node.settings import HttpSettings
from ichlite.node.web.application import application
from ichlite.node.web.live import Live
from ichlite.node.web.services import Services

HEADER_BYTES = 16_384
HEADER_S = 10.0
IDLE_S = 15
MOST_CONNECTIONS = 200
_DRAIN_S = 10
_BACKLOG = 128


class GuardedProtocol(H11Protocol):
    """HTTP connection with a deadline for request headers and a limit on open connections."""

    _deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Accept a connection, or close it at once if too many are open."""
        super().connection_made(transport)
        if len(self.connections) > MOST_CONNECTIONS:
            transport.abort()
            return
        self._expect_headers()

    def data_received(self, data: bytes) -> None:
        """Process received bytes; the deadline ends once a request's headers are complete."""
        if self._deadline is None and self._between_requests():
            self._expect_headers()
        super().data_received(data)
        if self._deadline is not None and not self._between_requests():
            self._deadline.cancel()
            self._deadline = None

    def connection_lost(self, exc: Exception | None) -> None:
        """Cancel the deadline when the connection is closed."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
        super().connection_lost(exc)

    def _between_requests(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _expect_headers(self) -> None:
        self._deadline = self.loop.call_later(HEADER_S, self._too_slow)

    def _too_slow(self) -> None:
        self._deadline = None
        if self._between_requests():
            self.transport.abort()


def serve_web(services: Services) -> WebServer:
    """Start the web server of a node; the caller must close it.

    Raises:
        IchliteError: The port cannot be opened.
    """
    live = Live(services.database)
    return WebServer(application(services, live), services.settings.http, live)


class WebServer:
    """Web server of a node, in a thread with its own event loop.

    Args:
        app: ASGI application to serve.
        settings: Host and port to listen on.
        live: Source of server-sent events, closed before the server stops.

    Raises:
        IchliteError: The port cannot be opened.
    """

    def __init__(self, app: ASGIApp, settings: HttpSettings, live: Live) -> None:
        self._live = live
        self._socket = _listen(settings)
        self.host, self.port = settings.host, int(self._socket.getsockname()[1])
        # A proxy before it says whose requests it passes on; nobody else is believed.
        config = Config(
            app, loop="asyncio", http=GuardedProtocol, ws="none", lifespan="off",
            log_config=None, log_level="critical", access_log=False, server_header=False,
            proxy_headers=settings.behind_https, forwarded_allow_ips="127.0.0.1,::1",
            h11_max_incomplete_event_size=HEADER_BYTES, timeout_keep_alive=IDLE_S,
            timeout_graceful_shutdown=_DRAIN_S,
        )  # fmt: skip
        self._server = Server(config)
        self._thread = threading.Thread(target=self._serve, name="web", daemon=True)
        self._thread.start()
        while not self._server.started and self._thread.is_alive():
            time.sleep(0.01)

    @property
    def address(self) -> str:
        """Address of the web page, such as `http://127.0.0.1:8080`."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    def close(self) -> None:
        """Stop accepting connections, finish the requests in progress, and stop."""
        self._live.close()
        self._server.should_exit = True
        self._thread.join(_DRAIN_S + 5)
        self._socket.close()

    def _serve(self) -> None:
        self._server.run(sockets=[self._socket])


def _listen(settings: HttpSettings) -> socket.socket:
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    found: Any = socket.socket(family, socket.SOCK_STREAM)
    try:
        found.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        found.bind((settings.host, settings.port))
        found.listen(_BACKLOG)
    except OSError as error:
        found.close()
        raise IchliteError(
            f"the port of the page cannot be opened: {error.strerror or error}",
            found=f"{settings.host}:{settings.port}",
            remedy="stop what listens there, or change [http] port",
        ) from None
    return found  # type: ignore[no-any-return]
