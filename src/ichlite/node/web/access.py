"""Find out who calls: by the cookie of a session, or by name and password (HTTP Basic)."""

from __future__ import annotations

import base64
import binascii
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from dataclasses import dataclass
from typing import Literal

from starlette.exceptions import HTTPException
from starlette.requests import Request

from ichlite.node import audit
from ichlite.node.web.attempts import Attempts
from ichlite.node.web.passwords import fits
from ichlite.node.web.services import Services, services_of
from ichlite.node.web.users import User, kept_password, user_of_session

Role = Literal["open", "reader", "admin"]
"""Role that a route requires: `open` for everybody, `reader` for any user, `admin` for admins."""
_MOST_REMEMBERED = 100
_REMEMBERED_S = 300.0


@dataclass(frozen=True, slots=True)
class _Remembered:
    kept: str
    until: float


class Doorkeeper:
    """Password check that handles one password at a time and delays repeated wrong attempts."""

    def __init__(self) -> None:
        self._attempts = Attempts()
        self._one_at_a_time = threading.Lock()
        self._key = secrets.token_bytes(32)
        self._remembered: OrderedDict[bytes, _Remembered] = OrderedDict()

    async def check(self, services: Services, name: str, password: str, host: str) -> User | None:
        """Return the user with this name and password; None if either is wrong.

        Args:
            services: Services of the node.
            name: User name.
            password: Password to check.
            host: Address that the request came from.

        Raises:
            HTTPException: 429, after too many wrong passwords for this user or from this host.
        """
        now = time.monotonic()
        self._refuse_many(name, host, now)
        kept, admin = await services.read(lambda tables: kept_password(tables, name))
        mark = hmac.digest(self._key, f"{name}\0{password}".encode("utf-8", "replace"), "sha256")
        known = self._remembered.get(mark)
        if known is not None and known.kept == kept and known.until > now:
            return User(name, admin)
        if not await services.in_thread(lambda: self._fits(name, host, password, kept)):
            # Only a user's name is kept: what nobody is called may be a password in the wrong box.
            who = name if kept is not None else "unknown"
            await services.write(
                lambda tables: audit.append(tables, who, "user.login-failed", host=host)
            )
            return None
        assert kept is not None  # noqa: S101  by `fits`
        self._attempts.succeeded(name)
        self._remembered[mark] = _Remembered(kept, now + _REMEMBERED_S)
        while len(self._remembered) > _MOST_REMEMBERED:
            self._remembered.popitem(last=False)
        return User(name, admin)

    def _fits(self, name: str, host: str, password: str, kept: str | None) -> bool:
        with self._one_at_a_time:
            now = time.monotonic()
            self._refuse_many(name, host, now)  # those that waited for the lock may be many
            right = fits(password, kept)
            if not right:
                self._attempts.failed(name, host, now)
            return right

    def _refuse_many(self, name: str, host: str, now: float) -> None:
        wait_s = self._attempts.wait_s(name, host, now)
        if wait_s > 0:
            raise HTTPException(
                429, "Too many wrong passwords: wait a while.", {"Retry-After": f"{wait_s:.0f}"}
            )


def cookie_name(services: Services) -> str:
    """Return the name of the session cookie, which depends on whether HTTPS is used."""
    return "__Host-ichlite" if services.settings.http.behind_https else "ichlite"


def host_of(request: Request) -> str:
    """Return the address that a request comes from."""
    return request.client.host if request.client is not None else "unknown"


async def user_of(request: Request) -> User | None:
    """Return the user who sent a request, by its session cookie or password; None if unknown.

    Raises:
        HTTPException: 429, after too many wrong passwords.
    """
    services = services_of(request)
    header = request.headers.get("authorization")
    if header is not None:
        pair = _basic(header)
        if pair is None:
            return None
        doorkeeper: Doorkeeper = request.app.state.doorkeeper
        return await doorkeeper.check(services, *pair, host_of(request))
    token = request.cookies.get(cookie_name(services))
    if token is None:
        return None
    return await services.read(lambda tables: user_of_session(tables, token, time.time()))


def _basic(header: str) -> tuple[str, str] | None:
    """Return name and password of an Authorization header.

    Example:
        >>> _basic("Basic YW5uYTpzZWNyZXQ=")
        ('anna', 'secret')
        >>> _basic("Bearer x") is None
        True
    """
    scheme, _, value = header.partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        name, found, password = base64.b64decode(value, validate=True).decode().partition(":")
    except (binascii.Error, UnicodeDecodeError, ValueError):
        return None
    return (name, password) if found else None


def may(user: User | None, role: Role) -> bool:
    """Return whether a user may call a route.

    Args:
        user: User who calls; None if not logged in.
        role: Role that the route requires.
    """
    return role == "open" or (user is not None and (role == "reader" or user.admin))
