"""Choose one slice of each subtype by a stated rule, and draw Figure 2 of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.tensor import model_input
from ichlite.ct.windows import BRAIN, PAPER_WINDOWS, apply_windows
from ichlite.data.store import Store
from ichlite.evaluate.plots import SOFT, save, styled
from ichlite.labels import NAMES, SUBTYPES

RULE = (
    "of the test split's slices with that subtype alone, the series that has most of them; of "
    "these, the middle one along z. Where there is none, those of every split; where there is "
    "none either, slices with other subtypes, too"
)


@dataclass(frozen=True, slots=True)
class Example:
    """Slice chosen to illustrate one subtype.

    Attributes:
        subtype: Name of the subtype.
        row: Row number in the store; None where no slice has the subtype.
        alone: Whether the slice shows no other subtype.
    """

    subtype: str
    row: int | None
    alone: bool = False


def choose_examples(store: Store) -> tuple[Example, ...]:
    """Choose one example slice of each subtype by `RULE`, always the same for the same store."""
    labels = np.asarray(store.labels)
    in_test = np.asarray(store.split) == "test"
    single = labels.sum(axis=1) == 1
    wanted = ((in_test & single, True), (single, True), (in_test, False), (single | True, False))
    found = []
    for name, positive in zip(NAMES, labels.T == 1, strict=True):
        rows_of = ((np.flatnonzero(positive & allowed), alone) for allowed, alone in wanted)
        rows, alone = next(((rows, alone) for rows, alone in rows_of if len(rows)), (None, False))
        found.append(Example(name, None if rows is None else _middle(store, rows), alone))
    return tuple(found)


def draw_examples(store: Store, examples: Sequence[Example], path: Path) -> Path:
    """Draw Figure 2: each example slice in the brain window, and below it as the model's input.

    Args:
        store: Store that holds the slices.
        examples: Example of each subtype.
        path: File that the picture is written to.

    Returns:
        The path.
    """
    with styled(11, 4.9) as figure:
        figure.get_layout_engine().set(hspace=0.01, h_pad=0.02, wspace=0.01)
        axes = figure.subplots(2, len(examples), squeeze=False)
        for (top, bottom), example, subtype in zip(axes.T, examples, SUBTYPES, strict=True):
            for part in (top, bottom):
                part.set(xticks=[], yticks=[])
                part.grid(visible=False)
                part.spines[:].set_visible(False)
            top.set_title(subtype.name.capitalize(), color=subtype.colour)
            if example.row is None:
                top.text(0.5, 0.5, "none in this store", transform=top.transAxes, ha="center")
                continue
            hu = np.asarray(store.hu[example.row])
            top.imshow(apply_windows(hu, (BRAIN,))[..., 0], cmap="gray", vmin=0, vmax=1)
            bottom.imshow(model_input(hu))
            row, column = np.asarray(store.lesion[example.row], float)
            if example.alone and np.isfinite([row, column]).all():
                top.plot(
                    column, row, "o", markersize=22, markerfacecolor="none",
                    markeredgecolor=subtype.colour, markeredgewidth=1.3,
                )  # fmt: skip
        windows = ", ".join(
            f"{colour} {w.name.replace('_', ' ')} {w.centre_hu}/{w.width_hu}"
            for colour, w in zip(("R", "G", "B"), PAPER_WINDOWS, strict=True)
        )
        axes[0, 0].set_ylabel(f"brain {BRAIN.centre_hu}/{BRAIN.width_hu}", color=SOFT)
        axes[1, 0].set_ylabel("as the model takes it", color=SOFT)
        words = f"{windows} (centre/width, HU); circle: the bleed, where the store knows it"
        if (known := store.hu_range) is not None:
            words += f"; beyond {known[0]} to {known[1]} HU air and bone are filled in"
        figure.supxlabel(words, size=8.5, color=SOFT)
        return save(figure, path)


def _middle(store: Store, rows: NDArray[np.int64]) -> int:
    """Return the middle slice along z of the series with most of the rows; ties by name."""
    series = np.asarray(store.series)[rows]
    names, counts = np.unique(series, return_counts=True)
    members = rows[series == names[int(np.argmax(counts))]]
    position_mm = np.nan_to_num(np.asarray(store.position_mm, float)[members])
    order = np.lexsort((np.asarray(store.image)[members], position_mm))
    return int(members[order[len(order) // 2]])
