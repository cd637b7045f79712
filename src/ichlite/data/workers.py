"""A function and its inputs in, its results in order out, computed by several processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context
from typing import TypeVar

from ichlite.errors import StoreError

Item = TypeVar("Item")
Result = TypeVar("Result")

_PARENT_CHECK_S = 1.0


def in_processes(
    function: Callable[[Item], Result], items: Iterable[Item], processes: int
) -> Iterator[Result]:
    """Apply a function to each item; at most a few results wait, so memory stays flat.

    Args:
        function: Importable by name; with one process it is called right here.
        items: Each can be pickled.
        processes: 1 or more; changes nothing but the time.

    Yields:
        The results in the order of the items.

    Raises:
        StoreError: A process died.

    Example:
        >>> list(in_processes(abs, [-1, 2], 1))
        [1, 2]
    """
    if processes == 1:
        yield from map(function, items)
        return
    context = get_context("spawn")
    with ProcessPoolExecutor(
        processes, mp_context=context, initializer=_begin, initargs=(os.getpid(),)
    ) as pool:
        ahead: deque[Future[Result]] = deque()
        try:
            for item in items:
                ahead.append(pool.submit(function, item))
                if len(ahead) > 2 * processes:  # no more in memory than the workers need
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        except BrokenProcessPool as fault:
            raise StoreError(
                "a worker process ended early", remedy="try fewer processes: each needs 1 GB"
            ) from fault
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


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
