"""Run a benchmark and build the JSON document of `ichlite bench --json`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ichlite.bench.contender import Contender, bundle_contender
from ichlite.bench.entries import comparisons, run_entries
from ichlite.bench.interleaved_timing import (
    REFERENCE,
    STARTS,
    TURN,
    Advance,
    Timing,
    measure,
    reference_of,
    sample_windows,
)
from ichlite.bench.machine import describe_machine
from ichlite.bench.roofline import Peaks, measured_peaks, roofline
from ichlite.bench.runtimes import LITERT, RUNTIMES
from ichlite.bench.scan import DEFAULT_RUNS, bench_scan
from ichlite.bench.tflite_layers import layers_of
from ichlite.infer.bundle import MODEL_FILE, Bundle
from ichlite.infer.reader import usable_cores
from ichlite.samples import GE_HEAD


@dataclass(frozen=True, slots=True)
class Plan:
    """What to measure.

    Attributes:
        bundle: The model of the scan, and the first one measured alone.
        name: Under which it is listed.
        architectures: Keys of `models.MODELS`, measured with random weights.
        runtimes: Keys of `RUNTIMES`.
        threads: Numbers of threads.
        runs: Inferences timed for each entry.
        scan_runs: Readings of the sample study.
        with_roofline: Set LightFCN's time against the machine's limits; it is an architecture.
    """

    bundle: Bundle
    name: str = "embedded"
    architectures: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = (LITERT,)
    threads: tuple[int, ...] = (1,)
    runs: int = 200
    scan_runs: int = DEFAULT_RUNS
    with_roofline: bool = False


def bench_document(plan: Plan, advance: Advance = lambda _: None) -> dict[str, Any]:
    """Measure what a plan asks for and return it as JSON-able dictionaries.

    Args:
        plan: What to measure.
        advance: Called with 1 whenever the work is a step further on.

    Raises:
        IchliteError: A model cannot be converted or run, runtimes do not agree, or the sample study
            cannot be read with the bundle.
    """
    packages = [package for name in plan.runtimes for package in RUNTIMES[name].packages]
    load_before = _load()
    scan = bench_scan(plan.bundle, GE_HEAD.files, plan.scan_runs)
    windows = sample_windows()
    with tempfile.TemporaryDirectory(prefix="ichlite-bench-") as folder:
        contenders = _of_bundle(plan)
        own = contenders[0].model if contenders else None
        if plan.architectures:
            from ichlite.bench.architectures import architecture_contenders

            for one in plan.architectures:
                contenders += architecture_contenders(one, plan.runtimes, windows, Path(folder))
        peaks = measured_peaks() if plan.with_roofline else None
        timings = measure(
            contenders, windows, threads=plan.threads, runs=plan.runs, advance=advance
        )
        return {
            "date": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": describe_machine(packages),
            "load_average": {"before": load_before, "after": _load()},
            "protocol": {
                "runs": plan.runs,
                "turn": min(plan.runs, TURN),
                "starts": STARTS,
                "batch": 1,
                "input": list(windows.shape[1:]),
                "reference": {**reference_of(contenders).listed(), "threads": 1},
            },
            "runs": run_entries(timings),
            "comparisons": comparisons(timings, own),
            "scan": scan,
            "roofline": None if peaks is None else _roofline(timings, peaks),
        }


def all_core_counts() -> tuple[int, ...]:
    """Return the thread counts to measure: one, and all usable cores where there are more.

    Example:
        >>> all_core_counts()[0]
        1
    """
    return tuple(sorted({1, usable_cores()}))


def _of_bundle(plan: Plan) -> list[Contender]:
    """Return the bundle under each runtime that reads its file and has its precision."""
    # An architecture of that name is listed, too, with random weights.
    name = f"{plan.name} (bundle)" if plan.name in plan.architectures else plan.name
    found = [bundle_contender(plan.bundle, name, runtime) for runtime in plan.runtimes]
    return [
        one
        for one in found
        if one.precision in RUNTIMES[one.runtime].precisions
        and RUNTIMES[one.runtime].suffix == Path(MODEL_FILE).suffix
    ]


def _roofline(timings: Sequence[Timing], before: Peaks) -> dict[str, Any] | None:
    """Return the roofline of LightFCN; None where it was not measured on one thread."""
    for one in timings:
        if one.contender.key == REFERENCE and one.threads == 1:
            peaks = before.best_with(measured_peaks())
            layers = layers_of(one.contender.path.read_bytes())
            found = roofline(layers, peaks, one.percentile_ms(50), float(one.times_ms.min()))
            return {**one.contender.listed(), "threads": 1, **found}
    return None


def _load() -> float | None:
    """Return the mean number of jobs of the last minute; on a quiet machine near 0."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None
