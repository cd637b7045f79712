"""Find all that is known of one study, and change what a reader may change."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterable

from ichlite.node import audit, studies
from ichlite.node.deliveries import retry_dead
from ichlite.node.intake import complete_now
from ichlite.node.web.documents import (
    AuditEntry,
    DeliveryEntry,
    SeriesEntry,
    StudyDetail,
    VerdictEntry,
    VerdictWord,
    VersionEntry,
    moment,
    moment_or_none,
)
from ichlite.node.web.words import Call, call_of
from ichlite.node.web.worklist import as_bool, find_study

MOST_AUDIT_ROWS = 200
LONGEST_REMARK = 2000


def study_detail(tables: sqlite3.Connection, uid: str) -> StudyDetail | None:
    """Return everything known of a study; None if it is unknown.

    Args:
        tables: Connection to the node's database.
        uid: StudyInstanceUID.
    """
    study = find_study(tables, uid)
    if study is None:
        return None
    readings = tables.execute(
        "SELECT reading.* FROM reading JOIN study ON study.id = study_id WHERE uid = ? "
        "ORDER BY version DESC",
        (uid,),
    )
    series = tables.execute(
        "SELECT series_uid, max(series_description) AS description, "
        "count(DISTINCT instance.uid) AS instances, max(instance.source) AS source, "
        "max(received_at) AS last_at FROM instance JOIN study ON study.id = study_id "
        "WHERE study.uid = ? GROUP BY series_uid ORDER BY min(instance.id)",
        (uid,),
    )
    verdicts = tables.execute(
        "SELECT reading.version, reader, verdict, remark, at FROM verdict "
        "JOIN reading ON reading.id = reading_id JOIN study ON study.id = study_id "
        "WHERE uid = ? ORDER BY at DESC",
        (uid,),
    )
    return StudyDetail(
        research_use_only=True,
        study=study,
        versions=tuple(_version(row) for row in readings),
        series=tuple(
            SeriesEntry(
                series=row["series_uid"],
                description=row["description"],
                instances=row["instances"],
                source=row["source"],
                last_at=moment(row["last_at"]),
            )
            for row in series
        ),
        deliveries=deliveries(tables, "study.uid = ?", (uid,)),
        verdicts=tuple(
            VerdictEntry(
                version=row["version"],
                reader=row["reader"],
                verdict=row["verdict"],
                remark=row["remark"],
                at=moment(row["at"]),
            )
            for row in verdicts
        ),
        audit=_audit_of(tables, uid),
    )


def deliveries(
    tables: sqlite3.Connection, where: str, values: tuple[object, ...], most: int = 500
) -> tuple[DeliveryEntry, ...]:
    """Return the deliveries that satisfy an SQL condition, newest first.

    Args:
        tables: Connection to the node's database.
        where: SQL condition, a constant of this program and never input.
        values: Values for the question marks in `where`.
        most: Largest number of deliveries.
    """
    rows = tables.execute(
        "SELECT delivery.*, study.uid AS study, reading.version FROM delivery "  # noqa: S608
        "JOIN reading ON reading.id = reading_id JOIN study ON study.id = study_id "
        f"WHERE {where} ORDER BY delivery.id DESC LIMIT {most:d}",
        values,
    )
    return tuple(
        DeliveryEntry(
            delivery=row["id"],
            study=row["study"],
            version=row["version"],
            peer=row["peer"],
            file=row["file"],
            state=row["state"],
            attempts=row["attempts"],
            next_at=moment(row["next_at"]) if row["state"] == "waiting" else None,
            fault=row["fault"],
        )
        for row in rows
    )


def give_verdict(
    tables: sqlite3.Connection,
    uid: str,
    version: int,
    reader: str,
    verdict: VerdictWord,
    remark: str,
    now: float,
) -> bool:
    """Record a reader's opinion of a result, replacing an earlier one of the same reader.

    Args:
        tables: Writing connection to the node's database.
        uid: StudyInstanceUID.
        version: Version of the study.
        reader: Name of the user.
        verdict: `agree`, `disagree` or `unsure`.
        remark: Free text; unprintable characters become spaces, and it is cut at `LONGEST_REMARK`.
        now: s since 1970.

    Returns:
        Whether the study has a result of that version.
    """
    row = tables.execute(
        "SELECT reading.id FROM reading JOIN study ON study.id = study_id "
        "WHERE uid = ? AND reading.version = ? AND reading.state = 'done'",
        (uid, version),
    ).fetchone()
    if row is None:
        return False
    shown = "".join(c if c.isprintable() else " " for c in remark).strip()[:LONGEST_REMARK]
    tables.execute(
        "INSERT INTO verdict (reading_id, reader, verdict, remark, at) VALUES (?, ?, ?, ?, ?) "
        "ON CONFLICT (reading_id, reader) DO UPDATE SET verdict = excluded.verdict, "
        "remark = excluded.remark, at = excluded.at",
        (row["id"], reader, verdict, shown, now),
    )
    audit.append(tables, reader, "verdict.given", study=uid, version=version, verdict=verdict)
    return True


def complete(tables: sqlite3.Connection, uid: str, user: str) -> bool | None:
    """Stop waiting for further instances of a study, so that it is read now.

    Args:
        tables: Writing connection to the node's database.
        uid: StudyInstanceUID.
        user: Name of the user, for the audit log.

    Returns:
        Whether the study was waiting; None if it is unknown.
    """
    row = tables.execute("SELECT due_at FROM study WHERE uid = ?", (uid,)).fetchone()
    if row is None:
        return None
    if row["due_at"] is None:
        return False
    complete_now(tables, uid)
    audit.append(tables, user, "study.completed", study=uid)
    return True


def retry(tables: sqlite3.Connection, uid: str, user: str, now: float) -> bool | None:
    """Make a parked study due for reading again.

    Args:
        tables: Writing connection to the node's database.
        uid: StudyInstanceUID.
        user: Name of the user, for the audit log.
        now: s since 1970.

    Returns:
        Whether the study was parked; None if it is unknown.
    """
    if tables.execute("SELECT 1 FROM study WHERE uid = ?", (uid,)).fetchone() is None:
        return None
    if not studies.retry_parked(tables, uid, now):
        return False
    audit.append(tables, user, "study.retried", study=uid)
    return True


def send_again(
    tables: sqlite3.Connection, delivery: int, user: str, now: float, targets: Iterable[str]
) -> bool | None:
    """Queue a delivery that was given up to be tried again.

    Args:
        tables: Writing connection to the node's database.
        delivery: Number of the delivery.
        user: Name of the user, for the audit log.
        now: s since 1970.
        targets: Names of all peers and hooks in the settings.

    Returns:
        Whether it is tried again: it had been given up, and its target is in the settings; None if
        there is no such delivery.
    """
    if tables.execute("SELECT 1 FROM delivery WHERE id = ?", (delivery,)).fetchone() is None:
        return None
    return bool(retry_dead(tables, now, user, delivery=delivery, among=targets))


def _version(row: sqlite3.Row) -> VersionEntry:
    reasons = tuple(dict.fromkeys(json.loads(row["reasons"])))
    urgent, whole = as_bool(row["urgent"]), as_bool(row["complete"])
    call = call_of(row["status"], urgent=urgent, complete=whole, reasons=reasons)
    if row["state"] == "parked":
        call = Call("parked: no result", "none")
    started, finished = row["started_at"], row["finished_at"]
    return VersionEntry(
        version=row["version"],
        state=row["state"],
        call=call.words,
        look=call.look,
        superseded=bool(row["superseded"]),
        any_probability=row["any_probability"],
        urgent=urgent,
        complete=whole,
        status=row["status"],
        reasons=reasons,
        instances=row["instances"],
        queued_at=moment(row["queued_at"]),
        finished_at=moment_or_none(finished),
        seconds=round(finished - started, 2) if started and finished else None,
        bundle=row["bundle"],
        settings=row["settings"],
        inputs=row["inputs"],
        brain_level_hu=row["brain_level_hu"],
        noise_hu=row["noise_hu"],
    )


def _audit_of(tables: sqlite3.Connection, uid: str) -> tuple[AuditEntry, ...]:
    rows = tables.execute(
        "SELECT number, at, actor, action, details FROM audit WHERE details ->> '$.study' = ? "
        "ORDER BY number DESC LIMIT ?",
        (uid, MOST_AUDIT_ROWS),
    )
    return tuple(
        AuditEntry(
            number=row["number"],
            at=moment(row["at"]),
            actor=row["actor"],
            action=row["action"],
            details={
                key: value for key, value in json.loads(row["details"]).items() if key != "study"
            },
        )
        for row in rows
    )
