"""Delete studies that are old, read and reported, and then their files.

Rows go first, in a transaction that names their files and writes a row of the audit log; a node
that dies after it leaves the files to the next sweep. What was not reported is never deleted: a
study that waits, runs or is parked, and one of which something waits to be sent or could not be.
Nor is a file that nobody named: the node takes it in again when it starts.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import structlog

from ichlite.node import audit
from ichlite.node.database import Database
from ichlite.node.repeating import Repeated
from ichlite.node.store import RESULTS, FileStore, instance_path, sync

EVERY_S = 3600.0
YOUNG_S = 3600.0
"""Age in seconds below which a file may belong to an instance that is still being received."""
_AT_ONCE = 50
_DAY_S = 86_400
FILES_LOCK = ".files"
"""File of a store by which a backup keeps the sweep from its files."""

_log = structlog.get_logger("retention")


class Retention:
    """Thread that deletes old studies and their files every hour.

    Args:
        database, store: Database and file store of the node.
        days: Age in days beyond which studies are deleted, counted from their last instance and the
            end of their reading; 0 keeps all.
    """

    def __init__(self, database: Database, store: FileStore, days: float) -> None:
        self._database = database
        self._store = store
        self._days = days
        self._thread = Repeated("retention", self.delete, EVERY_S)

    def close(self) -> None:
        """Stop the thread after the deletion in progress."""
        self._thread.end()
        self._thread.join(30)

    def delete(self) -> None:
        """Delete studies beyond the retention period, then the files of deleted studies."""
        if self._days:
            before = time.time() - self._days * _DAY_S
            while count := self._database.write(lambda tables: delete_studies(tables, before)):
                _log.info("studies deleted", count=count)
        removed = sweep(self._database, self._store)
        if removed:
            _log.info("files swept", count=removed)


_OLD = """
SELECT study.id, study.uid, study.version, (SELECT count(*) FROM instance WHERE study_id = study.id)
    AS instances
FROM study JOIN reading ON reading.study_id = study.id AND reading.version = study.version
WHERE study.state = 'done' AND reading.state = 'done' AND study.due_at IS NULL
    AND study.last_at < ?1 AND reading.finished_at < ?1
    AND NOT EXISTS (SELECT 1 FROM delivery JOIN reading AS any_version
        ON any_version.id = delivery.reading_id AND any_version.study_id = study.id
        WHERE delivery.state IN ('waiting', 'dead'))
ORDER BY study.last_at LIMIT ?2
"""


def delete_studies(tables: sqlite3.Connection, before: float) -> int:
    """Delete the rows of some studies that are old, read and reported; return their number.

    Args:
        tables: Writing connection to the node's database.
        before: Time, s since 1970, before which a study counts as old.
    """
    old = tables.execute(_OLD, (before, _AT_ONCE)).fetchall()
    for study in old:
        doom_files(tables, study["id"])
        tables.execute("DELETE FROM study WHERE id = ?", (study["id"],))
        audit.append(
            tables, "node", "study.deleted", study=study["uid"], version=study["version"],
            instances=study["instances"],
        )  # fmt: skip
    return len(old)


def doom_files(tables: sqlite3.Connection, study_id: int) -> None:
    """Name the files of a study that is about to be deleted, for the next sweep to remove.

    Only what is named here is ever removed: a file without a row may also be one that the database
    has forgotten, because an older copy of it was put back.

    Args:
        tables: Writing connection to the node's database.
        study_id: Row of the study.
    """
    digests = tables.execute("SELECT digest FROM instance WHERE study_id = ?", (study_id,))
    paths = [str(instance_path(row["digest"])) for row in digests]
    folders = tables.execute(
        "SELECT folder FROM reading WHERE study_id = ? AND folder IS NOT NULL", (study_id,)
    )
    paths += [str(Path(RESULTS, row["folder"])) for row in folders]
    tables.executemany("INSERT OR IGNORE INTO doomed VALUES (?)", [(path,) for path in paths])


def sweep(database: Database, store: FileStore) -> int:
    """Remove the instance files and result folders of deleted studies, unless they are recent.

    Args:
        database: Database of the node.
        store: File store of the node.

    Returns:
        Number removed; 0 while a backup is being made, which needs files named by the rows it
        copied.
    """
    with files_held(store.folder, alone=True) as held:
        if not held:
            return 0
        with database.read() as tables:
            doomed = [row["path"] for row in tables.execute("SELECT path FROM doomed")]
        removed = 0
        for first in range(0, len(doomed), _AT_ONCE):
            removed += _remove_doomed(database, store, doomed[first : first + _AT_ONCE])
    return removed


@contextmanager
def files_held(store: Path, *, alone: bool) -> Iterator[bool]:
    """Hold a lock that keeps a store's files from being swept; yield whether it was obtained.

    Args:
        store: Folder of the store.
        alone: True for the sweep, which gives up at once if a backup holds the lock; False for a
            backup, which waits for a sweep to end.
    """
    with (store / FILES_LOCK).open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB if alone else fcntl.LOCK_SH)
        except BlockingIOError:
            yield False
            return
        yield True


def _remove_doomed(database: Database, store: FileStore, doomed: list[str]) -> int:
    """Remove those of some paths that are there, have no row and are not recent.

    An identical instance may be arriving: its file takes the place of the old one, and its row
    comes a moment later, through the writer. So this happens in the writer, and what was moved out
    of the way and turns out to be young goes back before any row can be written.
    """
    moved: list[Path] = []

    def move(tables: sqlite3.Connection) -> None:
        for name in doomed:
            path = store.folder / name
            if path.exists() and not _has_row(tables, name):
                if _age_s(path) <= YOUNG_S:
                    continue
                aside = store.incoming / f"swept-{os.urandom(8).hex()}"
                path.rename(aside)
                if _age_s(aside) <= YOUNG_S:
                    aside.rename(path)
                    sync(path.parent)
                    continue
                moved.append(aside)
            tables.execute("DELETE FROM doomed WHERE path = ?", (name,))

    database.write(move)
    for aside in moved:
        if aside.is_dir():
            shutil.rmtree(aside)
        else:
            aside.unlink()
    return len(moved)


def _has_row(tables: sqlite3.Connection, name: str) -> bool:
    path = Path(name)
    if path.parts[0] == RESULTS:
        query, key = "SELECT 1 FROM reading WHERE folder = ?", str(path.relative_to(RESULTS))
    else:
        query, key = "SELECT 1 FROM instance WHERE digest = ?", path.stem
    return tables.execute(f"{query} LIMIT 1", (key,)).fetchone() is not None


def _age_s(path: Path) -> float:
    return time.time() - path.stat().st_mtime
