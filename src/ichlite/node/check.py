"""Check a node: its tables and files, its peers, its model, its disk, and what the kernel gives."""

from __future__ import annotations

import hashlib
import json
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import msgspec

from ichlite.errors import IchliteError
from ichlite.node import audit
from ichlite.node.database import FILE as TABLES
from ichlite.node.outbox import Unreachable
from ichlite.node.peers import echo
from ichlite.node.run import is_running, model_of, store_folder
from ichlite.node.settings import Settings, read_settings
from ichlite.node.store import RESULTS, FileStore
from ichlite.node.study_child import DOCUMENT

_CONFINE = """
import json, sys
from pathlib import Path
from ichlite.node.sandbox import confine
json.dump(confine(Path(sys.argv[1]), 1024, 60), sys.stdout)
"""
_CONFINE_SECONDS = 60


class Finding(msgspec.Struct, frozen=True):
    """Result of one check of a node.

    Attributes:
        check: Name of the check.
        ok: Whether the check passed.
        says: One line that describes the result.
        must: Whether a failure means that the node is faulty, rather than less protected than it
            could be.
    """

    check: str
    ok: bool
    says: str
    must: bool = True


Advance = Callable[[int], None]


def check_node(folder: Path, advance: Advance = lambda _: None) -> Iterator[Finding]:
    """Run every check on a node, which may be running, and yield each result.

    Args:
        folder: Folder of the node.
        advance: Progress callback, called with the number of files just compared.

    Raises:
        UsageError: The folder holds no node, or its settings are invalid.
    """
    settings = read_settings(folder)
    place = store_folder(folder, settings)
    runs = is_running(folder)
    yield Finding("node", ok=runs, says="runs" if runs else "does not run now", must=False)
    yield from _tables(place, advance)
    yield _space(place, settings)
    yield _bundle(settings)
    yield _confinement()
    for watch in settings.watch:
        watched = folder / watch.folder
        there = watched.is_dir()
        words = "is there" if there else "is not there; is its share mounted?"
        yield Finding(f"watched folder {watched}", ok=there, says=words)
    for peer in settings.peer:
        try:
            echo(peer, settings.dicom)
            yield Finding(f"peer {peer.name}", ok=True, says="answers")
        except Unreachable as error:
            yield Finding(f"peer {peer.name}", ok=False, says=str(error))


def _tables(place: Path, advance: Advance) -> Iterator[Finding]:
    path = place / TABLES
    if not path.exists():
        yield Finding("database", ok=False, says=f"{path} is missing")
        return
    try:
        uri = f"{path.resolve().as_uri()}?mode=ro"
        with closing(sqlite3.connect(uri, uri=True, isolation_level=None)) as tables:
            tables.row_factory = sqlite3.Row
            yield _integrity(tables)
            log = audit.verify(tables)
            words = f"{log.rows} rows, each follows; last hash {log.last_hash}"
            if log.broken_at is not None:
                words = f"row {log.broken_at} does not follow from those before it"
            yield Finding("audit log", ok=log.broken_at is None, says=words)
            yield _instances(tables, place, advance)
            yield _results(tables, place)
    except sqlite3.DatabaseError as error:
        yield Finding("database", ok=False, says=str(error))


def _integrity(tables: sqlite3.Connection) -> Finding:
    found = [row[0] for row in tables.execute("PRAGMA quick_check(3)")]
    if found != ["ok"]:
        return Finding("database", ok=False, says="; ".join(found))
    foreign = len(tables.execute("PRAGMA foreign_key_check").fetchall())
    words = f"{foreign} rows name others that are not there" if foreign else "sound"
    return Finding("database", ok=not foreign, says=words)


def _instances(tables: sqlite3.Connection, place: Path, advance: Advance) -> Finding:
    store = FileStore(place, 0)
    count, wrong = 0, []
    digests = [row[0] for row in tables.execute("SELECT DISTINCT digest FROM instance ORDER BY 1")]
    for digest in digests:
        count += 1
        advance(1)
        try:
            with store.path(digest).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() == digest:
                    continue
        except OSError:
            pass
        row = tables.execute("SELECT 1 FROM instance WHERE digest = ?", (digest,)).fetchone()
        if row is not None:  # else its study was deleted meanwhile
            wrong.append(digest)
    known = set(digests)
    unnamed = sum(1 for path in store.instance_files() if path.stem not in known)
    if wrong:
        words = f"{len(wrong)} of {count} files are missing or damaged, the first {wrong[0]}"
        return Finding("instances", ok=False, says=words)
    words = f"{count} files, each as it was received"
    if unnamed:
        words += f"; {unnamed} more that the database does not know, which the next start takes in"
    return Finding("instances", ok=True, says=words)


def _results(tables: sqlite3.Connection, place: Path) -> Finding:
    query = "SELECT folder FROM reading WHERE state = 'done' ORDER BY id"
    folders = [row[0] for row in tables.execute(query)]
    missing = [one for one in folders if not (place / RESULTS / one / DOCUMENT).is_file()]
    there = [one for one in missing if one in {row[0] for row in tables.execute(query)}]
    if there:
        words = f"{len(there)} of {len(folders)} are missing, the first {there[0]}"
        return Finding("results", ok=False, says=words)
    return Finding("results", ok=True, says=f"{len(folders)} readings, each with its document")


def _space(place: Path, settings: Settings) -> Finding:
    reserve = settings.store.reserve_bytes
    enough = FileStore(place, reserve).has_space()
    words = "more" if enough else "no more"
    return Finding("disk", ok=enough, says=f"{words} than the reserve of {reserve:,} bytes is free")


def _bundle(settings: Settings) -> Finding:
    try:
        bundle = model_of(settings)
    except IchliteError as error:
        return Finding("bundle", ok=False, says=str(error))
    return Finding("bundle", ok=True, says=f"{bundle.label}, {settings.read.operating_point}")


def _confinement() -> Finding:
    """Confine a short child, as the one that reads a study is, and ask what it did not get."""
    name = "confinement of readings"
    with TemporaryDirectory() as folder:
        command = (sys.executable, "-c", _CONFINE, folder)
        try:
            done = subprocess.run(
                command, capture_output=True, check=True, timeout=_CONFINE_SECONDS
            )
            missing = json.loads(done.stdout)
        except (subprocess.SubprocessError, ValueError) as error:
            return Finding(name, ok=False, says=f"a confined child fails: {type(error).__name__}")
    if missing:
        return Finding(name, ok=False, says="; ".join(missing), must=False)
    return Finding(name, ok=True, says="no network, one folder to write, limits of memory and time")
