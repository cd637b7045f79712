"""A `.keras` file in, the model out, and what it says of a store's rows."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.data.feed import ahead, to_windows
from ichlite.data.store import Store
from ichlite.errors import InputError

BEST = "best.keras"
"""In a run folder: the epoch with the best validation score."""
BATCH = 64


def load(path: Path, *, compiled: bool = False) -> keras.Model:
    """A `.keras` file, or a run folder (its best) → the model.

    Args:
        path: File or folder.
        compiled: With its loss and optimiser, to train on.

    Returns:
        The model.

    Raises:
        InputError: No such file, or not a Keras model.
    """
    if path.is_dir():
        path = path / BEST
    if not path.is_file():
        raise InputError(
            f"no model at {path}", expected=f"a .keras file or a run folder with {BEST}"
        )
    try:
        return keras.saving.load_model(path, compile=compiled)
    except (ValueError, OSError, TypeError, KeyError) as failure:
        raise InputError(
            f"{path.name} is no Keras model", found=str(failure).splitlines()[0]
        ) from failure


def predict(model: keras.Model, store: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Model and row numbers of a store → logits (image, 5)."""
    parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]
    windows = ahead(lambda part: to_windows(store.hu[parts[part]]), range(len(parts)))
    return np.concatenate([np.asarray(model.predict_on_batch(x)) for x in windows])
