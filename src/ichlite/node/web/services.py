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
"""Largest number of upload and STOW-RS bodies received at once; others wait."""


@dataclass(frozen=True)
class Services:
    """Parts of the node that request handlers use, with threads for blocking work.

    Attributes:
        database, store, settings, intake: Database, file store, settings and intake of the node.
        associations: Function that returns the number of open DICOM associations.
        working: Function that returns whether the thread that reads studies is alive.
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
        """Limiter for the threads that receive uploads and STOW-RS bodies."""
        return anyio.CapacityLimiter(MOST_TAKEN_AT_ONCE)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function on a read-only database connection in a thread, and return its result.

        Args:
            work: Function of the connection.
        """

        def reading() -> T:
            with self.database.read() as tables:
                return work(tables)

        return await self.in_thread(reading)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run a function in a database write transaction; return its result once that is durable.

        Args:
            work: Function of the connection; it must not commit.
        """
        return await self.in_thread(lambda: self.database.write(work))

    async def in_thread(self, work: Callable[[], T]) -> T:
        """Run a blocking function in a thread and return its result."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work)


def services_of(request: Request) -> Services:
    """Return the services that a request's application was made with."""
    found = request.app.state.services
    assert isinstance(found, Services)  # noqa: S101  by `application`
    return found
