"""Apply a function to items on several threads, results in order.

The steps of a slice take tens of microseconds, less than it costs to hand a slice from thread to
thread one by one, and less than the 5 ms for which Python lets one thread keep the others waiting.
So a thread takes many slices at once, and Python is asked to let threads take turns more often.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from threading import Lock
from typing import TypeVar

_Item = TypeVar("_Item")
_Result = TypeVar("_Result")

AT_ONCE = 16
"""Number of items that each thread takes at a time, and whose results are held in memory."""
TURN_S = 0.0005
"""Switch interval of threads in seconds while series are read; Python's default is 0.005."""


class Spread:
    """A pool of threads with a `map` that keeps order.

    Args:
        threads: Number of threads; with 1, all work is done in the caller's thread.

    Example:
        >>> with Spread(2) as spread:
        ...     list(spread.map(abs, [-1, 2, -3]))
        [1, 2, 3]
    """

    def __init__(self, threads: int) -> None:
        self.threads = threads
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def __enter__(self) -> Spread:
        """Return itself; the threads end with the `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads."""
        self.close()

    def close(self) -> None:
        """End the threads."""
        if self._pool is not None:
            self._pool.shutdown(cancel_futures=True)

    def map(self, work: Callable[[_Item], _Result], items: Iterable[_Item]) -> Iterator[_Result]:
        """Apply a function to items on the pool's threads.

        Args:
            work: Function of one item.
            items: Items to apply it to.

        Yields:
            The results, in the order of the items, like Python's `map`.

        Raises:
            Exception: What `work` raised for the first item, in order, for which it failed.
        """
        if self._pool is None:
            yield from map(work, items)
            return
        left = iter(items)
        while block := list(islice(left, AT_ONCE * self.threads)):
            shares = [block[first :: self.threads] for first in range(self.threads)]
            done = list(self._pool.map(lambda share: _until_fault(work, share), shares))
            for place in range(len(block)):
                result = done[place % self.threads][place // self.threads]
                if isinstance(result, _Fault):
                    raise result.error
                yield result

    @contextmanager
    def turns(self) -> Iterator[None]:
        """Shorten Python's thread switch interval within a `with` block, if there are threads."""
        if self._pool is None:
            yield
            return
        _SHORT_TURNS.begin()
        try:
            yield
        finally:
            _SHORT_TURNS.end()


class _ShortTurns:
    """The process's switch interval, short while anyone asks for it.

    The interval belongs to the process, and readers in several threads overlap: the first who asks
    keeps what it was, the last who leaves restores it.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._asking = 0
        self._before_s = 0.0

    def begin(self) -> None:
        """Shorten the interval, unless it is already."""
        with self._lock:
            if self._asking == 0:
                self._before_s = sys.getswitchinterval()
                sys.setswitchinterval(min(TURN_S, self._before_s))
            self._asking += 1

    def end(self) -> None:
        """Restore the interval, unless others still ask for a short one."""
        with self._lock:
            self._asking -= 1
            if self._asking == 0:
                sys.setswitchinterval(self._before_s)


_SHORT_TURNS = _ShortTurns()


class _Fault:
    def __init__(self, error: Exception) -> None:
        self.error = error


def _until_fault(
    work: Callable[[_Item], _Result], share: Iterable[_Item]
) -> list[_Result | _Fault]:
    done: list[_Result | _Fault] = []
    for item in share:
        try:
            done.append(work(item))
        except Exception as error:  # noqa: BLE001  raised in its turn, by the caller's thread
            done.append(_Fault(error))
            break
    return done
