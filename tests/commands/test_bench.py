"""`ichlite bench`: the document's contract, what goes to a folder, and what cannot be asked for."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from tests.bench.documents import document, timing

from ichlite.contracts.bench import BenchDocument

Run = Callable[..., Any]


@pytest.mark.long
def test_plain_bench_is_the_embedded_model(ichlite: Run) -> None:
    outcome = ichlite("bench", "--json", "--runs", 3, "--scan-runs", 1, "--threads", 1)
    assert (outcome.exit_code, outcome.err) == (0, "")
    found = json.loads(outcome.out)
    assert [(run["model"], run["threads"]) for run in found["runs"]] == [("embedded", 1)]
    assert found["runs"][0]["inferences"] == 3
    assert found["scan"]["slices"] == 28
    assert found["roofline"] is None
    assert found["date"].endswith("+00:00")
    assert "ai-edge-litert" in found["machine"]["packages"]


@pytest.fixture
def planned(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The plans that the command makes; nothing is measured."""
    plans: list[Any] = []

    def measured(plan: Any, _: Any) -> BenchDocument:
        plans.append(plan)
        return document(timing("embedded", "int8"), with_roofline=plan.with_roofline)

    monkeypatch.setattr("ichlite.bench.bench_document.bench_document", measured)
    return plans


def test_all_is_every_model_and_a_roofline_wants_light_fcn(
    ichlite: Run, planned: list[Any]
) -> None:
    assert ichlite("bench", "--all").exit_code == 0
    assert ichlite("bench", "--roofline", "--runtimes", "keras").exit_code == 0
    assert ichlite("bench").exit_code == 0
    assert [plan.architectures for plan in planned] == [
        ("light_fcn", "sfcn", "sfcn_depthwise", "mobilenet_v2"), ("light_fcn",), (),
    ]  # fmt: skip
    assert [plan.runtimes for plan in planned] == [("litert",), ("litert", "keras"), ("litert",)]


def test_a_folder_gets_numbers_words_and_pictures(
    ichlite: Run, planned: list[Any], tmp_path: Path
) -> None:
    out = tmp_path / "made" / "here"
    done = ichlite("bench", "--roofline", "--out", out)
    assert (done.exit_code, done.err) == (0, "")
    assert sorted(path.name for path in out.iterdir()) == [
        "bench.json", "bench.md", "bench.png", "roofline.png",
    ]  # fmt: skip
    assert json.loads((out / "bench.json").read_text())["scan"]["ratio"] == 1.25
    assert (out / "bench.md").read_text() == done.out


def test_without_matplotlib_the_rest_is_written(
    ichlite: Run, planned: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hiding(name: str) -> object:
        return None if name == "matplotlib" else find_spec(name)

    monkeypatch.setattr("importlib.util.find_spec", hiding)
    done = ichlite("bench", "--out", tmp_path)
    assert (done.exit_code, done.err.count("\n")) == (0, 1)
    assert "no plots: matplotlib is not installed; install the optional packages: " in done.err
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bench.json", "bench.md"]


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--runtimes", "torch"), "unknown runtime; found torch; expected one of litert, onnx"),
        (("--roofline", "--threads", 2), "--roofline is of one thread; found --threads 2"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    ichlite: Run, planned: list[Any], words: tuple[Any, ...], line: str
) -> None:
    done = ichlite("bench", *words)
    assert (done.exit_code, done.err.count("\n"), planned) == (2, 1, [])
    assert line in done.err


def test_a_runtime_that_is_not_installed(
    ichlite: Run, planned: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ichlite.commands.console.find_spec", lambda name: None)
    done = ichlite("bench", "--runtimes", "litert,openvino")
    assert (done.exit_code, planned) == (2, [])
    assert "openvino is not installed; install the optional packages: " in done.err
    assert "in the clone of ichlite, pip install '.[bench]'" in done.err
