"""Compute the paper's Table 1 for any data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ichlite.data.rows import SPLITS, UNUSED
from ichlite.labels import NAMES

if TYPE_CHECKING:
    from ichlite.data.store import Store

ROWS: tuple[tuple[str, str], ...] = (
    ("patients", "Patients"),
    ("studies", "Studies"),
    ("slices", "Slices"),
    ("without", "Without haemorrhage"),
    ("with", "With haemorrhage"),
    *((name, name.capitalize()) for name in NAMES),
)
"""Key and name of each row of the table; the paper's has no row of studies."""


@dataclass(frozen=True, slots=True)
class Table1:
    """Counts of patients, studies and positives for each split, as in the paper's Table 1.

    Attributes:
        counts: Counts by split, then by key of `ROWS`; split `unused` is present if it is not
            empty.
        unit: What is counted as positive: `slice`, or `scan` where labels describe whole scans.
    """

    counts: dict[str, dict[str, int]]
    unit: str

    def markdown(self) -> str:
        """Return the table as Markdown."""
        names = list(self.counts)
        unit = "" if self.unit == "slice" else f" ({self.unit}s)"
        lines = [
            "| | " + " | ".join(name.capitalize() for name in names) + " |",
            "|---|" + "---:|" * len(names),
        ]
        for key, title in ROWS:
            cells = [self.counts[name].get(key) for name in names]
            if all(cell is None for cell in cells):
                continue
            named = title + (unit if key in ("without", "with", *NAMES) else "")
            text = " | ".join("" if cell is None else f"{cell:,}" for cell in cells)
            lines.append(f"| {named} | {text} |")
        return "\n".join(lines) + "\n"


def table1(
    patients: Sequence[str] | NDArray[np.str_],
    studies: Sequence[str] | NDArray[np.str_],
    splits: Sequence[str] | NDArray[np.str_],
    labels: NDArray[np.uint8],
    any_bleed: NDArray[np.uint8],
    *,
    unit: str = "slice",
) -> Table1:
    """Count Table 1 over the images of a data set.

    Args:
        patients: (image,) names of patients.
        studies: (image,) names of studies.
        splits: (image,) names of splits: one of `rows.SPLITS`, or `unused`.
        labels: (image, 5) 0 or 1 for each subtype.
        any_bleed: (image,) 0 or 1 for any haemorrhage.
        unit: `slice`; `scan`: labels are the same for all images of a study, and each study
            counts once.

    Returns:
        The table; `unused` comes last and only when there is something in it.

    Example:
        >>> table1(["a"], ["s"], ["train"], np.eye(1, 5, dtype=np.uint8), np.ones(1)).counts[
        ...     "train"]["epidural"]
        1
    """
    owner, scan, side = np.asarray(patients), np.asarray(studies), np.asarray(splits)
    counts = {}
    for split in (*SPLITS, UNUSED):
        here = np.flatnonzero(side == split)
        if split == UNUSED and not len(here):
            continue
        one = {
            "patients": len(np.unique(owner[here])),
            "studies": len(np.unique(scan[here])),
            "slices": len(here),
        }
        if unit == "scan":
            _, first = np.unique(scan[here], return_index=True)
            here = here[first]
        bleeding = int(np.asarray(any_bleed)[here].sum())
        one |= {"without": len(here) - bleeding, "with": bleeding}
        for place, name in enumerate(NAMES):
            one[name] = int(np.asarray(labels)[here, place].sum())
        counts[split] = one
    return Table1(counts, unit)


def table_of_store(store: Store) -> Table1:
    """Compute Table 1 for a prepared store."""
    return table1(
        store.patient, store.study, store.split, store.labels, store.any, unit=store.label_level
    )
