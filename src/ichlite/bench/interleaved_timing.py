"""Time several models turn by turn in one run, so that all meet the same machine.

Each model and thread count is a process (`worker.py`). In every round each of them has one turn of
`TURN` inferences while the others wait, and every round begins with another one. So whatever else
the machine does hits all alike, and ratios of medians mean something on a shared machine, too.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import astuple, dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.bench.runtimes import LITERT, Contender
from ichlite.bench.worker import Start, started
from ichlite.ct.series import find_series
from ichlite.ct.tensor import model_input, read_slice
from ichlite.errors import IchliteError
from ichlite.infer.decision import sigmoid
from ichlite.samples import GE_HEAD, Sample

TURN = 10
"""Timed inferences in one turn of a model; one untimed inference precedes them."""
STARTS = 3
"""Fresh processes started for each entry, of whose start-up times the median is reported."""
REFERENCE = ("light_fcn", "float32", LITERT)
"""Model, precision and runtime that others are compared with, on one thread, if it is measured."""
AGREEMENT = 1e-4
"""Largest difference allowed between probabilities of two runtimes with the same weights."""

Advance = Callable[[int], None]
"""Progress callback, called with 1 after each unit of work."""
Entry = tuple[Contender, int]
"""A model file with its runtime, and the number of threads that it runs on."""
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Timing:
    """Times measured for one model file in one runtime, on one number of threads.

    Attributes:
        contender: The model file and its runtime.
        threads: Threads that the runtime used.
        start: Median start-up times and memory over `STARTS` fresh processes.
        difference: Largest difference of a probability from LiteRT's with the same weights; None
            for LiteRT itself or where LiteRT was not run.
        times_ms: (round, inference) float64 milliseconds of warm inferences.
        reference_ms: (round, inference) float64 milliseconds of the reference in the same rounds.
    """

    contender: Contender
    threads: int
    start: Start
    difference: float | None
    times_ms: Floats
    reference_ms: Floats

    def percentile_ms(self, percent: float) -> float:
        """Return a percentile of the inference times in milliseconds.

        Args:
            percent: Percentile, 0 to 100.
        """
        return float(np.percentile(self.times_ms, percent))


def sample_windows(sample: Sample = GE_HEAD, every: int = 4) -> NDArray[np.float32]:
    """Return regularly spaced slices of a sample study as model input.

    Args:
        sample: Sample study whose slices are read.
        every: Step between slices: 4 takes every fourth.

    Returns:
        (slice, 256, 256, 3) float32 windows in [0, 1].

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
    """Time models in alternation, so that all meet the same machine load, for each thread count.

    Args:
        contenders: At least one model file with its runtime.
        windows: (slice, 256, 256, 3) float32 in [0, 1]. Runtimes must agree on all of them before
            anything is timed; what is timed is the first.
        threads: Numbers of threads, each measured in rounds of its own, the reference on one
            thread always among them.
        runs: Inferences timed of each, rounded up to whole turns.
        advance: Called after each turn and start.

    Returns:
        Timings by thread count, in the order of `contenders`.

    Raises:
        IchliteError: A runtime cannot load or run its model, or its probabilities differ from
            LiteRT's by more than `AGREEMENT`.
    """
    reference = reference_of(contenders), 1
    turn = min(runs, TURN)
    timings = []
    with tempfile.TemporaryDirectory(prefix="ichlite-bench-") as folder:
        slices = Path(folder) / "slices.npy"
        np.save(slices, windows)
        for count in threads:
            entries = [(one, count) for one in contenders]
            starts = defaultdict(list)
            with ExitStack() as stack:
                for _ in range(STARTS):
                    stack.close()  # the last process of each entry stays for its turns
                    workers = {}
                    for entry in dict.fromkeys([*entries, reference]):
                        workers[entry] = stack.enter_context(started(*entry, slices))
                        starts[entry].append(workers[entry].start)
                        advance(1)
                apart = differences_to_litert({one: of.logits for one, of in workers.items()})
                turns = [worker.times_ms for worker in workers.values()]
                rounds = turn_by_turn(turns, -(-runs // turn), turn, advance)
            ms = dict(zip(workers, rounds, strict=True))
            timings += [
                Timing(*entry, _median_start(starts[entry]), apart[entry], ms[entry], ms[reference])
                for entry in entries
            ]
    return timings


def reference_of(contenders: Sequence[Contender]) -> Contender:
    """Return the contender that the others are set against: LightFCN's float32, or the first."""
    return next((one for one in contenders if one.key == REFERENCE), contenders[0])


def differences_to_litert(logits: Mapping[Entry, Floats]) -> dict[Entry, float | None]:
    """Return how far each entry's probabilities are from LiteRT's with the same weights.

    Args:
        logits: (slice, 5) float64 logits of each entry on the same slices.

    Returns:
        Largest absolute difference of a probability for each entry; None for LiteRT itself and
        where LiteRT did not run the same model.

    Raises:
        IchliteError: A difference is above `AGREEMENT`: the runtimes do not compute the same
            network.
    """
    of_litert = {one.key[:2]: said for (one, _), said in logits.items() if one.runtime == LITERT}
    found: dict[Entry, float | None] = dict.fromkeys(logits)
    for entry, said in logits.items():
        one = entry[0]
        if one.runtime == LITERT or one.key[:2] not in of_litert:
            continue
        ours, theirs = sigmoid(np.stack([said, of_litert[one.key[:2]]]))
        found[entry] = difference = float(np.abs(ours - theirs).max())
        if not difference <= AGREEMENT:  # NaN, too
            raise IchliteError(
                f"{one.model} under {one.runtime} does not say what it says under LiteRT",
                found=f"probabilities {difference:.2g} apart",
                expected=f"{AGREEMENT:g} at most",
            )
    return found


def turn_by_turn(
    turns: Sequence[Callable[[int], list[float]]], rounds: int, turn: int, advance: Advance
) -> list[Floats]:
    """Time several workers in alternation, each round starting with another one.

    Args:
        turns: Functions, such as `Worker.times_ms`, that time so many inferences and return
            milliseconds.
        rounds: Number of rounds.
        turn: Inferences in one turn.
        advance: Progress callback, called with 1 after each turn.

    Returns:
        (round, inference) float64 milliseconds of each worker.
    """
    times_ms = [np.empty((rounds, turn)) for _ in turns]
    for number in range(rounds):
        for place in range(len(turns)):
            chosen = (place + number) % len(turns)
            times_ms[chosen][number] = turns[chosen](turn)
            advance(1)
    return times_ms


def _median_start(starts: Sequence[Start]) -> Start:
    def middle(values: Any) -> Any:
        return None if None in values else median(values)

    return Start(*map(middle, zip(*map(astuple, starts), strict=True)))
