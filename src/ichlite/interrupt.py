"""Note Ctrl-C or SIGTERM as a flag, so that what must not be cut short ends first."""

from __future__ import annotations

import signal
import threading
from types import FrameType


class Interrupt:
    """Context in which a first Ctrl-C or SIGTERM only sets `asked`, and a second stops at once.

    Outside the main thread, where Python allows no signal handlers, it does nothing.
    """

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = False

    def __enter__(self) -> Interrupt:
        self._before = {}
        if threading.current_thread() is threading.main_thread():
            self._before = {s: signal.signal(s, self._ask) for s in self.SIGNALS}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        del number, frame
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True
