"""Apply a function to items in order, here or in several processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from functools import partial
from multiprocessing import get_context
from typing import Protocol, TypeVar

from ichlite.errors import StoreError, UsageError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PARENT_CHECK_S = 1.0


class Engine(Protocol):
    """Protocol of callables that map a function over items: here, in processes, or with Ray.

    The function must be importable by name, and items must be picklable. Results come in the order
    of items, and do not depend on where they are computed.
    """

    def __call__(
        self, function: Callable[[Item], Result], items: Sequence[Item], /
    ) -> Iterator[Result]:
        """Yield the function's result for each item."""


def in_this_process(function: Callable[[Item], Result], items: Iterable[Item]) -> Iterator[Result]:
    """Apply a function to each item in this process; the simplest `Engine`.

    Example:
        >>> list(in_this_process(abs, [-1, 2]))
        [1, 2]
    """
    yield from map(function, items)


@contextmanager
def local_engine(processes: int) -> Iterator[Engine]:
    """Provide an engine that works in processes of this machine, started when first needed.

    Args:
        processes: Number of processes; 1 uses the calling process.

    Yields:
        The engine, usable until the context ends.

    Raises:
        UsageError: Fewer than one process.
        StoreError: A process died.
    """
    if processes < 1:
        raise UsageError(f"the number of processes must be 1 or more, not {processes}")
    if processes == 1:
        yield in_this_process
        return
    with ProcessPoolExecutor(
        processes,
        mp_context=get_context("spawn"),
        initializer=_begin,
        initargs=(os.getpid(),),
    ) as pool:
        try:
            # No more results in memory than keep the workers busy.
            yield partial(_mapped, pool, 2 * processes)
        except BrokenProcessPool as fault:
            raise StoreError(
                "a worker process ended early",
                remedy="try fewer processes: each needs 1 GB of memory",
            ) from fault
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Iterator[Result]:
    """Apply a function to each item in several processes, and yield the results in order.

    Args:
        function: Function that is importable by name.
        items: Picklable items.
        processes: Number of processes; 1 uses the calling process.

    Example:
        >>> list(in_processes(abs, [-1, 2], 1))
        [1, 2]
    """
    with local_engine(processes) as engine:
        yield from engine(function, list(items))


def _mapped(
    pool: ProcessPoolExecutor,
    most: int,
    function: Callable[[Item], Result],
    items: Iterable[Item],
) -> Iterator[Result]:
    ahead: deque[Future[Result]] = deque()
    for item in items:
        ahead.append(pool.submit(function, item))
        if len(ahead) > most:
            yield ahead.popleft().result()
    while ahead:
        yield ahead.popleft().result()


def _begin(parent: int) -> None:
    """Keep a worker on one core, quiet when the user interrupts, and no longer than its parent."""
    import signal
    import threading

    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ[name] = "1"
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()


def _end_with(parent: int) -> None:
    """End this process once its parent is gone: a killed parent cannot tell its workers."""
    import time

    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK_S)
    os._exit(1)
