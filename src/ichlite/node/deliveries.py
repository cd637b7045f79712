"""Keep the durable queue of what goes out: results to peers, notices of urgent studies to people.

A row is what one target gets of one reading. It waits until it is sent or superseded by a later
version, or dead: tried for days without success; then a person may have it tried again.
"""

from __future__ import annotations

import json
import random
import sqlite3
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from ichlite.node import audit
from ichlite.node.settings import OutboxSettings

NOTICE = ""
"""Value in place of a file name for a delivery that is a notice of an urgent study."""
FIRST_PAUSE_S = 2.0

_MOST_AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Parcel:
    """One queued delivery: a result file for a peer, or a notice for a webhook or e-mail.

    Attributes:
        number: Number of the delivery's row.
        target: Name of the peer, webhook or e-mail target.
        file: DICOM file relative to the folder of results; None for a notice.
        study_uid, version, any_probability, finished_at: Study, version, probability of any
            haemorrhage and time of completion (s since 1970) of the reading.
        attempts: Number of earlier attempts.
        waited_s: Seconds spent waiting after failed attempts while the node ran.
        tried_at: Time when it was queued or last tried, s since 1970.
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
    """Queue deliveries of a reading to one target; those already queued stay unchanged.

    Args:
        tables: Writing connection to the node's database.
        reading_id: Row of the reading.
        target: Name of the peer, webhook or e-mail target.
        files: Files relative to the folder of results, or `NOTICE`.
        now: s since 1970.
    """
    tables.executemany(
        "INSERT INTO delivery (reading_id, peer, file, state, next_at, tried_at) "
        "VALUES (?, ?, ?, 'waiting', ?, ?) ON CONFLICT DO NOTHING",
        [(reading_id, target, file, now, now) for file in files],
    )


def due(
    tables: sqlite3.Connection, target: str, now: float, settings: OutboxSettings
) -> tuple[Parcel, ...]:
    """Return the deliveries to send to a target now, urgent studies first; none if none is due.

    Once one is due, all that wait because the target was unreachable are tried too, and what came
    meanwhile waits with them; those that the target refused keep their own pauses. A due time too
    far ahead stems from a clock that was set back, and counts as due.

    Args:
        tables: Connection to the node's database.
        target: Name of the peer, webhook or e-mail target.
        now: s since 1970.
        settings: Settings of the outbox, for the longest pause.
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
    unreached = [row for row in rows if row["attempts"] and not row["refused"]]
    if not any(row["is_due"] for row in unreached or rows):
        rows = [row for row in rows if row["is_due"] and row["refused"]]
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
    """Mark a delivery as sent, even if a later version superseded it meanwhile.

    Args:
        tables: Writing connection to the node's database.
        parcel: Delivery that the target has received.
        now: s since 1970.
    """
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
    """Record that deliveries failed, and return how many have now been given up.

    Args:
        tables: Writing connection to the node's database.
        parcels: Deliveries to one target.
        why: Reason in words, without patient data.
        refused: Whether the target refused them; otherwise it could not be reached.
        now: s since 1970.
        settings: Settings of the outbox, for pauses and the time after which to give up.
    """
    parcels, dead = list(parcels), 0
    most = max((parcel.attempts for parcel in parcels), default=0)
    for parcel in parcels:
        attempts = parcel.attempts if refused else most  # they wait for one target together
        # A clock that jumps, as that of a box without a battery does, makes nothing old.
        passed = min(max(0.0, now - parcel.tried_at), 2 * settings.longest_pause_s)
        waited_s = parcel.waited_s + passed
        is_dead = waited_s >= settings.dead_after_s
        changed = tables.execute(
            "UPDATE delivery SET state = ?, attempts = attempts + 1, waited_s = ?, tried_at = ?, "
            "next_at = ?, refused = ?, fault = ? WHERE id = ? AND state = 'waiting'",
            (
                *("dead" if is_dead else "waiting", waited_s, now),
                *(now + pause_s(attempts, settings.longest_pause_s), refused, why),
                parcel.number,
            ),
        ).rowcount
        if changed and is_dead:
            dead += 1
            _tell(tables, parcel, "dead", attempts=parcel.attempts + 1, why=why)
    return dead


def pause_s(attempts: int, longest_s: float) -> float:
    """Return how many seconds to wait after a failed attempt: twice as long each time.

    Up to a fifth is subtracted at random, so that deliveries that failed together spread out.

    Args:
        attempts: Number of attempts before the one that failed.
        longest_s: Longest pause, seconds.

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
    *,
    among: Iterable[str] | None = None,
) -> int:
    """Queue deliveries that were given up to be tried again now, and return their number.

    Args:
        tables: Writing connection to the node's database.
        now: s since 1970.
        actor: Who asked for it, for the audit log.
        target: Name of a peer or hook to limit this to; None for all.
        delivery: Number of a single delivery to limit this to; None for all.
        among: Names of all peers and hooks in the settings: what was meant for others stays given
            up, as nobody would send it. None for all.
    """
    names = None if among is None else json.dumps(sorted(among))
    # What else waits for such a target would hold them up: it is tried now, too.
    tables.execute(
        "UPDATE delivery SET next_at = ?1 WHERE state = 'waiting' AND NOT refused AND peer IN "
        "(SELECT peer FROM delivery WHERE state = 'dead' AND (?2 IS NULL OR peer = ?2) "
        "AND (?3 IS NULL OR id = ?3) "
        "AND (?4 IS NULL OR peer IN (SELECT value FROM json_each(?4))))",
        (now, target, delivery, names),
    )
    count = tables.execute(
        "UPDATE delivery SET state = 'waiting', attempts = 0, waited_s = 0, refused = 0, "
        "next_at = ?1, tried_at = ?1 WHERE state = 'dead' AND (?2 IS NULL OR peer = ?2) "
        "AND (?3 IS NULL OR id = ?3) "
        "AND (?4 IS NULL OR peer IN (SELECT value FROM json_each(?4)))",
        (now, target, delivery, names),
    ).rowcount
    if count:
        audit.append(tables, actor, "outbox.retried", peer=target, count=count)
    return count


def discard_dead(tables: sqlite3.Connection, actor: str, target: str) -> int:
    """Forget deliveries to a target that were given up, and return their number.

    They are then no reason any more to keep their studies beyond the retention period.

    Args:
        tables: Writing connection to the node's database.
        actor: Who asked for it, for the audit log.
        target: Name of the peer or hook.
    """
    count = tables.execute(
        "DELETE FROM delivery WHERE state = 'dead' AND peer = ?", (target,)
    ).rowcount
    if count:
        audit.append(tables, actor, "outbox.discarded", peer=target, count=count)
    return count


def bury_unknown(tables: sqlite3.Connection, targets: Iterable[str]) -> int:
    """Give up deliveries to targets that are no longer in the settings, and return their number.

    Args:
        tables: Writing connection to the node's database.
        targets: Names of all targets in the settings.
    """
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
