import json

import pytest
from ichlite.bench.latency import bench_model, bench_scan, write_uncompressed
from pydicom import dcmread

from ichlite.bench.machine import describe_machine, peak_rss_mb
from ichlite.errors import InputError
from ichlite.infer.bundle import load_bundle
from ichlite.samples import GE_HEAD


def test_one_model():
    entry = bench_model(load_bundle(), 1, runs=5)
    assert set(entry) == {
        "model", "precision", "runtime", "threads", "p50_ms", "p95_ms", "bytes", "params", "flops",
    }  # fmt: skip
    assert 0 < entry["p50_ms"] <= entry["p95_ms"]
    assert entry["bytes"] == len(load_bundle().model)


def test_a_scan(head_series):
    scan = bench_scan(load_bundle(), sorted(head_series.iterdir()), runs=1)
    assert scan["slices"] == 28
    assert scan["ratio"] == pytest.approx(scan["ms_per_slice"] / scan["limit_ms_per_slice"])
    assert scan["two_thread_ratio"] > 0
    assert set(scan["stages_ms"]) >= {"find", "read", "hu", "resize", "windows", "invoke"}
    assert all(ms >= 0 for ms in scan["stages_ms"].values())
    json.dumps(scan, allow_nan=False)


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


def test_the_machine():
    assert describe_machine()["cores"] >= 1
    assert peak_rss_mb() > 10


def test_the_command(ichlite, monkeypatch):
    outcome = ichlite("bench", "--json", "--runs", 3, "--scan-runs", 1)
    assert (outcome.exit_code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    assert {run["model"] for run in document["runs"]} == {"embedded"}
    assert document["runs"][0]["threads"] == 1
    assert document["scan"]["slices"] == 28
