"""Run a node: open its store and its ports, and work until it is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import structlog

from ichlite.atomic_files import LOCK_FILE, held
from ichlite.errors import StoreError
from ichlite.node import audit, deliveries, studies
from ichlite.node.database import FILE as TABLES
from ichlite.node.database import Database
from ichlite.node.dicom_server import DicomServer
from ichlite.node.hooks import hook_senders, target_names
from ichlite.node.intake import Intake
from ichlite.node.logs import set_up_logs
from ichlite.node.outbox import Outbox
from ichlite.node.peers import peer_sender
from ichlite.node.repeating import Repeated
from ichlite.node.retention import FILES_LOCK, Retention
from ichlite.node.settings import FILE as SETTINGS
from ichlite.node.settings import Settings, read_settings
from ichlite.node.store import INCOMING, INSTANCES, RESULTS, FileStore
from ichlite.node.watched_folders import WatchedFolder
from ichlite.node.web.server import serve_web
from ichlite.node.web.services import Services
from ichlite.node.worker import Worker

if TYPE_CHECKING:
    from ichlite.infer.bundle import Bundle

AUDIT_S = 3600.0
"""Pause in seconds between two log lines that note how far the audit log has come."""
_OF_A_STORE = frozenset({INCOMING, INSTANCES, RESULTS, LOCK_FILE, FILES_LOCK})

_log = structlog.get_logger("node")


def store_folder(folder: Path, settings: Settings) -> Path:
    """Return the folder of a node's store, as its settings name it.

    Args:
        folder: Folder of the node.
        settings: Settings of the node.
    """
    return folder / settings.store.path


def open_database(folder: Path, settings: Settings) -> Database:
    """Open the database of a node; the caller must close it.

    Args:
        folder: Folder of the node.
        settings: Settings of the node.

    Raises:
        StoreError: The store holds images but no database, or the database is damaged.
    """
    place = store_folder(folder, settings)
    check_store(place)
    return Database(place)


def is_running(folder: Path) -> bool:
    """Return whether a node runs in a folder now.

    Args:
        folder: Folder of the node.
    """
    try:
        with held(folder):
            return False
    except StoreError:
        return True


def run_node(folder: Path) -> None:
    """Run a node until SIGTERM or Ctrl-C; print one line once its ports are open.

    Args:
        folder: Folder of the node.

    Raises:
        UsageError: The folder holds no node, or its settings are invalid.
        StoreError: Another process runs the node, or its store is damaged.
        IchliteError: A port cannot be opened.
    """
    settings = read_settings(folder)
    set_up_logs()
    stop = threading.Event()

    def ask(number: int, frame: FrameType | None) -> None:
        del number, frame
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, ask)
    with ExitStack() as closing:
        closing.enter_context(held(folder, busy="a node already runs in {}"))
        place = store_folder(folder, settings)
        model_of(settings)
        database = open_database(folder, settings)
        closing.callback(database.close)
        if place.resolve() != folder.resolve():
            closing.enter_context(held(place, busy="a node already runs with the store {}"))
        store = FileStore(place, settings.store.reserve_bytes)
        intake = Intake(database, store, settings)
        _recover(database, store, intake)
        senders = {
            peer.name: peer_sender(peer, settings.dicom, store.results) for peer in settings.peer
        }
        outbox = Outbox(database, settings.outbox, {**senders, **hook_senders(settings)})
        closing.callback(outbox.close)
        worker = Worker(database, store, settings)
        closing.callback(worker.close)
        retention = Retention(database, store, settings.store.retention_days)
        closing.callback(retention.close)
        dicom = DicomServer(intake, database, settings.dicom)
        closing.callback(dicom.close)
        for watch in settings.watch:
            closing.callback(WatchedFolder(intake, watch, settings.dicom, folder).close)
        web = serve_web(
            Services(
                database, store, settings, intake,
                associations=lambda: dicom.associations, working=lambda: worker.alive,
            )
        )  # fmt: skip
        closing.callback(web.close)
        targets = target_names(settings)
        database.write(lambda tables: deliveries.bury_unknown(tables, targets))
        database.write(lambda tables: audit.append(tables, "node", "node.started"))
        closing.callback(Repeated("audit log", lambda: _log_audit(database), AUDIT_S).end)
        closing.callback(
            lambda: database.write(lambda tables: audit.append(tables, "node", "node.stopped"))
        )
        sys.stdout.write(f"ichlite node: DICOM on port {dicom.port}, page at {web.address}\n")
        sys.stdout.flush()
        stop.wait()
        _log.info("stopping")
    logging.shutdown()


def _log_audit(database: Database) -> None:
    """Write the audit log's length and last hash to the logs, which are kept elsewhere."""
    with database.read() as tables:
        count, last_hash = audit.last_row(tables)
    _log.info("audit log", count=count, hash=last_hash)


def model_of(settings: Settings) -> Bundle:
    """Return the bundle that studies are read with, at the operating point that decides.

    Args:
        settings: Settings of the node.

    Raises:
        IchliteError: There is no such bundle, it is damaged, or has no such operating point.
    """
    from ichlite.infer.bundle import load_bundle

    return load_bundle(settings.read.bundle).at(settings.read.operating_point)


def check_store(place: Path) -> None:
    """Raise an error if a folder without a database is no new store: it would be taken for empty.

    Args:
        place: Folder of the store.

    Raises:
        StoreError: It holds images, or files that are not a store's.
    """
    path = place / TABLES
    if (path.exists() and path.stat().st_size) or not place.is_dir():
        return
    count = sum(1 for _ in place.glob(f"{INSTANCES}/*/*.dcm"))
    if count:
        raise StoreError(
            f"{place} holds images but no database",
            found=f"{count} images, and no {path.name} or an empty one",
            expected="both",
            remedy="put the database back, or make a node of the last backup: ichlite node restore",
        )
    others = sorted(
        one.name
        for one in place.iterdir()
        if one.name not in _OF_A_STORE and not one.name.startswith(TABLES)
    )
    if others and not (place / SETTINGS).exists():
        raise StoreError(
            f"{place} is no store of a node",
            found=others[0],
            expected="a folder that is new, or empty",
            remedy="change [store] path",
        )


def _recover(database: Database, store: FileStore, intake: Intake) -> None:
    """Bring a store that a killed node left into order: nothing that was acknowledged is lost."""
    removed = store.clear_incoming()
    queued = database.write(studies.recover)
    with database.read() as tables:
        named = {Path(row[0]).stem for row in tables.execute("SELECT path FROM doomed")}
        named.update(row[0] for row in tables.execute("SELECT digest FROM instance"))
    unnamed = [path for path in store.instance_files() if path.stem not in named]
    adopted = sum(intake.adopt(path) for path in unnamed)
    if removed or queued or unnamed:
        _log.info(
            "recovered", parts_removed=removed, readings_queued_again=queued,
            files_taken_in_again=adopted, files_without_row=len(unnamed) - adopted,
        )  # fmt: skip
