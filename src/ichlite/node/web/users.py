"""Keep users and their sessions: of a password its hash, of a cookie its hash."""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
from dataclasses import dataclass

from ichlite.errors import UsageError
from ichlite.node import audit

SESSION_S = 12 * 3600.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """Somebody who has logged in.

    Attributes:
        name: Unique.
        admin: Whether they may see settings, export verdicts and send results again.
        csrf: What each form of theirs carries; empty where they came with a password.
    """

    name: str
    admin: bool
    csrf: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A session that has begun: the cookie's value, and what its forms carry."""

    token: str
    csrf: str


def add_user(
    connection: sqlite3.Connection, name: str, kept: str, *, admin: bool, now: float
) -> bool:
    """Add a user, or give one that there is another password and role; return whether it is new.

    Args:
        connection: Of the writer.
        name: Letters, digits and `. _ @ -`.
        kept: From `hash_password`.
        admin: Role.
        now: s since 1970.

    Raises:
        UsageError: Nobody can have this name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            "no user can have this name",
            found=repr(name[:80]),
            expected="1 to 64 letters, digits and . _ @ -",
        )
    known = connection.execute("SELECT 1 FROM user WHERE name = ?", (name,)).fetchone()
    connection.execute(
        "INSERT INTO user (name, password, admin, created_at) VALUES (?, ?, ?, ?) "
        "ON CONFLICT (name) DO UPDATE SET password = excluded.password, admin = excluded.admin",
        (name, kept, int(admin), now),
    )
    connection.execute("DELETE FROM session WHERE user = ?", (name,))
    action = "user.changed" if known else "user.added"
    audit.append(connection, "command line", action, user=name, admin=admin)
    return known is None


def begin_session(connection: sqlite3.Connection, name: str, now: float) -> Ticket:
    """Begin a session of a user, and forget those that are over."""
    ticket = Ticket(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
    connection.execute("DELETE FROM session WHERE expires_at <= ?", (now,))
    connection.execute(
        "INSERT INTO session (token, user, csrf, expires_at) VALUES (?, ?, ?, ?)",
        (_hash(ticket.token), name, ticket.csrf, now + SESSION_S),
    )
    audit.append(connection, name, "user.logged-in")
    return ticket


def end_session(connection: sqlite3.Connection, token: str, name: str) -> None:
    """End a session."""
    connection.execute("DELETE FROM session WHERE token = ?", (_hash(token),))
    audit.append(connection, name, "user.logged-out")


def user_of_session(connection: sqlite3.Connection, token: str, now: float) -> User | None:
    """Return whose session a cookie is; None for one that is over or never was."""
    row = connection.execute(
        "SELECT name, admin, csrf FROM session JOIN user ON user.name = session.user "
        "WHERE token = ? AND expires_at > ?",
        (_hash(token), now),
    ).fetchone()
    return None if row is None else User(row["name"], bool(row["admin"]), row["csrf"])


def kept_password(connection: sqlite3.Connection, name: str) -> tuple[str | None, bool]:
    """Return what is kept of a user's password, None for nobody, and whether it is an admin."""
    row = connection.execute("SELECT password, admin FROM user WHERE name = ?", (name,)).fetchone()
    return (None, False) if row is None else (row["password"], bool(row["admin"]))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
