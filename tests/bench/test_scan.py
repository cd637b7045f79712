"""A scan from files to result: what is timed, and what it is set against."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydicom import dcmread

from ichlite.bench import scan as scan_module
from ichlite.bench.scan import (
    READ_SLICES,
    bench_scan,
    set_against_limit,
    stage_times_ms,
    write_uncompressed,
)
from ichlite.contracts.codec import to_json_value
from ichlite.ct.decoders import FAST_PACKAGE, LIGHT_PACKAGES
from ichlite.errors import InputError
from ichlite.infer.bundle import load_bundle
from ichlite.infer.runtime import Runtime
from ichlite.samples import GE_HEAD

STAGES = [
    *("find", "gate_series", "read", "decode", "hu", "resize", "gate_volume", "windows"),
    *("invoke", "decision"),
]


@pytest.mark.long
def test_a_scan(head_series: Path) -> None:
    scan = to_json_value(bench_scan(load_bundle(), sorted(head_series.iterdir()), runs=1))
    assert scan["slices"] == 28
    assert min(scan["ratio"], scan["two_thread_ratio"]) > 0
    for stages_ms in (scan["stages_ms"], scan["as_shipped"]["stages_ms"]):
        assert list(stages_ms) == STAGES
        assert all(ms >= 0 for ms in stages_ms.values())
    first, *others = scan["syntaxes"]
    assert (first["package"], first["ratio_of_quickest"]) == (None, 1.0)
    assert {entry["package"] for entry in others} >= {*LIGHT_PACKAGES.values(), FAST_PACKAGE}
    assert scan["read_slices"] == READ_SLICES
    assert 30 < scan["peak_rss_mb"] <= 200
    assert 30 < scan["read_peak_rss_mb"] <= 200


def test_ratios_are_of_medians_and_of_the_quickest() -> None:
    assert set_against_limit(10, [20, 10, 60], [30, 90, 40], [15, 20, 90]) == {
        "ms_per_slice": 4.0,
        "limit_ms_per_slice": 2.0,
        "ratio": 2.0,
        "ratio_of_quickest": 3.0,
        "two_thread_ratio": 1.0,
        "two_thread_ratio_of_quickest": 1.5,
    }


def test_decoding_is_told_apart_from_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    now_s = 0.0

    def slowly_open(path: str, syntax: str) -> Any:
        nonlocal now_s
        now_s += 0.002
        return open_data(path, syntax)

    def slowly_read(header: Any) -> Any:
        nonlocal now_s
        now_s += 0.005
        return read_stored(header)

    read_stored, open_data = scan_module.read_stored, scan_module.open_data
    monkeypatch.setattr(scan_module, "open_data", slowly_open)
    monkeypatch.setattr(scan_module, "read_stored", slowly_read)
    monkeypatch.setattr(scan_module, "perf_counter", lambda: now_s)
    times_ms = stage_times_ms(GE_HEAD.files, Runtime(load_bundle()))
    assert list(times_ms) == STAGES
    assert {stage: ms for stage, ms in times_ms.items() if ms} == {
        "read": pytest.approx(2.0),
        "decode": pytest.approx(3.0),
    }


def test_a_scan_that_is_none() -> None:
    with pytest.raises(InputError, match="no files"):
        bench_scan(load_bundle(), [])


def test_the_study_is_written_out_uncompressed_with_the_same_pixels(tmp_path: Path) -> None:
    files = write_uncompressed(GE_HEAD.files[:2], tmp_path)
    for before, after in zip(GE_HEAD.files, files, strict=False):
        written = dcmread(after)
        assert not written.file_meta.TransferSyntaxUID.is_compressed
        assert len(written.PixelData) == 512 * 512 * 2
        assert (written.pixel_array == dcmread(before).pixel_array).all()
        assert written.SOPInstanceUID == dcmread(before).SOPInstanceUID
