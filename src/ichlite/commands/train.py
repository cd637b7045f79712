"""`ichlite train`: train a model on prepared stores."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.needs import TRAIN_PACKAGES, need_train
from ichlite.commands.options import AsJson, Devices, FoldSeed, Stores, option, with_records
from ichlite.train.recipe import DATA, HARDWARE, OPTIMISATION, Recipe

if TYPE_CHECKING:
    from ichlite.data.join import Fold

EPILOG = "Example: ichlite train phantoms runs/ldam --loss ldam --epochs 5 --seed 1"

CHOSEN_BY = {
    "validation_mean_roc_auc": "the highest validation mean AUC",
    "validation_bce": "the lowest validation cross-entropy, for no validation AUC is defined",
    "last": "the last one",
}


@with_records()
def train(
    stores: Stores,
    out: Annotated[
        Path,
        typer.Argument(help="Folder to make for the run; the same command again goes on with it."),
    ],
    recipe: Recipe,
    init: Annotated[
        Path | None,
        option(
            OPTIMISATION,
            metavar="FILE",
            help="Model (.keras) whose weights to start from, not random ones.",
        ),
    ] = None,
    fold: Annotated[
        str | None,
        option(
            DATA,
            metavar="K/N",
            help="Train without the Kth of N folds of patients, to test on it later, such as 1/5.",
        ),
    ] = None,
    fold_seed: FoldSeed = 0,
    all_patients: Annotated[
        bool,
        option(
            DATA,
            "--all-patients",
            help="Train on every patient of real scans, those to validate and test included.",
        ),
    ] = False,
    devices: Devices = None,
    ray: Annotated[
        str | None,
        option(
            HARDWARE,
            metavar="ADDRESS",
            help="Train on a Ray cluster: local (this machine), auto (this node's) or HOST:PORT.",
        ),
    ] = None,
    workers: Annotated[
        int,
        option(
            HARDWARE,
            min=1,
            help="Processes that share each batch, with --ray; each takes one device.",
        ),
    ] = 1,
    as_json: AsJson = False,
) -> None:
    """Train a model on prepared stores; the best epoch by validation mean AUC is kept."""
    from ichlite.errors import UsageError, check_name

    recipe.check_effects()
    if ray is None and workers > 1:
        raise UsageError(
            f"--workers {workers} without --ray",
            expected="--ray local, auto or HOST:PORT with it",
            remedy="without a cluster, all devices of this machine share each batch",
        )
    if ray is not None and devices is not None:
        raise UsageError(
            "`--devices` cannot be combined with `--ray`",
            remedy="give --workers in its place, each of which takes one device",
        )
    if ray is None:
        need_train()
    from ichlite.commands.console import interrupts_told, print_json, progress, say
    from ichlite.data.feed import split_rows
    from ichlite.data.join import Fold, open_stores
    from ichlite.models import MODELS
    from ichlite.train.draw import check_shares
    from ichlite.train.losses import LOSSES
    from ichlite.train.run_manifest import check_run_folder

    check_name("model", recipe.model, MODELS)
    check_name("loss", recipe.loss, LOSSES)
    check_shares(recipe.shares, len(stores))
    held_out = None if fold is None else Fold.parse(fold, fold_seed)
    check_run_folder(out)
    opened = open_stores(stores, held_out, all_patients=all_patients)
    images = len(split_rows(opened, "train"))
    if ray is not None:
        _on_ray(
            ray, recipe, stores, held_out, all_patients, out,
            workers=workers, init=init, as_json=as_json,
        )  # fmt: skip
        return
    from ichlite.train.logs import epoch_line
    from ichlite.train.training_loop import fit

    steps = recipe.total_steps(images)
    with interrupts_told(), progress("training", total=steps) as advance:
        run = fit(
            recipe,
            opened,
            out,
            store_name=" ".join(store.name for store in stores),
            init=init,
            device_count=devices,
            on_step=lambda _: advance(1),
            on_epoch=lambda row: say(epoch_line(row)),
        )
    if run.resumed_at:
        say(f"resumed at step {run.resumed_at} of {run.steps}")
    say(f"best.keras is of step {run.best_step}: {CHOSEN_BY[run.chosen_by]}")
    if as_json:
        print_json(
            {
                "run": str(run.folder),
                "model": str(run.folder / "best.keras"),
                "steps": run.steps,
                "resumed_at": run.resumed_at,
                "validation_mean_roc_auc": run.best,
                "best_step": run.best_step,
                "chosen_by": run.chosen_by,
            }
        )
    else:
        say(f"best model: {run.folder / 'best.keras'}")


def _on_ray(
    address: str,
    recipe: Recipe,
    stores: list[Path],
    fold: Fold | None,
    all_patients: bool,
    out: Path,
    *,
    workers: int,
    init: Path | None,
    as_json: bool,
) -> None:
    from msgspec import structs

    from ichlite.commands.console import print_json, require, say

    require("ray", "ray", "jax")
    require("train", *TRAIN_PACKAGES)
    from ichlite.cluster.ray_train import train_on_cluster
    from ichlite.cluster.session import session

    with session(address) as cluster:
        say(f"training by {workers} processes on {cluster.nodes} nodes")
        run = train_on_cluster(
            recipe, stores, out, cluster,
            fold=fold, all_patients=all_patients, workers=workers, init=init,
        )  # fmt: skip
    model = out / "best.keras"
    if as_json:
        print_json(
            {"run": str(out), "model": str(model), "workers": workers, **structs.asdict(run)}
        )
    else:
        say(f"best model: {model}")
