"""Choose bleeding slices of a store for marking by eye, and draw each enlarged with a ruler.

    python scripts/mark_panels.py STORE benchmarks/marks/ct_ich_choice.csv PANELS

The choice is written first and kept where it exists. Panels show a slice in a wide and a narrow
window, and below the slices under and over it; rulers count pixels of the slice, from 0.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ichlite.data.rows import UNUSED
from ichlite.data.store import Store
from ichlite.labels import NAMES, SUBTYPES

SEED = 11
SLICES = 60
MOST_A_PATIENT = 3
LEAST_STEPS = 2
"""Further slices of a patient lie at least so many slices from those already chosen."""
WIDE_HU, NARROW_HU = (0, 80), (20, 70)
SCALE, SMALL_SCALE = 4, 2
RULER_STEP, RULER_PX = 16, 30
MARGIN = 6


def choose(store: Store, slices: int = SLICES) -> list[int]:
    """Return rows of bleeding slices: one of every patient, then more, rare subtypes rather."""
    rng = np.random.default_rng(SEED)
    bleeding = np.flatnonzero((store.any > 0) & (store.split != UNUSED))
    rarity = (store.labels / store.labels[bleeding].sum(axis=0)).max(axis=1)
    chosen: list[int] = []

    def draw(rows: NDArray[np.int64]) -> None:
        chosen.append(int(rng.choice(rows, p=rarity[rows] / rarity[rows].sum())))

    for patient in np.unique(store.patient[bleeding]):
        draw(bleeding[store.patient[bleeding] == patient])
    while len(chosen) < slices:
        taken = store.patient[chosen]
        free = [
            row
            for row in bleeding
            if (taken == store.patient[row]).sum() < MOST_A_PATIENT
            and all(
                abs(row - other) >= LEAST_STEPS
                for other in chosen
                if store.series[other] == store.series[row]
            )
        ]
        draw(np.array(free))
    return sorted(chosen)


def head_box(hu: NDArray[np.int16]) -> tuple[int, int, int, int]:
    """Return the rows and columns that hold the head: row0, column0, row1, column1, half-open."""
    head = hu > -100
    rows, columns = np.flatnonzero(head.sum(1) > 8), np.flatnonzero(head.sum(0) > 8)
    if not len(rows) or not len(columns):
        return 0, 0, *hu.shape
    return (
        max(rows[0] - MARGIN, 0), max(columns[0] - MARGIN, 0),
        min(rows[-1] + 1 + MARGIN, hu.shape[0]), min(columns[-1] + 1 + MARGIN, hu.shape[1]),
    )  # fmt: skip


def picture(
    hu: NDArray[np.int16], window_hu: tuple[int, int], box: tuple[int, int, int, int], scale: int
) -> Image.Image:
    """Return a part of a slice in a window, enlarged, with rulers at its left and top."""
    low, high = window_hu
    row0, column0, row1, column1 = box
    part = hu[row0:row1, column0:column1].astype(np.float32)
    grey = np.clip((part - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    size = ((column1 - column0) * scale, (row1 - row0) * scale)
    whole = Image.new("RGB", (size[0] + RULER_PX, size[1] + RULER_PX), (0, 0, 40))
    whole.paste(Image.fromarray(grey).resize(size, Image.Resampling.BICUBIC), (RULER_PX, RULER_PX))
    pen = ImageDraw.Draw(whole)
    for at in range(0, hu.shape[0], RULER_STEP):
        if row0 <= at < row1:
            y = RULER_PX + (at - row0) * scale
            pen.text((2, y - 6), str(at), fill=(255, 255, 0))
            pen.line([(RULER_PX - 6, y), (RULER_PX, y)], fill=(255, 255, 0))
        if column0 <= at < column1:
            x = RULER_PX + (at - column0) * scale
            pen.text((x - 8, 4), str(at), fill=(255, 255, 0))
            pen.line([(x, RULER_PX - 6), (x, RULER_PX)], fill=(255, 255, 0))
    for row in range(-(-row0 // 32) * 32, row1, 32):
        for column in range(-(-column0 // 32) * 32, column1, 32):
            y, x = RULER_PX + (row - row0) * scale, RULER_PX + (column - column0) * scale
            pen.point([(x + k, y) for k in (-2, -1, 0, 1, 2)], fill=(255, 255, 0))
            pen.point([(x, y + k) for k in (-2, -1, 1, 2)], fill=(255, 255, 0))
    return whole


def panel(store: Store, row: int) -> Image.Image:
    """Return the panel of a slice: wide and narrow window, and the slices under and over it."""
    hu = np.asarray(store.hu[row])
    box = head_box(hu)
    above = [picture(hu, window, box, SCALE) for window in (WIDE_HU, NARROW_HU)]
    below = [
        picture(np.asarray(store.hu[other]), window, box, SMALL_SCALE)
        for other in (row - 1, row + 1)
        if 0 <= other < len(store) and store.series[other] == store.series[row]
        for window in (WIDE_HU, NARROW_HU)
    ]
    rows = [above, below]
    width = max(sum(p.width for p in line) for line in rows)
    whole = Image.new(
        "RGB", (width, 20 + sum(max(p.height for p in line) for line in rows if line))
    )
    shown = " ".join(
        s.abbreviation for s, on in zip(SUBTYPES, store.labels[row], strict=True) if on
    )
    text = f"{store.image[row]}: {shown}; below: the slices under and over it"
    ImageDraw.Draw(whole).text((4, 4), text, fill=(255, 255, 255))
    y = 20
    for line in rows:
        x = 0
        for part in line:
            whole.paste(part, (x, y))
            x += part.width
        y += max((p.height for p in line), default=0)
    return whole


def main() -> None:
    """Write the choice, where there is none, and a panel for each of its slices."""
    folder, choice, out = map(Path, sys.argv[1:])
    store = Store.open(folder)
    if not choice.exists():
        choice.parent.mkdir(parents=True, exist_ok=True)
        with choice.open("w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file, lineterminator="\n")
            writer.writerow(["image", "patient", *NAMES])
            for row in choose(store):
                writer.writerow(
                    [store.image[row], store.patient[row], *map(int, store.labels[row])]
                )
    with choice.open(newline="", encoding="utf-8") as file:
        images = [line["image"] for line in csv.DictReader(file)]
    out.mkdir(parents=True, exist_ok=True)
    row_of = {image: row for row, image in enumerate(store.image)}
    for image in images:
        panel(store, row_of[image]).save(out / f"{image}.png")


if __name__ == "__main__":
    main()
