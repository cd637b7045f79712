"""What a measurement says: sizes of files, and ratios of medians."""

from __future__ import annotations

import gzip

import numpy as np
import pytest
from tests.bench.documents import FILE, timing

from ichlite.bench.bench_document import comparisons, ratio_of, run_entries
from ichlite.contracts.codec import to_json_value

CONTRACT = {
    "model", "precision", "runtime", "threads", "p50_ms", "p95_ms", "bytes", "params", "flops",
}  # fmt: skip


def test_an_entry_keeps_the_contract_and_adds_to_it() -> None:
    (entry,) = run_entries([timing("embedded", "int8", ms=3.0, of_ms=2.0)])
    assert set(to_json_value(entry)) > CONTRACT
    assert (entry.init_ms, entry.first_ms, entry.p99_ms) == (3.0, 2.5, 3.0)
    assert (entry.ratio, entry.ratio_quartiles) == (1.5, (1.5, 1.5, 1.5))
    content = FILE.read_bytes()
    assert entry.bytes == len(content)
    assert entry.gzip_bytes == len(gzip.compress(content, 9))


def test_zstd_is_told_where_its_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert run_entries([timing("embedded", "int8")])[0].zstd_bytes is None
    monkeypatch.undo()
    pytest.importorskip("zstandard", reason="zstandard comes with ichlite[train]")
    (entry,) = run_entries([timing("embedded", "int8")])
    assert 0 < entry.zstd_bytes < entry.bytes


def test_a_ratio_is_that_of_the_medians_whatever_one_round_does() -> None:
    ours = np.array([[2.0, 2.0], [2.0, 2.0], [90.0, 90.0]])
    found = ratio_of(ours, np.ones((3, 2)))
    assert found["ratio"] == 2.0
    assert found["ratio_quartiles"] == (2.0, 2.0, 46.0)
    assert found["ratio_of_quickest"] == 2.0


def test_the_ratios_that_are_asked_for() -> None:
    found = comparisons(
        [
            timing("light_fcn", ms=2.3),
            timing("light_fcn", "int8", ms=0.1),
            timing("light_fcn", runtime="keras", ms=9.0),
            timing("light_fcn", runtime="openvino", ms=2.0),
            timing("light_fcn", runtime="onnxruntime", ms=1.0, threads=2),
            timing("mobilenet_v2", ms=11.5),
            timing("embedded", "float16", ms=1.25),
        ],
        "embedded",
    )
    ratios = to_json_value(found)
    assert ratios["litert_to_fastest_runtime"]["fastest"] == "openvino"
    assert ratios["litert_to_fastest_runtime"]["ratio"] == pytest.approx(1.15)
    assert ratios["mobilenet_v2_to_light_fcn"]["ratio"] == pytest.approx(5.0)
    assert ratios["mobilenet_v2_to_bundle"]["ratio"] == pytest.approx(9.2)
    assert set(to_json_value(comparisons([timing("embedded", "int8")])).values()) == {None}
    assert comparisons([timing("light_fcn")]).litert_to_fastest_runtime is None
