"""Joined stores: one store with the rows of all, and folds that hold whole patients out."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.data.join import Fold, hold_out, join_stores, open_stores, train_on_all
from ichlite.data.rows import UNUSED, StoreRow
from ichlite.data.store import Store
from ichlite.data.writer import StoreWriter
from ichlite.errors import StoreError, UsageError


def make(path: Path, kind: str, patients: int, *, name: str, split: str = "train") -> Store:
    """A store of two slices a patient, every second of whom bleeds, with noise of its own."""
    rng = np.random.default_rng(len(name) + patients)
    with StoreWriter(path, kind=kind, seed=0) as writer:
        for k in range(patients):
            who = f"{name}{k}"
            rows = [
                StoreRow(f"{who}-{kind}-{z}", who, who, f"{who}-{kind}", float(z),
                         (0, 0, 0, 0, k % 2), (8.0, 8.0) if k % 2 else None, split)
                for z in range(2)
            ]  # fmt: skip
            cells = np.full((2, 32, 32), 16 * (k % 2), np.uint8)
            hu = rng.integers(-1000, 1000, (2, 256, 256)).astype(np.int16)
            writer.add(hu, rows, None if kind == "rsna" else cells)
    return Store.open(path)


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Store, Store]:
    folder = tmp_path_factory.mktemp("stores")
    return (
        make(folder / "phantoms", "phantom", 6, name="p"),
        make(folder / "real", "rsna", 10, name="r"),
        make(folder / "implants", "implant", 10, name="r"),
    )


def test_rows_of_a_joined_store_are_those_of_its_stores(
    stores: tuple[Store, Store, Store],
) -> None:
    phantoms, real, _ = stores
    joined = join_stores([phantoms, real])
    assert len(joined) == len(phantoms) + len(real) == len(joined.hu)
    rows = np.array([0, 11, 12, 31, 3])
    expected = [phantoms.hu[0], phantoms.hu[11], real.hu[0], real.hu[19], phantoms.hu[3]]
    np.testing.assert_array_equal(joined.hu[rows], np.stack(expected))
    np.testing.assert_array_equal(joined.hu[12], real.hu[0])
    np.testing.assert_array_equal(joined.labels[12:], real.labels)
    assert np.bincount(joined.origin).tolist() == [12, 20]
    assert joined.lesion_cells[2].any()
    assert not joined.lesion_cells[np.arange(12, 32)].any()
    bleeding_real = (joined.origin == 1) & (joined.any > 0)
    assert (joined.cells_known == ~bleeding_real).all()
    assert join_stores([real]) is real
    assert joined.hash != join_stores([real, phantoms]).hash


@pytest.mark.parametrize("seed", [0, 1])
def test_every_real_patient_is_held_out_once(stores: tuple[Store, Store, Store], seed: int) -> None:
    joined = join_stores(stores)
    held: list[str] = []
    for number in range(1, 6):
        store = hold_out(joined, Fold(number, 5, seed))
        out = store.split == "test"
        assert (store.origin[out] == 1).all()
        here = set(store.patient[out].tolist())
        held += sorted(here)
        trains = store.split == "train"
        assert not here & set(store.patient[trains].tolist())
        assert here | set(store.patient[trains & (store.origin == 1)].tolist()) == {
            f"r{k}" for k in range(10)
        }
        bleeds = {f"r{k}" for k in range(1, 10, 2)}
        assert len(here) == 2
        assert len(here & bleeds) == 1
    assert sorted(held) == sorted(f"r{k}" for k in range(10))


def test_all_patients_train_for_the_model_that_is_shipped(
    stores: tuple[Store, Store, Store], tmp_path: Path
) -> None:
    other = make(tmp_path / "other", "cq500", 4, name="o", split="test")
    store = train_on_all(join_stores([stores[0], other]))
    assert (store.split == "train").all()
    split = np.repeat(["train", "test"] * 5, 2)
    real, implants = (replace(one, split=split) for one in stores[1:])
    store = train_on_all(join_stores([stores[0], real, implants]))
    assert (store.split[store.origin == 1] == "train").all()
    assert store.split[store.origin == 2].tolist() == ["train", "train", UNUSED, UNUSED] * 5
    with pytest.raises(UsageError, match="cannot be combined with --all-patients"):
        open_stores([other.path], Fold(1, 2), all_patients=True)


def test_what_cannot_be_joined_or_folded_is_refused(
    stores: tuple[Store, Store, Store], tmp_path: Path
) -> None:
    _, real, implants = stores
    with pytest.raises(StoreError, match="named twice"):
        join_stores([real, real])
    with pytest.raises(StoreError, match="11 folds cannot be drawn"):
        hold_out(real, Fold(1, 11))
    with pytest.raises(StoreError, match=r"in the head of patient .*, who is in no store"):
        hold_out(join_stores([make(tmp_path / "o", "rsna", 4, name="o"), implants]), Fold(1, 2))
    with pytest.raises(StoreError, match="the split leaks"):
        join_stores([real, make(tmp_path / "r", "cq500", 3, name="r", split="test")])


def test_phantoms_alone_are_folded_themselves(stores: tuple[Store, Store, Store]) -> None:
    assert (hold_out(stores[0], Fold(1, 3)).split == "test").sum() == 4


@given(st.text(max_size=8))
def test_a_fold_is_named_by_two_numbers_or_refused(text: str) -> None:
    try:
        fold = Fold.parse(text)
    except UsageError:
        return
    assert 1 <= fold.number <= fold.of
    assert Fold.parse(str(fold)) == fold
