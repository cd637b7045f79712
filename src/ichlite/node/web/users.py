"""Keep users and their sessions: of a password its hash, of a cookie its hash."""

from __future__ import annotations

import hashlib
import re
import secrets
import sqlite3
from dataclasses import dataclass

from ichlite.errors import UsageError, check_name
from ichlite.node import audit

SESSION_S = 12 * 3600.0
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class User:
    """A user who has logged in.

    Attributes:
        name: User name.
        admin: Whether they may see settings, export verdicts and send results again.
        csrf: Token against request forgery that each form must carry; empty for a login by HTTP
            Basic.
    """

    name: str
    admin: bool
    csrf: str = ""


@dataclass(frozen=True, slots=True)
class Ticket:
    """A new session: the value of its cookie, and the token that its forms must carry."""

    token: str
    csrf: str


def add_user(
    connection: sqlite3.Connection, name: str, kept: str, *, admin: bool, now: float
) -> bool:
    """Add a user, or change password and role of an existing one; return whether the user is new.

    Args:
        connection: Writing connection to the node's database.
        name: 1 to 64 letters, digits and `. _ @ -`.
        kept: Hash of the password, from `hash_password`.
        admin: Whether the user is an admin.
        now: s since 1970.

    Raises:
        UsageError: The name is not allowed.
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


def remove_user(connection: sqlite3.Connection, name: str) -> None:
    """Remove a user and end their sessions; what they did stays in the audit log.

    Args:
        connection: Writing connection to the node's database.
        name: Name of the user.

    Raises:
        UnknownName: There is no such user.
    """
    names = [row[0] for row in connection.execute("SELECT name FROM user ORDER BY name")]
    check_name("user", name, names)
    connection.execute("DELETE FROM session WHERE user = ?", (name,))
    connection.execute("DELETE FROM user WHERE name = ?", (name,))
    audit.append(connection, "command line", "user.removed", user=name)


def begin_session(connection: sqlite3.Connection, name: str, now: float) -> Ticket:
    """Begin a session for a user, and delete expired sessions.

    Args:
        connection: Writing connection to the node's database.
        name: User name.
        now: s since 1970.
    """
    ticket = Ticket(secrets.token_urlsafe(32), secrets.token_urlsafe(32))
    connection.execute("DELETE FROM session WHERE expires_at <= ?", (now,))
    connection.execute(
        "INSERT INTO session (token, user, csrf, expires_at) VALUES (?, ?, ?, ?)",
        (_hash(ticket.token), name, ticket.csrf, now + SESSION_S),
    )
    audit.append(connection, name, "user.logged-in")
    return ticket


def end_session(connection: sqlite3.Connection, token: str, name: str) -> None:
    """End a user's session.

    Args:
        connection: Writing connection to the node's database.
        token: Value of the session cookie.
        name: User name, for the audit log.
    """
    connection.execute("DELETE FROM session WHERE token = ?", (_hash(token),))
    audit.append(connection, name, "user.logged-out")


def user_of_session(connection: sqlite3.Connection, token: str, now: float) -> User | None:
    """Return the user of a session; None if it has expired or never existed.

    Args:
        connection: Connection to the node's database.
        token: Value of the session cookie.
        now: s since 1970.
    """
    row = connection.execute(
        "SELECT name, admin, csrf FROM session JOIN user ON user.name = session.user "
        "WHERE token = ? AND expires_at > ?",
        (_hash(token), now),
    ).fetchone()
    return None if row is None else User(row["name"], bool(row["admin"]), row["csrf"])


def kept_password(connection: sqlite3.Connection, name: str) -> tuple[str | None, bool]:
    """Return the password hash of a user, None if there is no such user, and whether an admin."""
    row = connection.execute("SELECT password, admin FROM user WHERE name = ?", (name,)).fetchone()
    return (None, False) if row is None else (row["password"], bool(row["admin"]))


def _hash(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
