"""Play the pointing game on bleeds that were marked by eye, with the models of cross-validation.

    python scripts/pointing_on_marks.py ct-ich runs/seed-1-fold-* --pictures pictures --json

Each marked slice is judged by the run of the fold that left its patient out; runs of several
seeds make a table each. A box is a bleed of the lesion cells that it covers an eighth of.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ichlite.contracts.codec import to_json_value
from ichlite.contracts.evaluation import Hits
from ichlite.contracts.run import RunManifest
from ichlite.data.join import Fold, hold_out
from ichlite.data.levels import levelled
from ichlite.data.store import Store
from ichlite.data.store_parts import CELLS, cells_of
from ichlite.errors import IchliteError, InputError
from ichlite.evaluate.pointing import hit_lines, hits_by_class, hits_of, maps_of, point, pointing
from ichlite.evaluate.predictions import load_judge
from ichlite.evaluate.seen import Evaluated, seen_patients
from ichlite.labels import CLASSES, NAMES
from ichlite.train.run_manifest import read_manifest

MARKS = Path(__file__).resolve().parents[1] / "benchmarks" / "marks" / "ct_ich.csv"
CORNERS = ("row0", "column0", "row1", "column1")
DOUBTFUL = "doubtful"
HEAD_HU = -200
"""A cell that is brighter on average is of the head, for the share that chance would hit."""
WINDOW_HU = (0, 80)
SCALE = 2
BOX_RGB, SPOT_RGB = (80, 255, 80), (255, 60, 60)


@dataclass(frozen=True, slots=True)
class Mark:
    """One line of the file: a box (row0, column0, row1, column1), or None where none was seen."""

    image: str
    subtype: str
    box: tuple[int, int, int, int] | None
    note: str


@dataclass(frozen=True, slots=True)
class Marked:
    """Marked slices of a store.

    Attributes:
        rows: (slice,) row numbers.
        cells: (slice, 32, 32) uint8, bit k for subtype k, as `Store.lesion_cells`.
        asked: (slice, 6) bool, `any` first: whether the class is marked; `any` is where each
            subtype that the slice is labelled with is.
        doubtful: (slice,) bool: a mark of it is doubtful.
    """

    rows: NDArray[np.int64]
    cells: NDArray[np.uint8]
    asked: NDArray[np.bool_]
    doubtful: NDArray[np.bool_]


def read_marks(path: Path) -> list[Mark]:
    """Return the marks of a file.

    Raises:
        InputError: A line has no known subtype, or no box within the slice.
    """
    marks = []
    with path.open(newline="", encoding="utf-8") as file:
        for number, line in enumerate(csv.DictReader(file), start=2):
            corners = [line[key] for key in CORNERS]
            try:
                row0, column0, row1, column1 = map(int, corners) if any(corners) else (0, 0, 1, 1)
            except ValueError:
                row0, column0, row1, column1 = 0, 0, 0, 0
            inside = 0 <= row0 < row1 <= 256 and 0 <= column0 < column1 <= 256
            if line["subtype"] not in NAMES or not inside:
                raise InputError(
                    f"{path.name}, line {number} marks nothing",
                    found=",".join(line.values()),
                    expected="a subtype, and a box within 256x256 pixels or none",
                )
            box = (row0, column0, row1, column1) if any(corners) else None
            marks.append(Mark(line["image"], line["subtype"], box, line["note"]))
    return marks


def lay(marks: Iterable[Mark], store: Store) -> Marked:
    """Return the marks as lesion cells of the store's slices.

    Raises:
        InputError: The store has no such image, or it is not labelled with the subtype.
    """
    row_of = {image: row for row, image in enumerate(store.image.tolist())}
    covered: dict[int, NDArray[np.bool_]] = {}
    doubtful: set[int] = set()
    for mark in marks:
        row = row_of.get(mark.image)
        kind = NAMES.index(mark.subtype)
        if row is None or not store.labels[row, kind]:
            raise InputError(
                f"{store.path} is not the store that was marked",
                found=f"no {mark.subtype} bleed in an image {mark.image}",
            )
        if mark.box is not None:
            row0, column0, row1, column1 = mark.box
            pixels = covered.setdefault(row, np.zeros((len(NAMES), 256, 256), np.bool_))
            pixels[kind, row0:row1, column0:column1] = True
            if mark.note.startswith(DOUBTFUL):
                doubtful.add(row)
    rows = np.array(sorted(covered), np.int64)
    boxed = np.stack([covered[row].any(axis=(1, 2)) for row in rows])
    complete = (boxed == (store.labels[rows] > 0)).all(axis=1, keepdims=True)
    return Marked(
        rows,
        np.stack([cells_of(covered[row], store.labels[row]) for row in rows]),
        np.concatenate([complete, boxed], axis=1),
        np.array([row in doubtful for row in rows]),
    )


def _training(run: Path) -> RunManifest:
    training = read_manifest(run)
    if training is None:
        raise InputError(f"{run} is no run", expected="a folder that `ichlite train` wrote")
    return training


def held_out(run: Path, training: RunManifest, store: Store) -> NDArray[np.int64]:
    """Return the rows of a store that a run left out.

    Raises:
        InputError: It left out no fold.
    """
    fold = training.data.fold
    if fold is None:
        raise InputError(f"{run} left out no fold", remedy="train it with --fold")
    return hold_out(store, Fold(fold.number, fold.of, fold.seed)).rows("test")


def play_on_implants(runs: list[Path], store: Store, implants: Store) -> dict[str, Hits]:
    """Play on implanted bleeds over 1 ml, each with the run that left out whose head it is in.

    Returns:
        Class → hits of all folds together.
    """
    counts = np.zeros((len(CLASSES), 3), int)
    for run in runs:
        training = _training(run)
        judge = load_judge(run, training)
        patients = store.patient[held_out(run, training, store)]
        rows = np.flatnonzero(np.isin(implants.patient, patients))
        found = pointing(judge.model, levelled(implants, judge.brain_level_hu), rows)
        if found is not None:
            counts += [[one.slices, one.strict, one.tolerant] for one in found.by_class.values()]
    return {name: hits_of(*count) for name, count in zip(CLASSES, counts.tolist(), strict=True)}


def maps_out_of_fold(runs: list[Path], store: Store, rows: NDArray[np.int64]) -> NDArray[Any]:
    """Return the maps (slice, h, w, 5) of one seed's runs, each by the run that held it out.

    Raises:
        InputError: A slice is held out by none of the runs or by two, or one was trained on it.
    """
    maps: dict[int, NDArray[np.float32]] = {}
    for run in runs:
        training = _training(run)
        judge = load_judge(run, training)
        held = held_out(run, training, store)
        mine = np.intersect1d(held, rows)
        seen = seen_patients(training, Evaluated.of_store(store, mine, "test"))
        if seen or any(int(row) in maps for row in mine):
            raise InputError(
                f"{run} cannot judge its fold",
                found=f"it was trained on patient {seen[0]}" if seen else "another run did",
            )
        if len(mine):
            found = maps_of(judge.model, levelled(store, judge.brain_level_hu), mine)
            maps |= dict(zip(mine.tolist(), found, strict=True))
    missing = sorted(set(rows.tolist()) - set(maps))
    if missing:
        raise InputError(
            "a marked slice has no run that left its patient out",
            found=f"{store.image[missing[0]]} ({len(missing)} such)",
            remedy="give the runs of all folds",
        )
    return np.stack([maps[row] for row in rows.tolist()])


def chance(marked: Marked, store: Store) -> dict[str, list[float | None]]:
    """Return, for each class, the mean share of the head's cells on the bleed, and on or beside."""
    block = store.hu[marked.rows].reshape(len(marked.rows), CELLS, 8, CELLS, 8)
    head = block.mean(axis=(2, 4)) > HEAD_HU
    shares = np.zeros((len(marked.rows), len(CLASSES), 2))
    places = [(row, column) for row in range(CELLS) for column in range(CELLS)]
    for number, cells in enumerate(marked.cells):
        inside = [place for place in places if head[number][place]]
        spots = np.full((len(inside), CELLS, CELLS, len(NAMES)), -1.0, np.float32)
        for index, place in enumerate(inside):
            spots[index][place] = 1.0
        on, near, _ = point(spots, np.repeat(cells[None], len(inside), axis=0))
        shares[number] = np.stack([on.mean(axis=0), near.mean(axis=0)], axis=-1)
    return {
        name: [float(value) for value in shares[marked.asked[:, k], k].mean(axis=0)]
        if marked.asked[:, k].any()
        else [None, None]
        for k, name in enumerate(CLASSES)
    }


def play(maps: NDArray[np.float32], marked: Marked, store: Store) -> dict[str, Any]:
    """Return the hits of each class, and which slices were missed.

    Of all marked slices, of those without a doubtful mark, and of those in which the map has a
    cell of the class at all: a probability over one half.
    """
    on, near, _ = point(maps, marked.cells)
    tops = maps.max(axis=(1, 2))
    positive = np.concatenate([tops.max(axis=1, keepdims=True), tops], axis=1) > 0
    found: dict[str, Any] = {}
    for key, asked in (
        ("all", marked.asked),
        ("without_doubtful", marked.asked & ~marked.doubtful[:, None]),
        ("with_a_positive_cell", marked.asked & positive),
    ):
        found[key] = hits_by_class(on, near, asked)
    for key, hit in (("not_on", on), ("neither_on_nor_beside", near)):
        found[key] = {
            name: store.image[marked.rows[marked.asked[:, k] & ~hit[:, k]]].tolist()
            for k, name in enumerate(CLASSES)
        }
    return found


def picture(hu: NDArray[np.int16], maps: NDArray[np.float32], marks: list[Mark]) -> Image.Image:
    """Return a slice with its marks, and beside it the same under its map and strongest place."""
    low, high = WINDOW_HU
    grey = np.clip((hu.astype(np.float32) - low) / (high - low) * 255, 0, 255).astype(np.uint8)
    side = (256 * SCALE, 256 * SCALE)
    plain = Image.fromarray(grey).resize(side, Image.Resampling.BICUBIC).convert("RGB")
    strongest = maps.max(axis=-1)
    hot = Image.fromarray((255 / (1 + np.exp(-strongest))).astype(np.uint8)).resize(
        side, Image.Resampling.NEAREST
    )
    warm = Image.merge("RGB", (hot, Image.new("L", side), Image.new("L", side)))
    over = Image.blend(plain, warm, 0.45)
    row, column = np.unravel_index(strongest.argmax(), strongest.shape)
    cell = 256 * SCALE / strongest.shape[0]
    corner = (column * cell, row * cell)
    for sheet in (plain, over):
        pen = ImageDraw.Draw(sheet)
        for row0, column0, row1, column1 in (mark.box for mark in marks if mark.box is not None):
            ends = [SCALE * column0, SCALE * row0, SCALE * column1, SCALE * row1]
            pen.rectangle(ends, outline=BOX_RGB)
    ImageDraw.Draw(over).rectangle(
        [*corner, corner[0] + cell, corner[1] + cell], outline=SPOT_RGB, width=3
    )
    whole = Image.new("RGB", (2 * side[0], side[1] + 16))
    whole.paste(plain, (0, 16))
    whole.paste(over, (side[0], 16))
    kind = NAMES[int(maps[row, column].argmax())]
    shown = ", ".join(sorted({mark.subtype for mark in marks}))
    text = f"{marks[0].image}: {shown}; map: {kind} {strongest.max():.1f}"
    ImageDraw.Draw(whole).text((4, 2), text, fill=(255, 255, 255))
    return whole


def main() -> None:
    """Print the tables, or a JSON document."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("store", type=Path, help="prepared store of CT-ICH")
    parser.add_argument("runs", type=Path, nargs="+", help="run folders, of every fold")
    parser.add_argument("--marks", type=Path, default=MARKS, help="CSV file of boxes")
    parser.add_argument("--pictures", type=Path, help="folder for a picture of each slice and seed")
    parser.add_argument("--implants", type=Path, help="store of `ichlite implant`: play on it too")
    parser.add_argument("--json", action="store_true", help="one JSON document on stdout")
    given = parser.parse_args()
    store = Store.open(given.store)
    marks = read_marks(given.marks)
    marked = lay(marks, store)
    seeds: dict[int, list[Path]] = {}
    for run in given.runs:
        seeds.setdefault(int(_training(run).recipe["seed"]), []).append(run)
    document: dict[str, Any] = {
        "slices": len({mark.image for mark in marks}),
        "marked": len(marked.rows),
        "patients": len(set(store.patient[marked.rows].tolist())),
        "doubtful": int(marked.doubtful.sum()),
        "chance": chance(marked, store),
        "seeds": {},
    }
    for seed, runs in sorted(seeds.items()):
        maps = maps_out_of_fold(runs, store, marked.rows)
        document["seeds"][str(seed)] = play(maps, marked, store)
        if given.implants:
            implants = Store.open(given.implants)
            document["seeds"][str(seed)]["implants"] = play_on_implants(runs, store, implants)
        if given.pictures:
            given.pictures.mkdir(parents=True, exist_ok=True)
            for row, own in zip(marked.rows, maps, strict=True):
                mine = [mark for mark in marks if mark.image == store.image[row]]
                drawn = picture(np.asarray(store.hu[row]), own, mine)
                drawn.save(given.pictures / f"{store.image[row]}-seed{seed}.png")
    if given.json:
        print(json.dumps(to_json_value(document), indent=1))
        return
    facts = {key: document[key] for key in ("slices", "marked", "doubtful", "patients", "chance")}
    print(json.dumps(facts))
    for seed, found in document["seeds"].items():
        parts = ("all", "without_doubtful", "with_a_positive_cell", "implants")
        for key in (one for one in parts if one in found):
            print(f"\nSeed {seed}, {key.replace('_', ' ')}\n", *hit_lines(found[key]), sep="\n")


if __name__ == "__main__":
    try:
        main()
    except IchliteError as fault:
        raise SystemExit(str(fault)) from fault
