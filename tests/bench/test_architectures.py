"""Untrained models that can be compared: deep ones, too, tell one slice from another."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ichlite.bench.architectures import architecture_contenders
from ichlite.bench.contender import Contender, started
from ichlite.bench.entries import AGREEMENT
from ichlite.bench.study import some_windows
from ichlite.errors import UnknownName
from ichlite.samples import PHANTOM_BLEED


@pytest.fixture(scope="module")
def windows() -> np.ndarray:
    return some_windows(PHANTOM_BLEED.files, every=16)


def made(windows: np.ndarray, folder: Path) -> list[Contender]:
    return list(architecture_contenders("sfcn_depthwise", ["litert"], windows, folder))


def test_the_signal_does_not_die(windows: np.ndarray, tmp_path: Path) -> None:
    exact, quantised = made(windows, tmp_path)
    assert [exact.precision, quantised.precision] == ["float32", "int8"]
    slices = tmp_path / "slices.npy"
    np.save(slices, windows)
    with started(exact, 1, slices) as worker:
        logits = np.array(worker.logits())
    # Without statistics of real slices all of them give the same, to the last digit.
    assert np.ptp(logits, axis=0).min() > 100 * AGREEMENT


def test_the_same_files_every_time(windows: np.ndarray, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    first, again = made(windows, tmp_path), made(windows, tmp_path / "again")
    for one, other in zip(first, again, strict=True):
        assert one.path.read_bytes() == other.path.read_bytes()


def test_an_unknown_name(windows: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(UnknownName):
        next(architecture_contenders("resnet", ["litert"], windows, tmp_path))
