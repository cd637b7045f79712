"""Stores of phantoms: split, rows, and bytes that do not depend on the processes."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from ichlite.data.store import Store
from ichlite.errors import StoreError, UsageError
from ichlite.phantom.generate import Order, split_of, subjects_of, write_store


def test_every_ten_subjects_split_eight_one_one() -> None:
    for ten in range(5):
        splits = [split_of(11, 10 * ten + k) for k in range(10)]
        assert sorted(splits) == ["test", *["train"] * 8, "validation"]


def test_seeds_split_differently() -> None:
    assert [split_of(1, k) for k in range(40)] != [split_of(2, k) for k in range(40)]


@pytest.mark.long
def test_bytes_do_not_depend_on_processes(tmp_path: Path) -> None:
    order = Order(2, 6, "paper")
    seen: list[tuple[int, int]] = []
    one = write_store(tmp_path / "one", order, progress=lambda *done: seen.append(done))
    two = write_store(tmp_path / "two", order, processes=2)
    assert one == two
    assert seen == [(1, 2), (2, 2)]
    for name in ("index.csv", "store.json"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()
    store = Store.open(tmp_path / "one")
    store.verify()
    assert one.images == len(store)
    assert one.positives["any"] == int(store.labels.any(1).sum()) > 0
    assert set(store.patient) == {"PHANTOM-6-00000", "PHANTOM-6-00001"}
    assert one.store_hash == store.hash
    for patient in set(store.patient):
        mine = store.patient == patient
        assert len(set(store.split[mine])) == 1
        assert np.all(np.diff(store.position_mm[mine]) > 0)


@pytest.mark.parametrize(("subjects", "processes"), [(0, 1), (1, 0)])
def test_counts_below_one_are_refused(subjects: int, processes: int) -> None:
    with pytest.raises(UsageError, match="1 or more"):
        next(iter(subjects_of(Order(subjects, 1), processes)))


@pytest.mark.parametrize("grid", [0, 31, 20_000])
def test_an_unfit_matrix_is_refused(grid: int) -> None:
    with pytest.raises(UsageError, match="cannot have a matrix of that size"):
        next(iter(subjects_of(Order(1, 1, grid=grid))))


def test_a_dead_worker_is_an_error_not_a_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Order, "subject", os._exit)
    with pytest.raises(StoreError, match="worker process ended early"):
        next(iter(subjects_of(Order(2, 1), processes=2)))
