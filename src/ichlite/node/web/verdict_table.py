"""Write all verdicts as CSV, for a site that measures the model on its own patients."""

from __future__ import annotations

import csv
import io
import sqlite3

from ichlite.node.web.documents import moment
from ichlite.write.result_files import safe_cell

COLUMNS = (
    "study", "accession", "study_date", "source", "version", "superseded", "bundle", "settings",
    "status", "urgent", "complete", "any", "reader", "verdict", "remark", "at",
)  # fmt: skip


def verdict_table(tables: sqlite3.Connection) -> str:
    """Return all verdicts, each with the result it is about, as CSV text, oldest first."""
    rows = tables.execute(
        "SELECT study.uid AS study, accession, study_date, source, reading.version, superseded, "
        "bundle, settings, status, urgent, complete, any_probability, reader, verdict, remark, at "
        "FROM verdict JOIN reading ON reading.id = reading_id "
        "JOIN study ON study.id = reading.study_id ORDER BY verdict.id"
    )
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        probability = row["any_probability"]
        writer.writerow(
            (
                *(safe_cell(row[name]) for name in ("study", "accession", "study_date", "source")),
                *(row["version"], _yes_or_no(row["superseded"])),
                *(safe_cell(row[name]) for name in ("bundle", "settings", "status")),
                *(_yes_or_no(row["urgent"]), _yes_or_no(row["complete"])),
                "" if probability is None else f"{probability:.6f}",
                *(safe_cell(row[name]) for name in ("reader", "verdict", "remark")),
                moment(row["at"]),
            )
        )
    return text.getvalue()


def _yes_or_no(value: int | None) -> str:
    return "" if value is None else str(bool(value)).lower()
