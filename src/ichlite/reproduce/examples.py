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
    """One chosen slice.

    Attributes:
        subtype: Key.
        row: In the store; None where no slice has the subtype.
        alone: Whether it is the slice's only subtype.
    """

    subtype: str
    row: int | None
    alone: bool = False


def choose_examples(store: Store) -> tuple[Example, ...]:
    """Store → an example of each subtype, by `RULE`; the same store gives the same ones."""
    labels = np.asarray(store.labels)
    in_test = np.asarray(store.split) == "test"
    single = labels.sum(axis=1) == 1
    found = []
    for column, name in enumerate(NAMES):
        positive = labels[:, column] == 1
        example = Example(name, None)
        for allowed, alone in (
            (in_test & single, True),
            (single, True),
            (in_test, False),
            (np.ones_like(single), False),
        ):
            rows = np.flatnonzero(positive & allowed)
            if len(rows):
                example = Example(name, _middle(store, rows), alone)
                break
        found.append(example)
    return tuple(found)


def draw_examples(store: Store, examples: Sequence[Example], path: Path) -> Path:
    """Store and examples → Figure 2: brain window above, the three windows as RGB below."""
    with styled(11, 4.9) as figure:
        figure.get_layout_engine().set(hspace=0.01, h_pad=0.02, wspace=0.01)
        axes = figure.subplots(2, len(examples), squeeze=False)
        for column, (example, subtype) in enumerate(zip(examples, SUBTYPES, strict=True)):
            for part in axes[:, column]:
                part.set(xticks=[], yticks=[])
                part.grid(visible=False)
                for spine in part.spines.values():
                    spine.set_visible(False)
            top, bottom = axes[:, column]
            top.set_title(f"{subtype.name.capitalize()}", color=subtype.colour)
            if example.row is None:
                top.text(0.5, 0.5, "none in this store", transform=top.transAxes, ha="center")
                continue
            hu = np.asarray(store.hu[example.row])
            top.imshow(apply_windows(hu, (BRAIN,))[..., 0], cmap="gray", vmin=0, vmax=1)
            bottom.imshow(model_input(hu))
            lesion = np.asarray(store.lesion[example.row], float)
            if example.alone and np.isfinite(lesion).all():
                row, at = lesion
                top.plot(
                    at,
                    row,
                    "o",
                    markersize=22,
                    markerfacecolor="none",
                    markeredgecolor=subtype.colour,
                    markeredgewidth=1.3,
                )
        windows = ", ".join(
            f"{colour} {w.name.replace('_', ' ')} {w.centre_hu}/{w.width_hu}"
            for colour, w in zip(("R", "G", "B"), PAPER_WINDOWS, strict=True)
        )
        axes[0, 0].set_ylabel(f"brain {BRAIN.centre_hu}/{BRAIN.width_hu}", color=SOFT)
        axes[1, 0].set_ylabel("as the model takes it", color=SOFT)
        circle = "circle: the bleed, where the store knows it"
        known = store.hu_range
        filled = f"; beyond {known[0]} to {known[1]} HU air and bone are filled in" if known else ""
        figure.supxlabel(
            f"{windows} (centre/width, HU); {circle}{filled}",
            size=8.5,
            color=SOFT,
        )
        return save(figure, path)


def _middle(store: Store, rows: NDArray[np.int64]) -> int:
    """The middle slice along z of the series with most of the rows; ties by name."""
    series = np.asarray(store.series)[rows]
    names, counts = np.unique(series, return_counts=True)
    members = rows[series == names[int(np.argmax(counts))]]
    position_mm = np.nan_to_num(np.asarray(store.position_mm, float)[members])
    order = np.lexsort((np.asarray(store.image)[members], position_mm))
    return int(members[order[len(order) // 2]])
