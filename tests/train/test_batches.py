"""Batches: every image once a pass, the same batch for a seed and step, labels that fit."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.toy import make_store

from ichlite.ct.tensor import model_input
from ichlite.data.feed import ahead, split_rows, to_windows
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.errors import StoreError
from ichlite.train.batches import Batches
from ichlite.train.recipe import Recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "store", patients=10)


def test_every_training_image_comes_once_a_pass(store: Store) -> None:
    batches = Batches(store, Recipe(batch_size=7, seed=3))
    count = len(batches.labels)
    assert count == 36
    seen = np.concatenate([batches.images(step) for step in range(3 * count // 7 + 1)])
    times = np.bincount(seen[: 3 * count], minlength=count)
    # Batches are sorted inside, so the borders of passes are known to a batch.
    assert times.min() >= 2
    assert times.max() <= 4
    whole = Batches(store, Recipe(batch_size=count))
    for step in range(3):
        assert sorted(whole.images(step)) == list(range(count))


def test_a_batch_larger_than_the_split_is_filled(store: Store) -> None:
    assert len(Batches(store, Recipe(batch_size=100)).images(5)) == 100


@pytest.mark.parametrize("augment", [False, True])
def test_seed_and_step_make_the_batch(store: Store, augment: bool) -> None:
    recipe = Recipe(batch_size=8, crop_steps=2, augment=augment)
    for step in (0, 1, 2, 9):
        one, again = (Batches(store, recipe).step(step) for _ in range(2))
        np.testing.assert_array_equal(one[0], again[0])
        np.testing.assert_array_equal(one[1], again[1])
    other = Batches(store, Recipe(batch_size=8, crop_steps=2, augment=augment, seed=1))
    assert not np.array_equal(other.step(2)[0], Batches(store, recipe).step(2)[0])


def test_a_seed_means_the_batches_that_it_always_meant(store: Store) -> None:
    # Runs that were begun are resumed and compared: these values must not change.
    batches = Batches(store, Recipe(batch_size=6, seed=3))
    assert batches.images(0).tolist() == [5, 8, 11, 13, 14, 34]
    assert batches.images(6).tolist() == [3, 6, 12, 17, 26, 31]
    changed = Batches(store, Recipe(batch_size=6, seed=3, crop_steps=1, crop_size=64, augment=True))
    (crops, crop_labels, *_), (frames, frame_labels, *_) = changed.step(0), changed.step(1)
    assert crops.sum(dtype=np.float64) == pytest.approx(23275.89, abs=0.02)
    assert frames.sum(dtype=np.float64) == pytest.approx(184343.29, abs=0.02)
    assert crop_labels.sum(axis=0).tolist() == [1, 0, 2, 1, 0]
    assert frame_labels.sum(axis=0).tolist() == [0, 0, 1, 1, 0]


@pytest.mark.parametrize("crop_steps", [0, 2])
def test_batches_for_the_device_are_the_same_in_hu(store: Store, crop_steps: int) -> None:
    recipe = Recipe(batch_size=6, crop_steps=crop_steps, crop_size=64, augment=True)
    hu, labels, *_ = Batches(store, replace(recipe, device_windows=True)).step(1)
    windows, same_labels, *_ = Batches(store, recipe).step(1)
    assert hu.dtype == np.int16
    np.testing.assert_array_equal(to_windows(hu), windows)
    np.testing.assert_array_equal(labels, same_labels)


def test_frames_are_the_reading_path_of_their_rows(store: Store) -> None:
    batches = Batches(store, Recipe(batch_size=8))
    windows, labels, *_ = batches.step(4)
    rows = batches.rows[batches.images(4)]
    assert (store.split[rows] == "train").all()
    np.testing.assert_array_equal(windows, model_input(np.asarray(store.hu[rows])))
    np.testing.assert_array_equal(labels, store.labels[rows])
    assert windows.dtype == labels.dtype == np.float32


def test_crops_then_frames(store: Store) -> None:
    batches = Batches(store, Recipe(batch_size=6, crop_steps=2, crop_size=96))
    crops, labels, cells, known = batches.step(1)
    assert crops.shape == (6, 96, 96, 3)
    assert labels[:3].any(axis=1).all()
    assert not labels[3:].any()
    assert cells.shape == (6, 12, 12)
    assert cells[:3].any(axis=(1, 2)).all()
    assert not cells[3:].any()
    assert known.tolist() == [1] * 6
    assert batches.step(2)[0].shape == (6, 256, 256, 3)


def test_every_scan_comes_at_the_brain_level_that_is_asked_for(store: Store) -> None:
    plain, level = Recipe(batch_size=8, device_windows=True), 30.0
    wanted = levelled(store, level)
    batches = Batches(store, replace(plain, brain_level_hu=level))
    rows = batches.rows[batches.images(3)]
    np.testing.assert_array_equal(batches.step(3).images, wanted.hu[rows])


def test_windows_of_a_batch_are_those_of_its_images(store: Store) -> None:
    hu = np.asarray(store.hu[:3])
    np.testing.assert_array_equal(to_windows(hu), model_input(hu))
    np.testing.assert_array_equal(to_windows(hu[:, 8:40, 16:48]), model_input(hu)[:, 8:40, 16:48])


def test_an_empty_split_is_an_error(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=1)
    with pytest.raises(StoreError, match="validation split is empty"):
        split_rows(store, "validation")


def test_ahead_keeps_order_and_runs_elsewhere() -> None:
    threads = set()

    def make(step: int) -> int:
        threads.add(threading.current_thread().name)
        return step**2

    assert list(ahead(make, range(20), depth=2)) == [step**2 for step in range(20)]
    assert threads == {"batches_0"}


def test_ahead_keeps_order_with_several_threads() -> None:
    running: set[str] = set()
    together = threading.Barrier(3, timeout=10)

    def make(step: int) -> int:
        running.add(threading.current_thread().name)
        if step < 3:
            together.wait()
        time.sleep(0.002 * (step % 3))
        return step**2

    assert list(ahead(make, range(20), threads=3)) == [step**2 for step in range(20)]
    assert len(running) == 3


def test_ahead_hands_failures_on() -> None:
    def make(step: int) -> int:
        if step == 3:
            raise StoreError("row 3 is gone")
        return step

    stream = ahead(make, range(10))
    assert [next(stream) for _ in range(3)] == [0, 1, 2]
    with pytest.raises(StoreError, match="row 3"):
        next(stream)


def test_ahead_stops_when_nobody_wants_more() -> None:
    made: list[int] = []
    stream = ahead(lambda step: made.append(step), range(1000), depth=2)
    next(stream)
    stream.close()
    before = len(made)
    time.sleep(0.05)
    assert len(made) == before < 10


def test_scan_labels_train_nothing(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=5)
    scans = replace(store, meta={**store.meta, "label_level": "scan"})
    with pytest.raises(StoreError, match="found labels of scans"):
        Batches(scans, Recipe())
