"""Run a benchmark and build the JSON document of `ichlite bench --json`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TypedDict

import numpy as np
from msgspec import structs

from ichlite.bench.interleaved_timing import (
    REFERENCE,
    STARTS,
    TURN,
    Advance,
    Floats,
    Timing,
    measure,
    reference_of,
    sample_windows,
)
from ichlite.bench.machine import describe_machine
from ichlite.bench.roofline import Peaks, measured_peaks, roofline
from ichlite.bench.runtimes import LITERT, RUNTIMES, Contender, bundle_contender
from ichlite.bench.scan import DEFAULT_RUNS, bench_scan
from ichlite.bench.tflite_layers import arena_bytes, layers_of
from ichlite.compress.model_cost import Sizes, sizes
from ichlite.contracts.bench import (
    BenchDocument,
    Comparison,
    Comparisons,
    LoadAverage,
    Protocol,
    Reference,
    Roofline,
    RunEntry,
)
from ichlite.infer.bundle import MODEL_FILE, Bundle
from ichlite.samples import GE_HEAD


class Ratios(TypedDict):
    """Ratios of one entry's inference times to those of the reference or of another entry."""

    ratio: float
    ratio_quartiles: tuple[float, float, float]
    ratio_of_quickest: float


@dataclass(frozen=True, slots=True)
class Plan:
    """What one run of `ichlite bench` measures.

    Attributes:
        bundle: Bundle whose model reads the sample scan and is the first one timed alone.
        name: Name that the bundle is listed under.
        architectures: Keys of `models.MODELS`, measured with random weights.
        runtimes: Keys of `RUNTIMES`.
        threads: Numbers of threads.
        runs: Inferences timed for each combination of model, runtime and thread count.
        scan_runs: Number of times that the sample study is read.
        with_roofline: Whether LightFCN's time is compared with the machine's peak rates;
            `architectures` must then include it.
    """

    bundle: Bundle
    name: str = "embedded"
    architectures: tuple[str, ...] = ()
    runtimes: tuple[str, ...] = (LITERT,)
    threads: tuple[int, ...] = (1,)
    runs: int = 200
    scan_runs: int = DEFAULT_RUNS
    with_roofline: bool = False


def bench_document(plan: Plan, advance: Advance = lambda _: None) -> BenchDocument:
    """Run every measurement of a benchmark plan and return the results as one document.

    Args:
        plan: What to measure.
        advance: Progress callback, called with 1 after each unit of work.

    Returns:
        The document that `ichlite bench --json` prints.

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
        return BenchDocument(
            date=datetime.now(UTC).isoformat(timespec="seconds"),
            machine=describe_machine(packages),
            load_average=LoadAverage(before=load_before, after=_load()),
            protocol=Protocol(
                runs=plan.runs,
                turn=min(plan.runs, TURN),
                starts=STARTS,
                batch=1,
                input=windows.shape[1:],
                reference=Reference(**reference_of(contenders).listed(), threads=1),
            ),
            runs=run_entries(timings),
            comparisons=comparisons(timings, own),
            scan=scan,
            roofline=None if peaks is None else _roofline(timings, peaks),
        )


def run_entries(timings: Sequence[Timing]) -> tuple[RunEntry, ...]:
    """Return the `runs` entries of the benchmark document, one for each timing.

    Facts that cannot be determined, such as FLOPs of an unknown architecture, are None.
    """
    files = {one: _file_facts(one) for one in {timing.contender for timing in timings}}
    return tuple(
        RunEntry(
            **timing.contender.listed(),
            threads=timing.threads,
            min_ms=float(timing.times_ms.min()),
            p50_ms=timing.percentile_ms(50),
            p95_ms=timing.percentile_ms(95),
            p99_ms=timing.percentile_ms(99),
            inferences=timing.times_ms.size,
            **asdict(timing.start),
            **ratio_of(timing.times_ms, timing.reference_ms),
            **files[timing.contender][0],
            arena_bytes=files[timing.contender][1],
            params=timing.contender.params,
            flops=timing.contender.flops,
            max_probability_difference=timing.difference,
        )
        for timing in timings
    )


def comparisons(timings: Sequence[Timing], bundle: str | None = None) -> Comparisons:
    """Return speed ratios between models timed on one thread, with quartiles over the rounds.

    Args:
        timings: Timings of one benchmark run.
        bundle: Name under which the bundle is listed among the timings; None if it is not timed.

    Returns:
        `litert_to_fastest_runtime`: LightFCN float32, LiteRT over the quickest of the runtimes
        (1 where it is LiteRT); `mobilenet_v2_to_light_fcn`: float32, LiteRT;
        `mobilenet_v2_to_bundle`: the same over the bundle as it is. None where not measured.
    """
    one_thread = {one.contender.key: one for one in timings if one.threads == 1}
    light = one_thread.get(REFERENCE)
    mobile = one_thread.get(("mobilenet_v2", "float32", LITERT))
    own = [one for (model, _, by), one in one_thread.items() if (model, by) == (bundle, LITERT)]
    lights = [one for key, one in one_thread.items() if key[:2] == REFERENCE[:2]]
    fastest = min(lights, key=lambda one: one.percentile_ms(50)) if len(lights) > 1 else None
    to_fastest = _ratio(light, fastest)
    if fastest is not None and to_fastest is not None:
        to_fastest = structs.replace(to_fastest, fastest=fastest.contender.runtime)
    return Comparisons(
        litert_to_fastest_runtime=to_fastest,
        mobilenet_v2_to_light_fcn=_ratio(mobile, light),
        mobilenet_v2_to_bundle=_ratio(mobile, own[0] if own else None),
    )


def ratio_of(times_ms: Floats, of_ms: Floats) -> Ratios:
    """Return how many times longer one model's inferences take than another's.

    Args:
        times_ms: (round, inference) float64 milliseconds of the first model.
        of_ms: (round, inference) float64 milliseconds of the other model in the same rounds.

    Returns:
        `ratio`, of the medians of all inferences; `ratio_quartiles`, the three quartiles of the
        ratios of each round, which slow drift of the machine does not affect; `ratio_of_quickest`,
        of the quickest inferences, which load from other jobs hardly affects.

    Example:
        >>> ratio_of(np.array([[2.0, 2.0], [7.0, 7.0]]), np.array([[1.0, 1.0], [2.0, 2.0]]))
        {'ratio': 3.0, 'ratio_quartiles': (2.375, 2.75, 3.125), 'ratio_of_quickest': 2.0}
    """
    of_rounds = np.median(times_ms, axis=1) / np.median(of_ms, axis=1)
    return {
        "ratio": float(np.median(times_ms) / np.median(of_ms)),
        "ratio_quartiles": tuple(np.percentile(of_rounds, (25, 50, 75)).tolist()),
        "ratio_of_quickest": float(times_ms.min() / of_ms.min()),
    }


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


def _roofline(timings: Sequence[Timing], before: Peaks) -> Roofline | None:
    """Return the roofline of LightFCN; None where it was not measured on one thread."""
    for one in timings:
        if one.contender.key == REFERENCE and one.threads == 1:
            peaks = before.best_with(measured_peaks())
            layers = layers_of(one.contender.path.read_bytes())
            p50_ms, min_ms = one.percentile_ms(50), float(one.times_ms.min())
            return roofline(one.contender, layers, peaks, p50_ms, min_ms)
    return None


def _load() -> float | None:
    """Return the mean number of jobs of the last minute; on a quiet machine near 0."""
    return os.getloadavg()[0] if hasattr(os, "getloadavg") else None


def _ratio(one: Timing | None, of: Timing | None) -> Comparison | None:
    return None if one is None or of is None else Comparison(**ratio_of(one.times_ms, of.times_ms))


def _file_facts(one: Contender) -> tuple[Sizes, int | None]:
    """Return the sizes of a contender's file, and of its arena under LiteRT."""
    content = one.path.read_bytes()
    return sizes(content), arena_bytes(content) if one.runtime == LITERT else None
