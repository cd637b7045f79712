"""Play the pointing game: does the map's strongest cell lie on the bleed?

A coarser map points with the centre of its strongest place. A bleed's volume is estimated from the
cells that it fills, since stores hold no more of it: cells count whole from an eighth, so it is
an upper bound.

Source:
    Zhang et al., Int. J. Computer Vision 126 (2018) 1084-1102, section 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.contracts.evaluation import Hits, Pointing
from ichlite.data.store import Store
from ichlite.evaluate.intervals import wilson
from ichlite.infer.bundle import Bundle
from ichlite.infer.runtime import Runtime
from ichlite.labels import CLASSES, NAMES

LEAST_ML = 1.0
"""Least volume of a bleed, in ml, for it to count in the pointing game."""
FIELD_MM = 240.0
"""Assumed field of view of a slice in mm, as stores do not hold it; head scans have 220-250."""
SPACING_MM = 5.0
"""Assumed distance of slices in mm where the store has no positions."""
_BITS = np.arange(len(NAMES), dtype=np.uint8)
_BATCH = 64


def pointing(
    model: Any, store: Store, rows: NDArray[np.int64], *, least_ml: float = LEAST_ML
) -> Pointing | None:
    """Play the pointing game: count how often the strongest cell of the map lies on the bleed.

    Args:
        model: `Bundle`, or a Keras model with a lesion map.
        store: Store of slices, of which some have outlines of bleeds as lesion cells.
        rows: (row,) row numbers of the store; slices without a bleed or without known lesion cells
            are left out.
        least_ml: Least volume in ml, over all slices of a scan, for a bleed to count.

    Returns:
        The hits of each class; None when no slice has known lesion cells or the model has no map.
    """
    known = rows[(store.any[rows] > 0) & store.cells_known[rows]]
    if not len(known) or not (isinstance(model, Bundle) or _has_map(model)):
        return None
    cells = store.lesion_cells[known]
    positions = np.asarray(store.position_mm)[known]
    ml = bleed_ml(cells, np.asarray(store.series)[known], positions)
    on, near, shown = point(maps_of(model, store, known), cells)
    return Pointing(least_ml=least_ml, **hits_by_class(on, near, shown & (ml >= least_ml)))


def point(
    maps: NDArray[np.float32], cells: NDArray[np.uint8]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Compare the strongest cell of each slice's map with the lesion cells, for each class.

    Args:
        maps: (slice, map row, map column, 5) float32 logits.
        cells: (slice, rows, columns) uint8, bit k set where the cell shows subtype k.

    Returns:
        Three (slice, 6) bool, `any` first: whether the strongest cell is on the bleed; whether it
        is on the bleed or adjacent to it; whether the slice shows such a bleed.
    """
    count, sides = len(maps), np.array(cells.shape[1:])
    lesions = _lesions(cells)
    scores = _classes(maps).reshape(count, -1, len(CLASSES))
    places = np.stack(np.unravel_index(scores.argmax(axis=1), maps.shape[1:3]), axis=-1)
    spots = ((places + 0.5) * sides / np.array(maps.shape[1:3])).astype(int)
    wide = np.pad(lesions, ((0, 0), (1, 1), (1, 1), (0, 0)))
    row, column = spots[..., 0], spots[..., 1]
    slices, kinds = np.arange(count)[:, None], np.arange(len(CLASSES))[None]
    near = np.zeros((count, len(CLASSES)), np.bool_)
    for down in range(3):
        for right in range(3):
            near |= wide[slices, row + down, column + right, kinds]
    on: NDArray[np.bool_] = lesions[slices, row, column, kinds]
    shown: NDArray[np.bool_] = np.asarray(lesions.any(axis=(1, 2)), np.bool_)
    return on, near, shown


def hits_by_class(
    on: NDArray[np.bool_], near: NDArray[np.bool_], asked: NDArray[np.bool_]
) -> dict[str, Hits]:
    """Count how often the map points at the bleed, for `any` and each subtype.

    Args:
        on: (slice, 6) bool, whether the strongest cell is on the bleed.
        near: (slice, 6) bool, whether it is on the bleed or adjacent to it.
        asked: (slice, 6) bool, whether the slice counts for the class.

    Returns:
        Class → hits.
    """
    counts = [part.sum(axis=0).tolist() for part in (asked, asked & on, asked & near)]
    return {name: hits_of(*count) for name, *count in zip(CLASSES, *counts, strict=True)}


def hits_of(slices: int, strict: int, tolerant: int) -> Hits:
    """Return counts of the pointing game with their shares and Wilson's 95 % intervals.

    Args:
        slices: Number of slices that count.
        strict: Number of these whose strongest cell is on the bleed.
        tolerant: Number of these whose strongest cell is on the bleed or adjacent to it.
    """
    return Hits(
        slices=slices,
        strict=strict,
        tolerant=tolerant,
        strict_share=strict / slices if slices else None,
        tolerant_share=tolerant / slices if slices else None,
        strict_95=wilson(strict, slices),
        tolerant_95=wilson(tolerant, slices),
    )


def bleed_ml(
    cells: NDArray[np.uint8], series: NDArray[np.str_], positions_mm: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Estimate for each slice the volume of the bleeds of its whole scan, by class.

    Args:
        cells: (slice, rows, columns) uint8, bit k set where the cell shows subtype k.
        series: (slice,) name of the scan that each slice is of.
        positions_mm: (slice,) along the slice normal, NaN where unknown.

    Returns:
        (slice, 6) float64 in ml, `any` first; slices of one scan have the same values.

    Example:
        >>> cells = np.full((1, 32, 32), 1, np.uint8)
        >>> bleed_ml(cells, np.array(["a"]), np.array([np.nan]))[0].round(1).tolist()
        [288.0, 288.0, 0.0, 0.0, 0.0, 0.0]
    """
    filled = _lesions(cells).sum(axis=(1, 2))
    cell_mm2 = FIELD_MM**2 / np.prod(cells.shape[1:])
    ml = np.zeros(filled.shape)
    for name in np.unique(series):
        members = series == name
        steps = np.diff(np.unique(positions_mm[members]))
        spacing_mm = np.nanmin(steps) if np.isfinite(steps).any() else SPACING_MM
        ml[members] = filled[members].sum(axis=0) * cell_mm2 * spacing_mm / 1000.0
    return ml


def maps_of(model: Any, store: Store, rows: NDArray[np.int64]) -> NDArray[np.float32]:
    """Compute the map of each slice of a store by a bundle or a Keras model with a lesion map.

    Args:
        model: `Bundle` or `keras.Model`.
        store: Store of slices.
        rows: (slice,) row numbers of the store.

    Returns:
        (slice, map row, map column, 5) float32 logits.
    """
    if isinstance(model, Bundle):
        runtime = Runtime(model)
        return np.stack([runtime.run_hu(np.asarray(store.hu[row]))[1] for row in rows])
    from ichlite.data.feed import to_windows
    from ichlite.models.outputs import LESION_MAP

    return np.concatenate(
        [
            np.asarray(model.predict_on_batch(to_windows(store.hu[part]))[LESION_MAP])
            for part in np.split(rows, range(_BATCH, len(rows), _BATCH))
        ]
    )


def pointing_lines(found: Pointing) -> list[str]:
    """Format the hits of the pointing game as Markdown lines: a title and a table."""
    title = f"## Pointing game, bleeds over {found.least_ml:g} ml"
    return ["", title, "", *hit_lines(found.by_class)]


def hit_lines(found: Mapping[str, Hits]) -> list[str]:
    """Format the hits of each class in the pointing game as lines of a Markdown table."""
    lines = [
        "| class | slices | on the bleed (95 %) | on it or beside it (95 %) |",
        "|---|---|---|---|",
    ]
    for name, hits in found.items():
        strict, tolerant = (
            "undefined" if share is None or ends is None
            else f"{share:.3f} ({ends[0]:.3f}-{ends[1]:.3f})"
            for share, ends in (
                (hits.strict_share, hits.strict_95), (hits.tolerant_share, hits.tolerant_95)
            )
        )  # fmt: skip
        lines.append(f"| {name} | {hits.slices} | {strict} | {tolerant} |")
    return lines


def _lesions(cells: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Return whether each lesion cell is of each class: (slice, rows, columns, 6), `any` first."""
    return _classes((cells[..., None] >> _BITS & 1).astype(bool))


def _classes(subtypes: NDArray[Any]) -> NDArray[Any]:
    """Put the largest of the subtypes (…, 5), which is `any`, before them: (…, 6)."""
    return np.concatenate([subtypes.max(axis=-1, keepdims=True), subtypes], axis=-1)


def _has_map(model: Any) -> bool:
    """Return whether a Keras model has a lesion map."""
    from ichlite.models.outputs import has_lesion_map

    return has_lesion_map(model)
