"""Let users in and out by the page's form."""

from __future__ import annotations

import hmac
import secrets
import time

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from ichlite.node.web.access import Doorkeeper, cookie_name, host_of, user_of
from ichlite.node.web.replies import page
from ichlite.node.web.services import services_of
from ichlite.node.web.users import SESSION_S, begin_session, end_session

_TWICE = "ichlite-login"
"""Cookie with what the form of the login, which has no session yet, must carry too."""


async def login_page(request: Request) -> Response:
    """Handle GET /login: show the login form."""
    if await user_of(request) is not None:
        return RedirectResponse("/", 303)
    return _form(request, 200, "")


async def login(request: Request) -> Response:
    """Handle POST /login: check name and password, and begin a session."""
    services, form = services_of(request), request.state.form
    sent, twice = form.get("csrf", ""), request.cookies.get(_TWICE, "")
    if not twice or not hmac.compare_digest(sent.encode(), twice.encode()):
        return _form(request, 403, "That form was too old. Please try again.")
    name = form.get("name", "").strip()[:200]
    doorkeeper: Doorkeeper = request.app.state.doorkeeper
    try:
        user = await doorkeeper.check(services, name, form.get("password", ""), host_of(request))
    except HTTPException as error:
        return _form(request, error.status_code, error.detail, dict(error.headers or {}))
    if user is None:
        return _form(request, 401, "This name and password do not belong together.")
    ticket = await services.write(lambda tables: begin_session(tables, user.name, time.time()))
    answer = RedirectResponse(_next(form.get("next", "")), 303)
    answer.delete_cookie(_TWICE, path="/login")
    answer.set_cookie(
        cookie_name(services), ticket.token, max_age=int(SESSION_S), httponly=True,
        samesite="strict", secure=services.settings.http.behind_https, path="/",
    )  # fmt: skip
    return answer


async def logout(request: Request) -> Response:
    """Handle POST /logout: end the session."""
    services, user = services_of(request), request.state.user
    token = request.cookies.get(cookie_name(services), "")
    await services.write(lambda tables: end_session(tables, token, user.name))
    answer = RedirectResponse("/login", 303)
    answer.delete_cookie(
        cookie_name(services), path="/", httponly=True, samesite="strict",
        secure=services.settings.http.behind_https,
    )  # fmt: skip
    return answer


def _form(
    request: Request, status: int, fault: str, headers: dict[str, str] | None = None
) -> Response:
    token = secrets.token_urlsafe(24)
    asked = request.query_params.get("next", "")
    answer = page(
        request, "login.html", status, fault=fault, csrf=token, next=_next(asked), title="Log in"
    )
    answer.headers.update(headers or {})
    answer.set_cookie(
        _TWICE, token, max_age=3600, httponly=True, samesite="strict", path="/login",
        secure=services_of(request).settings.http.behind_https,
    )  # fmt: skip
    return answer


def _next(asked: str) -> str:
    r"""Return where to go after the login: a path of this page, or the worklist.

    Example:
        >>> _next("/studies/1.2"), _next("//evil.example/"), _next("/\\evil.example")
        ('/studies/1.2', '/', '/')
    """
    plain = asked.isascii() and asked.isprintable() and "\\" not in asked
    return asked if plain and asked.startswith("/") and not asked.startswith("//") else "/"
