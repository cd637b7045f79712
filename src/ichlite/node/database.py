"""Keep the node's tables in one SQLite file: any number of readers, one writer that commits groups.

What several associations write at the same moment goes to disk in one commit, each part of it whole
or not at all; each caller returns only when its part would survive a power cut.
"""

from __future__ import annotations

import queue
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from ichlite.errors import IchliteError, StoreError
from ichlite.node.migrations import MIGRATIONS

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], T]
FILE = "node.sqlite"
_BUSY_S = 10.0
_MOST_IN_A_COMMIT = 64


class Database:
    """SQLite database of a node, with many readers and one writer thread.

    Args:
        folder: Folder of the store; folder and database are made, and migrated to the newest
            schema, if needed.

    Raises:
        IchliteError: The folder cannot be made.
        StoreError: The database is damaged, or was written by a later version.
    """

    def __init__(self, folder: Path) -> None:
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise IchliteError(f"cannot make {folder}: {error.strerror}") from None
        self.path = folder / FILE
        self._local = threading.local()
        _check(self.path)
        _migrate(self.path)
        self._work: queue.SimpleQueue[tuple[Work[Any], Future[Any]] | None] = queue.SimpleQueue()
        self._writer = threading.Thread(target=self._write_groups, name="database writer")
        self._writer.start()

    def close(self) -> None:
        """Finish pending writes and close the database; later writes raise an error."""
        self._work.put(None)
        self._writer.join()

    def write(self, work: Work[T]) -> T:
        """Run a function in a write transaction, and return its result once the change is durable.

        Args:
            work: Function that is called in the writer thread with a connection; it must not
                commit. An exception in it rolls its changes back and is raised here.

        Raises:
            sqlite3.Error: The disk is full, or fails.
        """
        done: Future[T] = Future()
        self._work.put((work, done))
        return done.result()

    @contextmanager
    def read(self) -> Iterator[sqlite3.Connection]:
        """Yield this thread's read-only connection to one consistent state of the database."""
        connection: sqlite3.Connection | None = getattr(self._local, "connection", None)
        if connection is None:
            connection = _connect(self.path)
            connection.execute("PRAGMA query_only = 1")
            self._local.connection = connection
        connection.execute("BEGIN")
        try:
            yield connection
        finally:
            connection.execute("ROLLBACK")

    def _write_groups(self) -> None:
        connection = _connect(self.path)
        ended = False
        while not ended:
            group = [self._work.get()]
            while len(group) < _MOST_IN_A_COMMIT and not self._work.empty():
                group.append(self._work.get())
            ended = None in group
            _commit_group(connection, [one for one in group if one is not None])
        connection.close()


@contextmanager
def only_looked_at(folder: Path) -> Iterator[sqlite3.Connection]:
    """Provide a connection to a node's database that changes nothing, not even an old schema.

    Args:
        folder: Folder of the store.

    Raises:
        StoreError: The database is missing or damaged.
    """
    path = folder / FILE
    if not path.exists():
        raise StoreError(f"{path} is missing", remedy="restore a backup: ichlite node restore")
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as tables:
            tables.row_factory = sqlite3.Row
            yield tables
    except sqlite3.DatabaseError as error:
        raise StoreError(f"{path} is damaged", found=error) from None


def _commit_group(
    connection: sqlite3.Connection, group: list[tuple[Work[Any], Future[Any]]]
) -> None:
    """Do each work in a savepoint of its own, commit all at once, then tell the callers."""
    outcomes: list[tuple[Future[Any], Any, BaseException | None]] = []
    try:
        connection.execute("BEGIN IMMEDIATE")
        for work, done in group:
            connection.execute("SAVEPOINT one")
            try:
                outcomes.append((done, work(connection), None))
            except Exception as error:
                if not connection.in_transaction:
                    raise  # SQLite itself has undone all of it, as it does on a full disk
                connection.execute("ROLLBACK TO one")
                outcomes.append((done, None, error))
            connection.execute("RELEASE one")
        connection.execute("COMMIT")
    except sqlite3.Error as error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        outcomes = [(done, None, error) for _, done in group]
    for done, value, fault in outcomes:
        if fault is None:
            done.set_result(value)
        else:
            done.set_exception(fault)


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(
        path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False
    )
    connection.row_factory = sqlite3.Row
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        connection.execute(f"PRAGMA {pragma}")
    return connection


def _check(path: Path) -> None:
    try:
        with closing(_connect(path)) as connection:
            found = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.DatabaseError as error:
        found = [str(error)]
    if found != ["ok"]:
        raise StoreError(
            f"{path} is damaged",
            found="; ".join(found),
            remedy="restore the last backup: ichlite node restore",
        )


def _migrate(path: Path) -> None:
    """Bring the tables from the version that they are at to the newest, one step a transaction."""
    with closing(_connect(path)) as connection:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > len(MIGRATIONS):
            raise StoreError(
                f"{path} was written by a later ichlite",
                found=f"schema {version}",
                expected=f"at most {len(MIGRATIONS)}",
                remedy="install that version",
            )
        for number, script in enumerate(MIGRATIONS[version:], version + 1):
            connection.executescript(f"BEGIN; {script}; PRAGMA user_version = {number}; COMMIT")
