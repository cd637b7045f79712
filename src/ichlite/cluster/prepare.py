"""Parts to make in, the same parts made on all machines of a Ray cluster out.

The data set and the store lie in storage that every machine reaches under the same path. A part is
a file that is whole or absent, so a machine that dies loses nothing but the part in its hands,
which Ray gives to another.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ichlite.cluster.session import session
from ichlite.data.pixels import PartTask, make_part, result_path
from ichlite.data.prepare import Engine
from ichlite.errors import StoreError


def ray_engine(address: str) -> Engine:
    """Address of a Ray cluster → the engine that makes parts there.

    Args:
        address: See `session.session`.

    Returns:
        An engine for `data.prepare.prepare`; it connects when it is used.
    """

    def engine(tasks: Sequence[PartTask]) -> Iterator[int]:
        if tasks:
            with session(address):
                yield from _made(tasks)

    return engine


def _made(tasks: Sequence[PartTask]) -> Iterator[int]:
    """Make the parts through Ray Data, one block and task each; yield images as parts are done."""
    import ray.data

    rows: list[dict[str, Any]] = [{"task": task} for task in tasks]
    made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(_make_row, num_cpus=1)
    for row in made.iter_rows():
        yield int(row["images"])
    lost = [task for task in tasks if not result_path(task.folder, task.number).exists()]
    if lost:
        raise StoreError(
            f"{len(lost)} parts are not where they were made",
            found=f"no {result_path(lost[0].folder, lost[0].number)} on this machine",
            expected="storage that all machines share under one path",
        )


def _make_row(row: dict[str, Any]) -> dict[str, int]:
    return {"images": make_part(row["task"])}
