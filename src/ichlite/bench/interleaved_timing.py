"""Time several models turn by turn in one run, so that all meet the same machine.

Each model and thread count is a process (`worker.py`). In every round each of them has one turn of
`TURN` inferences while the others wait, and every round begins with another one. So whatever else
the machine does hits all alike, and ratios of medians mean something on a shared machine, too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
from numpy.typing import NDArray

from ichlite.bench.contender import Contender, Start, Worker, started
from ichlite.bench.runtimes import LITERT

TURN = 10
"""Inferences timed in one turn; one more goes before them, untimed."""
STARTS = 3
"""Processes started for each entry; what a start takes is the median of them."""
REFERENCE = ("light_fcn", "float32", LITERT)
"""What ratios are of, on one thread, where it is among what is measured."""


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured of one contender on so many threads.

    Attributes:
        contender: What.
        threads: Of the runtime.
        start: Medians of `STARTS` fresh processes.
        logits: (slice, 5) float64, of the slices it was started with.
        times_ms: (round, inference) float64 milliseconds, warm.
        reference_ms: (round, inference) of the reference in the same rounds.
    """

    contender: Contender
    threads: int
    start: Start
    logits: NDArray[np.float64]
    times_ms: NDArray[np.float64]
    reference_ms: NDArray[np.float64]

    def percentile_ms(self, percent: float) -> float:
        """Milliseconds that so many per cent of the inferences did not exceed."""
        return float(np.percentile(self.times_ms, percent))


Check = Callable[[Sequence[tuple[Contender, NDArray[np.float64]]]], None]
"""Takes every contender with its logits (slice, 5); raises when they may not be compared."""


def measure(
    contenders: Sequence[Contender],
    slices: Path,
    *,
    threads: Sequence[int],
    runs: int,
    check: Check = lambda _: None,
    advance: Callable[[int], None] = lambda _: None,
) -> list[Timing]:
    """Take models; give the times of each on each number of threads.

    Args:
        contenders: At least one.
        slices: `.npy` of windows (slice, 256, 256, 3) float32.
        threads: Numbers of threads, each measured in rounds of its own, the reference on one
            thread always among them.
        runs: Inferences timed of each, rounded up to whole turns.
        check: Called with what the models say of the slices, before anything is timed.
        advance: Called with 1 after each turn and start.

    Returns:
        Timings by thread count, in the order of `contenders`.

    Raises:
        IchliteError: A runtime cannot load or run its model, or `check` objects.
    """
    reference = reference_of(contenders), 1
    turn = min(runs, TURN)
    timings = []
    for count in threads:
        entries = [(one, count) for one in contenders]
        if reference not in entries:
            entries.append(reference)
        with ExitStack() as stack:
            starts = [
                [_start(*entry, slices, advance) for entry in entries] for _ in range(STARTS - 1)
            ]
            workers = []
            for entry in entries:
                workers.append(stack.enter_context(started(*entry, slices)))
                advance(1)
            starts.append([worker.start for worker in workers])
            logits = [np.array(worker.logits()) for worker in workers]
            check([(one, found) for (one, _), found in zip(entries, logits, strict=True)])
            times_ms = _rounds(workers, rounds=-(-runs // turn), turn=turn, advance=advance)
        reference_ms = times_ms[entries.index(reference)]
        for place, one in enumerate(contenders):
            start = _middle([tried[place] for tried in starts])
            timings.append(Timing(one, count, start, logits[place], times_ms[place], reference_ms))
    return timings


def reference_of(contenders: Sequence[Contender]) -> Contender:
    """Give the contender that the others are set against: LightFCN's float32, or the first."""
    return next((one for one in contenders if one.key == REFERENCE), contenders[0])


def _start(
    contender: Contender, threads: int, slices: Path, advance: Callable[[int], None]
) -> Start:
    with started(contender, threads, slices) as worker:
        advance(1)
        return worker.start


def _rounds(
    workers: Sequence[Worker], *, rounds: int, turn: int, advance: Callable[[int], None]
) -> list[NDArray[np.float64]]:
    """Processes → (round, inference) milliseconds of each."""
    times_ms = [np.empty((rounds, turn)) for _ in workers]
    for number in range(rounds):
        for place in range(len(workers)):
            chosen = (place + number) % len(workers)
            times_ms[chosen][number] = workers[chosen].times_ms(turn)
            advance(1)
    return times_ms


def _middle(starts: Sequence[Start]) -> Start:
    growth = [one.rss_growth_mb for one in starts if one.rss_growth_mb is not None]
    peak = [one.peak_rss_mb for one in starts if one.peak_rss_mb is not None]
    return Start(
        init_ms=median(one.init_ms for one in starts),
        first_ms=median(one.first_ms for one in starts),
        rss_growth_mb=median(growth) if growth else None,
        peak_rss_mb=median(peak) if peak else None,
    )
