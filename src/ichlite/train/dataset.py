"""Open stores, and feed their slices to a Keras model in a loop of one's own."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.data.feed import split_rows, to_windows
from ichlite.data.join import Fold, open_stores
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.train.batches import Batches
from ichlite.train.recipe import Recipe


def open_store(
    *folders: Path | str, fold: str | None = None, fold_seed: int = 0, all_patients: bool = False
) -> Store:
    """Open a prepared store, or several as one.

    Args:
        fold: `K/N` holds out fold K of N folds of patients for testing; None for the stores' own
            splits.
        fold_seed: Random seed of the assignment of patients to folds.
        all_patients: Whether every patient of real scans is used for training.
        folders: Folders of the stores.

    Returns:
        The store.

    Raises:
        UsageError: The text names no fold.
        StoreError: A folder is no store, or the stores cannot be joined or folded.
    """
    held_out = None if fold is None else Fold.parse(fold, fold_seed)
    return open_stores([Path(folder) for folder in folders], held_out, all_patients=all_patients)


class StoreDataset(keras.utils.PyDataset):  # type: ignore[misc]
    """Keras dataset of windows and labels from one split, for `model.fit`, `predict` or own loops.

    A batch is (batch, 256, 256, 3) float32 windows in [0, 1] and (batch, 5) float32 labels, 0 or 1.
    The training split is delivered as in `fit`, with the recipe's order, shares and augmentation,
    but without its crops. Other splits come once per epoch, in the order of the store.

    Args:
        store: A prepared store.
        split: `train`, `validation` or `test`.
        recipe: Batch size, seed, shares, augmentation and brain level; None: its defaults.
        loader: `workers` and `max_queue_size` of `keras.utils.PyDataset`.

    Attributes:
        labels: (image, 5) uint8 of the split, in the order of the store.

    Raises:
        UnknownName: There is no such split.
        StoreError: The split is empty, or the labels are of scans.
    """

    def __init__(
        self, store: Store, split: str = "train", recipe: Recipe | None = None, **loader: Any
    ) -> None:
        super().__init__(**loader)
        recipe = Recipe() if recipe is None else recipe
        self._recipe = replace(
            recipe, crop_steps=0, epochs=max(1, recipe.epochs), device_windows=False
        )
        self._rows = split_rows(store, split)
        self._hu = levelled(store, recipe.brain_level_hu).hu
        self._batches = Batches(store, self._recipe) if split == "train" else None
        self._epoch = 0
        self.labels: NDArray[np.uint8] = np.asarray(store.labels, np.uint8)[self._rows]

    def __len__(self) -> int:
        """Return the batches of an epoch."""
        if self._batches is not None:
            return self._recipe.epoch_steps(len(self._rows))
        return -(-len(self._rows) // self._recipe.batch_size)

    def __getitem__(self, index: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return the windows and labels of a batch of this epoch, from 0."""
        if self._batches is not None:
            batch = self._batches.step(self._epoch * len(self) + index)
            return np.asarray(batch.images, np.float32), batch.labels
        size = self._recipe.batch_size
        part = slice(index * size, (index + 1) * size)
        return to_windows(self._hu[self._rows[part]]), self.labels[part].astype(np.float32)

    def on_epoch_end(self) -> None:
        """Advance to the images of the next epoch."""
        self._epoch += 1
