"""Append to the audit log, in which each row's hash covers all rows before it; verify it."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from dataclasses import dataclass

START = "0" * 64


@dataclass(frozen=True, slots=True)
class AuditCheck:
    """What a verification found.

    Attributes:
        rows: Of the log.
        last_hash: Covers the whole log: kept elsewhere, it proves later that nothing was rewritten.
        broken_at: Number of the first row that does not follow from those before it; None if all
            do.
    """

    rows: int
    last_hash: str
    broken_at: int | None


def append(connection: sqlite3.Connection, actor: str, action: str, **details: object) -> None:
    """Append a row, in the caller's transaction.

    Args:
        connection: Of the writer.
        actor: Who: a user, a sender's AE title, or `node`.
        action: What, such as `study.queued`.
        details: UIDs, counts and reasons; never a patient's name or ID.
    """
    last = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
    number, before = last.fetchone() or (0, START)
    at = round(time.time(), 3)
    said = json.dumps(details, sort_keys=True)
    row = (number + 1, at, actor, action, said)
    connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", (*row, _hash(before, row)))


def verify(connection: sqlite3.Connection) -> AuditCheck:
    """Return whether every row follows from those before it, and none is missing."""
    before, count = START, 0
    for *row, said in connection.execute(
        "SELECT number, at, actor, action, details, hash FROM audit ORDER BY number"
    ):
        count += 1
        if row[0] != count or said != _hash(before, tuple(row)):
            return AuditCheck(count, before, broken_at=count)
        before = said
    return AuditCheck(count, before, None)


def _hash(before: str, row: tuple[object, ...]) -> str:
    return hashlib.sha256(json.dumps([before, *row]).encode()).hexdigest()
