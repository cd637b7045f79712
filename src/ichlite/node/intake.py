"""Take instances in, whichever way they come: checked, synced, filed, and then acknowledged."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ichlite.errors import UnreadableFile
from ichlite.node.database import Database
from ichlite.node.instance_header import InstanceHeader, read_instance_header
from ichlite.node.settings import Settings
from ichlite.node.store import FileStore, NoSpace, Part

PREAMBLE_BYTES = 128
RECOVERED = "recovered"
"""Sender named for a file that lay in the store without a row, until one is known."""
_PREAMBLE = bytes(PREAMBLE_BYTES)


class Mismatch(UnreadableFile):
    """Error: a file holds another instance or study than the sender announced.

    Attributes:
        header: Header of the file that was received.
    """

    header: InstanceHeader


@dataclass(frozen=True, slots=True)
class Taken:
    """A received DICOM instance that is now stored durably.

    Attributes:
        header: Header of the instance.
        new: Whether the node did not have it yet, byte for byte.
    """

    header: InstanceHeader
    new: bool


class Intake:
    """Entry point through which every received DICOM instance is checked and stored.

    Args:
        database, store, settings: Database, file store and settings of the node.
    """

    def __init__(self, database: Database, store: FileStore, settings: Settings) -> None:
        self._database = database
        self._store = store
        self._settings = settings

    def take(
        self,
        pieces: Iterable[bytes | memoryview],
        source: str,
        *,
        coming: int = 0,
        expected: tuple[str, str] | None = None,
        study: str | None = None,
    ) -> Taken:
        """Receive one DICOM file, and return once it would survive a power failure.

        Args:
            pieces: Bytes of the file, in order; its 128-byte preamble is replaced by zeros.
            source: Sender: a calling AE title, or a word such as `upload`.
            coming: Number of bytes expected, to check free space; 0 if unknown.
            expected: SOP Class UID and SOP Instance UID that the sender announced; None for any.
            study: StudyInstanceUID that the file must have; None for any.

        Returns:
            Header of the instance, and whether it is new.

        Raises:
            UnreadableFile: It is not DICOM, or has no valid UIDs.
            Mismatch: Its UIDs differ from `expected` or `study`.
            NoSpace: The disk is full except for the reserve.
        """
        with self._store.arriving(without_preamble(pieces), coming) as part:
            header = read_instance_header(part.path)
            _check_announced(header, expected, study)
            self._store.keep(part)
            now = time.time()
            due_at = now + self._settings.quiet_s(source)

            def file_it(connection: sqlite3.Connection) -> bool:
                return _file(connection, header, part, source, now, due_at)

            try:
                return Taken(header, self._database.write(file_it))
            except sqlite3.OperationalError as error:
                if "full" in str(error):
                    raise NoSpace("the disk is full", remedy="free space on it") from None
                raise

    def adopt(self, path: Path) -> bool:
        """Take in a file that lies in the store already, but that no row names.

        It was received by a node that died before it could say so, or its row is gone because an
        older copy of the database was put back.

        Args:
            path: Instance file of the store.

        Returns:
            Whether it was taken in; a file that cannot be read stays where it is.
        """
        try:
            header = read_instance_header(path)
        except UnreadableFile:
            return False
        now = time.time()
        part = Part(path, path.stem, path.stat().st_size)
        due_at = now + self._settings.quiet_s(RECOVERED)
        return self._database.write(
            lambda tables: _file(tables, header, part, RECOVERED, now, due_at)
        )

    def sender_left(self, source: str, studies: Sequence[str]) -> None:
        """Record that a sender released its association after sending some studies.

        If the settings list the series of the sender's protocol (`complete_after`), a study that
        has all of them is complete at once.

        Args:
            source: Calling AE title of the sender.
            studies: StudyInstanceUIDs of the studies that it sent.
        """
        wanted = next(
            (set(s.complete_after) for s in self._settings.source if s.aet == source), None
        )
        if not wanted:
            return

        def end(connection: sqlite3.Connection) -> None:
            for uid in studies:
                there = connection.execute(
                    "SELECT DISTINCT series_description FROM instance JOIN study "
                    "ON study.id = study_id WHERE study.uid = ?",
                    (uid,),
                )
                if wanted <= {row[0] for row in there}:
                    complete_now(connection, uid)

        self._database.write(end)


def complete_now(connection: sqlite3.Connection, study_uid: str) -> bool:
    """Make a study that waits for further instances complete now; return whether it is known.

    Args:
        connection: Writing connection to the node's database.
        study_uid: StudyInstanceUID.
    """
    connection.execute(
        "UPDATE study SET due_at = 0 WHERE uid = ? AND due_at IS NOT NULL", (study_uid,)
    )
    known = connection.execute("SELECT 1 FROM study WHERE uid = ?", (study_uid,)).fetchone()
    return known is not None


def without_preamble(pieces: Iterable[bytes | memoryview]) -> Iterable[bytes | memoryview]:
    """Yield a DICOM file with its 128-byte preamble zeroed, in which another file could hide.

    Args:
        pieces: Bytes of the file, in order.

    Source:
        CVE-2019-11687.
    """
    left = PREAMBLE_BYTES
    for piece in pieces:
        if left:
            cut = min(left, len(piece))
            yield _PREAMBLE[:cut]
            left -= cut
            piece = memoryview(piece)[cut:]
        if len(piece):
            yield piece


def _check_announced(
    header: InstanceHeader, expected: tuple[str, str] | None, study: str | None
) -> None:
    found = (header.class_uid, header.uid)
    if expected is not None and expected != found:
        fault = Mismatch(
            "the data set is not what was announced",
            found=" ".join(found),
            expected=" ".join(expected),
        )
    elif study is not None and study != header.study_uid:
        fault = Mismatch("it is of another study", found=header.study_uid, expected=study)
    else:
        return
    fault.header = header
    raise fault


def _file(
    connection: sqlite3.Connection,
    header: InstanceHeader,
    part: Part,
    source: str,
    now: float,
    due_at: float,
) -> bool:
    """Write the rows of an instance; return whether it is new, or counts anew.

    Of an instance that came with several contents the last that came counts, so one that comes
    again after another is as good as new. Any other known instance postpones nothing.
    """
    connection.execute(
        "INSERT INTO study (uid, state, source, first_at, last_at) VALUES (?, 'received', ?, ?, ?) "
        "ON CONFLICT (uid) DO NOTHING",
        (header.study_uid, source, now, now),
    )
    (study_id,) = connection.execute(
        "SELECT id FROM study WHERE uid = ?", (header.study_uid,)
    ).fetchone()
    made = connection.execute(
        "INSERT INTO instance (study_id, series_uid, series_description, uid, class_uid, digest, "
        "bytes, source, received_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) "
        "ON CONFLICT (study_id, uid, digest) DO NOTHING",
        (
            *(study_id, header.series_uid, header.series_description, header.uid, header.class_uid),
            *(part.digest, part.size, source, now),
        ),
    )
    if not made.rowcount and not _counts_anew(connection, study_id, header.uid, part.digest):
        return False
    connection.execute(
        "UPDATE study SET last_at = ?1, due_at = ?2, priority = max(priority, ?4), "
        "source = CASE source WHEN ?11 THEN ?3 ELSE source END, "
        "state = CASE WHEN state IN ('queued', 'running') THEN state ELSE 'received' END, "
        "patient_name = ?5, patient_id = ?6, study_date = ?7, accession = ?8, "
        "description = ?9 WHERE id = ?10",
        (
            *(now, due_at, source, header.priority, header.patient_name, header.patient_id),
            *(header.study_date, header.accession, header.description, study_id, RECOVERED),
        ),
    )
    return True


def _counts_anew(connection: sqlite3.Connection, study_id: int, uid: str, digest: str) -> bool:
    """Make a known content of an instance the last that came; return whether it was not."""
    changed = connection.execute(
        "UPDATE instance SET id = (SELECT max(id) + 1 FROM instance) "
        "WHERE study_id = ?1 AND uid = ?2 AND digest = ?3 AND id < "
        "(SELECT max(id) FROM instance WHERE study_id = ?1 AND uid = ?2)",
        (study_id, uid, digest),
    )
    return changed.rowcount > 0
