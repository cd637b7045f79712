"""A bundle in; milliseconds of bare inference, and of a whole scan from files to result, out.

A scan's time is set against a limit measured in the same run, turn by turn with it: reading the
bytes of the same files, and bare inference of the same model, both on one thread. What is above
the limit is what ichlite adds: headers, HU, resizing, windows, the input check and the decision.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from ichlite.bench.machine import peak_rss_mb
from ichlite.ct.gate import judge_series, judge_volume
from ichlite.ct.hounsfield import read_stored, to_hu
from ichlite.ct.series import find_series
from ichlite.ct.tensor import resize_hu
from ichlite.errors import InputError
from ichlite.infer.bundle import Bundle
from ichlite.infer.decision import decide
from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader, usable_cores
from ichlite.infer.runtime import Runtime
from ichlite.records import HeadVolume

WARM_UPS = 3
DEFAULT_RUNS = 200
SCAN_RUNS = 9
"""Turns of limit, one thread and two threads; the medians of the turns are reported."""


def bench_model(
    bundle: Bundle, threads: int, *, name: str = "embedded", runs: int = DEFAULT_RUNS
) -> dict[str, Any]:
    """Take a bundle; give the times of bare inference, warm, batch 1, and what the model costs.

    Args:
        bundle: The model.
        threads: Of LiteRT.
        name: Under which the figures are listed.
        runs: Inferences timed.

    Returns:
        One entry of `runs` of `ichlite bench --json`; what the manifest does not say is None.
    """
    runtime = Runtime(bundle, threads)
    for _ in range(WARM_UPS):
        runtime.invoke()
    times_ms = [_timed_ms(runtime.invoke) for _ in range(runs)]
    cost = bundle.manifest.get("cost") or {}
    return {
        "model": name,
        "precision": bundle.manifest.get("precision"),
        "runtime": "litert",
        "threads": threads,
        "p50_ms": float(np.percentile(times_ms, 50)),
        "p95_ms": float(np.percentile(times_ms, 95)),
        "bytes": len(bundle.model),
        "params": cost.get("params"),
        "flops": cost.get("flops_256"),
    }


def bench_scan(bundle: Bundle, study: Iterable[Path], runs: int = SCAN_RUNS) -> dict[str, Any]:
    """Take a bundle and a study's files; give the times of reading it, warm, per slice.

    The study is written out as uncompressed files of 16 bits first, as scanners send it.

    Args:
        bundle: The model.
        study: DICOM files of one series.
        runs: Turns of limit, one thread and two threads.

    Returns:
        The `scan` entry of `ichlite bench --json`.

    Raises:
        InputError: The study is not read as one analysed series.
    """
    with tempfile.TemporaryDirectory(prefix="ichlite-bench-") as folder:
        files = write_uncompressed(study, Path(folder))
        runtime = Runtime(bundle)
        limits_ms, ones_ms, twos_ms = [], [], []
        with Reader(bundle) as one, Reader(bundle, threads=2) as two:
            _check_analysed(one, folder)
            read_with(two, [folder])
            for _ in range(runs):
                limits_ms.append(_timed_ms(lambda: _limit(files, runtime)))
                ones_ms.append(_timed_ms(lambda: read_with(one, [folder])))
                twos_ms.append(_timed_ms(lambda: read_with(two, [folder])))
        stages_ms = _stages(folder, runtime, runs)
    slices = len(files)
    limit_ms = median(limits_ms) / slices
    one_ms = median(ones_ms) / slices
    return {
        "slices": slices,
        "ms_per_slice": one_ms,
        "limit_ms_per_slice": limit_ms,
        "ratio": one_ms / limit_ms,
        "two_thread_ratio": median(twos_ms) / slices / limit_ms,
        "stages_ms": stages_ms,
        "peak_rss_mb": peak_rss_mb(),
    }


def write_uncompressed(study: Iterable[Path], folder: Path) -> list[Path]:
    """Take DICOM files; write them to a folder as explicit little endian, and give the new files.

    Raises:
        InputError: No files.
    """
    from pydicom import dcmread
    from pydicom.uid import ExplicitVRLittleEndian

    written = []
    for path in study:
        dataset = dcmread(path)
        if dataset.file_meta.TransferSyntaxUID.is_compressed:
            dataset.decompress(generate_instance_uid=False)
        else:
            dataset.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        target = folder / path.name
        dataset.save_as(target, implicit_vr=False, little_endian=True, enforce_file_format=True)
        written.append(target)
    if not written:
        raise InputError("no files to measure with", expected="the sample study")
    return written


def all_core_counts() -> tuple[int, ...]:
    """Give the thread counts to measure: one, and all usable cores where there are more.

    Example:
        >>> all_core_counts()[0]
        1
    """
    return tuple(sorted({1, usable_cores()}))


def _limit(files: Sequence[Path], runtime: Runtime) -> None:
    for file in files:
        file.read_bytes()
        runtime.invoke()


def _check_analysed(reader: Reader, folder: str) -> None:
    result = read_with(reader, [folder], force=True)
    if len(result.studies) != 1 or result.studies[0].status != "analysed":
        reasons = [reason for scan in result.studies for reason in scan.reasons]
        raise InputError(
            "the study cannot be measured with", found=reasons or "no series", expected="one series"
        )


def _stages(folder: str, runtime: Runtime, runs: int) -> dict[str, float]:
    """The stages one after the other, each over the whole study: median milliseconds a slice."""
    turns = [_one_turn(folder, runtime) for _ in range(runs)]
    return {stage: median(turn[stage] for turn in turns) for stage in turns[0]}


def _one_turn(folder: str, runtime: Runtime) -> dict[str, float]:
    clock = _Clock()
    series = clock.time("find", lambda: find_series([folder])[0][0])
    headers = series.slices
    clock.time("gate_series", lambda: judge_series(series))
    stored = clock.time("read", lambda: [read_stored(header) for header in headers])
    pairs = list(zip(stored, headers, strict=True))
    hu = clock.time("hu", lambda: [to_hu(pixels, header)[0] for pixels, header in pairs])
    grid = clock.time("resize", lambda: np.stack([resize_hu(one) for one in hu]))
    volume = HeadVolume(series, grid)
    clock.time("gate_volume", lambda: judge_volume(volume))
    clock.time("windows", lambda: _each(runtime.load, grid))
    clock.time("invoke", lambda: _each(lambda _: runtime.invoke(), grid))
    logits = np.stack([runtime.run_hu(one)[0] for one in grid])
    bundle = runtime.bundle
    clock.time("decision", lambda: decide(logits, bundle.calibration, bundle.rule))
    return {stage: ms / len(headers) for stage, ms in clock.times_ms.items()}


def _each(work: Callable[[Any], None], items: Iterable[Any]) -> None:
    for item in items:
        work(item)


class _Clock:
    """Keeps how long each named piece of work took."""

    def __init__(self) -> None:
        self.times_ms: dict[str, float] = {}

    def time(self, stage: str, work: Callable[[], Any]) -> Any:
        start_s = perf_counter()
        result = work()
        self.times_ms[stage] = (perf_counter() - start_s) * 1e3
        return result


def _timed_ms(work: Callable[[], object]) -> float:
    start_s = perf_counter()
    work()
    return (perf_counter() - start_s) * 1e3
