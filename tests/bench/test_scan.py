"""A scan from files to result: what is timed, and what it is set against."""

import json

import numpy as np
import pytest
from pydicom import dcmread

from ichlite.bench.machine import describe_machine, peak_rss_mb, rss_mb
from ichlite.bench.peak_memory import peak_of
from ichlite.bench.scan import READ_SLICES, bench_scan
from ichlite.bench.study import some_windows, write_uncompressed
from ichlite.errors import IchliteError, InputError
from ichlite.infer.bundle import load_bundle
from ichlite.samples import GE_HEAD, PHANTOM_BLEED

STAGES = [
    *("find", "gate_series", "read", "decode", "hu", "resize", "gate_volume", "windows"),
    *("invoke", "decision"),
]


def test_a_scan(head_series):
    scan = bench_scan(load_bundle(), sorted(head_series.iterdir()), runs=1)
    assert scan["slices"] == 28
    assert scan["ratio"] == pytest.approx(scan["ms_per_slice"] / scan["limit_ms_per_slice"])
    assert scan["ratio_of_quickest"] == pytest.approx(scan["ratio"])  # of one run
    assert scan["two_thread_ratio_of_quickest"] == pytest.approx(scan["two_thread_ratio"])
    assert scan["two_thread_ratio"] > 0
    for stages_ms in (scan["stages_ms"], scan["as_shipped"]["stages_ms"]):
        assert list(stages_ms) == STAGES
        assert all(ms >= 0 for ms in stages_ms.values())
    assert scan["read_slices"] == READ_SLICES
    assert 30 < scan["peak_rss_mb"] <= 200
    assert 30 < scan["read_peak_rss_mb"] <= 200
    json.dumps(scan, allow_nan=False)


def test_decoding_is_told_apart_from_reading():
    from ichlite.bench.scan import _one_turn
    from ichlite.infer.runtime import Runtime

    stages_ms = _one_turn(GE_HEAD.files, Runtime(load_bundle()))
    assert stages_ms["decode"] > 5 * stages_ms["read"]  # JPEG 2000


def test_a_scan_that_is_none(tmp_path):
    with pytest.raises(InputError, match="no files"):
        bench_scan(load_bundle(), [])


def test_the_study_is_written_out_uncompressed_with_the_same_pixels(tmp_path):
    files = write_uncompressed(GE_HEAD.files[:2], tmp_path)
    for before, after in zip(GE_HEAD.files, files, strict=False):
        written = dcmread(after)
        assert not written.file_meta.TransferSyntaxUID.is_compressed
        assert len(written.PixelData) == 512 * 512 * 2
        assert (written.pixel_array == dcmread(before).pixel_array).all()
        assert written.SOPInstanceUID == dcmread(before).SOPInstanceUID


def test_windows_are_of_different_slices():
    windows = some_windows(PHANTOM_BLEED.files, every=20)
    assert (windows.shape, windows.dtype) == ((3, 256, 256, 3), np.float32)
    assert not np.array_equal(windows[0], windows[1])


def test_the_machine():
    machine = describe_machine(["pytest", "no-such-package", "numpy"])
    assert machine["cores"] >= 1
    assert machine["packages"]["pytest"] == pytest.__version__
    assert list(machine["packages"]).count("numpy") == 1
    assert "no-such-package" not in machine["packages"]


def test_peaks_of_memory_are_of_one_process_alone():
    held = np.ones(400_000_000, np.uint8)
    peak_mb = peak_rss_mb()
    if rss_mb() is None:
        pytest.skip("only Linux says how much memory a process holds")
    assert peak_mb > held.nbytes / 1e6
    assert 10 < peak_of("info", "--json") < 200


def test_a_command_that_fails_has_no_peak(tmp_path):
    with pytest.raises(IchliteError, match="ichlite read failed; found ichlite: error: no bundle"):
        peak_of("read", tmp_path, "--bundle", tmp_path / "nothing")
