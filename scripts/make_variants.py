"""Make every bundle of the Pareto table (docs/compression.md) from a LightFCN trained on phantoms.

It can be interrupted and run again: a step whose folder is there is not done again. `--kept` takes
the trained model that the project keeps in place of training it.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SEED = 20_221
SUBJECTS = 640
"""About 44 slices each; 80 % of the subjects train, 10 % validate, 10 % test."""

PHANTOM = ("--subjects", str(SUBJECTS), "--seed", str(SEED), "--balance", "training")
RECIPE = (
    *("--loss", "bce", "--seed", "1", "--augment"),
    *("--learning-rate", "0.003", "--schedule", "cosine", "--warmup-steps", "100"),
    *("--bn-momentum", "0.95", "--clipnorm", "1.0", "--ema-momentum", "0.995"),
)
LONG = ("--crop-steps", "3000", "--epochs", "5", "--steps-per-epoch", "400", "--batch-size", "32")
SHORT = ("--crop-steps", "300", "--epochs", "2", "--steps-per-epoch", "60", "--batch-size", "8")
"""For architectures that are only compared."""


def pruned(*shares: float) -> tuple[str, ...]:
    """Return the options of `ichlite compress` that keep a share of channels, block by block."""
    return tuple(f"--keep-channels={share}" for share in shares)


SLIM = (
    *pruned(0.25, 0.75, 0.75, 0.5, 0.5),
    *("--crop-steps=1800", "--steps=700", "--learning-rate=0.003"),
)
SLIMMER = (
    *pruned(0.25, 0.5, 0.5, 0.5, 0.5),
    *("--crop-steps=1100", "--steps=400", "--learning-rate=0.003"),
)
NARROW = (
    *pruned(0.25, 0.25, 0.5, 0.5, 0.5),
    "--keep-width=0.75",
    *("--crop-steps=1800", "--steps=600", "--learning-rate=0.003", "--teacher-weight=0.8"),
)
"""The first blocks take most of the time, the last two hold most of the weights."""
LITTLE = ("--crop-steps=200", "--steps=100", "--learning-rate=0.0005")
"""Fine-tuning for what changes no more than the weights' last digits."""
HALF = ("--precision=float16",)
FLOATS = ("--precision=float32", *HALF)
INTEGERS = ("--precision=int8",)
BUNDLES: dict[str, tuple[str, ...]] = {
    "light_fcn": (*FLOATS, "--precision=dynamic", *INTEGERS),
    "light_fcn-slim": (*SLIM, "--clusters=32", *FLOATS, *INTEGERS, "--every-step"),
    "light_fcn-slimmer": (*SLIMMER, "--clusters=32", *HALF, *INTEGERS, "--every-step"),
    "light_fcn-narrow": (*NARROW, "--clusters=32", *HALF, *INTEGERS),
    "light_fcn-sparse": ("--sparsity=0.5", *LITTLE, *FLOATS, *INTEGERS),
    "light_fcn-clusters": ("--clusters=32", *LITTLE, *FLOATS, *INTEGERS),
    "light_fcn-qat": ("--qat", *LITTLE, *INTEGERS),
}
"""What `ichlite compress` makes of the one trained LightFCN, by name."""
REFERENCE = "light_fcn-float32"

COMPARED = {
    "sfcn_depthwise": ("sfcn_depthwise", LONG),
    "light_fcn-short": ("light_fcn", SHORT),
    "sfcn_depthwise-short": ("sfcn_depthwise", SHORT),
    "mobilenet_v2-short": ("mobilenet_v2", SHORT),
    "sfcn-short": ("sfcn", SHORT),
}
"""Architectures as they are, by the name of their float32 bundle: the model, and how it is trained.

The one that is as quick as what is shipped is trained as LightFCN is; MobileNetV2 would take four
times as long, SFCN twelve.
"""

ROOT = Path(__file__).resolve().parents[1]
KEPT = ROOT / "models" / "light_fcn-phantoms"


def run(*words: str | Path) -> None:
    """Run one ichlite command, shown as a person would type it; stop when it fails."""
    print("$ ichlite", *words, flush=True)
    subprocess.run([sys.executable, "-m", "ichlite", *map(str, words)], check=True)


def compress(trained: Path, store: Path, bundles: Path, words: tuple[str, ...]) -> None:
    """Make bundles named as their folder, unless they are there; the gate may refuse some."""
    if bundles.exists():
        return
    try:
        run("compress", trained, store, bundles, *words, "--name", bundles.name)
    except subprocess.CalledProcessError:
        print(f"{bundles.name}: not all of it was made; going on without", flush=True)


def main() -> None:
    """Make what is not there yet."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("runs/variants"))
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--kept", action="store_true", help="compress the model that is kept")
    chosen = parser.parse_args()
    out: Path = chosen.out
    store, bundles = out / "phantoms", out / "bundles"
    bundles.mkdir(parents=True, exist_ok=True)

    if not (store / "store.json").exists():
        run("phantom", store, *PHANTOM, "--processes", str(chosen.processes))
    trained = KEPT if chosen.kept else out / "train"
    if not chosen.kept:
        run("train", store, trained, "--model", "light_fcn", *LONG, *RECIPE)
    for name in BUNDLES:
        compress(trained, store, bundles / name, BUNDLES[name])
    for name, (model, length) in COMPARED.items():
        run("train", store, out / f"train-{name}", "--model", model, *RECIPE, *length)
        compress(out / f"train-{name}", store, bundles / name, ("--precision", "float32"))
    run("pareto", bundles, "--reference", REFERENCE, "--out", out / "pareto")


if __name__ == "__main__":
    main()
