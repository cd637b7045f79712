"""Slices of a store in a loop of one's own: what `fit` would have taken, and every other split."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.toy import make_store

from ichlite.data.feed import to_windows
from ichlite.data.store import Store
from ichlite.errors import StoreError, UnknownName, UsageError
from ichlite.train import Recipe, StoreDataset, check_backend, open_store
from ichlite.train.batches import Batches

RECIPE = Recipe(batch_size=8, augment=True, crop_steps=3, seed=4)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "store", patients=10)


def test_training_batches_are_those_of_fit(store: Store) -> None:
    dataset = StoreDataset(store, recipe=replace(RECIPE, device_windows=True))
    batches = Batches(store, replace(RECIPE, crop_steps=0))
    assert len(dataset) == 5  # 36 slices
    for step in range(7):
        images, labels = dataset[step % 5]
        expected = batches.step(step)
        np.testing.assert_array_equal(images, expected.images)
        np.testing.assert_array_equal(labels, expected.labels)
        if step == 4:
            dataset.on_epoch_end()


def test_other_splits_come_once_in_order(store: Store) -> None:
    dataset = StoreDataset(store, "validation", RECIPE)
    images, labels = (np.concatenate(part) for part in zip(*(dataset[0], dataset[1]), strict=True))
    rows = store.rows("validation")
    assert len(dataset) == 2
    np.testing.assert_array_equal(images, to_windows(store.hu[rows]))
    np.testing.assert_array_equal(labels, store.labels[rows])
    np.testing.assert_array_equal(labels, dataset.labels)


def test_a_split_that_is_not_there_is_refused(store: Store) -> None:
    with pytest.raises(UnknownName, match="train, validation, test"):
        StoreDataset(store, "dev")
    none = replace(store, split=np.full(len(store), "train"))
    with pytest.raises(StoreError, match="the test split is empty"):
        StoreDataset(none, "test")


def test_one_store_and_several_are_opened_by_name(store: Store, tmp_path: Path) -> None:
    make_store(tmp_path / "other", patients=5, seed=1, prefix="q")
    assert open_store(str(store.path)).hash == store.hash
    both = open_store(store.path, tmp_path / "other", fold="1/5")
    assert len(both) == len(store) + 30
    assert both.meta["fold"]["of"] == 5


@pytest.mark.parametrize("backend", ["torch", "numpy"])
def test_other_backends_are_refused_by_name(backend: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KERAS_BACKEND", backend)
    with pytest.raises(UsageError, match=f"KERAS_BACKEND={backend}; expected tensorflow or jax"):
        check_backend()
    monkeypatch.delenv("KERAS_BACKEND")
    check_backend()
