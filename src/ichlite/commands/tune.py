"""`ichlite tune`: search hyperparameters by Hyperband on a prepared store."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichlite.commands.console import require
from ichlite.commands.needs import TRAIN_PACKAGES, need_train
from ichlite.commands.options import AsJson, option, with_records
from ichlite.train.recipe import HARDWARE, TUNED, Recipe
from ichlite.train.space import SEARCH, Plan, Space

if TYPE_CHECKING:
    from ichlite.train.trials import Trial

OF_A_SEARCH = ("keep", "epochs", "schedule", "warmup_steps", "defer_share", "shares", "expansions")
"""What a search sets itself: it has one store, and trials that go on to more epochs."""

EPILOG = (
    "Example: ichlite tune phantoms runs/tuned --max-epochs 9 --workers 2. With "
    "KERASTUNER_TUNER_ID (chief, or a name each), KERASTUNER_ORACLE_IP and KERASTUNER_ORACLE_PORT "
    "set, the same command is the chief or a worker of one search on several machines."
)


@with_records(recipe=(*TUNED, *OF_A_SEARCH))
def tune(
    store: Annotated[Path, typer.Argument(help="Prepared store to train on.")],
    out: Annotated[
        Path,
        typer.Argument(
            help="Folder to make for the search; the same command again goes on with it."
        ),
    ],
    *,
    max_epochs: Annotated[int, option(SEARCH, help="Most epochs that any trial trains for.")] = 9,
    factor: Annotated[
        int,
        option(
            SEARCH,
            help="Hyperband's reduction factor N: after each round the best 1/N of the trials "
            "continue, with N times as many epochs. At least 2.",
        ),
    ] = 3,
    hyperband_iterations: Annotated[
        int, option(SEARCH, help="Times that Hyperband is run through, each with new trials.")
    ] = 1,
    max_trials: Annotated[
        int | None,
        option(
            SEARCH,
            min=1,
            help="Stop after this many trials; all that Hyperband plans, if not given.",
        ),
    ] = None,
    other_seeds: Annotated[
        int,
        option(
            SEARCH,
            min=0,
            help="Number of further seeds with which the best recipe and the defaults are trained, "
            "to compare them.",
        ),
    ] = 0,
    space: Space,
    recipe: Recipe,
    workers: Annotated[
        int,
        option(
            HARDWARE,
            min=0,
            help="Processes of this machine that train trials side by side; 0 for this one alone.",
        ),
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Search batch size, learning rate and dropout by Hyperband; compare with the defaults."""
    require("train", *TRAIN_PACKAGES, "keras_tuner", "grpc")
    from ichlite.atomic_files import check_folder
    from ichlite.commands.console import print_json, say

    check_folder(out)
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
            store_name=store.name,
            max_trials=max_trials,
            other_seeds=other_seeds,
            on_step=lambda _: advance(1),
            on_trial=lambda one: say(_line(one)),
            say=say,
        )


def _line(one: Trial) -> str:
    auc = one.validation_mean_roc_auc
    result = one.note or f"validation mean AUC {'undefined' if auc is None else f'{auc:.4f}'}"
    return (
        f"trial {one.trial} (bracket {one.bracket}, round {one.round}): batch {one.batch_size}, "
        f"learning rate {one.learning_rate:g}, dropout {one.dropout:g}, {one.epochs} epochs: "
        f"{result}"
    )
