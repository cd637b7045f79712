"""A split's HU rows in, training batches out: the same batch for the same seed and step.

shuffle → gather int16 rows → crop or augment → window (`ct.tensor.model_input`, the one
preprocessing path) → float32; with `Recipe.device_windows` the HU are left to the device. Random
numbers come from (seed, step), so that a resumed run goes on with the batch it would have had.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ichlite.data.feed import split_rows, to_windows
from ichlite.data.store import Store
from ichlite.errors import StoreError
from ichlite.train.augment import Augmenter
from ichlite.train.crops import CropSampler
from ichlite.train.recipe import Recipe

Batch = tuple[NDArray[np.float32] | NDArray[np.int16], NDArray[np.float32]]

AnyNumber = TypeVar("AnyNumber", bound=np.generic)

_ORDER, _CHANGE = 1, 2


class Batches:
    """Training split and recipe → the batch of any step.

    Args:
        store: A prepared store.
        recipe: Batch size, crops, augmentation, seed, where windows are made.
        share: Number of this process and of all that train together: each makes its part of every
            batch, and the parts in order are the batch that one process would make.

    Raises:
        StoreError: The split is empty, or the labels are of scans.
    """

    def __init__(self, store: Store, recipe: Recipe, *, share: tuple[int, int] = (0, 1)) -> None:
        if store.label_level != "slice":
            raise StoreError(
                f"{store.path} cannot train a slice model",
                found=f"labels of {store.label_level}s",
                expected="labels of slices",
                remedy="use it to evaluate",
            )
        self.share = share
        self.hu = store.hu
        self.rows = split_rows(store, "train")
        self.labels = np.asarray(store.labels, np.uint8)[self.rows]
        self.recipe = recipe
        self._augmenter = Augmenter() if recipe.augment else None
        self._crops = (
            CropSampler(self.labels, store.lesion[self.rows], size=recipe.crop_size)
            if recipe.crop_steps
            else None
        )
        self._order = lru_cache(maxsize=2)(self._shuffle)

    def step(self, step: int) -> Batch:
        """Optimiser step, from 0 → its images and labels (batch, 5), or this process's part.

        Returns:
            Images: windows (batch, size, size, 3) in [0, 1], or (batch, size, size) int16 HU.
            Labels: float32, 0 or 1.
        """
        rng = np.random.default_rng([self.recipe.seed, _CHANGE, step])
        if self._crops is not None and step < self.recipe.crop_steps:
            hu, labels = self._crops.batch(self.hu, self.rows, self.recipe.batch_size, rng)
        else:
            images = self.images(step - self.recipe.crop_steps)
            if self._augmenter is None:
                images = self._own(images)
            hu, labels = self.hu[self.rows[images]], self.labels[images]
        if self._augmenter is not None:
            hu = self._augmenter(hu, rng)
        if len(labels) == self.recipe.batch_size:
            # Random numbers come batch by batch, so what needs them is made whole, then cut.
            hu, labels = self._own(hu), self._own(labels)
        images_or_hu = hu if self.recipe.device_windows else to_windows(hu)
        return images_or_hu, labels.astype(np.float32)

    def images(self, step: int) -> NDArray[np.int64]:
        """Full-frame step, from 0 → training images it takes; each pass takes every one once."""
        count = len(self.labels)
        first = step * self.recipe.batch_size
        places = np.arange(first, first + self.recipe.batch_size)
        passes = places // count
        parts = [self._order(int(p))[places[passes == p] % count] for p in np.unique(passes)]
        # Sorted, because rows of a memory map are read faster in file order.
        return np.sort(np.concatenate(parts))

    def _own(self, batch: NDArray[AnyNumber]) -> NDArray[AnyNumber]:
        index, count = self.share
        size = len(batch) // count
        return batch[index * size : (index + 1) * size]

    def _shuffle(self, passes: int) -> NDArray[np.int64]:
        rng = np.random.default_rng([self.recipe.seed, _ORDER, passes])
        return rng.permutation(len(self.labels))
