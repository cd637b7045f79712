"""Time several models turn by turn in one run, so that all meet the same machine.

Each model and thread count is a process (`worker.py`). In every round each of them has one turn of
`TURN` inferences while the others wait, and every round begins with another one. So whatever else
the machine does hits all alike, and ratios of medians mean something on a shared machine, too.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ichlite.bench.contender import Contender
from ichlite.bench.runtimes import LITERT
from ichlite.bench.worker import Start, started
from ichlite.ct.series import find_series
from ichlite.ct.tensor import model_input, read_slice
from ichlite.errors import IchliteError
from ichlite.samples import GE_HEAD, Sample

TURN = 10
"""Inferences timed in one turn; one more goes before them, untimed."""
STARTS = 3
"""Processes started for each entry; what a start takes is the median of them."""
REFERENCE = ("light_fcn", "float32", LITERT)
"""What ratios are of, on one thread, where it is among what is measured."""
AGREEMENT = 1e-4
"""Largest difference of a probability between runtimes that are given the same weights."""

Advance = Callable[[int], None]
"""Called with 1 whenever the work is a step further on."""
Times = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timing:
    """What was measured of one contender on so many threads.

    Attributes:
        contender: What.
        threads: Of the runtime.
        start: Medians of `STARTS` fresh processes.
        difference: Largest of a probability to LiteRT's with the same weights; None where not told.
        times_ms: (round, inference) float64 milliseconds, warm.
        reference_ms: (round, inference) of the reference in the same rounds.
    """

    contender: Contender
    threads: int
    start: Start
    difference: float | None
    times_ms: Times
    reference_ms: Times

    def percentile_ms(self, percent: float) -> float:
        """Return the milliseconds that so many per cent of the inferences did not exceed."""
        return float(np.percentile(self.times_ms, percent))


def sample_windows(sample: Sample = GE_HEAD, every: int = 4) -> NDArray[np.float32]:
    """Return every so-many-th slice of a sample study as (slice, 256, 256, 3) windows.

    Example:
        >>> sample_windows(every=14).shape
        (2, 256, 256, 3)
    """
    (series,), _ = find_series(sample.files)
    return np.stack([model_input(read_slice(header)[0]) for header in series.slices[::every]])


def measure(
    contenders: Sequence[Contender],
    windows: NDArray[np.float32],
    *,
    threads: Sequence[int] = (1,),
    runs: int,
    advance: Advance = lambda _: None,
) -> list[Timing]:
    """Time models turn by turn, on each number of threads.

    Args:
        contenders: At least one.
        windows: (slice, 256, 256, 3) float32 in [0, 1]. Runtimes must agree on all of them before
            anything is timed; what is timed is the first.
        threads: Numbers of threads, each measured in rounds of its own, the reference on one
            thread always among them.
        runs: Inferences timed of each, rounded up to whole turns.
        advance: Called after each turn and start.

    Returns:
        Timings by thread count, in the order of `contenders`.

    Raises:
        IchliteError: A runtime cannot load or run its model, or says something else than LiteRT.
    """
    reference = reference_of(contenders), 1
    turn = min(runs, TURN)
    timings = []
    with tempfile.TemporaryDirectory(prefix="ichlite-bench-") as folder:
        slices = Path(folder) / "slices.npy"
        np.save(slices, windows)
        for count in threads:
            entries = [(one, count) for one in contenders]
            if reference not in entries:
                entries.append(reference)
            with ExitStack() as stack:
                starts = [
                    [_start(*entry, slices, advance) for entry in entries]
                    for _ in range(STARTS - 1)
                ]
                workers = []
                for entry in entries:
                    workers.append(stack.enter_context(started(*entry, slices)))
                    advance(1)
                starts.append([worker.start for worker in workers])
                logits = [worker.logits for worker in workers]
                differences = differences_to_litert([one for one, _ in entries], logits)
                times_ms = turn_by_turn(workers, -(-runs // turn), turn, advance)
            reference_ms = times_ms[entries.index(reference)]
            for place, one in enumerate(contenders):
                tried = zip(*(astuple(sweep[place]) for sweep in starts), strict=True)
                start = Start(*map(_median, tried))
                timings.append(
                    Timing(one, count, start, differences[place], times_ms[place], reference_ms)
                )
    return timings


def reference_of(contenders: Sequence[Contender]) -> Contender:
    """Return the contender that the others are set against: LightFCN's float32, or the first."""
    return next((one for one in contenders if one.key == REFERENCE), contenders[0])


def differences_to_litert(
    contenders: Sequence[Contender], logits: Sequence[NDArray[np.float64]]
) -> list[float | None]:
    """Return how far the probabilities of each runtime are from LiteRT's with the same weights.

    Args:
        contenders: What was run.
        logits: (slice, 5) of each.

    Returns:
        The largest difference of each; None of LiteRT itself, and without LiteRT's of that model.

    Raises:
        IchliteError: One is above `AGREEMENT`, so times would be of different networks.
    """
    probabilities = {
        one.key: 1 / (1 + np.exp(-said)) for one, said in zip(contenders, logits, strict=True)
    }
    differences: list[float | None] = []
    for one in contenders:
        litert = probabilities.get((one.model, one.precision, LITERT))
        if one.runtime == LITERT or litert is None:
            differences.append(None)
            continue
        difference = float(np.abs(probabilities[one.key] - litert).max())
        if not difference <= AGREEMENT:  # NaN, too
            raise IchliteError(
                f"{one.model} under {one.runtime} does not say what it says under LiteRT",
                found=f"probabilities {difference:.2g} apart",
                expected=f"{AGREEMENT:g} at most",
            )
        differences.append(difference)
    return differences


class Timed(Protocol):
    """What has turns: a `Worker`."""

    def times_ms(self, number: int) -> list[float]:
        """Return the milliseconds of so many warm inferences."""


def turn_by_turn(
    workers: Sequence[Timed], rounds: int, turn: int, advance: Advance = lambda _: None
) -> list[Times]:
    """Give each worker a turn in every round, which each time begins with another of them.

    Returns:
        (round, inference) milliseconds of each worker.
    """
    times_ms = [np.empty((rounds, turn)) for _ in workers]
    for number in range(rounds):
        for place in range(len(workers)):
            chosen = (place + number) % len(workers)
            times_ms[chosen][number] = workers[chosen].times_ms(turn)
            advance(1)
    return times_ms


def _start(contender: Contender, threads: int, slices: Path, advance: Advance) -> Start:
    with started(contender, threads, slices) as worker:
        advance(1)
        return worker.start


def _median(values: Sequence[Any]) -> Any:
    return None if None in values else median(values)
