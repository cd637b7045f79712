"""Brain levels of a store: measured once, kept, and every scan brought to the one asked for."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from ichlite.ct.brain_level import brain_level_hu
from ichlite.data.join import join_stores
from ichlite.data.levels import LEVELS_FILE, levelled
from ichlite.data.rows import StoreRow
from ichlite.data.store import Store
from ichlite.data.writer import StoreWriter


def head(brain_hu: int) -> NDArray[np.int16]:
    hu = np.full((256, 256), -1000, np.int16)
    hu[40:216, 40:216] = 900
    hu[48:208, 48:208] = brain_hu
    return hu


def row(k: int, series: str) -> StoreRow:
    return StoreRow(f"i{k}", series, series, series, float(k), (0,) * 5, None, "train")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    air = np.full((256, 256), -1000, np.int16)
    hu = np.stack([head(24), head(24), head(37), air])
    with StoreWriter(tmp_path / "store", kind="toy") as writer:
        writer.add(hu, [row(0, "a"), row(1, "a"), row(2, "b"), row(3, "c")])
    return Store.open(tmp_path / "store")


def test_each_scan_is_brought_to_the_level(store: Store) -> None:
    at_30 = levelled(store, 30.0)
    assert [int(at_30.hu[k][128, 128]) for k in range(4)] == [30, 30, 30, -1000]
    assert int(at_30.hu[0][0, 0]) == -994
    np.testing.assert_array_equal(at_30.hu[np.array([2, 3])], np.stack([at_30.hu[2], at_30.hu[3]]))
    assert brain_level_hu(at_30.hu[np.array([0, 1])]) == 30.0


def test_without_a_level_nothing_changes(store: Store) -> None:
    assert levelled(store, None).hu is store.hu
    assert levelled(levelled(store, 30.0), None).hu is store.hu


def test_a_levelled_store_is_levelled_once(store: Store) -> None:
    again = levelled(levelled(store, 50.0), 30.0)
    assert [int(again.hu[k][128, 128]) for k in range(3)] == [30, 30, 30]


def test_joined_stores_keep_the_levels_of_each(store: Store, tmp_path: Path) -> None:
    with StoreWriter(tmp_path / "other", kind="toy") as writer:
        writer.add(head(50)[None], [row(9, "d")])
    joined = levelled(join_stores([store, Store.open(tmp_path / "other")]), 30.0)
    assert [int(joined.hu[k][128, 128]) for k in (0, 2, 4)] == [30, 30, 30]
    assert (tmp_path / "other" / LEVELS_FILE).exists()
    assert '"d"' not in (store.path / LEVELS_FILE).read_text()


def test_levels_are_kept_and_measured_anew_when_they_are_of_another_store(store: Store) -> None:
    levelled(store, 30.0)
    kept = store.path / LEVELS_FILE
    text = kept.read_text()
    assert '"c": null' in text
    kept.write_text(text.replace(store.hash, "of another store").replace("24.0", "99.0"))
    assert int(levelled(store, 30.0).hu[0][128, 128]) == 30
    assert kept.read_text() == text
