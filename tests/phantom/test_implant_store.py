"""Stores of implanted scans: whose heads and splits, and bytes that the order does not change."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ichlite.data.join import Fold, hold_out, join_stores
from ichlite.data.store import Store
from ichlite.errors import StoreError, UnknownName, UsageError
from ichlite.phantom.implant_store import ImplantOrder, implant_series, quiet_series, write_implants

pytestmark = pytest.mark.long


@pytest.fixture(scope="module")
def implants(quiet_store: Path, tmp_path_factory: pytest.TempPathFactory) -> Store:
    out = tmp_path_factory.mktemp("implants") / "one"
    write_implants(out, ImplantOrder(quiet_store, 2, 7))
    return Store.open(out)


def test_patients_splits_and_range_are_those_of_the_heads(
    implants: Store, quiet_store: Path
) -> None:
    source = Store.open(quiet_store)
    implants.verify()
    assert set(implants.patient) == {"calm"}
    assert set(implants.split) == {"train"}
    assert len(set(implants.series)) == 2
    assert not set(implants.series) & set(source.series)
    assert implants.hu_range == source.hu_range == (-20, 100)
    assert implants.meta["kind"] == "implant"
    assert implants.meta["generator"]["source"] == source.hash
    assert implants.cells_known.all()
    for name in set(implants.series):
        mine = implants.series == name
        assert implants.any[mine].any()
        assert (np.diff(implants.position_mm[mine]) > 0).all()
        bleeding = implants.labels[mine].any(1)
        cells = implants.lesion_cells[np.flatnonzero(mine)]
        assert (cells.any((1, 2)) == bleeding).all()


def test_processes_change_no_byte(implants: Store, quiet_store: Path, tmp_path: Path) -> None:
    made, left_out = write_implants(tmp_path / "two", ImplantOrder(quiet_store, 2, 7), processes=2)
    assert made.store_hash == implants.hash
    assert (made.images, made.patients) == (len(implants), 1)
    assert left_out == ()
    assert (tmp_path / "two" / "store.json").read_bytes() == (
        implants.path / "store.json"
    ).read_bytes()


def test_a_fold_holds_out_the_implants_with_the_patient(implants: Store, quiet_store: Path) -> None:
    both = join_stores([Store.open(quiet_store), implants])
    for number in (1, 2):
        held = hold_out(both, Fold(number, 2))
        tested = set(held.patient[held.split == "test"])
        trained = set(held.patient[held.split == "train"])
        assert not tested & trained
        assert set(held.split[held.origin == 1]) == {"unused" if "calm" in tested else "train"}


def test_a_series_that_bleeds_is_refused(quiet_store: Path) -> None:
    store = Store.open(quiet_store)
    assert [set(store.patient[rows]) for rows in quiet_series(store)] == [{"calm"}]
    rows = np.flatnonzero(store.patient == "hurt")
    with pytest.raises(StoreError, match="series hurt has blood of its own"):
        implant_series(store, rows, ImplantOrder(quiet_store, 1, 1), 0, range(1))


def test_implants_are_not_a_source(implants: Store) -> None:
    with pytest.raises(
        StoreError, match="cannot give heads without blood; found a store of kind implant"
    ):
        quiet_series(implants)


def test_a_split_without_quiet_series_is_refused(quiet_store: Path) -> None:
    with pytest.raises(StoreError, match="no series without blood"):
        quiet_series(Store.open(quiet_store), "test")
    with pytest.raises(UnknownName, match="expected one of all, train"):
        quiet_series(Store.open(quiet_store), "unused")


@pytest.mark.parametrize(
    ("scans", "seed", "processes", "message"),
    [(0, 1, 1, "1 or more"), (1, 1, 0, "1 or more"), (1, -1, 1, "at least 0")],
)
def test_counts_and_seeds_are_checked(
    scans: int, seed: int, processes: int, message: str, quiet_store: Path, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        write_implants(tmp_path / "x", ImplantOrder(quiet_store, scans, seed), processes=processes)
    assert not list(tmp_path.iterdir())


def test_a_store_without_a_skull_ends_in_one_line(tmp_path: Path) -> None:
    from ichlite.data.rows import StoreRow
    from ichlite.data.writer import StoreWriter

    with StoreWriter(tmp_path / "water", kind="csv") as writer:
        hu = np.random.default_rng(0).integers(0, 9, (9, 256, 256)).astype(np.int16)
        rows = [
            StoreRow(f"w{k}", "w", "w", "w", 5.0 * k, (0, 0, 0, 0, 0), None, "train")
            for k in range(9)
        ]
        writer.add(hu, rows)
    with pytest.raises(StoreError, match="can take a bleed; found there is no closed skull"):
        write_implants(tmp_path / "out", ImplantOrder(tmp_path / "water", 1, 1))
    assert [p.name for p in tmp_path.iterdir()] == ["water"]
