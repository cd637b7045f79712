"""Take studies from received to queued, running and done or parked; say where each stands."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any

from ichlite.node import audit, deliveries
from ichlite.node.settings import PeerSettings

MOST_DEATHS = 2
"""Times that the process reading a study may die before the study is parked."""
MOST_CLAIMS = 10
"""Times that a reading may be begun and not ended, because the node died, before it is parked."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A reading that this node has taken from the queue.

    Attributes:
        reading_id, study_uid, version: Row of the reading, StudyInstanceUID, and version of the
            study.
        queued_at: Time it was queued, s since 1970, which its DICOM objects state.
        digests: SHA-256 of each instance file; of an instance that was sent again with other bytes,
            the last.
        inputs: SHA-256 over all digests.
        repeated: Number of instances that were sent with several contents.
    """

    reading_id: int
    study_uid: str
    version: int
    queued_at: float
    digests: tuple[str, ...]
    inputs: str
    repeated: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Result of reading a study.

    Attributes:
        status: `analysed` or `not_analysed`.
        urgent, complete, any_probability: As in the `read` document; None without a result.
        reasons: Reasons why the study was not analysed, or is not cleared.
        bundle, settings: Name and version of the bundle, and a hash of all settings that affect the
            result.
        folder: Folder of the result files, relative to the folder of results.
        objects: File names of the DICOM objects that are sent to peers.
        brain_level_hu, noise_hu: Brain level and noise of the scan that was judged, HU; None if not
            measured.
    """

    status: str
    urgent: bool | None
    complete: bool | None
    any_probability: float | None
    reasons: tuple[str, ...]
    bundle: str
    settings: str
    folder: str
    objects: tuple[str, ...]
    brain_level_hu: float | None = None
    noise_hu: float | None = None


def queue_due(connection: sqlite3.Connection, now: float, longest_s: float = inf) -> int:
    """Queue a new version of each study that is due for reading, and return their number.

    A study that is queued already includes instances that came meanwhile; one that is being read is
    queued when that has ended. A due time too far ahead stems from a clock that was set back, and
    counts as due.

    Args:
        connection: Writing connection to the node's database.
        now: s since 1970.
        longest_s: Longest quiet time of any sender, s.
    """
    due = connection.execute(
        "SELECT id, uid, version, state FROM study WHERE (due_at <= ? OR due_at > ?) "
        "AND state != 'running'",
        (now, now + longest_s),
    ).fetchall()
    for study in due:
        if study["state"] != "queued":
            version = study["version"] + 1
            connection.execute(
                "INSERT INTO reading (study_id, version, state, queued_at) "
                "VALUES (?, ?, 'queued', ?)",
                (study["id"], version, now),
            )
            connection.execute(
                "UPDATE study SET state = 'queued', version = ? WHERE id = ?",
                (version, study["id"]),
            )
            audit.append(connection, "node", "study.queued", study=study["uid"], version=version)
        connection.execute("UPDATE study SET due_at = NULL WHERE id = ?", (study["id"],))
    return len(due)


def recover(connection: sqlite3.Connection) -> int:
    """Requeue or park the readings that a crashed node had begun; return their number.

    Args:
        connection: Writing connection to the node's database.
    """
    running = connection.execute(
        "SELECT reading.id, study_id, claims FROM reading WHERE state = 'running'"
    ).fetchall()
    for reading in running:
        if reading["claims"] >= MOST_CLAIMS:
            why = "reading it was begun ten times and never ended"
            park(connection, reading["id"], why, time.time())
        else:
            _queue_again(connection, reading["id"])
    return len(running)


def put_back(connection: sqlite3.Connection, reading: Claim) -> None:
    """Requeue a reading that failed because of the node itself, such as on a full disk.

    Args:
        connection: Writing connection to the node's database.
        reading: Reading that could not be done; the attempt is not counted.
    """
    connection.execute(
        "UPDATE reading SET claims = claims - 1 WHERE id = ? AND state = 'running'",
        (reading.reading_id,),
    )
    _queue_again(connection, reading.reading_id)


def claim(connection: sqlite3.Connection, now: float) -> Claim | None:
    """Take the most urgent, then the oldest, reading from the queue; None if it is empty.

    A study is urgent if its RequestedProcedurePriority says so, or an earlier version was found
    urgent.

    Args:
        connection: Writing connection to the node's database.
        now: s since 1970.
    """
    row = connection.execute(
        "SELECT reading.id, study_id, study.uid, reading.version, queued_at FROM reading "
        "JOIN study ON study.id = study_id WHERE reading.state = 'queued' ORDER BY "
        "max(priority, 2 * EXISTS (SELECT 1 FROM reading AS before WHERE "
        "before.study_id = study.id AND before.urgent)) DESC, queued_at, reading.id LIMIT 1"
    ).fetchone()
    if row is None:
        return None
    # Of an instance that came again with other bytes, the last counts.
    last = connection.execute(
        "SELECT digest, max(id), count(*) > 1 AS repeated FROM instance WHERE study_id = ? "
        "GROUP BY uid ORDER BY uid",
        (row["study_id"],),
    ).fetchall()
    digests = tuple(one["digest"] for one in last)
    repeated = sum(one["repeated"] for one in last)
    inputs = hashlib.sha256("\n".join(digests).encode()).hexdigest()
    connection.execute(
        "UPDATE reading SET state = 'running', started_at = ?, claims = claims + 1, "
        "instances = ?, inputs = ? WHERE id = ?",
        (now, len(digests), inputs, row["id"]),
    )
    connection.execute("UPDATE study SET state = 'running' WHERE id = ?", (row["study_id"],))
    return Claim(row["id"], row["uid"], row["version"], row["queued_at"], digests, inputs, repeated)


def finish(
    connection: sqlite3.Connection,
    reading: Claim,
    outcome: Outcome,
    peers: tuple[PeerSettings, ...],
    now: float,
    hooks: tuple[str, ...] = (),
) -> None:
    """Record the outcome of a reading, supersede earlier versions, and queue deliveries.

    Args:
        connection: Writing connection to the node's database.
        reading: Reading that has ended.
        outcome: Result of the reading.
        peers: Peers that the result's DICOM objects are sent to.
        now: s since 1970.
        hooks: Names of webhooks and e-mail targets that are notified if the study is urgent.
    """
    study_id = _end(connection, reading.reading_id, "done", now)
    connection.execute(
        "UPDATE reading SET status = ?, urgent = ?, complete = ?, any_probability = ?, "
        "reasons = ?, bundle = ?, settings = ?, folder = ?, brain_level_hu = ?, noise_hu = ? "
        "WHERE id = ?",
        (
            *(outcome.status, outcome.urgent, outcome.complete, outcome.any_probability),
            *(json.dumps(outcome.reasons), outcome.bundle, outcome.settings, outcome.folder),
            *(outcome.brain_level_hu, outcome.noise_hu),
            reading.reading_id,
        ),
    )
    connection.execute(
        "UPDATE reading SET superseded = 1 WHERE study_id = ? AND version < ?",
        (study_id, reading.version),
    )
    connection.execute(
        "UPDATE delivery SET state = 'superseded' WHERE state = 'waiting' AND reading_id IN "
        "(SELECT id FROM reading WHERE study_id = ? AND superseded)",
        (study_id,),
    )
    for peer in peers:
        deliveries.add(connection, reading.reading_id, peer.name, outcome.objects, now)
    for hook in hooks if outcome.urgent else ():
        deliveries.add(connection, reading.reading_id, hook, (deliveries.NOTICE,), now)
    audit.append(
        connection, "node", "study.read", study=reading.study_uid, version=reading.version,
        status=outcome.status, urgent=outcome.urgent, any=outcome.any_probability,
        bundle=outcome.bundle, settings=outcome.settings, inputs=reading.inputs,
    )  # fmt: skip


def child_died(connection: sqlite3.Connection, reading: Claim, why: str, now: float) -> bool:
    """Record that the process reading a study died; requeue the study once, or park it.

    Args:
        connection: Writing connection to the node's database.
        reading: Reading that the process was doing.
        why: Cause in words, for the audit log.
        now: s since 1970.

    Returns:
        Whether the study is now parked.
    """
    connection.execute("UPDATE reading SET deaths = deaths + 1 WHERE id = ?", (reading.reading_id,))
    (deaths,) = connection.execute(
        "SELECT deaths FROM reading WHERE id = ?", (reading.reading_id,)
    ).fetchone()
    audit.append(
        connection, "node", "child.died", study=reading.study_uid, version=reading.version, why=why
    )
    if deaths < MOST_DEATHS:
        _queue_again(connection, reading.reading_id)
        return False
    park(connection, reading.reading_id, why, now)
    return True


def park(connection: sqlite3.Connection, reading_id: int, why: str, now: float = 0) -> None:
    """Set a reading aside with its reason, so that the queue goes on.

    Args:
        connection: Writing connection to the node's database.
        reading_id: Row of the reading.
        why: Reason in words.
        now: s since 1970.
    """
    _end(connection, reading_id, "parked", now)
    connection.execute(
        "UPDATE reading SET reasons = ? WHERE id = ?", (json.dumps([why]), reading_id)
    )


def retry_parked(connection: sqlite3.Connection, study_uid: str, now: float) -> bool:
    """Make a parked study due for reading again as a new version; return whether it was parked.

    Args:
        connection: Writing connection to the node's database.
        study_uid: StudyInstanceUID.
        now: s since 1970.
    """
    changed = connection.execute(
        "UPDATE study SET state = 'received', due_at = ? WHERE uid = ? AND state = 'parked'",
        (now, study_uid),
    )
    return changed.rowcount > 0


def _queue_again(connection: sqlite3.Connection, reading_id: int) -> None:
    connection.execute("UPDATE reading SET state = 'queued' WHERE id = ?", (reading_id,))
    connection.execute(
        "UPDATE study SET state = 'queued' WHERE id = (SELECT study_id FROM reading WHERE id = ?)",
        (reading_id,),
    )


def _end(connection: sqlite3.Connection, reading_id: int, state: str, now: float) -> int:
    """End a reading; its study has that state too, unless more has come for it. Return its row."""
    connection.execute(
        "UPDATE reading SET state = ?, finished_at = ? WHERE id = ?", (state, now, reading_id)
    )
    (study_id,) = connection.execute(
        "SELECT study_id FROM reading WHERE id = ?", (reading_id,)
    ).fetchone()
    connection.execute(
        "UPDATE study SET state = CASE WHEN due_at IS NULL THEN ? ELSE 'received' END WHERE id = ?",
        (state, study_id),
    )
    return int(study_id)


_STATUS = """
SELECT study.uid AS study, study.state, reading.status, reading.urgent,
    reading.any_probability AS "any", reading.complete, study.version,
    (SELECT count(DISTINCT uid) FROM instance WHERE study_id = study.id) AS instances,
    coalesce(reading.reasons, '[]') AS reasons
FROM study LEFT JOIN reading ON reading.id = (
    SELECT id FROM reading WHERE study_id = study.id AND state IN ('done', 'parked')
    ORDER BY version DESC LIMIT 1)
ORDER BY study.id
"""


def status_counts(connection: sqlite3.Connection) -> tuple[dict[str, int], dict[str, int]]:
    """Return the number of studies in each state, and the number of deliveries in each state."""
    states = dict.fromkeys(("received", "queued", "running", "done", "parked"), 0)
    states |= dict(
        connection.execute("SELECT state, count(*) FROM study GROUP BY state").fetchall()
    )
    outbox = dict.fromkeys(("waiting", "sent", "dead"), 0)
    outbox |= dict(
        connection.execute("SELECT state, count(*) FROM delivery GROUP BY state").fetchall()
    )
    return states, outbox


def status_document(connection: sqlite3.Connection) -> dict[str, Any]:
    """Return the document of `ichlite node status --json`; keys may be added but never renamed."""
    states, outbox = status_counts(connection)
    studies = []
    for row in connection.execute(_STATUS):
        study = dict(row)
        for key in ("urgent", "complete"):
            study[key] = None if study[key] is None else bool(study[key])
        study["reasons"] = json.loads(study["reasons"])
        studies.append(study)
    return {**states, "outbox": outbox, "studies": studies}


def result_folder(study_uid: str, version: int) -> Path:
    """Return the folder of a reading's files, relative to the folder of results.

    Its name is a hash of the UID, so that no text from a DICOM file becomes part of a path.

    Args:
        study_uid: StudyInstanceUID.
        version: Version of the study.
    """
    name = hashlib.sha256(study_uid.encode()).hexdigest()[:32]
    return Path(name[:2]) / name / str(version)
