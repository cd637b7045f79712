"""Draw the picture of docs/phantoms.md: each kind of bleed put into the embedded real head.

    python scripts/implant_picture.py docs/assets/implants.png

A column a subtype; from above: the head as it is, with the bleed, and its mask and lesion cells.
"""

from __future__ import annotations

import sys
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ichlite.ct.series import find_series
from ichlite.ct.tensor import read_volume
from ichlite.data.store_parts import CELLS
from ichlite.labels import NAMES
from ichlite.phantom.implant_bleeds import implant
from ichlite.phantom.plans import plan_of
from ichlite.phantom.real_head import RealHead, measure_head
from ichlite.phantom.subject import SEEN

SEEDS = {
    "epidural": 5,
    "intraparenchymal": 4,
    "intraventricular": 5,
    "subarachnoid": 4,
    "subdural": 9,
}
WINDOW_HU = (-10, 90)
MASK_RGB = (230, 60, 60)


def measure_sample() -> RealHead:
    """Return the embedded real head, measured."""
    folder = resources.files("ichlite") / "assets" / "samples" / "ge-head"
    with resources.as_file(folder) as path:
        series = find_series([path])[0][0]
        hu = read_volume(series).hu
    return measure_head(hu, np.asarray(series.positions_mm))


def picture_of(hu: NDArray[np.int16]) -> NDArray[np.uint8]:
    """Return a slice in the window as (row, column, 3) greys."""
    low, high = WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    return np.repeat(grey[..., None], 3, 2)


def column_of(head: RealHead, name: str) -> NDArray[np.uint8]:
    """Return the three pictures of one subtype, one below the other."""
    rng = np.random.default_rng(SEEDS[name])
    made = implant(head, plan_of(rng, (name,)), rng)
    k = int(np.argmax((made.shares[name] > SEEN).sum((1, 2))))
    marked = picture_of(made.hu[k])
    mask = made.shares[name][k] > SEEN
    marked[mask] = marked[mask] // 2 + np.array(MASK_RGB, np.uint8) // 2
    cells = np.kron(made.lesion_cells[k] > 0, np.ones((256 // CELLS, 256 // CELLS), bool))
    frame = cells & ~(np.roll(cells, 1, 0) & np.roll(cells, 1, 1))
    marked[frame] = MASK_RGB
    rows, columns = np.nonzero(head.skull.cavity.any(0))
    box = np.s_[rows.min() - 16 : rows.max() + 16, columns.min() - 16 : columns.max() + 16]
    return np.concatenate(
        [p[box] for p in (picture_of(head.hu[k]), picture_of(made.hu[k]), marked)]
    )


def main() -> None:
    """Write the picture to the path that was given."""
    head = measure_sample()
    Image.fromarray(np.concatenate([column_of(head, name) for name in NAMES], 1)).save(
        Path(sys.argv[1]), optimize=True
    )


if __name__ == "__main__":
    main()
