"""Processes that train together: their parts of a batch, in order, are the batch of one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.train.batches import Batches
from ichlite.train.recipe import Recipe


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=10)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(batch_size=6, steps_per_epoch=2),
        Recipe(batch_size=6, steps_per_epoch=2, augment=True),
        Recipe(batch_size=6, steps_per_epoch=2, crop_steps=1, crop_size=64, device_windows=True),
    ],
    ids=["plain", "augmented", "crops"],
)
@pytest.mark.parametrize("count", [2, 3])
def test_parts_in_order_are_the_whole(store: Store, recipe: Recipe, count: int) -> None:
    whole = Batches(store, recipe)
    parts = [Batches(store, recipe, share=(index, count)) for index in range(count)]
    for step in (0, 1, 7):
        made = [part.step(step) for part in parts]
        assert all(len(one.labels) == 6 // count for one in made)
        for together, own in zip(whole.step(step), zip(*made, strict=True), strict=True):
            np.testing.assert_array_equal(np.concatenate(own), together)


def test_a_plain_part_reads_no_slices_but_its_own(tmp_path: Path, store: Store) -> None:
    batches = Batches(store, Recipe(batch_size=6, steps_per_epoch=2), share=(1, 2))
    read: list[int] = []

    class Counted:
        def __getitem__(self, rows: np.ndarray) -> np.ndarray:
            read.append(len(rows))
            return store.hu[rows]

    batches.hu = Counted()  # type: ignore[assignment]
    batches.step(0)
    assert read == [3]
