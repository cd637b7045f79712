"""Make the application of the table of routes: who may not call a route does not reach it."""

from __future__ import annotations

import hmac
from collections import defaultdict
from urllib.parse import quote

import starlette.routing
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import RedirectResponse, Response
from starlette.types import ASGIApp

from ichlite.node.web.access import Doorkeeper, may, user_of
from ichlite.node.web.bodies import read_form
from ichlite.node.web.live import Live
from ichlite.node.web.replies import error_reply, page
from ichlite.node.web.routes import ROUTES, Handler, Route
from ichlite.node.web.services import Services
from ichlite.node.web.shield import Shield

CHALLENGE = {"WWW-Authenticate": 'Basic realm="ichlite", charset="UTF-8"'}


def application(services: Services, live: Live) -> ASGIApp:
    """Return the node's web application (ASGI), in which every route checks the caller's role.

    Args:
        services: Services that request handlers use.
        live: Source of the server-sent events for open pages.
    """
    by_path: dict[str, dict[str, Handler]] = defaultdict(dict)
    for route in ROUTES:
        by_path[route.path][route.method] = _guarded(route)
    app = Starlette(
        routes=[
            starlette.routing.Route(path, _by_method(handlers), methods=[*handlers])
            for path, handlers in by_path.items()
        ],
        exception_handlers={HTTPException: _refused, ClientDisconnect: _late},  # type: ignore[dict-item]
    )
    app.router.redirect_slashes = False
    app.state.services, app.state.live, app.state.doorkeeper = services, live, Doorkeeper()
    return Shield(app, behind_https=services.settings.http.behind_https)


def _by_method(handlers: dict[str, Handler]) -> Handler:
    async def handle(request: Request) -> Response:
        method = "GET" if request.method == "HEAD" else request.method
        return await handlers[method](request)

    return handle


def _guarded(route: Route) -> Handler:
    """Return a route's handler, called only for those who may, with forms that are their own."""

    async def handle(request: Request) -> Response:
        if route.role != "open":
            request.state.user = await user_of(request)
            if request.state.user is None:
                return _who_are_you(request, route)
            if not may(request.state.user, route.role):
                raise HTTPException(403, "only an admin may do this")
        if route.form:
            request.state.form = await read_form(request)
        if route.method == "POST" and route.role != "open":
            _check_not_forged(request, route)
        return await route.handler(request)

    return handle


def _who_are_you(request: Request, route: Route) -> Response:
    if route.kind == "program":
        return error_reply(401, "log in, or send a name and a password (HTTP Basic)", CHALLENGE)
    asked = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    there = f"?next={quote(asked)}" if route.method == "GET" and asked != "/" else ""
    return RedirectResponse(f"/login{there}", 303)


def _check_not_forged(request: Request, route: Route) -> None:
    """Refuse what a session's cookie came with, but not the token that its pages hold.

    Raises:
        HTTPException: It may be another site's doing.
    """
    csrf = request.state.user.csrf
    if not csrf:
        return  # with a name and a password; the shield has refused what other sites made
    sent = request.headers.get("x-csrf-token", "")
    if route.form:
        sent = request.state.form.get("csrf", sent)
    if not hmac.compare_digest(sent.encode(), csrf.encode()):
        raise HTTPException(403, "this form was too old or not of this page: load it again")


async def _late(request: Request, error: ClientDisconnect) -> Response:
    """Answer who did not send the rest of a body, if they are still there."""
    del request, error
    return error_reply(408, "the rest did not come in time", {"Connection": "close"})


async def _refused(request: Request, error: HTTPException) -> Response:
    headers = dict(error.headers or {})
    is_page = not request.url.path.startswith(("/api", "/dicomweb", "/metrics", "/events"))
    if is_page and "text/html" in request.headers.get("accept", ""):
        answer = page(
            request, "error.html", error.status_code, why=error.detail, title="Not possible"
        )
        answer.headers.update(headers)
        return answer
    return error_reply(error.status_code, error.detail, headers)
