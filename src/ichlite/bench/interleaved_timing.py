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
"""Inferences timed in one turn; one more goes before them, untimed."""
STARTS = 3
"""Processes started for each entry; what a start takes is the median of them."""
REFERENCE = ("light_fcn", "float32", LITERT)
"""What ratios are of, on one thread, where it is among what is measured."""
AGREEMENT = 1e-4
"""Largest difference of a probability between runtimes that are given the same weights."""

Advance = Callable[[int], None]
"""Called with 1 whenever the work is a step further on."""
Entry = tuple[Contender, int]
"""What is run, and on how many threads."""
Floats = NDArray[np.float64]


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
    times_ms: Floats
    reference_ms: Floats

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
        logits: (slice, 5) of each entry.

    Returns:
        The largest difference of each; None of LiteRT itself, and without LiteRT's of that model.

    Raises:
        IchliteError: One is above `AGREEMENT`, so times would be of different networks.
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
    """Give each worker a turn in every round, which each time begins with another of them.

    Args:
        turns: `Worker.times_ms` of each.
        rounds: Number of rounds.
        turn: Inferences of a turn.
        advance: Called after each turn.

    Returns:
        (round, inference) milliseconds of each worker.
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
