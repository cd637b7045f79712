"""Measure the most float32 operations and bytes a second that one thread reaches here.

Operations: a matrix product, by the BLAS that numpy comes with. Bytes: numpy's copy and addition of
arrays, counted as STREAM counts them (every array once), at several working sets, since a feature
map may lie in a cache. The best of many tries each: a machine's limit does not depend on its load.

Source: McCalpin, STREAM, 1995 (copy and add).
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from time import perf_counter

import numpy as np

SIDES = (256, 384, 512, 768, 1024)
"""Of the matrices."""
WORKING_SETS = tuple(2**power for power in range(17, 29))
"""Bytes of all arrays together, 128 KiB to 256 MiB."""
_SECONDS_EACH = 0.15
_LEAST_TRIES = 5


@dataclass(frozen=True, slots=True)
class Peaks:
    """What one thread of a machine reaches.

    Attributes:
        flops_per_s: float32 operations a second.
        bandwidths: (bytes of the working set, bytes a second), ascending; never faster when larger.
    """

    flops_per_s: float
    bandwidths: tuple[tuple[int, float], ...]

    @property
    def memory_bytes_per_s(self) -> float:
        """Bandwidth of the largest working set."""
        return self.bandwidths[-1][1]

    def bandwidth(self, working_set_bytes: int) -> float:
        """Bytes a second of the smallest measured working set that is not below this one.

        Example:
            >>> Peaks(1.0, ((1000, 9.0), (2000, 3.0))).bandwidth(1500)
            3.0
        """
        for measured, rate in self.bandwidths:
            if working_set_bytes <= measured:
                return rate
        return self.memory_bytes_per_s

    def best_with(self, other: Peaks) -> Peaks:
        """Of two measurements of one machine, the higher one of everything."""
        return Peaks(
            max(self.flops_per_s, other.flops_per_s),
            tuple(
                (size, max(rate, again))
                for (size, rate), (_, again) in zip(self.bandwidths, other.bandwidths, strict=True)
            ),
        )


def measured_peaks() -> Peaks:
    """Nothing in; the peaks of one thread, measured in a process of its own (5 s), out."""
    # BLAS reads how many threads it may take when numpy is imported.
    single = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL", "VECLIB")}
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        env={**os.environ, **single, "VECLIB_MAXIMUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    found = json.loads(done.stdout)
    return Peaks(found["flops_per_s"], tuple((size, rate) for size, rate in found["bandwidths"]))


def flops_per_s() -> float:
    """The best rate of a square float32 matrix product."""
    best = 0.0
    for side in SIDES:
        a = np.random.default_rng(0).random((side, side), np.float32)
        out = np.empty_like(a)
        best = max(best, 2 * side**3 / _best_s(partial(np.matmul, a, a, out=out)))
    return best


def bytes_per_s(working_set_bytes: int) -> float:
    """The better rate of copying and adding arrays that are so large together."""
    a, b = (np.ones(working_set_bytes // 8, np.float32) for _ in range(2))
    copied = 2 * a.nbytes / _best_s(lambda: np.copyto(a, b))
    a, b, c = (np.ones(working_set_bytes // 12, np.float32) for _ in range(3))
    added = 3 * a.nbytes / _best_s(lambda: np.add(b, c, out=a))
    return max(copied, added)


def _best_s(work: Callable[[], object]) -> float:
    work()
    best, tries, end = float("inf"), 0, perf_counter() + _SECONDS_EACH
    while tries < _LEAST_TRIES or perf_counter() < end:
        start = perf_counter()
        work()
        best = min(best, perf_counter() - start)
        tries += 1
    return best


def main() -> None:
    """Measure; print `Peaks` as JSON."""
    rates = [bytes_per_s(size) for size in WORKING_SETS]
    # What is reached on a large working set is reached on a small one; a dip is another's doing.
    never_slower = np.maximum.accumulate(rates[::-1])[::-1]
    peaks = Peaks(flops_per_s(), tuple(zip(WORKING_SETS, map(float, never_slower), strict=True)))
    print(json.dumps(asdict(peaks)))  # noqa: T201


if __name__ == "__main__":
    main()
