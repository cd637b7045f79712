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
"""In a run folder: the epoch with the best validation score."""
BATCH = 64
_OLD_GAIN = "ichlite>SubtypeGain"
"""What older files of `lesion_fcn` call a layer that was not Keras' own."""


def load(path: Path, *, compiled: bool = False) -> keras.Model:
    """Load the model of a `.keras` file, or the best one of a run folder.

    Args:
        path: File or folder.
        compiled: With its loss and optimiser, to train on.

    Raises:
        InputError: No such file, or not a Keras model.
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
    """Lend a file of a model that asks for nothing but Keras: itself, or an older one translated.

    Args:
        path: A `.keras` or `.h5` file; `subtype_gain` takes the place of the layer of ichlite's own
            that `lesion_fcn` once had, with its weights and what the optimiser knows of them.
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
    """Return a model's logits (image, 5) for rows of a store, as `predict_batches` takes them."""
    logits = [np.asarray(slice_logits(outputs)) for outputs in predict_batches(model, store, rows)]
    return np.concatenate([np.empty((0, len(NAMES)), np.float32), *logits])


def predict_batches(model: keras.Model, store: Store, rows: NDArray[np.int64]) -> Iterator[Any]:
    """Yield a model's outputs for the rows of a store, batch by batch, in its own structure.

    Args:
        model: Takes windows, or HU (`from_hu`).
        store: Holds the slices.
        rows: Row numbers.
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
