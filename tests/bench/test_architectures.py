"""Untrained models: what they cost, and deep ones, too, tell one slice from another."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from ichlite.bench.architectures import architecture_contenders, cost
from ichlite.bench.interleaved_timing import AGREEMENT, sample_windows
from ichlite.bench.runtimes import Contender
from ichlite.bench.worker import started
from ichlite.compress.model_cost import flops, one_slice
from ichlite.errors import UnknownName
from ichlite.models import build
from ichlite.samples import PHANTOM_BLEED


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return sample_windows(PHANTOM_BLEED, every=16)


def made(windows: np.ndarray, folder: Path) -> list[Contender]:
    return list(architecture_contenders("sfcn_depthwise", ["litert"], windows, folder))


@pytest.mark.long
def test_the_signal_does_not_die(windows: np.ndarray, tmp_path: Path) -> None:
    exact, quantised = made(windows, tmp_path)
    assert [exact.precision, quantised.precision] == ["float32", "int8"]
    slices = tmp_path / "slices.npy"
    np.save(slices, windows)
    with started(exact, 1, slices) as worker:
        logits = worker.logits
    # Without statistics of real slices all of them give the same, to the last digit.
    assert np.ptp(logits, axis=0).min() > 100 * AGREEMENT


@pytest.mark.long
def test_the_same_files_every_time(windows: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = made(windows, tmp_path), made(windows, tmp_path / "again")
    for one, other in zip(first, again, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()


def test_an_unknown_name(windows: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        next(architecture_contenders("resnet", ["litert"], windows, tmp_path))


@pytest.mark.parametrize(
    ("name", "size", "mflops"),
    [
        ("light_fcn", 256, 187.9),
        ("light_fcn", 224, 143.8),
        ("sfcn", 256, 2_245.3),
        ("sfcn", 224, 1_719.0),
        ("mobilenet_v2", 224, 612.7),
    ],
)
def test_flops_are_those_of_the_paper_check(name: str, size: int, mflops: float) -> None:
    assert flops(one_slice(build(name, size=size), size)) / 1e6 == pytest.approx(mflops, abs=0.06)


def test_a_multiply_add_is_two() -> None:
    image = keras.Input(batch_shape=(1, 8, 8, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(image))
    assert flops(model) == 2 * 8 * 8 * 3 * 3 * 3 * 4


def test_light_fcn_costs_what_the_paper_says() -> None:
    found = cost("light_fcn")
    assert (found.name, found.params) == ("light_fcn", 86_853)
    assert 187e6 < found.flops_256 < 190e6
    assert found.tflite_float32_bytes == pytest.approx(316_544, rel=0.002)
