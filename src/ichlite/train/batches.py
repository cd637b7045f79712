"""Make training batches of a store's slices: the same batch for the same seed and step.

Images are drawn, their int16 rows gathered, cropped or augmented, and windowed as float32 by
`ct.tensor.model_input`, the one preprocessing path; with `Recipe.device_windows` the HU are left to
the device. Random numbers come from (seed, step), so that a resumed run goes on with the batch it
would have had.
"""

from __future__ import annotations

from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ichlite.data.feed import split_rows, to_windows
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.errors import StoreError
from ichlite.train.augment import MILD, SCANNERS, Augmenter
from ichlite.train.crops import CropSampler
from ichlite.train.draw import Draw
from ichlite.train.recipe import Recipe

AnyNumber = TypeVar("AnyNumber", bound=np.generic)

_CHANGE = 2


class Batch(NamedTuple):
    """Images and labels of one optimiser step.

    Attributes:
        images: Windows (batch, size, size, 3) float32 in [0, 1], or (batch, size, size) int16 HU.
        labels: (batch, 5) float32, 0 or 1.
        cells: (batch, size / 8, size / 8) uint8 lesion cells; see `data.store_parts.LesionCells`.
        known: (batch,) float32, 1 where the bleeds of a slice were outlined or it has none, else 0.
    """

    images: NDArray[np.float32] | NDArray[np.int16]
    labels: NDArray[np.float32]
    cells: NDArray[np.uint8]
    known: NDArray[np.float32]


class Batches:
    """Training batches of a store, computed from seed and step number.

    Args:
        store: A prepared store, or several that were joined.
        recipe: Arguments of the run: batch size, shares, crops, augmentation, seed, where windows
            are computed.
        share: Number of this process, from 0, and number of processes that train together; each
            makes its part of every batch, and the parts in order equal the batch of a single
            process.

    Attributes:
        rows: Row number in the store of each training image.
        labels: (image, 5) uint8.

    Raises:
        StoreError: The training split is empty, or labels describe whole scans.
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
        self.hu = levelled(store, recipe.brain_level_hu).hu
        self.rows = split_rows(store, "train")
        self.labels = np.asarray(store.labels, np.uint8)[self.rows]
        self.recipe = recipe
        self._cells, self._known = store.lesion_cells, store.cells_known
        self._draw = Draw(
            store.origin[self.rows],
            store.any[self.rows] > 0,
            recipe.batch_size,
            shares=recipe.shares,
            bleeding_share=recipe.bleeding_share,
            seed=recipe.seed,
        )
        strength = SCANNERS if recipe.vary_scanner else MILD
        self._augmenter = Augmenter(strength) if recipe.augment else None
        self._crops = (
            CropSampler(self.labels, store.lesion[self.rows], size=recipe.crop_size)
            if recipe.crop_steps
            else None
        )

    def step(self, step: int) -> Batch:
        """Return the batch of an optimiser step, or this process's part of it.

        Args:
            step: Number of the step, from 0.
        """
        rng = np.random.default_rng([self.recipe.seed, _CHANGE, step])
        if self._crops is not None and step < self.recipe.crop_steps:
            hu, cells, images = self._crops.batch(
                self.hu, self._cells, self.rows, self.recipe.batch_size, rng
            )
        else:
            images = self.images(step - self.recipe.crop_steps)
            if self._augmenter is None:
                images = self._own(images)
            hu, cells = self.hu[self.rows[images]], self._cells[self.rows[images]]
        if self._augmenter is not None:
            hu, cells = self._augmenter(hu, cells, rng)
        if len(images) == self.recipe.batch_size:
            # Random numbers come batch by batch, so what needs them is made whole, then cut.
            hu, cells, images = self._own(hu), self._own(cells), self._own(images)
        return Batch(
            hu if self.recipe.device_windows else to_windows(hu),
            self.labels[images].astype(np.float32),
            cells,
            self._known[self.rows[images]].astype(np.float32),
        )

    def images(self, step: int) -> NDArray[np.int64]:
        """Return the training images of a step on full slices, ascending.

        Args:
            step: Number of the step, from 0 at the first after those on crops.

        Returns:
            Indices into `rows`.
        """
        return self._draw.images(step)

    def _own(self, batch: NDArray[AnyNumber]) -> NDArray[AnyNumber]:
        index, count = self.share
        size = len(batch) // count
        return batch[index * size : (index + 1) * size]
