"""What a measurement says: ratios of medians, and that runtimes agree."""

from __future__ import annotations

import gzip
import json

import numpy as np
import pytest
from tests.bench.documents import FILE, timing

from ichlite.bench.arena import arena_bytes
from ichlite.bench.entries import check_agreement, comparisons, ratio_of, run_entries
from ichlite.bench.layers import layers_of
from ichlite.errors import IchliteError

CONTRACT = {
    "model", "precision", "runtime", "threads", "p50_ms", "p95_ms", "bytes", "params", "flops",
}  # fmt: skip


def test_an_entry_keeps_the_contract_and_adds_to_it() -> None:
    (entry,) = run_entries([timing("embedded", "int8", ms=3.0, of_ms=2.0)])
    assert set(entry) > CONTRACT
    assert (entry["init_ms"], entry["first_ms"], entry["p99_ms"]) == (3.0, 2.5, 3.0)
    assert (entry["ratio"], entry["ratio_quartiles"]) == (1.5, [1.5, 1.5, 1.5])
    content = FILE.read_bytes()
    assert entry["bytes"] == len(content)
    assert gzip.decompress(gzip.compress(content)) == content
    assert 0 < entry["gzip_bytes"] < len(content)
    json.dumps(entry, allow_nan=False)


def test_zstd_is_told_where_its_package_is(monkeypatch: pytest.MonkeyPatch) -> None:
    import sys

    monkeypatch.setitem(sys.modules, "zstandard", None)
    assert run_entries([timing("embedded", "int8")])[0]["zstd_bytes"] is None
    monkeypatch.undo()
    pytest.importorskip("zstandard", reason="zstandard comes with ichlite[train]")
    (entry,) = run_entries([timing("embedded", "int8")])
    assert 0 < entry["zstd_bytes"] < entry["bytes"]


def test_a_ratio_is_that_of_the_medians_whatever_one_round_does() -> None:
    ours = np.array([[2.0, 2.0], [2.0, 2.0], [90.0, 90.0]])
    found = ratio_of(ours, np.ones((3, 2)))
    assert found["ratio"] == 2.0
    assert found["ratio_quartiles"] == [2.0, 2.0, 46.0]
    assert found["ratio_of_quickest"] == 2.0


def test_a_runtime_that_computes_something_else_is_refused() -> None:
    light = timing("light_fcn")
    same = timing("light_fcn", runtime="onnxruntime", logit=1e-4)
    other = timing("light_fcn", runtime="onnxruntime", logit=1e-3)
    check_agreement([(one.contender, one.logits) for one in (light, same)])
    with pytest.raises(IchliteError, match="light_fcn under onnxruntime does not say"):
        check_agreement([(one.contender, one.logits) for one in (light, other)])
    broken = timing("light_fcn", runtime="onnxruntime", logit=float("nan"))
    with pytest.raises(IchliteError, match="does not say"):
        check_agreement([(one.contender, one.logits) for one in (light, broken)])


def test_the_difference_stands_in_the_entry() -> None:
    entries = run_entries([timing("sfcn"), timing("sfcn", runtime="keras", logit=4e-4)])
    assert entries[0]["max_probability_difference"] is None
    assert entries[1]["max_probability_difference"] == pytest.approx(1e-4)


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
    assert found["litert_to_fastest_runtime"]["fastest"] == "openvino"
    assert found["litert_to_fastest_runtime"]["ratio"] == pytest.approx(1.15)
    assert found["mobilenet_v2_to_light_fcn"]["ratio"] == pytest.approx(5.0)
    assert found["mobilenet_v2_to_bundle"]["ratio"] == pytest.approx(9.2)
    assert set(comparisons([timing("embedded", "int8")]).values()) == {None}
    assert comparisons([timing("light_fcn")])["litert_to_fastest_runtime"] is None


def test_the_arena_holds_what_lives_at_once_but_not_everything() -> None:
    content = FILE.read_bytes()
    layers = layers_of(content)
    # An addition may write where it reads, so not what it reads and writes together.
    at_once = max(max(layer.input_bytes, layer.output_bytes) for layer in layers)
    assert at_once <= arena_bytes(content) < sum(layer.output_bytes for layer in layers)
