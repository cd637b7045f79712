"""Does the input pipeline keep the network busy? Prints one JSON document with the ratio.

Images a second of training through `ichlite.train.batches`, over those of bare `train_on_batch` on
one batch that is ready in memory. Short segments of both alternate, so that another process on the
machine slows both.

    python benchmarks/input_pipeline.py --segments 6 --steps 6 --out benchmarks/results/input.json
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import numpy as np

from ichlite.data.feed import ahead
from ichlite.data.store import Store, StoreRow, StoreWriter
from ichlite.train.batches import Batches
from ichlite.train.fit import prepare
from ichlite.train.recipe import Recipe

IMAGES = 1024


def make_store(folder: Path) -> Path:
    """A folder → a store of noise discs; pixels do not matter to the clock, their number does."""
    rng = np.random.default_rng(0)
    rows, columns = np.mgrid[:256, :256]
    head = (rows - 128) ** 2 + (columns - 128) ** 2 < 95**2
    with StoreWriter(folder / "store", kind="benchmark", seed=0) as writer:
        for image in range(IMAGES):
            hu = np.where(head, rng.integers(0, 80, head.shape), -1024).astype(np.int16)
            bleeds = image % 4 == 0
            spot = (100.0, 100.0) if bleeds else None
            text = str(image)
            labels = (int(bleeds),) * 5
            row = StoreRow(text, text, text, text, 0.0, labels, spot, "train")
            writer.add(hu[None], [row])
    return folder / "store"


def measure(recipe: Recipe, store: Store, segments: int, steps: int) -> dict[str, float]:
    """Recipe and store → median images a second, piped and bare, and their ratio."""
    batches = Batches(store, recipe)
    model = prepare(recipe, batches.labels.sum(axis=0), segments * steps)
    ready = batches.step(0)
    for _ in range(3):
        model.train_on_batch(*ready)
    piped, bare = [], []
    for segment in range(segments):
        start = time.perf_counter()
        for _ in range(steps):
            model.train_on_batch(*ready)
        bare.append(time.perf_counter() - start)
        start = time.perf_counter()
        # A stream of its own: nothing is made ahead while the other side is on the clock.
        for batch in ahead(batches.step, range(segment * steps, (segment + 1) * steps)):
            model.train_on_batch(*batch)
        piped.append(time.perf_counter() - start)
    images = steps * recipe.batch_size
    return {
        "bare_images_per_s": round(images / median(bare), 2),
        "pipeline_images_per_s": round(images / median(piped), 2),
        # Each segment against its neighbour, then the middle one.
        "ratio": round(median(b / p for b, p in zip(bare, piped, strict=True)), 4),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--model", default="light_fcn")
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = Store.open(make_store(Path(folder)))
        result = {
            "benchmark": "input_pipeline",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": f"{platform.machine()}, {os.cpu_count()} cores",
            "images": IMAGES,
            "plain": measure(Recipe(model=words.model), store, words.segments, words.steps),
            "augmented": measure(
                Recipe(model=words.model, augment=True), store, words.segments, words.steps
            ),
        }
    text = json.dumps(result, indent=2) + "\n"
    if words.out:
        words.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
