"""Run a node: open its store and its ports, and work until it is told to stop."""

from __future__ import annotations

import logging
import signal
import sys
import threading
from contextlib import ExitStack
from pathlib import Path
from types import FrameType

import structlog

from ichlite.atomic_files import held
from ichlite.node import audit, studies
from ichlite.node.database import Database
from ichlite.node.dicom_server import DicomServer
from ichlite.node.hooks import hook_senders
from ichlite.node.intake import Intake
from ichlite.node.logs import set_up_logs
from ichlite.node.outbox import Outbox
from ichlite.node.peers import peer_sender
from ichlite.node.retention import Retention
from ichlite.node.settings import Settings, read_settings
from ichlite.node.store import FileStore
from ichlite.node.watched_folders import WatchedFolder
from ichlite.node.web.server import serve_web
from ichlite.node.web.services import Services
from ichlite.node.worker import Worker

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
    """
    return Database(store_folder(folder, settings))


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
        database = open_database(folder, settings)
        closing.callback(database.close)
        store = FileStore(store_folder(folder, settings), settings.store.reserve_bytes)
        _recover(database, store)
        intake = Intake(database, store, settings)
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
        database.write(lambda tables: audit.append(tables, "node", "node.started"))
        closing.callback(
            lambda: database.write(lambda tables: audit.append(tables, "node", "node.stopped"))
        )
        sys.stdout.write(f"ichlite node: DICOM on port {dicom.port}, page at {web.address}\n")
        sys.stdout.flush()
        stop.wait()
        _log.info("stopping")
    logging.shutdown()


def _recover(database: Database, store: FileStore) -> None:
    """Bring a store that a killed node left into order: nothing that was acknowledged is lost."""
    with database.read() as tables:
        known = frozenset(row[0] for row in tables.execute("SELECT digest FROM instance"))
    removed = store.sweep(known)
    queued = database.write(studies.recover)
    if removed or queued:
        _log.info("recovered", parts_removed=removed, readings_queued_again=queued)
