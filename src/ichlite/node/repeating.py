"""Repeat a piece of work in a thread until it is told to end; a fault delays it, and no more."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog

_LONGEST_PAUSE_S = 60.0

_log = structlog.get_logger("node")


class Repeated:
    """Thread that calls a function again and again, with a pause between calls.

    Args:
        name: Name of the thread, for logs.
        work: Function to call. An exception, such as for a full disk, is logged, and doubles the
            pause, up to a minute.
        every_s: Pause between two calls, seconds.
        once_more: Whether the function is called a last time after `end`.
    """

    def __init__(
        self, name: str, work: Callable[[], object], every_s: float, *, once_more: bool = False
    ) -> None:
        self._name = name
        self._work = work
        self._every_s = every_s
        self._once_more = once_more
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Ask the thread to end after its current call."""
        self._stop.set()

    def join(self, seconds: float) -> None:
        """Wait until the thread has ended, for at most this many seconds."""
        self._thread.join(seconds)

    def _run(self) -> None:
        faults = 0
        while True:
            ending = self._stop.is_set()
            if ending and not self._once_more:
                return
            try:
                self._work()
                faults = 0
            except Exception as error:  # noqa: BLE001  a full disk, say; the next round tries again
                _log.error("thread fault", source=self._name, why=type(error).__name__)
                faults += 1
            if ending:
                return
            longest = max(self._every_s, _LONGEST_PAUSE_S)
            self._stop.wait(min(self._every_s * 2 ** min(faults, 16), longest))
