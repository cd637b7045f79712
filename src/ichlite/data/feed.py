"""Feed a store's slices to a model as windows, made ahead while the model computes.

The windows come from `ct.tensor.model_input`, the one preprocessing path of training and reading.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import GRID, model_input
from ichlite.ct.windows import PAPER_WINDOWS, apply_windows
from ichlite.data.rows import SPLITS
from ichlite.data.store import Store
from ichlite.errors import StoreError, check_name

T = TypeVar("T")

AHEAD = 3
"""Results that are prepared ahead; a batch of 64 full slices takes 50 MB."""


def to_windows(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Convert full slices or crops from HU to the three windows that a model takes.

    Images are converted one by one, which stays in the cache and is a third faster than the whole
    batch at once, with the same result.

    Args:
        hu: (image, row, column) int16 HU.

    Returns:
        (image, row, column, 3) float32 in [0, 1].
    """
    windows = np.empty((*hu.shape, len(PAPER_WINDOWS)), np.float32)
    full = hu.shape[1:] == (GRID, GRID)
    for source, target in zip(hu, windows, strict=True):
        target[...] = model_input(source) if full else apply_windows(source, PAPER_WINDOWS)
    return windows


def split_rows(store: Store, split: str) -> NDArray[np.int64]:
    """Return the row numbers of a split of a store, ascending.

    Row numbers rather than a smaller store: its pixels would not fit in memory.

    Args:
        store: Store to look in.
        split: `train`, `validation` or `test`.

    Raises:
        UnknownName: There is no such split.
        StoreError: The split is empty.
    """
    check_name("split", split, SPLITS)
    rows = store.rows(split)
    if len(rows) == 0:
        keep_last = "keep the last epoch instead of the best (--keep last), or "
        raise StoreError(
            f"the {split} split is empty",
            remedy=f"{keep_last if split == 'validation' else ''}use a store of more patients",
        )
    return rows


def ahead(
    make: Callable[[int], T], steps: range, *, depth: int = AHEAD, threads: int = 1
) -> Iterator[T]:
    """Yield a function's result for each step in order, computed ahead in background threads.

    Args:
        make: Function of the step number; with several threads it is called concurrently.
        steps: Step numbers.
        depth: Results that are ready or in progress, in addition to one for each thread.
        threads: Number of threads.

    Yields:
        `make(step)` for each step.

    Raises:
        Exception: Whatever `make` raised, in the consumer's thread.

    Example:
        >>> list(ahead(lambda step: step * 10, range(3)))
        [0, 10, 20]
    """
    pool = ThreadPoolExecutor(threads, thread_name_prefix="batches")
    waiting = iter(steps)
    ready = deque(pool.submit(make, step) for step in islice(waiting, depth + threads))
    try:
        while ready:
            result = ready.popleft().result()
            ready.extend(pool.submit(make, step) for step in islice(waiting, 1))
            yield result
    finally:
        pool.shutdown(wait=True, cancel_futures=True)
