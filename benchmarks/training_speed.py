"""Measure how busy training keeps the device, in images a second, as one JSON document.

For each variant: images a second of the training loop of `ichlite.train.fit` (batches made ahead,
sent to the device, stepped), of the same step on one batch that lies ready on the device, and of
Keras' `train_on_batch` on a ready batch of windows; `busy` is the first over the second. Short
segments of all alternate, so that another process on the machine slows all.

    python benchmarks/training_speed.py --segments 6 --steps 6 --out benchmarks/results/cpu.json
    KERAS_BACKEND=jax python benchmarks/training_speed.py --steps 200 --batch-size 256 --out …
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import numpy as np
from msgspec import structs

from ichlite.bench.machine import describe_machine
from ichlite.data.feed import ahead, to_windows
from ichlite.data.rows import StoreRow
from ichlite.data.store import Store
from ichlite.data.writer import StoreWriter
from ichlite.train import devices
from ichlite.train.batches import Batches
from ichlite.train.learner import Learner
from ichlite.train.recipe import Recipe
from ichlite.train.setup import compile_model, losses_of, prepare_model

IMAGES = 1024
WARM_UP = 3
VARIANTS: dict[str, dict[str, Any]] = {
    "plain": {},
    "augmented": {"augment": True},
    "device_windows": {"device_windows": True},
    "device_windows_augmented": {"device_windows": True, "augment": True},
    "bfloat16": {"device_windows": True, "precision": "bfloat16"},
}


def make_store(folder: Path) -> Path:
    """Make a store of noise discs: the clock minds the number of pixels, not what they show."""
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


def seconds(work: Callable[[], Any]) -> float:
    """Return how long some work takes."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def measure(recipe: Recipe, store: Store, segments: int, steps: int) -> dict[str, float]:
    """Return the median images a second, and the seconds that a batch takes to make."""
    batches = Batches(store, recipe)
    total = (2 * segments + 1) * steps + WARM_UP
    losses = losses_of(recipe, batches.labels, total)
    learner = Learner(prepare_model(recipe, total), recipe, losses, total)
    by_keras = prepare_model(replace(recipe, precision="float32"), total)
    compile_model(by_keras, by_keras.optimizer, losses[recipe.loss], recipe)
    batch = batches.step(0)
    windows = to_windows(batch.images) if recipe.device_windows else batch.images
    ready = learner.put(batch)

    def bare() -> None:
        for _ in range(steps):
            learner.step(0, ready)
        learner.finish()

    def loop(first: int) -> None:
        # A stream of its own: nothing is made ahead while another side is on the clock.
        stream = ahead(
            lambda step: learner.put(batches.step(step)),
            range(first, first + steps),
            threads=devices.loaders(),
        )
        for one in stream:
            learner.step(0, one)
        learner.finish()

    for _ in range(WARM_UP):
        learner.step(0, ready)
        by_keras.train_on_batch(windows, batch.labels)
    learner.finish()
    taken: dict[str, list[float]] = {"bare": [], "loop": [], "keras": [], "make": []}
    for segment in range(segments):
        taken["bare"].append(seconds(bare))
        taken["loop"].append(seconds(lambda first=segment * steps: loop(first)))
        taken["keras"].append(
            seconds(lambda: [by_keras.train_on_batch(windows, batch.labels) for _ in range(steps)])
        )
        taken["make"].append(seconds(lambda first=segment: batches.step(first)) * steps)
    count = steps * recipe.batch_size
    ratios = [b / p for b, p in zip(taken["bare"], taken["loop"], strict=True)]
    return {
        "loop_images_per_s": round(count / median(taken["loop"]), 2),
        "bare_images_per_s": round(count / median(taken["bare"]), 2),
        "keras_train_on_batch_images_per_s": round(count / median(taken["keras"]), 2),
        # Each segment against its neighbour, then the middle one.
        "busy": round(median(ratios), 4),
        "making_ms_per_image_one_thread": round(1e3 * median(taken["make"]) / count, 4),
        "bytes_to_device_per_image": batch.images[0].nbytes,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--segments", type=int, default=6)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--model", default="light_fcn")
    parser.add_argument("--batch-size", type=int, default=64)
    parser.add_argument("--devices", type=int)
    parser.add_argument("--variants", nargs="+", choices=VARIANTS, default=list(VARIANTS))
    parser.add_argument("--out", type=Path)
    words = parser.parse_args()
    base = Recipe(model=words.model, batch_size=words.batch_size)
    with (
        tempfile.TemporaryDirectory() as folder,
        devices.spread(words.devices, words.batch_size) as used,
    ):
        store = Store.open(make_store(Path(folder)))
        result = {
            "benchmark": "training_speed",
            "date": datetime.now(UTC).date().isoformat(),
            "machine": structs.asdict(describe_machine()),
            "backend": keras.backend.backend(),
            "devices": device_names(used),
            "loaders": devices.loaders(),
            "model": words.model,
            "batch_size": words.batch_size,
            "images": IMAGES,
            "variants": {
                name: measure(replace(base, **VARIANTS[name]), store, words.segments, words.steps)
                for name in words.variants
            },
        }
    text = json.dumps(result, indent=2) + "\n"
    if words.out:
        words.out.write_text(text)
    print(text, end="")


def device_names(used: list[str]) -> list[str]:
    """Return the devices as Keras names them, with their kind where the backend tells."""
    if keras.backend.backend() != "jax":
        return used
    import jax

    return [
        f"{name} {device.device_kind}" for name, device in zip(used, jax.devices(), strict=False)
    ]


if __name__ == "__main__":
    main()
