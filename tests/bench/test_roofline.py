"""Bounds worked by hand, and peaks that are what was counted over what it took."""

from __future__ import annotations

import itertools

import pytest
from tests.bench.documents import LAYERS, PEAKS, timing

from ichlite.bench.roofline import (
    LEAST_TRIES,
    SIDES,
    Peaks,
    bytes_per_s,
    flops_per_s,
    quickest_s,
    roofline,
)


def test_a_bound_worked_by_hand() -> None:
    found = roofline(timing("light_fcn").contender, LAYERS, PEAKS, p50_ms=12.0, min_ms=8.0)
    first, second = found.layers
    # 2 MFLOP at 1 GFLOP/s; 1000 bytes at 4 GB/s take less.
    assert (first.bound_ms, first.limit) == (pytest.approx(2.0), "operations")
    # 4000 bytes do not fit where 4 GB/s were measured: 1 MB/s.
    assert (second.bytes_per_s, second.limit) == (1e6, "bytes")
    assert second.bound_ms == pytest.approx(4.0)
    # 2.001 MFLOP; 600 + 300 + 1000 bytes at 1 MB/s.
    assert found.simple_bound_ms == pytest.approx(2.001)
    assert (found.share, found.share_of_quickest) == pytest.approx((0.5, 0.75))
    assert found.bound_ms == pytest.approx(6.0)


def test_larger_working_sets_than_measured_come_from_memory() -> None:
    assert PEAKS.bandwidth(1000) == 4e9
    assert PEAKS.bandwidth(9_000_000) == PEAKS.memory_bytes_per_s == 1e6


def test_the_better_of_two_measurements() -> None:
    best = PEAKS.best_with(Peaks(2e9, ((1000, 3e9), (8000, 2e6))))
    assert best == Peaks(2e9, ((1000, 4e9), (8000, 2e6)))


def test_rates_are_what_was_done_over_the_seconds_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ichlite.bench.roofline.quickest_s", lambda work: 0.5)
    assert flops_per_s() == 2 * max(SIDES) ** 3 / 0.5
    # A third of the bytes is no whole number of float32; all but that is moved.
    assert bytes_per_s(2**20) == pytest.approx(2**20 / 0.5, rel=1e-5)


def test_the_quickest_of_enough_tries() -> None:
    seconds = itertools.accumulate(itertools.cycle([0.0, 3.0, 0.0, 2.0]))
    calls: list[None] = []
    assert quickest_s(lambda: calls.append(None), timer=lambda: next(seconds)) == 2.0
    assert len(calls) == 2 * LEAST_TRIES
