"""What models cost: counted once, timed turn by turn."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from msgspec import UNSET
from tests.reproduce.synthetic import costs

from ichlite.contracts.codec import document_text, to_json_value
from ichlite.models import MODELS, light_fcn
from ichlite.reproduce.costs import Costs, measured_costs, saved_bytes
from ichlite.reproduce.paper_tables import table_4


def test_costs_on_disk_are_used_when_they_are_of_all_models(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "costs.json"
    path.write_text(document_text(costs()))
    asked: list[Any] = []

    def measure(names: list[str], *, turns: int) -> Costs:
        asked.append(names)
        return costs()

    monkeypatch.setattr("ichlite.reproduce.costs.measure_costs", measure)
    assert measured_costs(["sfcn", "light_fcn"], path) == costs()
    assert asked == []
    measured_costs(["another"], path)
    assert asked == [["another"]]


def test_costs_of_before_get_what_was_not_counted_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, path = to_json_value(costs()), tmp_path / "costs.json"
    del before["counterparts"], before["models"]["sfcn"]["saved_model_bytes"]
    path.write_text(json.dumps(before))
    monkeypatch.setattr(
        "ichlite.reproduce.costs.saved_bytes", lambda name: {"saved_model_bytes": len(name)}
    )
    found = measured_costs(["sfcn"], path)
    assert found.models["sfcn"]["saved_model_bytes"] == 4
    assert found.models["light_fcn"] == costs().models["light_fcn"]
    assert found.counterparts is not UNSET
    plain, wide = (found.counterparts[key]["flops_256"] for key in
                   ("no_projection", "wide_projection"))  # fmt: skip
    assert 100e6 < plain < wide
    assert json.loads(path.read_text()) == to_json_value(found)


def test_another_backend_measures_nothing_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("keras.backend.backend", lambda: "jax")
    document = measured_costs(["light_fcn"], tmp_path / "costs.json")
    assert document.models == {}
    assert not (tmp_path / "costs.json").exists()
    assert "KERAS_BACKEND=tensorflow" in " ".join(table_4(document).notes)
    assert {cell.value_text for _, cells in table_4(document).rows for cell in cells} == {
        "not measured"
    }


@pytest.mark.long
def test_a_small_model_is_counted_and_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    from ichlite.reproduce.costs import measure_costs

    def tiny(**hyperparameters: Any) -> Any:
        return light_fcn(expansions=(32, 64), width=16, head_width=32, **hyperparameters)

    monkeypatch.setitem(MODELS, "light_fcn", tiny)  # type: ignore[arg-type]
    document = measure_costs(["light_fcn"], turns=3)
    found = to_json_value(document)["models"]["light_fcn"]
    assert found["params"] == tiny().count_params()
    assert found["flops_224"] < found["flops_256"]
    assert found["tflite_int8_bytes"] < found["tflite_float32_bytes"] < found["h5_adam_bytes"]
    assert 0 < found["latency_float32_ms"]["p50"] <= found["latency_float32_ms"]["p95"]
    assert document.machine.cpu


@pytest.mark.long
def test_saved_files_hold_adams_state() -> None:
    params = MODELS["light_fcn"]().count_params()
    found = saved_bytes("light_fcn")
    assert params * 4 * 3 < found["h5_adam_bytes"] < params * 4 * 4
    assert found["h5_adam_bytes"] < found["saved_model_bytes"]
