"""Share training between several devices of one machine."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from ichlite.ct.tensor import GRID
from ichlite.ct.windows import PAPER_WINDOWS
from ichlite.data.feed import AHEAD
from ichlite.errors import IchliteError, UsageError

JAX_FLAG = "--xla_gpu_deterministic_ops=true"
OUT_OF_MEMORY = "out_of_memory"
"""`code` of the error that says that there is too little of it."""
MOST_LOADERS = 8
"""Threads that make batches; reading slices takes turns, so that more add nothing."""


def available() -> list[str]:
    """Return the devices that can share a batch; TensorFlow uses one, even where there are more.

    Example:
        >>> len(available()) >= 1
        True
    """
    found: list[str] = keras.distribution.list_devices()
    return found if keras.backend.backend() == "jax" else found[:1]


def on_gpu() -> bool:
    """Return whether training runs on something else than the CPU."""
    return "cpu" not in available()[0].lower()


def loaders() -> int:
    """Return how many threads make batches: one beside a network that fills the cores, or more."""
    from ichlite.infer.reader import usable_cores

    return min(usable_cores(), MOST_LOADERS) if on_gpu() else 1


def process_share() -> tuple[int, int]:
    """Return the number of this process, from 0, and of all that train together in JAX.

    Example:
        >>> process_share()
        (0, 1)
    """
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def compute_repeatably() -> None:
    """Make this process compute so that the same steps on the same machine give the same bits.

    TensorFlow: one operation at a time, each with as many threads as before, and only operations
    that add up in a fixed order. It stays so until the process ends. JAX on a CPU is so anyway.

    Raises:
        UsageError: It is too late, or the backend needs a variable that is set before it starts.
    """
    if keras.backend.backend() == "jax":
        if on_gpu() and JAX_FLAG not in os.environ.get("XLA_FLAGS", ""):
            raise UsageError(
                "--deterministic on a GPU needs a flag that JAX reads when it starts",
                found=f"XLA_FLAGS={os.environ.get('XLA_FLAGS', '')}",
                expected=JAX_FLAG,
                remedy=f"export XLA_FLAGS={JAX_FLAG}",
            )
        return
    import tensorflow as tf

    tf.config.experimental.enable_op_determinism()
    threads = tf.config.threading.get_inter_op_parallelism_threads()
    threads = threads or int(os.environ.get("TF_NUM_INTEROP_THREADS", "0"))
    if threads == 1 or tf.config.functions_run_eagerly():
        return
    try:
        tf.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError as failure:
        raise UsageError(
            "--deterministic comes too late: TensorFlow runs several operations at a time already",
            remedy="train in a new process, or call "
            "tensorflow.config.threading.set_inter_op_parallelism_threads(1) before anything else",
        ) from failure


def check_batch_fits(batch_size: int, *, device_windows: bool) -> None:
    """Refuse a batch that this machine cannot keep while the next ones are made.

    Raises:
        UsageError: Its images alone take more than the memory of the machine.
    """
    bytes_each = GRID * GRID * (2 if device_windows else 2 + 4 * len(PAPER_WINDOWS))
    kept = batch_size // process_share()[1] * bytes_each * (AHEAD + loaders())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if kept > memory:
        raise UsageError(
            f"a batch of {batch_size} images does not fit in memory",
            found=f"{memory / 2**30:.0f} GiB",
            expected=f"{kept / 2**30:.0f} GiB for the batches that are made ahead",
            remedy="give a smaller --batch-size",
        )


@contextmanager
def memory_explained(batch_size: int) -> Iterator[None]:
    """Say in one line when the machine or its device runs out of memory.

    Raises:
        IchliteError: It did; `code` is `OUT_OF_MEMORY`.
    """
    try:
        yield
    except Exception as failure:
        kinds = {kind.__name__ for kind in type(failure).__mro__}
        # TensorFlow's error; JAX has one for all, and says this in its text.
        if kinds.isdisjoint({"MemoryError", "ResourceExhaustedError"}) and (
            "RESOURCE_EXHAUSTED" not in str(failure)
        ):
            raise
        raise IchliteError(
            f"there is not enough memory to train on batches of {batch_size} images",
            found=(str(failure).strip() or "none left").splitlines()[0],
            remedy="give a smaller --batch-size and another OUT",
            code=OUT_OF_MEMORY,
        ) from failure


@contextmanager
def spread(devices: int | None, batch_size: int) -> Iterator[list[str]]:
    """Make models on so many devices, and split each step's batch between them.

    Batch normalisation takes the statistics of the whole batch, so that the devices together
    compute what one would.

    Args:
        devices: Number of devices; None: all there are.
        batch_size: Images in a step.

    Yields:
        Names of the devices used.

    Raises:
        UsageError: There are not so many, or they do not divide the batch.
    """
    names = available()
    count = len(names) if devices is None else devices
    if not 1 <= count <= len(names):
        raise UsageError(
            "devices",
            found=count,
            expected=f"from 1 to {len(names)}",
            remedy=None if keras.backend.backend() == "jax" else "several need KERAS_BACKEND=jax",
        )
    if batch_size % count:
        raise UsageError(
            f"a batch of {batch_size} cannot be shared by {count} devices",
            expected="a multiple",
            remedy="give another --batch-size, or --devices 1",
        )
    if count == 1:
        yield names[:1]
        return
    with keras.distribution.DataParallel(devices=names[:count]).scope():
        yield names[:count]
