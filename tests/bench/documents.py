"""Timings and documents with numbers of one's choice, as the measuring code makes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from ichlite.bench.bench_document import comparisons, run_entries
from ichlite.bench.interleaved_timing import Timing
from ichlite.bench.roofline import Peaks, roofline
from ichlite.bench.runtimes import Contender
from ichlite.bench.tflite_layers import Layer
from ichlite.bench.worker import Start
from ichlite.contracts.bench import (
    BenchDocument,
    CompressedScan,
    LoadAverage,
    Machine,
    Protocol,
    Reference,
    ScanEntry,
    SyntaxEntry,
)
from ichlite.infer.bundle import EMBEDDED, MODEL_FILE

FILE = EMBEDDED / MODEL_FILE
LAYERS = (
    Layer(0, "CONV_2D", (1, 4, 4, 2), 2_000_000, 600, 300, 100),
    Layer(1, "ADD", (1, 4, 4, 2), 1_000, 3_000, 0, 1_000),
)
PEAKS = Peaks(1e9, ((1000, 4e9), (8000, 1e6)))


def timing(
    model: str,
    precision: str = "float32",
    runtime: str = "litert",
    *,
    threads: int = 1,
    ms: float = 2.0,
    of_ms: float = 2.0,
    difference: float | None = None,
    path: Path = FILE,
) -> Timing:
    """A timing of two rounds of two inferences, all of so many milliseconds."""
    contender = Contender(model, precision, runtime, path, 86_853, 187_862_789)
    start = Start(3.0, 2.5, 10.0, 60.0)
    times_ms, reference_ms = np.full((2, 2), ms), np.full((2, 2), of_ms)
    return Timing(contender, threads, start, difference, times_ms, reference_ms)


def document(*timings: Timing, with_roofline: bool = False) -> BenchDocument:
    """What `bench_document` gives, for these timings."""
    stages = ("find", "gate_series", "read", "decode", "hu", "resize", "gate_volume", "windows")
    stages_ms = dict.fromkeys((*stages, "invoke", "decision"), 0.25)
    light = timing("light_fcn").contender
    return BenchDocument(
        date="2026-11-23T12:00:00+00:00",
        machine=Machine(
            cpu="A CPU", cores=2, system="Linux x86_64", python="3.11.7", ichlite="0.1.0",
            packages={"numpy": "2.0"},
        ),
        load_average=LoadAverage(before=0.1, after=None),
        protocol=Protocol(
            runs=4, turn=2, starts=3, batch=1, input=(256, 256, 3),
            reference=Reference(**light.listed(), threads=1),
        ),
        runs=run_entries(timings),
        comparisons=comparisons(timings, "embedded"),
        scan=ScanEntry(
            slices=28, ms_per_slice=2.5, limit_ms_per_slice=2.0, ratio=1.25,
            ratio_of_quickest=1.2, two_thread_ratio=0.9, two_thread_ratio_of_quickest=0.8,
            stages_ms=stages_ms,
            as_shipped=CompressedScan(transfer_syntax_uid="1.2", stages_ms=stages_ms),
            syntaxes=tuple(
                SyntaxEntry(
                    transfer_syntax_uid="1.2", name=name, package=package, bytes_per_slice=250_000,
                    quickest_ms_per_slice=2.5 * ratio, two_thread_quickest_ms_per_slice=1.5,
                    ratio_of_quickest=ratio,
                )
                for name, package, ratio in (("Uncompressed", None, 1.0), ("RLE", "codec", 2.0))
            ),
            peak_rss_mb=73.0, read_slices=36, read_peak_rss_mb=74.0,
        ),
        roofline=roofline(light, LAYERS, PEAKS, 12.0, 8.0) if with_roofline else None,
    )  # fmt: skip
