"""Find the studies of the worklist, most urgent first, or in another order that was asked for."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from typing import get_args

from ichlite.node.web.documents import Group, StudyEntry, StudyList, moment, moment_or_none
from ichlite.node.web.words import Call, call_of

PAGE = 100
_GROUP = """CASE
    WHEN r.urgent = 1 THEN 'urgent'
    WHEN study.state = 'parked' OR r.status = 'not_analysed'
        OR (r.status = 'analysed' AND r.urgent IS NULL) THEN 'look'
    WHEN r.id IS NULL OR study.state != 'done' THEN 'work'
    ELSE 'unflagged' END"""
_FROM = """FROM study LEFT JOIN reading AS r ON r.id = (
    SELECT id FROM reading WHERE study_id = study.id AND state = 'done'
    ORDER BY version DESC LIMIT 1)"""
_RANK = f"CASE {_GROUP} WHEN 'urgent' THEN 0 WHEN 'look' THEN 1 WHEN 'work' THEN 2 ELSE 3 END"
ORDERS: dict[str, tuple[str, ...]] = {
    "urgency": (_RANK, "study.priority DESC", "coalesce(r.any_probability, 0) DESC"),
    "patient": ("study.patient_name COLLATE NOCASE",),
    "date": ("study.study_date DESC",),
    "received": ("study.last_at DESC",),
    "source": ("study.source COLLATE NOCASE",),
    "probability": ("coalesce(r.any_probability, -1) DESC",),
    "slices": ("instances DESC",),
}
"""Sort orders of the worklist; ties are sorted by the latest instance."""
_COLUMNS = f"""SELECT study.*, {_GROUP} AS "group", r.status, r.urgent, r.complete,
    r.any_probability, r.reasons, r.version AS read_version, r.finished_at AS read_at,
    (SELECT count(DISTINCT uid) FROM instance WHERE study_id = study.id) AS instances,
    (SELECT reasons FROM reading WHERE study_id = study.id AND state = 'parked'
        ORDER BY version DESC LIMIT 1) AS parked_reasons"""  # noqa: S608  of this program


@dataclass(frozen=True, slots=True)
class Wanted:
    """Part of the worklist that is asked for.

    Attributes:
        group: Group that is shown; None for all.
        order: A key of `ORDERS`.
        backwards: Whether the order is reversed.
        page: Number of the page, from 1.
    """

    group: Group | None = None
    order: str = "urgency"
    backwards: bool = False
    page: int = 1


def list_studies(tables: sqlite3.Connection, wanted: Wanted) -> StudyList:
    """Return one page of the worklist.

    Args:
        tables: Connection to the node's database.
        wanted: Group, order and page that are asked for; a page beyond the last gives the last.
    """
    counts: dict[Group, int] = dict.fromkeys(get_args(Group), 0)
    counted = tables.execute(f'SELECT {_GROUP} AS "group", count(*) {_FROM} GROUP BY 1')
    counts |= {row[0]: row[1] for row in counted}
    total = sum(counts.values()) if wanted.group is None else counts[wanted.group]
    pages = max(1, -(-total // PAGE))
    page = min(max(1, wanted.page), pages)
    where = "" if wanted.group is None else f"WHERE {_GROUP} = :group"
    # Of the words in this query none comes from outside: the order is a key of a table.
    rows = tables.execute(
        f"{_COLUMNS} {_FROM} {where} ORDER BY {_order(wanted)}, study.id LIMIT {PAGE} "
        "OFFSET :after",
        {"group": wanted.group, "after": (page - 1) * PAGE},
    )
    studies = tuple(_entry(row) for row in rows)
    return StudyList(research_use_only=True, studies=studies, counts=counts, page=page, pages=pages)


def find_study(tables: sqlite3.Connection, uid: str) -> StudyEntry | None:
    """Return the worklist entry of a study; None if the study is unknown.

    Args:
        tables: Connection to the node's database.
        uid: StudyInstanceUID.
    """
    row = tables.execute(f"{_COLUMNS} {_FROM} WHERE study.uid = ?", (uid,)).fetchone()
    return None if row is None else _entry(row)


def as_bool(value: int | None) -> bool | None:
    """Return an SQLite integer as a bool; None for NULL."""
    return None if value is None else bool(value)


def _order(wanted: Wanted) -> str:
    terms = ORDERS[wanted.order]
    if wanted.backwards:
        terms = tuple(
            term.removesuffix(" DESC") if term.endswith(" DESC") else f"{term} DESC"
            for term in terms
        )
    return ", ".join((*terms, "study.last_at DESC"))


def _entry(row: sqlite3.Row) -> StudyEntry:
    reasons = tuple(dict.fromkeys(json.loads(row["reasons"] or "[]")))
    urgent, complete = as_bool(row["urgent"]), as_bool(row["complete"])
    call = call_of(row["status"], urgent=urgent, complete=complete, reasons=reasons)
    if row["state"] == "parked":
        reasons = tuple(json.loads(row["parked_reasons"] or "[]")) + reasons
        if not urgent:
            call = Call("parked: no result", "none")
    return StudyEntry(
        study=row["uid"],
        state=row["state"],
        group=row["group"],
        call=call.words,
        look=call.look,
        status=row["status"],
        urgent=urgent,
        complete=complete,
        any_probability=row["any_probability"],
        reasons=reasons,
        version=row["version"],
        read_version=row["read_version"],
        instances=row["instances"],
        source=row["source"],
        priority=row["priority"],
        first_at=moment(row["first_at"]),
        last_at=moment(row["last_at"]),
        due_at=moment_or_none(row["due_at"]),
        read_at=moment_or_none(row["read_at"]),
        patient_name=row["patient_name"],
        patient_id=row["patient_id"],
        study_date=row["study_date"],
        accession=row["accession"],
        description=row["description"],
    )
