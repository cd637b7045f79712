"""Keep the durable queue of what goes out: results to peers, notices of urgent studies to people.

A row is what one target gets of one reading. It waits until it is sent or superseded by a later
version, or dead: tried for days without success; then a person may have it tried again.
"""

from __future__ import annotations

import random
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ichlite.node import audit
from ichlite.node.settings import OutboxSettings

NOTICE = ""
"""In place of a file name, where a target is told that a study is urgent."""
FIRST_PAUSE_S = 2.0

_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Parcel:
    """What one target gets of one reading.

    Attributes:
        number: Of its row.
        target: Name of the peer or hook.
        file: DICOM file below the folder of results; None for a notice.
        study_uid, version, any_probability, finished_at: Of the reading.
        attempts: Before this one.
        waited_s: While attempts failed and the node ran.
        tried_at: When it was queued or last tried.
    """

    number: int
    target: str
    file: Path | None
    study_uid: str
    version: int
    any_probability: float | None
    finished_at: float
    attempts: int
    waited_s: float
    tried_at: float


def add(
    tables: sqlite3.Connection, reading_id: int, target: str, files: Iterable[str], now: float
) -> None:
    """Queue what a target gets of a reading; what is queued already stays as it is."""
    tables.executemany(
        "INSERT INTO delivery (reading_id, peer, file, state, next_at, tried_at) "
        "VALUES (?, ?, ?, 'waiting', ?, ?) ON CONFLICT DO NOTHING",
        [(reading_id, target, file, now, now) for file in files],
    )


def due(
    tables: sqlite3.Connection, target: str, now: float, settings: OutboxSettings
) -> tuple[Parcel, ...]:
    """Return what to send to a target now, urgent studies first; nothing when none of it is due.

    When something is due, all that waits because the target could not be reached is tried too; what
    the target refused has pauses of its own. A time that lies too far ahead is of a clock that was
    set back.
    """
    soonest = now + settings.longest_pause_s
    rows = tables.execute(
        "SELECT delivery.*, study.uid, reading.version, reading.any_probability, "
        "reading.finished_at, reading.folder, (next_at <= ?2 OR next_at > ?3) AS is_due "
        "FROM delivery JOIN reading ON reading.id = reading_id JOIN study ON study.id = study_id "
        "WHERE delivery.state = 'waiting' AND peer = ?1 AND (is_due OR NOT refused) "
        "ORDER BY reading.urgent IS 1 DESC, delivery.id LIMIT ?4",
        (target, now, soonest, _MOST_AT_ONCE),
    ).fetchall()
    if not any(row["is_due"] for row in rows):
        return ()
    return tuple(
        Parcel(
            number=row["id"],
            target=target,
            file=None if row["file"] == NOTICE else Path(row["folder"]) / row["file"],
            study_uid=row["uid"],
            version=row["version"],
            any_probability=row["any_probability"],
            finished_at=row["finished_at"],
            attempts=row["attempts"],
            waited_s=row["waited_s"],
            tried_at=row["tried_at"],
        )
        for row in rows
    )


def sent(tables: sqlite3.Connection, parcel: Parcel, now: float) -> None:
    """Note that a target has a parcel, also where a later version superseded it meanwhile."""
    tables.execute(
        "UPDATE delivery SET state = 'sent', attempts = attempts + 1, tried_at = ?, fault = '' "
        "WHERE id = ?",
        (now, parcel.number),
    )
    _tell(tables, parcel, "sent", attempts=parcel.attempts + 1)


def failed(
    tables: sqlite3.Connection,
    parcels: Iterable[Parcel],
    why: str,
    *,
    refused: bool,
    now: float,
    settings: OutboxSettings,
) -> int:
    """Note that parcels could not be sent; return how many of them are now dead.

    Args:
        tables: Of the writer.
        parcels: For one target.
        why: In words, without patient data.
        refused: Whether the target refused them; else it could not be reached.
        now: s since 1970.
        settings: Pauses.
    """
    dead = 0
    for parcel in parcels:
        # A clock that jumps, as that of a box without a battery does, makes nothing old.
        passed = min(max(0.0, now - parcel.tried_at), 2 * settings.longest_pause_s)
        waited_s = parcel.waited_s + passed
        is_dead = waited_s >= settings.dead_after_s
        changed = tables.execute(
            "UPDATE delivery SET state = ?, attempts = attempts + 1, waited_s = ?, tried_at = ?, "
            "next_at = ?, refused = ?, fault = ? WHERE id = ? AND state = 'waiting'",
            (
                *("dead" if is_dead else "waiting", waited_s, now),
                *(now + pause_s(parcel.attempts, settings.longest_pause_s), refused, why),
                parcel.number,
            ),
        ).rowcount
        if changed and is_dead:
            dead += 1
            _tell(tables, parcel, "dead", attempts=parcel.attempts + 1, why=why)
    return dead


def pause_s(attempts: int, longest_s: float) -> float:
    """Return how long to wait after one more attempt failed: twice as long each time.

    A fifth of it is drawn, so that what failed together is not tried together for ever.

    Example:
        >>> 1.6 <= pause_s(0, 600) <= 2 and 12.8 <= pause_s(3, 600) <= 16
        True
        >>> 480 <= pause_s(10_000, 600) <= 600
        True
    """
    pause: float = min(longest_s, FIRST_PAUSE_S * 2.0 ** min(attempts, 30))
    return pause * random.uniform(0.8, 1)  # noqa: S311  no secret


def retry_dead(
    tables: sqlite3.Connection,
    now: float,
    actor: str,
    target: str | None = None,
    delivery: int | None = None,
) -> int:
    """Let what is dead be tried again from now; return how much.

    Args:
        tables: Of the writer.
        now: s since 1970.
        actor: Who asked for it.
        target: Of one peer or hook alone.
        delivery: This one alone, by its number.
    """
    count = tables.execute(
        "UPDATE delivery SET state = 'waiting', attempts = 0, waited_s = 0, refused = 0, "
        "next_at = ?1, tried_at = ?1 WHERE state = 'dead' AND (?2 IS NULL OR peer = ?2) "
        "AND (?3 IS NULL OR id = ?3)",
        (now, target, delivery),
    ).rowcount
    if count:
        audit.append(tables, actor, "outbox.retried", peer=target, count=count)
    return count


def bury_unknown(tables: sqlite3.Connection, targets: Iterable[str]) -> int:
    """Make dead what waits for a target that the settings no longer have; return how much."""
    known = set(targets)
    waiting = tables.execute("SELECT DISTINCT peer FROM delivery WHERE state = 'waiting'")
    gone = [row["peer"] for row in waiting if row["peer"] not in known]
    count = 0
    for target in gone:
        changed = tables.execute(
            "UPDATE delivery SET state = 'dead', fault = 'node.toml has no such peer any more' "
            "WHERE state = 'waiting' AND peer = ?",
            (target,),
        ).rowcount
        audit.append(tables, "node", "result.dead", peer=target, count=changed, why="no such peer")
        count += changed
    return count


def _tell(tables: sqlite3.Connection, parcel: Parcel, what: str, **details: object) -> None:
    kind = "notice" if parcel.file is None else "result"
    file = {} if parcel.file is None else {"file": parcel.file.name}
    audit.append(
        tables, "node", f"{kind}.{what}", peer=parcel.target, study=parcel.study_uid,
        version=parcel.version, **file, **details,
    )  # fmt: skip
