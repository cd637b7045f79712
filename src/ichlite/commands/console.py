"""Print JSON, lines and progress on the right stream, for all commands.

Results go to stdout; everything else (progress, warnings, errors) goes to stderr.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from time import monotonic
from typing import TYPE_CHECKING

from ichlite.errors import MissingExtra

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress

PROGRESS_AFTER_S = 2.0
"""Work shorter than this shows no progress bar."""


WIDTH_OF_PIPES = 160


def print_json(document: object) -> None:
    """Print a JSON-able document, and nothing else, on stdout.

    Args:
        document: Dicts, lists, strings, finite numbers, booleans, None, and records of these.

    Raises:
        ValueError: A number in it is NaN or infinite, which JSON cannot say.
    """
    import msgspec

    from ichlite.write.escaping import unicode_document

    def plain(record: object) -> object:
        return unicode_document(msgspec.to_builtins(record))

    text = json.dumps(unicode_document(document), indent=2, allow_nan=False, default=plain)
    sys.stdout.write(text + "\n")


def say(line: str) -> None:
    """Print a line for the reader on stderr, as `ichlite: line`."""
    # Where stderr takes nothing there is nobody to tell.
    with suppress(OSError):
        sys.stderr.write(f"ichlite: {line}\n")


@contextmanager
def interrupts_told() -> Iterator[None]:
    """Print, within the block, what an interrupt says of the work that it ended, and pass it on."""
    try:
        yield
    except KeyboardInterrupt as stop:
        for line in stop.args:
            say(line)
        raise


def stdout_console() -> Console:
    """Return a rich console on stdout, in a file or pipe wide enough not to fold paths."""
    from rich.console import Console

    return Console(highlight=False, width=None if sys.stdout.isatty() else WIDTH_OF_PIPES)


def require(extra: str, *modules: str) -> None:
    """Check that the modules of an optional dependency group are installed.

    Args:
        extra: Name of the group in pyproject.toml, such as `train`.
        modules: Top-level module names; they are looked up, not imported.

    Raises:
        MissingExtra: A module is not installed.

    Example:
        >>> require("train", "json")
        >>> require("train", "no_such_module")
        Traceback (most recent call last):
        ichlite.errors.MissingExtra: no_such_module is not installed; install ...
    """
    for module in modules:
        if find_spec(module) is None:
            raise MissingExtra(extra, module)


@contextmanager
def progress(label: str, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """Show a progress bar within the block, and yield the function that moves it on by steps.

    The bar stands on stderr, appears only on a terminal and only once the work has taken
    `PROGRESS_AFTER_S`, and leaves nothing behind.

    Args:
        label: What is being done, for people.
        total: Steps to do; None when not known.

    Example:
        >>> with progress("reading", total=3) as advance:
        ...     for _ in range(3):
        ...         advance(1)
    """
    if not sys.stderr.isatty():
        yield lambda _: None
        return
    start_s = monotonic()
    done = 0
    bar = None
    task = None

    def advance(steps: int) -> None:
        nonlocal bar, task, done
        done += steps
        if bar is None and monotonic() - start_s >= PROGRESS_AFTER_S:
            bar = _bar()
            bar.start()
            task = bar.add_task(label, total=total, completed=done)
        elif bar is not None and task is not None:
            bar.update(task, completed=done)

    try:
        yield advance
    finally:
        if bar is not None:
            bar.stop()


@contextmanager
def study_progress() -> Iterator[Callable[[int, int], None]]:
    """Show which study is read and the time left, and yield what is told as each is begun.

    It is told (studies done, studies in all), and shows as `progress` does.

    Example:
        >>> with study_progress() as begin:
        ...     begin(0, 2)
    """
    if not sys.stderr.isatty():
        yield lambda _done, _total: None
        return
    start_s = monotonic()
    first_s = None
    bar = None
    task = None

    def begin(done: int, total: int) -> None:
        nonlocal bar, task, first_s
        now_s = monotonic()
        first_s = now_s if first_s is None else first_s  # before it, headers were read
        label = f"reading study {done + 1} of {total}"
        if done > 0:
            label += f", {time_left((now_s - first_s) / done * (total - done))} left"
        if bar is None and now_s - start_s >= PROGRESS_AFTER_S:
            bar = _bar(timed=False)
            bar.start()
            task = bar.add_task(label, total=total, completed=done)
        elif bar is not None and task is not None:
            bar.update(task, description=label, completed=done)

    try:
        yield begin
    finally:
        if bar is not None:
            bar.stop()


def time_left(seconds: float) -> str:
    """Return how long something takes, roughly, in words.

    Example:
        >>> time_left(3.2), time_left(100), time_left(9000)
        ('4 s', '2 min', '2.5 h')
    """
    if seconds < 90:
        return f"{math.ceil(seconds)} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _bar(*, timed: bool = True) -> Progress:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (MofNCompleteColumn(), TimeRemainingColumn()) if timed else ()
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        *columns,
        console=Console(stderr=True),
        transient=True,
    )
