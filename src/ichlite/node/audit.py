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
    """Result of verifying the audit log's hash chain.

    Attributes:
        rows: Number of rows that were read.
        last_hash: Hash of the last good row, which covers all before it; a copy kept elsewhere
            proves later that nothing was rewritten.
        broken_at: Number of the first row whose hash does not follow from those before it; None if
            all do.
        known: Whether a good row has the hash that the caller knew from before.
    """

    rows: int
    last_hash: str
    broken_at: int | None
    known: bool


def append(connection: sqlite3.Connection, actor: str, action: str, **details: object) -> None:
    """Append a row to the audit log within the caller's transaction.

    Args:
        connection: Writing connection to the node's database.
        actor: Who acted: a user, a sender's AE title, or `node`.
        action: What was done, such as `study.queued`.
        details: UIDs, counts and reasons; never a patient's name or ID.
    """
    number, before = last_row(connection)
    at = round(time.time(), 3)
    said = json.dumps(details, sort_keys=True)
    row = (number + 1, at, actor, action, said)
    connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?)", (*row, _hash(before, row)))


def verify(connection: sqlite3.Connection, known_hash: str = START) -> AuditCheck:
    """Verify that each row of the audit log follows from those before it and none is missing.

    Rows cut off the end leave no gap: only a hash that was noted before shows that they are gone.

    Args:
        connection: Connection to the node's database.
        known_hash: Hash of a row that the log held earlier; by default none is known.
    """
    before, count, known = START, 0, known_hash == START
    rows = connection.execute(
        "SELECT number, at, actor, action, details, hash FROM audit ORDER BY number"
    )
    while True:
        try:
            found = next(rows, None)
            if found is None:
                break
            *row, said = found
            follows = row[0] == count + 1 and said == _hash(before, tuple(row))
        except (sqlite3.Error, TypeError):  # a value that is no text, or not UTF-8
            follows = False
        if not follows:
            return AuditCheck(count + 1, before, broken_at=count + 1, known=known)
        count += 1
        before = said
        known = known or said == known_hash
    emptied = not count and connection.execute("SELECT 1 FROM study LIMIT 1").fetchone()
    return AuditCheck(count, before, 1 if emptied else None, known)


def last_row(connection: sqlite3.Connection) -> tuple[int, str]:
    """Return number and hash of the last row of the audit log; 0 and zeros while it is empty.

    Args:
        connection: Connection to the node's database.
    """
    last = connection.execute("SELECT number, hash FROM audit ORDER BY number DESC LIMIT 1")
    number, said = last.fetchone() or (0, START)
    return number, said


def _hash(before: str, row: tuple[object, ...]) -> str:
    return hashlib.sha256(json.dumps([before, *row]).encode()).hexdigest()
