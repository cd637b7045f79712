"""Compute and keep a network's pooled features, logits and lesion map maxima of every slice.

Models that go on from a network whose weights stay as they are (a scan stage, another class head)
train on these tables in seconds, without images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.data.store import Store
from ichlite.errors import InputError
from ichlite.models.outputs import FEATURES, has_lesion_map, slice_logits
from ichlite.models.saved import predict_batches


@dataclass(frozen=True, slots=True, eq=False)
class SliceFeatures:
    """Table of a network's outputs and labels for slices; every column is (slice, …).

    Attributes:
        image, patient, series, split: Names, as in the store.
        position_mm: Position along the slice normal, mm; NaN where unknown.
        labels: (slice, 6) 0 or 1: any haemorrhage, then `labels.NAMES`.
        features: (slice, 64) float32, global averages of the last feature map.
        logits: (slice, 5) float32 slice logits.
        map_maxima: (slice, 5) float32, largest logit of each subtype's lesion map; (slice, 0) for a
            network without one.
    """

    image: NDArray[np.str_]
    patient: NDArray[np.str_]
    series: NDArray[np.str_]
    split: NDArray[np.str_]
    position_mm: NDArray[np.float32]
    labels: NDArray[np.uint8]
    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    map_maxima: NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.image)

    def take(self, rows: NDArray[Any]) -> SliceFeatures:
        """Return the table of some of the rows.

        Args:
            rows: (slice,) bool mask, or row numbers.
        """
        return SliceFeatures(*(getattr(self, field.name)[rows] for field in fields(self)))

    def scans(self) -> list[NDArray[np.int64]]:
        """Return the row numbers of each series by position, series in the order of their names."""
        order = np.lexsort((self.position_mm, self.series))
        edges = np.flatnonzero(self.series[order][1:] != self.series[order][:-1]) + 1
        return np.split(order, edges) if len(self) else []

    def write(self, path: Path) -> None:
        """Write the table to an `.npz` file; missing folders are made."""
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("wb") as file:
            np.savez(file, **{field.name: getattr(self, field.name) for field in fields(self)})

    @classmethod
    def read(cls, path: Path) -> SliceFeatures:
        """Read a table that `write` wrote to an `.npz` file.

        Raises:
            InputError: The file cannot be read as such a table.
        """
        try:
            with path.open("rb") as stream, np.load(stream) as file:
                return cls(*(file[field.name] for field in fields(cls)))
        except (OSError, ValueError, KeyError, BadZipFile) as fault:
            raise InputError(
                f"{path} holds no features of slices",
                found=fault,
                expected="an .npz file of SliceFeatures.write",
                remedy="delete it, and it is made again",
            ) from fault


def join_features(tables: Sequence[SliceFeatures]) -> SliceFeatures:
    """Concatenate the rows of several tables into one."""
    return SliceFeatures(
        *(
            np.concatenate([getattr(table, field.name) for table in tables])
            for field in fields(SliceFeatures)
        )
    )


def moments(
    parts: Sequence[NDArray[np.floating[Any]]],
) -> tuple[NDArray[np.floating[Any]], NDArray[np.floating[Any]]]:
    """Return mean and standard deviation of each channel, with equal weight for each array.

    Args:
        parts: Arrays (row, channel) of the same channels.

    Returns:
        (channel,) mean and (channel,) standard deviation.

    Example:
        >>> moments([np.zeros((1, 1)), np.full((9, 1), 2.0)])
        (array([1.]), array([1.]))
    """
    mean = np.mean([part.mean(axis=0) for part in parts], axis=0)
    return mean, np.sqrt(np.mean([((part - mean) ** 2).mean(axis=0) for part in parts], axis=0))


def features_of(model: keras.Model, store: Store, rows: NDArray[np.int64]) -> SliceFeatures:
    """Run a network on slices of a store and return its features, logits and map maxima.

    Args:
        model: Network with a layer named `features`, its last feature map, as all of `models` have.
        store: Store at the brain level that the network was trained at (`levels.levelled`).
        rows: Row numbers of the slices, at least one.

    Raises:
        InputError: No slices, or the network has no layer of that name.
    """
    if FEATURES not in [layer.name for layer in model.layers] or len(rows) == 0:
        raise InputError(
            f"{model.name} gives no features of {len(rows)} slices",
            expected=f"at least one slice, and a network with a layer named {FEATURES}",
        )
    pooled = keras.ops.mean(model.get_layer(FEATURES).output, axis=(1, 2))
    outputs = [pooled, slice_logits(model.output)]
    if has_lesion_map(model):
        outputs.append(keras.ops.max(model.output["lesion_map"], axis=(1, 2)))
    wide = keras.Model(model.input, outputs, name="features")
    batches = list(predict_batches(wide, store, rows))
    columns = [np.concatenate(parts).astype(np.float32) for parts in zip(*batches, strict=True)]
    if not has_lesion_map(model):
        columns.append(np.empty((len(rows), 0), np.float32))
    return SliceFeatures(
        store.image[rows],
        store.patient[rows],
        store.series[rows],
        store.split[rows],
        store.position_mm[rows],
        np.column_stack([store.any[rows], store.labels[rows]]).astype(np.uint8),
        *columns,
    )
