"""A number of devices in, training on so many of one machine: each takes its share of a batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import keras

from ichlite.errors import UsageError

MOST_LOADERS = 8
"""Threads that make batches; reading slices takes turns, so that more add nothing."""


def available() -> list[str]:
    """Names of the devices that a batch can be spread over; one on TensorFlow, whatever there is.

    Example:
        >>> len(available()) >= 1
        True
    """
    found: list[str] = keras.distribution.list_devices()
    return found if keras.backend.backend() == "jax" else found[:1]


def on_gpu() -> bool:
    """Whether training runs on something else than the CPU."""
    return "cpu" not in available()[0].lower()


def loaders() -> int:
    """Threads that make batches: one beside a network that fills the cores, more beside a GPU."""
    from ichlite.infer.reader import usable_cores

    return min(usable_cores(), MOST_LOADERS) if on_gpu() else 1


def process_share() -> tuple[int, int]:
    """Number of this process, from 0, and of all that train together (`jax.distributed`).

    Example:
        >>> process_share()
        (0, 1)
    """
    if keras.backend.backend() != "jax":
        return 0, 1
    import jax

    return jax.process_index(), jax.process_count()


@contextmanager
def spread(devices: int | None, batch_size: int) -> Iterator[list[str]]:
    """Within: models are made on so many devices, and each step's batch is split between them.

    Batch normalisation takes the statistics of the whole batch, so that the devices together
    compute what one would.

    Args:
        devices: How many; None: all there are.
        batch_size: Images a step.

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
