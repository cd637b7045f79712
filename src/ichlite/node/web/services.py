"""Hold what the handlers of requests need, and do blocking work in threads for them."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from typing import TypeVar

import anyio
from starlette.requests import Request

from ichlite.node.database import Database
from ichlite.node.intake import Intake
from ichlite.node.settings import Settings
from ichlite.node.store import FileStore

T = TypeVar("T")
_THREADS = 6
"""That read and write the tables; each holds a connection of its own."""
MOST_TAKEN_AT_ONCE = 4
"""Bodies of uploads and STOW requests; what comes meanwhile waits."""


@dataclass(frozen=True)
class Services:
    """What the handlers of requests need of the node.

    Attributes:
        database, store, settings, intake: Of the node.
        associations: Returns how many DICOM associations are open.
        working: Returns whether the thread that reads studies lives.
    """

    database: Database
    store: FileStore
    settings: Settings
    intake: Intake
    associations: Callable[[], int] = lambda: 0
    working: Callable[[], bool] = lambda: True
    _pool: ThreadPoolExecutor = field(
        repr=False,
        default_factory=lambda: ThreadPoolExecutor(_THREADS, thread_name_prefix="web tables"),
    )

    @cached_property
    def taking(self) -> anyio.CapacityLimiter:
        """Threads that take in what is sent."""
        return anyio.CapacityLimiter(MOST_TAKEN_AT_ONCE)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work that only reads the tables."""

        def reading() -> T:
            with self.database.read() as tables:
                return work(tables)

        return await self.in_thread(reading)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do work that changes the tables; return when the change is durable."""
        return await self.in_thread(lambda: self.database.write(work))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Do work that blocks in a thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def services_of(request: Request) -> Services:
    """Return the services that a request's application was made with."""
    found = request.app.state.services
    assert isinstance(found, Services)  # noqa: S101  by `application`
    return found
