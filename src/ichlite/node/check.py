"""Check a node: its tables and files, its peers, its model, its disk, and what the kernel gives."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec

from ichlite.errors import IchliteError, StoreError
from ichlite.node import audit
from ichlite.node.database import only_looked_at
from ichlite.node.dicom_server import tls_context
from ichlite.node.hooks import mail_server
from ichlite.node.http_post import connect
from ichlite.node.outbox import Unreachable
from ichlite.node.peers import echo
from ichlite.node.run import is_running, model_of, store_folder
from ichlite.node.settings import FILE as SETTINGS
from ichlite.node.settings import DicomSettings, EmailSettings, Settings, read_settings
from ichlite.node.store import RESULTS, FileStore
from ichlite.node.study_child import DOCUMENT
from ichlite.node.watched_folders import REFUSED

_CONFINE = """
import json, sys
from pathlib import Path
from ichlite.node.sandbox import confine
json.dump(confine(Path(sys.argv[1]), 1024, 60), sys.stdout)
"""
_CONFINE_SECONDS = 60
_DAY_S, _LEAST_DAYS = 86_400, 30
"""Days that a certificate should still be valid for."""


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
    yield _secrets(folder, settings)
    if settings.dicom.tls_certificate is not None:
        yield _certificate(settings.dicom)
    for watch in settings.watch:
        yield _watched(folder / watch.folder)
    yield from _targets(settings)


def _secrets(folder: Path, settings: Settings) -> Finding:
    """Look whether files with secrets can be read by other users of this machine."""
    files = [folder / SETTINGS, *([Path(settings.dicom.tls_key)] if settings.dicom.tls_key else [])]
    open_to_all = [str(one) for one in files if one.exists() and one.stat().st_mode & 0o077]
    words = f"other users can read {', '.join(open_to_all)}" if open_to_all else "readable by one"
    return Finding("files with secrets", ok=not open_to_all, says=words, must=False)


def _certificate(dicom: DicomSettings) -> Finding:
    """Load the certificate of the DICOM port, and look how long it is valid."""
    name = "TLS certificate"
    try:
        tls_context(dicom)
        # Python's own decoder has no public name, and no other package of the node reads one.
        shown: Any = ssl._ssl._test_decode_cert(dicom.tls_certificate)  # type: ignore[attr-defined]
        days = (ssl.cert_time_to_seconds(shown["notAfter"]) - time.time()) / _DAY_S
    except (IchliteError, OSError, ValueError) as error:
        return Finding(name, ok=False, says=str(error))
    if days < 0:
        return Finding(name, ok=False, says=f"expired on {shown['notAfter']}")
    words = f"valid until {shown['notAfter']}"
    return Finding(name, ok=days > _LEAST_DAYS, says=words, must=False)


def _watched(folder: Path) -> Finding:
    name = f"watched folder {folder}"
    if not folder.is_dir():
        return Finding(name, ok=False, says="is not there; is its share mounted?")
    for one in (folder, folder / REFUSED):
        if one.exists() and not (one.is_dir() and os.access(one, os.W_OK | os.X_OK)):
            return Finding(name, ok=False, says=f"files cannot be moved: {one} is not writable")
    return Finding(name, ok=True, says="is there")


def _targets(settings: Settings) -> Iterator[Finding]:
    """Call each peer, web service and mail server, and send nothing."""

    def greet(email: EmailSettings) -> None:
        with mail_server(email):
            pass

    calls: list[tuple[str, Callable[[], None]]] = [
        *((f"peer {peer.name}", partial(echo, peer, settings.dicom)) for peer in settings.peer),
        *((f"webhook {hook.name}", partial(connect, hook.url, authorities=hook.authorities))
          for hook in settings.webhook),
        *([(f"mail server {settings.email.host}", partial(greet, settings.email))]
          if settings.email else []),
    ]  # fmt: skip
    for name, call in calls:
        try:
            call()
            yield Finding(name, ok=True, says="answers")
        except Unreachable as error:
            yield Finding(name, ok=False, says=str(error))


def _tables(place: Path, advance: Advance) -> Iterator[Finding]:
    try:
        with only_looked_at(place) as tables:
            yield _integrity(tables)
            log = audit.verify(tables)
            words = f"{log.rows} rows, each follows; last hash {log.last_hash}"
            if log.broken_at is not None:
                words = f"row {log.broken_at} does not follow from those before it"
            yield Finding("audit log", ok=log.broken_at is None, says=words)
            yield _instances(tables, place, advance)
            yield _results(tables, place)
    except StoreError as error:
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
    known.update(Path(row[0]).stem for row in tables.execute("SELECT path FROM doomed"))
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
