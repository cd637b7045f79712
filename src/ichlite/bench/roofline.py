"""Measure this machine's peaks, and set a model's time against the roofline that they make.

A layer cannot take less time than its operations at the peak rate, nor less than its bytes (input
maps, weights and output, each once) at the bandwidth of a working set as large as they are. Its
bound is the larger of the two; layers run one after the other, so the model's is their sum. The
simple bound knows no layers: all operations at the peak, or input, weights and outputs from memory.

Peaks are of one thread and float32. Operations: a matrix product, by the BLAS that numpy comes
with. Bytes: numpy's copy and addition of arrays, counted as STREAM counts them (every array once),
at several working sets, since a feature map may lie in a cache. The best of many tries each: a
machine's limit does not depend on its load.

Source: McCalpin, STREAM, 1995 (copy and add).
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from time import perf_counter
from timeit import repeat

import numpy as np

from ichlite.bench.runtimes import Contender
from ichlite.bench.tflite_layers import Layer
from ichlite.contracts.bench import Bandwidth, LayerBound, Roofline
from ichlite.contracts.codec import document_text, read_document

SIDES = (256, 384, 512, 768, 1024)
"""Rows and columns of the square matrices whose product is timed."""
WORKING_SETS = tuple(2**power for power in range(17, 29))
"""Total bytes of the arrays that bandwidth is measured on, 128 KiB to 256 MiB."""
SECONDS_EACH, LEAST_TRIES = 0.15, 5
"""Each piece of work is tried so long, but at least so often."""


@dataclass(frozen=True, slots=True)
class Peaks:
    """Peak arithmetic rate and memory bandwidths that one thread of a machine reaches.

    Attributes:
        flops_per_s: float32 operations a second.
        bandwidths: (bytes of the working set, bytes per second), by ascending working set;
            bandwidth never rises with size.
    """

    flops_per_s: float
    bandwidths: tuple[tuple[int, float], ...]

    @property
    def memory_bytes_per_s(self) -> float:
        """Bandwidth of main memory: that of the largest working set, bytes per second."""
        return self.bandwidths[-1][1]

    def bandwidth(self, working_set_bytes: int) -> float:
        """Return the bandwidth, in bytes per second, available to a working set of this size.

        It is that of the smallest measured working set that is at least as large, else of the
        largest.

        Example:
            >>> Peaks(1.0, ((1000, 9.0), (2000, 3.0))).bandwidth(1500)
            3.0
        """
        fitting = (rate for measured, rate in self.bandwidths if working_set_bytes <= measured)
        return next(fitting, self.memory_bytes_per_s)

    def best_with(self, other: Peaks) -> Peaks:
        """Return the higher value of each peak from two measurements of the same machine."""
        return Peaks(
            max(self.flops_per_s, other.flops_per_s),
            tuple(
                (size, max(rate, again))
                for (size, rate), (_, again) in zip(self.bandwidths, other.bandwidths, strict=True)
            ),
        )


def roofline(
    contender: Contender, layers: Sequence[Layer], peaks: Peaks, p50_ms: float, min_ms: float
) -> Roofline:
    """Compare a model's time on one thread with the least that the machine's peak rates allow.

    Args:
        contender: The model file and its runtime.
        layers: Operations and bytes of each layer of the model.
        peaks: Measured peak rates of the machine.
        p50_ms: Median time of an inference, milliseconds.
        min_ms: Quickest inference, milliseconds.

    Returns:
        The `roofline` part of the benchmark document. `share` is the bound over the median,
        `share_of_quickest` over the quickest inference, which load from other jobs affects less.
    """
    bounds = tuple(_bound(layer, peaks) for layer in layers)
    bound_ms = sum(one.bound_ms for one in bounds)
    flops = sum(layer.flops for layer in layers)
    outside = sum(layer.weight_bytes for layer in layers)
    outside += layers[0].input_bytes + layers[-1].output_bytes
    simple_ms = max(flops / peaks.flops_per_s, outside / peaks.memory_bytes_per_s) * 1e3
    return Roofline(
        **contender.listed(),
        threads=1,
        peak_flops_per_s=peaks.flops_per_s,
        memory_bytes_per_s=peaks.memory_bytes_per_s,
        bandwidths=tuple(
            Bandwidth(working_set_bytes=size, bytes_per_s=rate) for size, rate in peaks.bandwidths
        ),
        p50_ms=p50_ms,
        min_ms=min_ms,
        flops=flops,
        bytes=sum(layer.bytes for layer in layers),
        bound_ms=bound_ms,
        share=bound_ms / p50_ms,
        share_of_quickest=bound_ms / min_ms,
        simple_bound_ms=simple_ms,
        simple_share=simple_ms / p50_ms,
        layers=bounds,
    )


def _bound(layer: Layer, peaks: Peaks) -> LayerBound:
    """Return what a layer takes at least, and whether its operations or its bytes say so."""
    rate = peaks.bandwidth(layer.bytes)
    compute_ms = layer.flops / peaks.flops_per_s * 1e3
    move_ms = layer.bytes / rate * 1e3
    return LayerBound(
        layer=layer.number,
        kind=layer.kind,
        output_shape=layer.output_shape,
        flops=layer.flops,
        bytes=layer.bytes,
        bytes_per_s=rate,
        bound_ms=max(compute_ms, move_ms),
        limit="operations" if compute_ms >= move_ms else "bytes",
    )


def measured_peaks() -> Peaks:
    """Measure the peak rates of one thread in a process of its own, which takes about 5 s."""
    # BLAS reads how many threads it may take when numpy is imported.
    single = {f"{library}_NUM_THREADS": "1" for library in ("OPENBLAS", "OMP", "MKL")}
    done = subprocess.run(
        [sys.executable, "-m", __name__],
        env={**os.environ, **single, "VECLIB_MAXIMUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=True,
    )
    return read_document(Peaks, done.stdout)


def flops_per_s() -> float:
    """Measure the highest rate of a square float32 matrix product, in operations per second."""
    best = 0.0
    for side in SIDES:
        a = np.random.default_rng(0).random((side, side), np.float32)
        out = np.empty_like(a)
        best = max(best, 2 * side**3 / quickest_s(partial(np.matmul, a, a, out=out)))
    return best


def bytes_per_s(working_set_bytes: int) -> float:
    """Measure memory bandwidth, the higher of copying and adding arrays, in bytes per second.

    Args:
        working_set_bytes: Bytes of all arrays together.
    """
    a, b = (np.ones(working_set_bytes // 8, np.float32) for _ in range(2))
    copied = 2 * a.nbytes / quickest_s(lambda: np.copyto(a, b))
    a, b, c = (np.ones(working_set_bytes // 12, np.float32) for _ in range(3))
    added = 3 * a.nbytes / quickest_s(lambda: np.add(b, c, out=a))
    return max(copied, added)


def quickest_s(work: Callable[[], object], timer: Callable[[], float] = perf_counter) -> float:
    """Return the time, in seconds, of the quickest of many runs of a function.

    Args:
        work: Function to time.
        timer: Clock that returns seconds.
    """
    best = min(repeat(work, timer=timer, number=1, repeat=LEAST_TRIES))
    more = LEAST_TRIES + int(SECONDS_EACH / best)
    return min(repeat(work, timer=timer, number=1, repeat=more))


def main() -> None:
    """Measure the peak rates of this process and print them as a JSON form of `Peaks`."""
    rates = [bytes_per_s(size) for size in WORKING_SETS]
    # What is reached on a large working set is reached on a small one; a dip is another's doing.
    never_slower = np.maximum.accumulate(rates[::-1])[::-1].tolist()
    peaks = Peaks(flops_per_s(), tuple(zip(WORKING_SETS, never_slower, strict=True)))
    print(document_text(peaks))  # noqa: T201


if __name__ == "__main__":
    main()
