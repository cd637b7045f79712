"""Load a `.keras` file, and compute its logits for a store's rows."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import BadZipFile, ZipFile, is_zipfile

import h5py
import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.data.feed import ahead, to_windows
from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.labels import NAMES
from ichlite.models.lesion_fcn import subtype_gain
from ichlite.models.outputs import slice_logits

BEST = "best.keras"
"""File in a run folder with the model of the epoch with the best validation score."""
BATCH = 64
_OLD_GAIN = "ichlite>SubtypeGain"
"""What older files of `lesion_fcn` call a layer that was not Keras' own."""


def load(path: Path, *, compiled: bool = False) -> keras.Model:
    """Load the model of a `.keras` file, or the best one of a run folder.

    Args:
        path: A `.keras` or `.h5` file, or a run folder.
        compiled: Whether loss and optimiser are loaded too, to continue training.

    Raises:
        InputError: There is no such file, or it is not a Keras model.
    """
    if path.is_dir():
        path = path / BEST
    if not path.is_file():
        raise InputError(
            f"there is no model at {path}", expected=f"a .keras file or a run folder with {BEST}"
        )
    if path.suffix not in (".keras", ".h5"):
        raise InputError(
            f"{path.name} is no Keras model",
            found=f"a {path.suffix} file" if path.suffix else "a file without an ending",
            expected=f"a .keras file or a run folder with {BEST}",
        )
    try:
        with in_stock_layers(path) as file:
            return keras.saving.load_model(file, compile=compiled)
    except (ValueError, OSError, TypeError, KeyError, BadZipFile) as failure:
        # Keras says of a file without an archive in it that it is not found.
        found = str(failure).splitlines()[0]
        if path.suffix == ".keras" and not is_zipfile(path):
            found = "a file that is not the zip archive that Keras writes"
        raise InputError(f"{path.name} is no Keras model", found=found) from failure


@contextmanager
def in_stock_layers(path: Path) -> Iterator[Path]:
    """Provide a model file that needs only Keras' own layers, translating an older one if needed.

    Args:
        path: A `.keras` or `.h5` file. If it has the custom layer that `lesion_fcn` once used, that
            layer is replaced by `subtype_gain`, with its weights and optimiser state.

    Yields:
        The file itself, or a temporary translated copy.
    """
    if _OLD_GAIN.encode() not in path.read_bytes():
        yield path
        return
    with TemporaryDirectory() as folder, ZipFile(path) as old:
        config = json.loads(old.read("config.json"))
        for layer in config["config"]["layers"]:
            if layer["registered_name"] == _OLD_GAIN:
                layer.update(keras.saving.serialize_keras_object(subtype_gain()))
        weights = BytesIO(old.read("model.weights.h5"))
        with h5py.File(weights, "a") as groups:
            groups.move("layers/subtype_gain", "layers/einsum_dense")
        new = {"config.json": json.dumps(config).encode(), "model.weights.h5": weights.getvalue()}
        translated = Path(folder) / path.name
        with ZipFile(translated, "w") as archive:
            for name in old.namelist():
                archive.writestr(name, new.get(name) or old.read(name))
        yield translated


def predict(model: keras.Model, store: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Return a model's slice logits (row, 5) float32 for rows of a store.

    Args:
        model: Model of windows, or of HU (`from_hu`).
        store: Store that holds the slices.
        rows: Row numbers.
    """
    logits = [np.asarray(slice_logits(outputs)) for outputs in predict_batches(model, store, rows)]
    return np.concatenate([np.empty((0, len(NAMES)), np.float32), *logits])


def predict_batches(model: keras.Model, store: Store, rows: NDArray[np.int64]) -> Iterator[Any]:
    """Yield a model's outputs for rows of a store, batch by batch.

    Args:
        model: Model of windows, or of HU (`from_hu`).
        store: Store that holds the slices.
        rows: Row numbers.

    Yields:
        Outputs of each batch as NumPy arrays, in the structure that the model returns.
    """
    takes_hu = len(model.input_shape) == 3
    parts = [rows[first : first + BATCH] for first in range(0, len(rows), BATCH)]

    def images(part: int) -> NDArray[np.float32] | NDArray[np.int16]:
        hu = store.hu[_whole_shares(parts[part])]
        return hu if takes_hu else to_windows(hu)

    for part, x in zip(parts, ahead(images, range(len(parts))), strict=True):
        count = len(part)
        yield keras.tree.map_structure(lambda one: one[:count], model.predict_on_batch(x))  # noqa: B023


def _whole_shares(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Repeat the last row until each device of a distribution gets as many as the others."""
    distribution = keras.distribution.distribution()
    devices = 1 if distribution is None else distribution.num_model_replicas
    return np.pad(rows, (0, -len(rows) % devices), mode="edge")
