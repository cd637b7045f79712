"""Make the embedded bundle from phantoms, patients' scans, and these with implanted bleeds.

    python scripts/make_bundle.py --ct-ich FOLDER --install      (make bundle CT_ICH=FOLDER)
    python scripts/make_bundle.py --install                      (make bundle-phantoms)

With a folder of CT-ICH, models of every fold and seed give the scores that calibration and
operating points come from, and the model that is shipped trains on all patients. Without one, the
phantom-only sister is made. Hours on 2 cores, each of which trains a model of its own (on small
batches quicker than two cores at one model); it can be interrupted and run again, and with
`--stop-after MINUTES` it begins nothing new after so long: a finished step is not done again.
"""

from __future__ import annotations

import argparse
import os
import queue
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

SUBJECTS, SEED = 300, 20_221
"""About 43 slices each; 80 % of the subjects train, 10 % validate, 10 % test."""
FOLDS = 5
SEEDS = (1, 2)
"""Of the runs that judge; the first is that of the model that is shipped, too."""

IMPLANTS = ("--scans=200", "--seed=7")
PHANTOM = (f"--subjects={SUBJECTS}", f"--seed={SEED}", "--balance=training")
NETWORK = (
    *("--model=lesion_fcn", "--width=24"),
    *(f"--expansions={channels}" for channels in (8, 32, 64, 128, 256)),
)
"""LightFCN with a lesion map, narrower where most of the time goes."""
SCANS = (
    *("--batch-size=32", "--schedule=cosine", "--bn-momentum=0.95", "--clipnorm=1.0"),
    *("--ema-momentum=0.995", "--augment", "--vary-scanner", "--brain-level-hu=30"),
    "--bleeding-share=0.4",
)
FIRST = (
    *("--crop-steps=3000", "--epochs=4", "--steps-per-epoch=300", "--warmup-steps=100"),
    *("--learning-rate=0.003", "--share=1"),
)
"""From random weights, on phantoms: lesion-aimed crops, then frames."""
SECOND = (
    *("--epochs=3", "--steps-per-epoch=300", "--warmup-steps=50", "--learning-rate=0.001"),
    *("--share=0.3", "--share=0.5", "--share=0.2", "--keep=last"),
)
"""From there, half on patients' scans, the rest on phantoms and on bleeds implanted into patients'
scans; no split of so few patients chooses."""
PRECISIONS = ("float16", "int8")
SHIPPED = "float16"

ROOT = Path(__file__).resolve().parents[1]
EMBEDDED = ROOT / "src" / "ichlite" / "assets" / "bundle"
SISTERS = ROOT / "models"


class Maker:
    """A runner of ichlite commands, each unless what it makes is there, until time is up."""

    def __init__(self, processes: int, stop_after_min: float | None) -> None:
        self.until = None if stop_after_min is None else time.monotonic() + 60 * stop_after_min
        can_be_tied = hasattr(os, "sched_setaffinity")
        cores = sorted(os.sched_getaffinity(0)) if can_be_tied else []
        self.processes = processes
        self.cores: queue.SimpleQueue[set[int]] = queue.SimpleQueue()
        for first in range(self.processes):
            self.cores.put(set(cores[first :: self.processes]))

    def side_by_side(self, tasks: list[Callable[[], object]]) -> None:
        """Run tasks, as many at once as there are processes, each on cores of its own."""

        def on_own_cores(task: Callable[[], object]) -> None:
            cores = self.cores.get()
            try:
                if cores:
                    os.sched_setaffinity(0, cores)  # of this thread, and of commands it starts
                task()
            finally:
                self.cores.put(cores)

        with ThreadPoolExecutor(self.processes) as pool:
            list(pool.map(on_own_cores, tasks))

    def run(self, made: Path, *words: str | Path) -> None:
        """Run a command, shown as a person would type it, unless `made` is there."""
        if made.exists():
            return
        if self.until is not None and time.monotonic() > self.until:
            sys.exit("Time is up; the same command goes on from here.")
        print("$ ichlite", *words, flush=True)
        subprocess.run([sys.executable, "-m", "ichlite", *map(str, words)], check=True)

    def train(self, folder: Path, *words: str | Path) -> Path:
        """Train a run, or go on with it, unless it ended; return its folder."""
        ended = folder / "train.json"
        if not (ended.exists() and '"result"' in ended.read_text(encoding="utf-8")):
            self.run(folder / "nothing", "train", *words, folder, *NETWORK, *SCANS)
        return folder


def main() -> None:
    """Make what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--ct-ich", type=Path, help="folder of CT-ICH, as published")
    parser.add_argument("--out", type=Path, default=Path("runs/bundle"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--stop-after", type=float, metavar="MINUTES")
    parser.add_argument("--install", action="store_true", help="replace the bundles in the project")
    chosen = parser.parse_args()
    out: Path = chosen.out
    out.mkdir(parents=True, exist_ok=True)
    make = Maker(chosen.processes, chosen.stop_after)

    phantoms = out / "phantoms"
    make.run(phantoms, "phantom", phantoms, *PHANTOM, f"--processes={chosen.processes}")
    first = out / "phantoms-only"
    sister = out / "bundles" / "lesion_fcn-phantoms"

    def train_on_phantoms() -> None:
        make.train(first, phantoms, f"--seed={SEEDS[0]}", *FIRST)
        compress(make, sister, first, [phantoms], "float16")

    if chosen.ct_ich is None:
        train_on_phantoms()
        if chosen.install:
            install(sister, SISTERS / sister.name)
        return

    patients, implants = out / "ct-ich", out / "implants"
    stores = [phantoms, patients]

    def prepare_patients() -> None:
        make.run(patients / "store.json", "prepare", "ct-ich", chosen.ct_ich, patients)
        make.run(implants, "implant", patients, implants, *IMPLANTS)

    make.side_by_side([train_on_phantoms, prepare_patients])
    scores = [out / "scores" / f"seed-{seed}" for seed in SEEDS]
    start = f"--init={first / 'best.keras'}"

    def judge(seed: int, fold: int, folder: Path) -> None:
        run = out / f"seed-{seed}-fold-{fold}"
        words = (f"--fold={fold}/{FOLDS}", f"--seed={seed}", start, *SECOND)
        make.train(run, *stores, implants, *words)
        folder.mkdir(parents=True, exist_ok=True)
        kept = folder / f"fold-{fold}.csv"
        make.run(kept, "evaluate", run, *stores, "--scores", kept)

    shipped = out / "all-patients"
    whole = ("--all-patients", f"--seed={SEEDS[0]}", start, *SECOND)
    judges = [
        partial(judge, seed, fold, folder)
        for seed, folder in zip(SEEDS, scores, strict=True)
        for fold in range(1, FOLDS + 1)
    ]
    make.side_by_side([*judges, partial(make.train, shipped, *stores, implants, *whole)])
    make.run(out / "out-of-fold", "evaluate", "--folds", *scores, "--out", out / "out-of-fold")
    for precision in PRECISIONS:
        bundle = out / "bundles" / f"lesion_fcn-{precision}"
        compress(make, bundle, shipped, [*stores, implants], precision, scores)
    if chosen.install:
        install(out / "bundles" / f"lesion_fcn-{SHIPPED}", EMBEDDED)
        install(out / "bundles" / "lesion_fcn-int8", SISTERS / "lesion_fcn-int8")


def compress(
    make: Maker,
    bundle: Path,
    run: Path,
    stores: list[Path],
    precision: str,
    scores: list[Path] | None = None,
) -> None:
    """Write a bundle of a run, unless it is there; decisions come from scores out of fold."""
    decisions = [word for folder in scores or [] for word in ("--decisions", folder)]
    words = (f"--precision={precision}", f"--name={bundle.name}", *decisions)
    make.run(bundle, "compress", run, *stores, bundle, *words)


def install(bundle: Path, place: Path) -> None:
    """Put a bundle in the place of another."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(bundle, place)
    print(f"installed {place}")


if __name__ == "__main__":
    main()
