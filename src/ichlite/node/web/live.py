"""Tell the pages that are open that something changed: server-sent events.

What changed is not said; the page asks for its rows again, and is told what it may see.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from ichlite.node.database import Database
from ichlite.node.web.access import user_of

LOOK_EVERY_S = 0.5
BEAT_S = 15.0
MOST_LISTENERS = 60


class Live:
    """Source of server-sent events that tell open pages when the database changes.

    The database is watched only while a page listens.

    Args:
        database: Database of the node.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # SQLite counts the changes of others for each connection: the same one must look.
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="web live")
        self._listeners: set[asyncio.Event] = set()
        self._watch: asyncio.Task[None] | None = None
        self._closing = False

    def close(self) -> None:
        """End all event streams; may be called from any thread."""
        self._closing = True
        self._pool.shutdown(wait=False)

    async def changes(self, request: Request) -> AsyncIterator[str]:
        """Yield server-sent events until the client disconnects, logs out, or the node stops.

        Args:
            request: Request of the client that listens.
        """
        changed = asyncio.Event()
        self._listeners.add(changed)
        try:
            if self._watch is None or self._watch.done():
                self._watch = asyncio.create_task(self._look())
            yield "retry: 3000\nevent: ready\ndata: 0\n\n"
            quiet_s = 0.0
            while not self._closing:
                try:
                    await asyncio.wait_for(changed.wait(), LOOK_EVERY_S)
                except TimeoutError:
                    quiet_s += LOOK_EVERY_S
                else:
                    changed.clear()
                    yield "event: changed\ndata: 0\n\n"
                    continue
                if quiet_s >= BEAT_S:
                    quiet_s = 0.0
                    if await user_of(request) is None:
                        yield "event: over\ndata: 0\n\n"
                        return
                    yield ": still here\n\n"
        finally:
            self._listeners.discard(changed)

    def is_full(self) -> bool:
        """Return whether the largest number of listening pages is reached."""
        return len(self._listeners) >= MOST_LISTENERS

    async def _look(self) -> None:
        loop = asyncio.get_running_loop()
        before: Any = None
        while self._listeners and not self._closing:
            now = await loop.run_in_executor(self._pool, self._version)
            if before is not None and now != before:
                for listener in self._listeners:
                    listener.set()
            before = now
            await asyncio.sleep(LOOK_EVERY_S)

    def _version(self) -> int:
        with self._database.read() as tables:
            tables.execute("SELECT 1 FROM study LIMIT 1").fetchone()
            return int(tables.execute("PRAGMA data_version").fetchone()[0])


async def events(request: Request) -> Response:
    """Handle GET /events: stream server-sent events about changes to an open page."""
    live: Live = request.app.state.live
    if live.is_full():
        raise HTTPException(503, "too many pages listen")
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(live.changes(request), 200, headers, "text/event-stream")
