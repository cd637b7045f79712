"""Send what waits in the queue of deliveries: a thread for each target, so that none holds another.

A parcel is marked as sent after the target has said that it has it. A node that dies between the
two sends it again, which changes nothing: objects have UIDs derived from what was read, and notices
an identifier derived from their reading.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from functools import partial
from typing import TypeAlias

import structlog

from ichlite.errors import IchliteError
from ichlite.node import deliveries
from ichlite.node.database import Database
from ichlite.node.deliveries import Parcel
from ichlite.node.repeating import Repeated
from ichlite.node.settings import OutboxSettings

LOOK_EVERY_S = 0.5
DRAIN_S = 10.0
"""Seconds spent on sending what is due after the node is told to stop."""
LONGEST_CALL_S = 30.0
"""Further seconds to wait for a target that stopped answering before the node ends without it."""

_log = structlog.get_logger("outbox")

Answers: TypeAlias = Generator[tuple[Parcel, str | None], None, None]
"""Generator of parcels after each attempt, with None if the target has it, else why it refused."""
Send: TypeAlias = Callable[[tuple[Parcel, ...]], Answers]
"""Function that sends parcels in order; it raises `Unreachable` if the rest cannot be tried now."""


class Unreachable(IchliteError):
    """A target cannot be reached now, or the connection to it was lost."""


class Outbox:
    """Threads that send queued deliveries, one for each target.

    Args:
        database: Database of the node.
        settings: Settings of the outbox: pauses, and when to give up.
        targets: Function that sends to each peer and hook, by its name.
    """

    def __init__(
        self, database: Database, settings: OutboxSettings, targets: Mapping[str, Send]
    ) -> None:
        self._database = database
        self._settings = settings
        self._until = float("inf")
        self._threads = [
            Repeated(
                f"outbox to {name}",
                partial(self._send_due, name, send),
                LOOK_EVERY_S,
                once_more=True,
            )
            for name, send in targets.items()
        ]

    def close(self) -> None:
        """Send what is due within a time limit, then stop; the rest is sent after a restart."""
        self._until = time.monotonic() + DRAIN_S
        for thread in self._threads:
            thread.end()
        latest = self._until + LONGEST_CALL_S
        for thread in self._threads:
            thread.join(max(0.0, latest - time.monotonic()))

    def _send_due(self, target: str, send: Send) -> None:
        with self._database.read() as tables:
            parcels = deliveries.due(tables, target, time.time(), self._settings)
        if not parcels:
            return
        left = list(parcels)
        try:
            with closing(send(parcels)) as answers:
                for parcel, refusal in answers:
                    left.remove(parcel)
                    self._note(parcel, refusal)
                    if time.monotonic() > self._until:
                        return
        except Unreachable as error:
            self._failed(left, str(error), refused=False)
        except Exception as error:
            self._failed(left, f"a fault in sending: {type(error).__name__}", refused=False)
            raise

    def _note(self, parcel: Parcel, refusal: str | None) -> None:
        if refusal is None:
            self._database.write(lambda tables: deliveries.sent(tables, parcel, time.time()))
            _log.info("sent", peer=parcel.target, study=parcel.study_uid, version=parcel.version)
        else:
            self._failed([parcel], refusal, refused=True)

    def _failed(self, parcels: list[Parcel], why: str, *, refused: bool) -> None:
        if not parcels:
            return
        dead = self._database.write(
            lambda tables: deliveries.failed(
                tables, parcels, why, refused=refused, now=time.time(), settings=self._settings
            )
        )
        _log.warning("not sent", peer=parcels[0].target, count=len(parcels), why=why)
        if dead:
            _log.error("given up", peer=parcels[0].target, count=dead, why=why)
