"""`ichlite tune`: search hyperparameters by Hyperband on a prepared store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichlite.commands.console import require
from ichlite.commands.needs import TRAIN_PACKAGES, need_train
from ichlite.commands.recipe_options import (
    Augment,
    Beta,
    BnMomentum,
    Clipnorm,
    CropSize,
    CropSteps,
    DeviceWindows,
    EmaMomentum,
    Expansion,
    Gamma,
    HeadWidth,
    LeaveOut,
    Loss,
    MaxMargin,
    Model,
    Precision,
    StepsPerEpoch,
    Width,
    recipe_from,
)

if TYPE_CHECKING:
    from ichlite.train.space import Plan

EPILOG = (
    "Example: ichlite tune phantoms runs/tuned --max-epochs 9 --workers 2. With "
    "KERASTUNER_TUNER_ID (chief, or a name each), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT "
    "set, the same command is the chief or a worker of one search on several machines."
)


def tune(
    store: Annotated[Path, typer.Argument(help="Prepared store to train on.")],
    out: Annotated[Path, typer.Argument(help="Folder; the same command again goes on.")],
    max_epochs: Annotated[int, typer.Option(help="Of the longest trials.")] = 9,
    factor: Annotated[int, typer.Option(help="One in so many trials goes on.")] = 3,
    hyperband_iterations: Annotated[int, typer.Option(help="Times the whole search.")] = 1,
    max_trials: Annotated[int | None, typer.Option(min=1, help="Begin no more trials.")] = None,
    workers: Annotated[int, typer.Option(min=0, help="Processes here; 0: this one.")] = 0,
    other_seeds: Annotated[
        int, typer.Option(min=0, help="Further seeds to compare best and defaults with.")
    ] = 0,
    batch_size: Annotated[
        list[int] | None, typer.Option(help="To choose from (repeat); default 16 32 64 128.")
    ] = None,
    learning_rate: Annotated[
        tuple[float, float], typer.Option(metavar="LOW HIGH", help="By its logarithm.")
    ] = (1e-4, 3e-2),
    dropout: Annotated[
        tuple[float, float], typer.Option(metavar="LOW HIGH", help="Before the last layer.")
    ] = (0.0, 0.5),
    widths: Annotated[bool, typer.Option(help="LightFCN's widths, too.")] = False,
    model: Model = "light_fcn",
    loss: Loss = "bce",
    seed: Annotated[int, typer.Option(help="Of the search and of every trial.")] = 0,
    steps_per_epoch: StepsPerEpoch = None,
    leave_out: LeaveOut = None,
    augment: Augment = False,
    crop_steps: CropSteps = 0,
    crop_size: CropSize = 128,
    bn_momentum: BnMomentum = 0.99,
    clipnorm: Clipnorm = None,
    ema_momentum: EmaMomentum = None,
    gamma: Gamma = 2.0,
    max_margin: MaxMargin = 0.5,
    beta: Beta = 0.9999,
    device_windows: DeviceWindows = False,
    precision: Precision = "float32",
    width: Width = None,
    expansion: Expansion = None,
    head_width: HeadWidth = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Search batch size, learning rate and dropout by Hyperband; compare with the defaults."""
    given = locals()
    require("train", *TRAIN_PACKAGES, "keras_tuner", "grpc")
    from ichlite.commands.console import print_json, say
    from ichlite.train.space import Plan, Space

    recipe = recipe_from(given, but=("batch_size", "learning_rate", "dropout"))
    sizes = Space().batch_sizes if batch_size is None else tuple(batch_size)
    space = Space(sizes, learning_rate, dropout, widths)
    plan = Plan(recipe, space, max_epochs, factor, hyperband_iterations)
    document = _run(plan, store, out, max_trials, workers, other_seeds)
    if document is None:
        say("this worker is done; its chief writes the result")
        return
    if as_json:
        print_json({"folder": str(out), **document})
        return
    best = document["best"]
    say(document["verdict"])
    say(f"to train with the best: {best['command']}")


def _run(
    plan: Plan, store: Path, out: Path, max_trials: int | None, workers: int, other_seeds: int
) -> dict[str, Any] | None:
    import os
    import sys

    from ichlite.commands.console import progress, say
    from ichlite.infer.reader import usable_cores
    from ichlite.train.tuner_processes import LEASH, end_with_parent, read_best, role, run_team

    trials, epochs = plan.size()
    if role() != "worker" and LEASH not in os.environ:
        budget = "" if max_trials is None else f", no more than {max_trials} of them"
        say(f"Hyperband: {trials} trials of {epochs} epochs in all{budget}")
    if workers and role() == "alone":
        run_team(sys.argv[1:], workers, cores=usable_cores(), say=say)
        return read_best(out)
    need_train()
    from ichlite.data.feed import split_rows
    from ichlite.data.store import Store
    from ichlite.errors import UnknownName
    from ichlite.evaluate.metrics import validation_auc
    from ichlite.models import MODELS
    from ichlite.train.losses import LOSSES
    from ichlite.train.tuning import tune

    for kind, name, known in (
        ("model", plan.recipe.model, MODELS),
        ("loss", plan.recipe.loss, LOSSES),
    ):
        if name not in known:
            raise UnknownName(kind, name, list(known))
    opened = Store.open(store)
    split_rows(opened, "train")
    split_rows(opened, "validation")
    end_with_parent()
    with progress("training steps") as advance:
        return tune(
            plan,
            opened,
            out,
            score=validation_auc,
            store_name=store.name,
            max_trials=max_trials,
            other_seeds=other_seeds,
            on_step=lambda _: advance(1),
            on_trial=lambda row: say(_line(row)),
            say=say,
        )


def _line(row: dict[str, Any]) -> str:
    auc = row["validation_mean_roc_auc"]
    result = row["note"] or f"validation mean AUC {'undefined' if auc is None else f'{auc:.4f}'}"
    return (
        f"trial {row['trial']} (bracket {row['bracket']}, round {row['round']}): batch "
        f"{row['batch_size']}, learning rate {row['learning_rate']:g}, dropout {row['dropout']:g}, "
        f"{row['epochs']} epochs: {result}"
    )
