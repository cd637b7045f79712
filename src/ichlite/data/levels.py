"""Measure the brain levels of a store's scans, and bring every scan to one level.

The level and the shift are those of reading (`ct.brain_level`), so that training and reading agree.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import write_json
from ichlite.ct.brain_level import at_level, brain_level_hu
from ichlite.data.join import metas_of
from ichlite.data.store import Store
from ichlite.data.store_parts import RowArray, SliceArray

LEVELS_FILE = "brain-levels.json"


class LevelledSlices(RowArray[np.int16]):
    """Slices of a store, each shifted in HU so that the brain of its scan has a given level.

    Args:
        slices: (N, 256, 256) int16 HU, the slices as stored.
        levels_hu: (N,) float32 brain level of each slice's scan; NaN leaves the slice unchanged.
        wanted_hu: Brain level that all scans are brought to.
    """

    def __init__(
        self, slices: SliceArray, levels_hu: NDArray[np.float32], wanted_hu: float
    ) -> None:
        self.slices, self.levels_hu, self.wanted_hu = slices, levels_hu, wanted_hu
        self.shape, self.dtype = slices.shape, slices.dtype

    def item(self, row: int) -> NDArray[np.int16]:
        """Return the shifted HU of one slice, (256, 256) int16."""
        level = float(self.levels_hu[row])
        return at_level(self.slices[row], None if np.isnan(level) else level, self.wanted_hu)


def levelled(store: Store, wanted_hu: float | None) -> Store:
    """Return a store whose scans are all shifted to one brain level.

    Levels are measured once and kept in each store's folder, if it can be written.

    Args:
        store: Store to shift.
        wanted_hu: Brain level in HU; None returns the slices as they were written.
    """
    slices = store.hu.slices if isinstance(store.hu, LevelledSlices) else store.hu
    if wanted_hu is None:
        return replace(store, hu=slices)
    levels = np.empty(len(store), np.float32)
    for origin, (folder, meta) in enumerate(zip(store.folders, metas_of(store), strict=True)):
        rows = np.flatnonzero(store.origin == origin)
        of_series = _series_levels(folder, str(meta["hash"]), slices, store.series[rows], rows)
        levels[rows] = [of_series[name] for name in store.series[rows].tolist()]
    return replace(store, hu=LevelledSlices(slices, levels, wanted_hu))


def _series_levels(
    folder: Path,
    store_hash: str,
    slices: SliceArray,
    series: NDArray[np.str_],
    rows: NDArray[np.int64],
) -> dict[str, float]:
    """Return the brain level of each series of one store's rows, NaN where it shows no brain."""
    path = folder / LEVELS_FILE
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        if kept["hash"] == store_hash:
            return {
                name: np.nan if level is None else float(level)
                for name, level in kept["levels"].items()
            }
    except (OSError, ValueError, KeyError, TypeError):
        pass  # not measured yet, or of another store
    order = np.argsort(series, kind="stable")
    first = np.flatnonzero(series[order][1:] != series[order][:-1]) + 1
    levels = {
        str(series[members[0]]): brain_level_hu(slices[rows[members]])
        for members in np.split(order, first)
        if len(members)
    }
    with suppress(OSError):  # a store that cannot be written is measured again each time
        write_json(path, {"hash": store_hash, "levels": levels})
    return {name: np.nan if level is None else level for name, level in levels.items()}
