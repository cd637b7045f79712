"""`ichlite train`: a prepared store in, a run folder with the best model out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.needs import need_train

if TYPE_CHECKING:
    from ichlite.train.logs import Row

EPILOG = "Example: ichlite train phantoms runs/ldam --loss ldam --epochs 5 --seed 1"


def train(
    store: Annotated[Path, typer.Argument(help="Prepared store to train on.")],
    out: Annotated[Path, typer.Argument(help="Run folder; the same command again resumes.")],
    model: Annotated[str, typer.Option(help="Architecture; see `ichlite models`.")] = "light_fcn",
    loss: Annotated[str, typer.Option(help="bce, focal or ldam.")] = "bce",
    epochs: Annotated[int, typer.Option(help="Of full frames.")] = 5,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 64,
    learning_rate: Annotated[float, typer.Option(help="Of Adam.")] = 0.01,
    dropout: Annotated[float, typer.Option(help="Before the last layer.")] = 0.1,
    seed: Annotated[int, typer.Option(help="Of weights, order and augmentation.")] = 0,
    schedule: Annotated[str, typer.Option(help="constant or cosine.")] = "constant",
    warmup_steps: Annotated[int, typer.Option(help="Of the cosine schedule.")] = 0,
    steps_per_epoch: Annotated[
        int | None, typer.Option(help="Instead of one pass over the training split.")
    ] = None,
    augment: Annotated[bool, typer.Option(help="Move, flip, shift HU, add noise.")] = False,
    crop_steps: Annotated[int, typer.Option(help="Steps on lesion-aimed crops first.")] = 0,
    crop_size: Annotated[int, typer.Option(help="Side of a crop in pixels.")] = 128,
    bn_momentum: Annotated[float, typer.Option(help="Of batch normalisation.")] = 0.99,
    clipnorm: Annotated[float | None, typer.Option(help="Longest gradient.")] = None,
    ema_momentum: Annotated[
        float | None, typer.Option(help="Validate and save averaged weights.")
    ] = None,
    gamma: Annotated[float, typer.Option(help="Of the focal loss.")] = 2.0,
    max_margin: Annotated[float, typer.Option(help="Of LDAM, in logits.")] = 0.5,
    init: Annotated[Path | None, typer.Option(help="Checkpoint to start from.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train a model on a prepared store; the best epoch by validation mean AUC is kept."""
    need_train()
    from ichlite.commands.console import print_json, progress, say
    from ichlite.data.feed import split_rows
    from ichlite.data.store import Store
    from ichlite.evaluate.metrics import validation_auc
    from ichlite.train.fit import fit
    from ichlite.train.recipe import Recipe

    recipe = Recipe(
        model=model,
        loss=loss,
        epochs=epochs,
        batch_size=batch_size,
        learning_rate=learning_rate,
        dropout=dropout,
        seed=seed,
        schedule=schedule,  # type: ignore[arg-type]  # Recipe checks it
        warmup_steps=warmup_steps,
        steps_per_epoch=steps_per_epoch,
        augment=augment,
        crop_steps=crop_steps,
        crop_size=crop_size,
        bn_momentum=bn_momentum,
        clipnorm=clipnorm,
        ema_momentum=ema_momentum,
        gamma=gamma,
        max_margin=max_margin,
    )
    opened = Store.open(store, verify=True)
    images = len(split_rows(opened, "train"))

    def show(row: Row) -> None:
        auc = row["validation_mean_roc_auc"]
        say(
            f"epoch {row['epoch']} ({row['phase']}): loss {row['loss']:.4f}, validation mean AUC "
            f"{'undefined' if auc is None else f'{auc:.4f}'}, {row['images_per_s']:.1f} images/s"
        )

    with progress("training", total=recipe.total_steps(images)) as advance:
        run = fit(
            recipe,
            opened,
            out,
            score=validation_auc,
            store_name=store.name,
            init=init,
            on_step=lambda _: advance(1),
            on_epoch=show,
        )
    if run.resumed_at:
        say(f"resumed at step {run.resumed_at} of {run.steps}")
    if as_json:
        print_json(
            {
                "run": str(run.folder),
                "model": str(run.folder / "best.keras"),
                "steps": run.steps,
                "resumed_at": run.resumed_at,
                "validation_mean_roc_auc": run.best,
            }
        )
    else:
        say(f"best model: {run.folder / 'best.keras'}")
