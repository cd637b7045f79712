"""Turn by turn: who is measured when, in which process, and what goes wrong."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import numpy as np
import pytest

from ichlite.bench.interleaved_timing import (
    STARTS,
    TURN,
    differences_to_litert,
    measure,
    reference_of,
    sample_windows,
    turn_by_turn,
)
from ichlite.bench.runtimes import Contender
from ichlite.bench.worker import started
from ichlite.errors import IchliteError
from ichlite.infer.bundle import EMBEDDED, MODEL_FILE, load_bundle
from ichlite.infer.runtime import Runtime
from ichlite.samples import PHANTOM_BLEED

FILE = EMBEDDED / MODEL_FILE


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return sample_windows(PHANTOM_BLEED, every=20)


def test_windows_are_of_different_slices(windows: np.ndarray) -> None:
    assert (windows.shape, windows.dtype) == ((3, 256, 256, 3), np.float32)
    assert not np.array_equal(windows[0], windows[1])


def test_all_have_a_turn_in_every_round_and_each_begins_one() -> None:
    calls: list[str] = []

    def asked(name: str, number: int) -> list[float]:
        calls.append(name)
        return [float(len(calls))] * number

    steps: list[int] = []
    turns = [partial(asked, name) for name in "abc"]
    times_ms = turn_by_turn(turns, rounds=4, turn=2, advance=steps.append)
    assert "".join(calls) == "abcbcacababc"
    assert times_ms[1].tolist() == [[2, 2], [4, 4], [9, 9], [11, 11]]
    assert sum(steps) == len(calls)


@pytest.mark.long
def test_measured_in_rounds_beside_the_reference(windows: np.ndarray) -> None:
    steps: list[int] = []
    contenders = [Contender(name, "int8", "litert", FILE, 5, 7) for name in ("first", "second")]
    found = measure(contenders, windows, threads=[1, 2], runs=TURN + 1, advance=steps.append)
    assert [(one.contender.model, one.threads) for one in found] == [
        ("first", 1), ("second", 1), ("first", 2), ("second", 2),
    ]  # fmt: skip
    # Beside the two, the reference has turns on one thread whatever the others have.
    assert sum(steps) == (2 + 3) * (STARTS + 2)
    for one in found:
        assert one.times_ms.shape == one.reference_ms.shape == (2, TURN)
        assert one.start.init_ms > 0
        assert one.start.first_ms > 0
    assert np.array_equal(found[0].times_ms, found[1].reference_ms)
    assert not np.array_equal(found[2].times_ms, found[3].reference_ms)  # one thread, once more


def test_a_worker_says_what_the_bundle_says(windows: np.ndarray, tmp_path: Path) -> None:
    np.save(tmp_path / "slices.npy", windows)
    runtime = Runtime(load_bundle())
    with started(
        Contender("embedded", "int8", "litert", FILE), 1, tmp_path / "slices.npy"
    ) as worker:
        assert len(worker.times_ms(3)) == 3
        expected = [runtime.run(x)[0] for x in windows]
        np.testing.assert_allclose(worker.logits, expected, atol=1e-6)


def test_what_cannot_be_loaded_is_said_in_one_line(windows: np.ndarray, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(IchliteError, match="x int8 litert, threads: 1 cannot be measured; found"):
        measure([Contender("x", "int8", "litert", broken)], windows, runs=1)


def test_the_reference_is_light_fcn_where_there_is_one() -> None:
    light = Contender("light_fcn", "float32", "litert", FILE)
    first = Contender("embedded", "int8", "litert", FILE)
    assert reference_of([first, light]) is light
    assert reference_of([first]) is first


def entry(runtime: str, model: str = "light_fcn") -> tuple[Contender, int]:
    return Contender(model, "float32", runtime, FILE), 1


def test_a_runtime_that_computes_something_else_is_refused() -> None:
    zeros = np.zeros((2, 5))
    for said in (zeros + 1e-3, zeros + np.nan):
        with pytest.raises(IchliteError, match="light_fcn under onnxruntime does not say"):
            differences_to_litert({entry("litert"): zeros, entry("onnxruntime"): said})


def test_the_difference_is_of_probabilities_to_litert_with_the_same_model() -> None:
    zeros = np.zeros((2, 5))
    logits = {
        entry("litert"): zeros,
        entry("keras"): zeros + 1e-4,
        entry("keras", "sfcn"): zeros + 9.0,
    }
    found = differences_to_litert(logits)
    # The slope of a sigmoid at 0 is a quarter.
    assert list(found.values()) == [None, pytest.approx(0.25e-4), None]
