"""Time the reading of a study from files to result, split by stage.

A scan's time is set against a limit measured in the same run, turn by turn with it: reading the
bytes of the same files, and bare inference of the same model, both on one thread. What is above
the limit is what ichlite adds: headers, HU, resizing, windows, the input check and the decision.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Sequence
from io import FileIO
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import numpy as np

from ichlite.bench.peak_memory import peak_of
from ichlite.bench.study import write_uncompressed
from ichlite.ct.hounsfield import read_stored, to_hu
from ichlite.ct.input_check import judge_series, judge_volume, without_lost_slices
from ichlite.ct.series import find_series
from ichlite.ct.tensor import resize_hu
from ichlite.errors import InputError
from ichlite.infer.bundle import Bundle
from ichlite.infer.decision import decide
from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader
from ichlite.infer.runtime import Runtime
from ichlite.records import HeadVolume, SliceHeader
from ichlite.samples import PHANTOM_BLEED

DEFAULT_RUNS = 25
"""Turns of limit, one thread, two threads and stages, so that all meet the same neighbours."""
SHIPPED_RUNS = 3
"""Turns of the stages over the study as it came."""
READ_SLICES = 36
"""Slices of the scan of which the memory of `ichlite read` is told."""


def bench_scan(bundle: Bundle, study: Iterable[Path], runs: int = DEFAULT_RUNS) -> dict[str, Any]:
    """Take a bundle and a study's files; give the times of reading it, warm, per slice.

    The study is written out as uncompressed files of 16 bits first, as scanners send it.

    Args:
        bundle: The model.
        study: DICOM files of one series.
        runs: Turns of limit, one thread, two threads and stages.

    Returns:
        The `scan` entry of `ichlite bench --json`. `peak_rss_mb` is that of `ichlite read` on the
        study, `read_peak_rss_mb` on 36 slices of 512x512, each in a process of its own.

    Raises:
        InputError: The study is not read as one analysed series.
    """
    study = tuple(study)
    with tempfile.TemporaryDirectory(prefix="ichlite-bench-") as folder:
        files = write_uncompressed(study, Path(folder))
        runtime = Runtime(bundle)
        limits_ms, ones_ms, twos_ms, turns = [], [], [], []
        with Reader(bundle) as one, Reader(bundle, threads=2) as two:
            _check_analysed(one, folder)
            read_with(two, [folder])
            for _ in range(runs):
                limits_ms.append(_warm_ms(lambda: _limit(files, runtime)))
                ones_ms.append(_warm_ms(lambda: read_with(one, [folder])))
                twos_ms.append(_warm_ms(lambda: read_with(two, [folder])))
                turns.append(_one_turn([folder], runtime))
        peak_mb = peak_of("read", folder, "--bundle", bundle.path)
    slices = len(files)
    limit_ms, one_ms, two_ms = (median(times) / slices for times in (limits_ms, ones_ms, twos_ms))
    return {
        "slices": slices,
        "ms_per_slice": one_ms,
        "limit_ms_per_slice": limit_ms,
        "ratio": one_ms / limit_ms,
        "ratio_of_quickest": min(ones_ms) / min(limits_ms),
        "two_thread_ratio": two_ms / limit_ms,
        "two_thread_ratio_of_quickest": min(twos_ms) / min(limits_ms),
        "stages_ms": _medians(turns),
        "as_shipped": {
            "transfer_syntax_uid": _transfer_syntax(study),
            "stages_ms": _medians(
                [_one_turn(study, runtime) for _ in range(min(runs, SHIPPED_RUNS))]
            ),
        },
        "peak_rss_mb": peak_mb,
        "read_slices": READ_SLICES,
        "read_peak_rss_mb": _read_peak_mb(bundle),
    }


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


def _read_peak_mb(bundle: Bundle) -> float | None:
    with tempfile.TemporaryDirectory(prefix="ichlite-bench-") as folder:
        write_uncompressed(PHANTOM_BLEED.files[:READ_SLICES], Path(folder))
        # By force: these slices are a part of a head, which without it is a failure of the command.
        return peak_of("read", folder, "--bundle", bundle.path, "--force")


def _transfer_syntax(study: Iterable[Path]) -> str:
    (series, *_), _ = find_series(study)
    return series.slices[0].layout.transfer_syntax_uid


def _medians(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    return {stage: median(turn[stage] for turn in turns) for stage in turns[0]}


def _one_turn(paths: Iterable[Path | str], runtime: Runtime) -> dict[str, float]:
    """The stages one after the other, each over the whole study: milliseconds a slice."""
    clock = _Clock()
    series = clock.time("find", lambda: find_series(paths)[0][0])
    headers = series.slices
    clock.time("gate_series", lambda: judge_series(series))
    clock.time("read", lambda: [_pixel_bytes(header) for header in headers])
    stored = clock.time("decode", lambda: [read_stored(header) for header in headers])
    # `read_stored` reads the bytes once more; what it takes longer than that is decoding.
    clock.times_ms["decode"] = max(0.0, clock.times_ms["decode"] - clock.times_ms["read"])
    pairs = list(zip(stored, headers, strict=True))
    hu = clock.time("hu", lambda: [to_hu(pixels, header)[0] for pixels, header in pairs])
    grid = clock.time("resize", lambda: np.stack([resize_hu(one) for one in hu]))
    volume = HeadVolume(series, grid)
    clock.time("gate_volume", lambda: judge_volume(without_lost_slices(volume)))
    clock.time("windows", lambda: _each(runtime.load, grid))
    clock.time("invoke", lambda: _each(lambda _: runtime.invoke(), grid))
    logits = np.stack([runtime.run_hu(one)[0] for one in grid])
    bundle = runtime.bundle
    clock.time(
        "decision",
        lambda: decide(
            logits, bundle.calibration, bundle.rule, series.breaks, series.positions_mm or None
        ),
    )
    return {stage: ms / len(headers) for stage, ms in clock.times_ms.items()}


def _pixel_bytes(header: SliceHeader) -> bytes:
    with FileIO(header.path) as file:
        file.seek(header.layout.offset)
        return file.read(header.layout.length or -1)


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


def _warm_ms(work: Callable[[], object]) -> float:
    """How long work takes right after itself: a core that was idle is slower at first."""
    work()
    start_s = perf_counter()
    work()
    return (perf_counter() - start_s) * 1e3
