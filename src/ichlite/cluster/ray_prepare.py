"""Provide the engine that prepares a data set on a Ray cluster.

The data set and the store lie in storage that every machine reaches under the same path. What is
computed is a file that is whole or absent, or a small result; a machine that dies loses nothing but
the item in its hands, which Ray gives to another.

Plain tasks, where `score` has Ray Data: there is no table here to stream, and a pipeline of Ray
Data takes 1.2 s to set up, twice a preparation.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

from ichlite.cluster.session import session
from ichlite.data.workers import Engine, Item, Result
from ichlite.errors import IchliteError, StoreError


@contextmanager
def ray_engine(address: str) -> Iterator[Engine]:
    """Provide an engine for `data.prepare_store` that works on a Ray cluster.

    It connects when it is first given work. When the context ends, it disconnects, unless the
    process was connected before.

    Args:
        address: Address of the cluster, as in `session.session`.

    Yields:
        The engine. It raises what `session.session` raises at its first work, and StoreError where
        a worker process ends each time that it does a task.
    """
    with ExitStack() as connection:

        def engine(
            function: Callable[[Item], Result], items: Sequence[Item], /
        ) -> Iterator[Result]:
            if items:
                connection.enter_context(session(address))
                yield from _mapped(function, items)

        yield engine


def _mapped(function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
    """Yield results in the order of the items, each computed in a task of one core."""
    import ray

    task = ray.remote(num_cpus=1)(_apply)
    results = [task.remote(pickle.dumps((function, item))) for item in items]
    results.reverse()
    while results:
        try:
            result = ray.get(results.pop())
        except ray.exceptions.RayError as fault:
            raise StoreError(
                "a worker of the cluster ended each time that it was started",
                found=str(fault).strip().splitlines()[0],
                remedy="give it more memory: each core needs 1 GB",
            ) from fault
        if isinstance(result, _Failure):
            raise result.error
        yield result


@dataclass(frozen=True, slots=True)
class _Failure:
    """An error that a function raised, carried as it is; Ray would wrap it in one of its own."""

    error: Exception


def _apply(call: bytes) -> Any:
    function, item = pickle.loads(call)  # noqa: S301  from our own machine
    try:
        return function(item)
    except (IchliteError, OSError) as error:
        return _Failure(error)
