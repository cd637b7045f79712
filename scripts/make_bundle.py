"""The embedded bundle, from nothing: phantoms → training → int8 and float32 bundles → figures.

`make bundle` runs this; it takes at most two hours on 2 cores and can be interrupted and run again.
Only synthetic head CT is trained on. With `--install` the int8 bundle becomes the embedded one.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
from pathlib import Path

SEED = 20_221
SUBJECTS = 640
"""About 44 slices each; 80 % of the subjects train, 10 % validate, 10 % test."""

PHANTOM = ("--subjects", str(SUBJECTS), "--seed", str(SEED), "--balance", "training")
TRAIN = (
    *("--model", "light_fcn", "--loss", "bce", "--seed", "1", "--augment"),
    *("--crop-steps", "3000", "--epochs", "5", "--steps-per-epoch", "400", "--batch-size", "32"),
    *("--learning-rate", "0.003", "--schedule", "cosine", "--warmup-steps", "100"),
    *("--bn-momentum", "0.95", "--clipnorm", "1.0", "--ema-momentum", "0.995"),
)
EMBEDDED = Path(__file__).resolve().parents[1] / "src" / "ichlite" / "assets" / "bundle"


def run(*words: str | Path) -> None:
    """Run one ichlite command, shown as a person would type it; stop when it fails."""
    print("$ ichlite", *words, flush=True)
    subprocess.run([sys.executable, "-m", "ichlite", *map(str, words)], check=True)


def main() -> None:
    """Make the bundle; each step leaves a folder, and a finished one is not made again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/bundle"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--install", action="store_true", help="replace the embedded bundle")
    chosen = parser.parse_args()
    out: Path = chosen.out
    store, trained = out / "phantoms", out / "train"
    out.mkdir(parents=True, exist_ok=True)

    if not (store / "store.json").exists():
        run("phantom", store, *PHANTOM, "--processes", str(chosen.processes))
    run("train", store, trained, *TRAIN)
    for precision in ("float32", "int8"):
        bundle = out / precision
        run("compress", trained, store, bundle, "--precision", precision)
        run("evaluate", bundle, store, "--split", "test", "--out", out / f"report-{precision}")
    if chosen.install:
        shutil.rmtree(EMBEDDED, ignore_errors=True)
        shutil.copytree(out / "int8", EMBEDDED)
        print(f"installed {EMBEDDED}")


if __name__ == "__main__":
    main()
