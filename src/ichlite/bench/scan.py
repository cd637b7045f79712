"""Time the reading of a study from files to result, split by stage.

A scan's time is set against a limit measured in the same run, turn by turn with it: reading the
bytes of the same files, and bare inference of the same model, both on one thread. What is above
the limit is what ichlite adds: headers, HU, resizing, windows, the input check and the decision.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter

import numpy as np

from ichlite.bench.peak_memory import peak_of
from ichlite.bench.syntaxes import bench_syntaxes
from ichlite.contracts.bench import CompressedScan, ScanEntry
from ichlite.ct.elements import open_data
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
from ichlite.records import HeadVolume
from ichlite.samples import PHANTOM_BLEED

DEFAULT_RUNS = 25
"""Rounds of timing; each measures the lower limit, one thread, two threads and the stages."""
SHIPPED_RUNS = 3
"""Rounds in which the stages are timed on the study's original, not rewritten files."""
RUNS_PER_SYNTAX = 5
"""Rounds of timing for each single reading in every transfer syntax."""
READ_SLICES = 36
"""Slices of the scan on which the peak memory of `ichlite read` is reported."""


def bench_scan(bundle: Bundle, study: Sequence[Path], runs: int = DEFAULT_RUNS) -> ScanEntry:
    """Time the warm reading of a study, in milliseconds per slice, overall and by stage.

    The study is written out as uncompressed files of 16 bits first, as scanners send it.

    Args:
        bundle: Bundle whose model reads the study.
        study: DICOM files of one series.
        runs: Rounds of timing; each measures the lower limit, one thread, two threads and the
            stages.

    Returns:
        The `scan` entry of `ichlite bench --json`. `peak_rss_mb` is that of `ichlite read` on the
        study, `read_peak_rss_mb` on 36 slices of 512x512, each in a process of its own.

    Raises:
        InputError: The study is not read as one analysed series.
    """

    def limit() -> None:
        for file in files:
            file.read_bytes()
            runtime.invoke()

    runtime, turns = Runtime(bundle), []
    limits_ms, ones_ms, twos_ms = [], [], []
    with (
        tempfile.TemporaryDirectory(prefix="ichlite-bench-") as folder,
        Reader(bundle) as one,
        Reader(bundle, threads=2) as two,
    ):
        files = write_uncompressed(study, Path(folder))
        _check_analysed(one, folder)
        for _ in range(runs):
            limits_ms.append(_warm_ms(limit))
            ones_ms.append(_warm_ms(lambda: read_with(one, [folder])))
            twos_ms.append(_warm_ms(lambda: read_with(two, [folder])))
            turns.append(stage_times_ms([folder], runtime))
        syntaxes = bench_syntaxes(one, two, files, max(1, runs // RUNS_PER_SYNTAX))
        peak_mb = peak_of("read", folder, "--bundle", bundle.path)
    shipped = [stage_times_ms(study, runtime) for _ in range(min(runs, SHIPPED_RUNS))]
    return ScanEntry(
        slices=len(files),
        **set_against_limit(len(files), limits_ms, ones_ms, twos_ms),
        stages_ms=_medians(turns),
        as_shipped=CompressedScan(
            transfer_syntax_uid=find_series(study)[0][0].slices[0].layout.transfer_syntax_uid,
            stages_ms=_medians(shipped),
        ),
        syntaxes=syntaxes,
        peak_rss_mb=peak_mb,
        read_slices=READ_SLICES,
        read_peak_rss_mb=_read_peak_mb(bundle),
    )


def set_against_limit(
    slices: int, limits_ms: Sequence[float], ones_ms: Sequence[float], twos_ms: Sequence[float]
) -> dict[str, float]:
    """Compare reading times with their lower limit, as medians and for the quickest runs.

    The limit is the time to read the bytes of each file and run the model on it, and nothing else.

    Args:
        slices: Number of slices of the study.
        limits_ms: Milliseconds of the lower limit in each round.
        ones_ms: Milliseconds of reading the study on one thread in each round.
        twos_ms: Milliseconds of reading the study on two threads in each round.

    Returns:
        Milliseconds per slice, and ratios of reading time to limit, by their keys in the document.
    """
    limit_ms, one_ms, two_ms = (median(times) / slices for times in (limits_ms, ones_ms, twos_ms))
    return {
        "ms_per_slice": one_ms,
        "limit_ms_per_slice": limit_ms,
        "ratio": one_ms / limit_ms,
        "ratio_of_quickest": min(ones_ms) / min(limits_ms),
        "two_thread_ratio": two_ms / limit_ms,
        "two_thread_ratio_of_quickest": min(twos_ms) / min(limits_ms),
    }


def write_uncompressed(study: Iterable[Path], folder: Path) -> list[Path]:
    """Write DICOM files to a folder in Explicit VR Little Endian; return the new files.

    Args:
        study: DICOM files to convert.
        folder: Existing folder for the copies.

    Raises:
        InputError: `study` names no file.
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


def stage_times_ms(paths: Iterable[Path | str], runtime: Runtime) -> dict[str, float]:
    """Time each stage of reading separately over a whole study.

    Args:
        paths: DICOM files of one series.
        runtime: Runtime with the model loaded.

    Returns:
        Milliseconds per slice of each stage, in the order in which the stages run.
    """
    times_ms: dict[str, float] = {}

    @contextmanager
    def clocked(stage: str) -> Iterator[None]:
        start_s = perf_counter()
        yield
        times_ms[stage] = (perf_counter() - start_s) * 1e3

    with clocked("find"):
        series = find_series(paths)[0][0]
    with clocked("gate_series"):
        judge_series(series)
    with clocked("read"):
        for header in series.slices:
            with open_data(header.path, header.layout.transfer_syntax_uid) as file:
                file.seek(header.layout.offset)
                file.read(header.layout.length or -1)
    with clocked("decode"):
        stored = [(read_stored(header), header) for header in series.slices]
    # `read_stored` reads the bytes once more; what it takes longer than that is decoding.
    times_ms["decode"] = max(0.0, times_ms["decode"] - times_ms["read"])
    with clocked("hu"):
        hu = [to_hu(*pair)[0] for pair in stored]
    with clocked("resize"):
        grid = np.stack([resize_hu(one) for one in hu])
    with clocked("gate_volume"):
        judge_volume(without_lost_slices(HeadVolume(series, grid)))
    with clocked("windows"):
        for one in grid:
            runtime.load(one)
    with clocked("invoke"):
        for _ in grid:
            runtime.invoke()
    logits = np.stack([runtime.run_hu(one)[0] for one in grid])
    bundle, places = runtime.bundle, series.positions_mm or None
    with clocked("decision"):
        decide(logits, bundle.calibration, bundle.rule, series.breaks, places)
    return {stage: ms / len(grid) for stage, ms in times_ms.items()}


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


def _medians(turns: Sequence[dict[str, float]]) -> dict[str, float]:
    return {stage: median(turn[stage] for turn in turns) for stage in turns[0]}


def _warm_ms(work: Callable[[], object]) -> float:
    """Return how long work takes right after itself: a core that was idle is slower at first."""
    work()
    start_s = perf_counter()
    work()
    return (perf_counter() - start_s) * 1e3
