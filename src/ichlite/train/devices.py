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
"""`code` of the error raised when memory runs out."""
MOST_LOADERS = 8
"""Largest number of threads that make batches; since slices are read one at a time, more do not
help."""


def available() -> list[str]:
    """Return the names of the devices that can share a batch; only one with TensorFlow.

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
    """Return how many threads should make batches: one on a CPU, up to `MOST_LOADERS` for a GPU."""
    from ichlite.infer.reader import usable_cores

    return min(usable_cores(), MOST_LOADERS) if on_gpu() else 1


def process_share() -> tuple[int, int]:
    """Return the number of this process, from 0, and of the processes that train together in JAX.

    Example:
        >>> process_share()
        (0, 1)
    """
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


def compute_repeatably() -> None:
    """Configure this process to compute bit-identical results for the same steps on one machine.

    TensorFlow: one operation at a time, each with as many threads as before, and only operations
    that add up in a fixed order. It stays so until the process ends. JAX on a CPU is so anyway.

    Raises:
        UsageError: TensorFlow has started already, or JAX on a GPU lacks a flag that it reads at
            start.
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
    """Raise an error if this machine's memory cannot hold the batches that are made ahead.

    Args:
        batch_size: Images in a step, of all processes together.
        device_windows: Whether batches are HU, with windows computed on the device.

    Raises:
        UsageError: The batches' images alone exceed the machine's memory.
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
    """Convert out-of-memory errors inside a context to one clear error.

    Args:
        batch_size: Images in a step, for the message.

    Raises:
        IchliteError: Memory ran out; `code` is `OUT_OF_MEMORY`.
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
    """Provide a context in which models are trained on several devices that share each batch.

    Batch normalisation uses the statistics of the whole batch, so that the devices together compute
    what one would.

    Args:
        devices: Number of devices; None: all that are available.
        batch_size: Images in a step.

    Yields:
        Names of the devices used.

    Raises:
        UsageError: There are fewer devices, or the batch cannot be divided among them.
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
