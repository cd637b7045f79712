"""Turn by turn: who is measured when, in which process, and what goes wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ichlite.bench.contender import Contender, started
from ichlite.bench.interleaved_timing import STARTS, TURN, _rounds, measure, reference_of
from ichlite.bench.study import some_windows
from ichlite.errors import IchliteError
from ichlite.infer.bundle import EMBEDDED, MODEL_FILE, load_bundle
from ichlite.infer.runtime import Runtime
from ichlite.samples import PHANTOM_BLEED

FILE = EMBEDDED / MODEL_FILE


@pytest.fixture(scope="module")
def slices(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slices") / "slices.npy"
    np.save(path, some_windows(PHANTOM_BLEED.files, every=20))
    return path


class Told:
    """A worker that notes when it is asked."""

    def __init__(self, name: str, calls: list[str]) -> None:
        self.name, self.calls = name, calls

    def times_ms(self, number: int) -> list[float]:
        self.calls.append(self.name)
        return [float(len(self.calls))] * number


def test_all_have_a_turn_in_every_round_and_each_begins_one() -> None:
    calls: list[str] = []
    workers = [Told(name, calls) for name in "abc"]
    times_ms = _rounds(workers, rounds=4, turn=2, advance=lambda _: None)  # type: ignore[arg-type]
    assert "".join(calls) == "abcbcacababc"
    assert times_ms[1].tolist() == [[2, 2], [4, 4], [9, 9], [11, 11]]


def test_measured_in_rounds_beside_the_reference(slices: Path) -> None:
    steps: list[int] = []
    seen: list[str] = []
    contenders = [Contender(name, "int8", "litert", FILE, 5, 7) for name in ("first", "second")]
    found = measure(
        contenders,
        slices,
        threads=[1, 2],
        runs=TURN + 1,
        check=lambda told: seen.extend(one.model for one, _ in told),
        advance=steps.append,
    )
    assert [(one.contender.model, one.threads) for one in found] == [
        ("first", 1), ("second", 1), ("first", 2), ("second", 2),
    ]  # fmt: skip
    assert seen == ["first", "second", "first", "second", "first"]
    assert sum(steps) == (2 + 3) * (STARTS + 2)
    for one in found:
        assert one.times_ms.shape == one.reference_ms.shape == (2, TURN)
        assert one.start.init_ms > 0
        assert one.start.first_ms > 0
    assert np.array_equal(found[0].times_ms, found[1].reference_ms)
    assert not np.array_equal(found[2].times_ms, found[3].reference_ms)  # one thread, once more


def test_a_worker_says_what_the_bundle_says(slices: Path) -> None:
    runtime = Runtime(load_bundle())
    with started(Contender("embedded", "int8", "litert", FILE), 1, slices) as worker:
        told = worker.logits()
        assert len(worker.times_ms(3)) == 3
    expected = [runtime.run(x)[0] for x in np.load(slices)]
    np.testing.assert_allclose(told, expected, atol=1e-6)


def test_what_cannot_be_loaded_is_said_in_one_line(slices: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"no model")
    with pytest.raises(IchliteError, match="x int8 litert, threads: 1 cannot be measured; found"):
        measure([Contender("x", "int8", "litert", broken)], slices, threads=[1], runs=1)


def test_the_reference_is_light_fcn_where_there_is_one() -> None:
    light = Contender("light_fcn", "float32", "litert", FILE)
    first = Contender("embedded", "int8", "litert", FILE)
    assert reference_of([first, light]) is light
    assert reference_of([first]) is first
