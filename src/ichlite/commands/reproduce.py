"""`ichlite reproduce`: a prepared store in; the paper's tables, figures and claims out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.needs import need_train
from ichlite.commands.recipe_options import (
    Augment,
    BatchSize,
    Beta,
    BnMomentum,
    Clipnorm,
    CropSize,
    CropSteps,
    DeferShare,
    DeviceWindows,
    Dropout,
    EmaMomentum,
    Gamma,
    LearningRate,
    MaxMargin,
    Precision,
    Schedule,
    StepsPerEpoch,
    WarmupSteps,
    recipe_from,
)

if TYPE_CHECKING:
    from ichlite.reproduce.plan import PlannedRun
    from ichlite.train.logs import Row

EPILOG = "Example: ichlite reproduce phantoms paper --seeds 3 --clipnorm 1"


def reproduce(
    store: Annotated[Path, typer.Argument(help="Prepared store.")],
    out: Annotated[Path, typer.Argument(help="Folder; the same command again goes on.")],
    seeds: Annotated[int, typer.Option(help="Training runs of each kind.")] = 3,
    seed: Annotated[int, typer.Option(help="The first; the others follow it.")] = 1,
    models: Annotated[
        str, typer.Option(help="Of Tables 2 to 4, with commas.")
    ] = "mobilenet_v2,sfcn,sfcn_depthwise,light_fcn",
    losses: Annotated[str, typer.Option(help="Of Table 5, with commas.")] = "bce,focal,ldam",
    epochs_models: Annotated[int, typer.Option(help="Of the models' runs.")] = 5,
    epochs_losses: Annotated[int, typer.Option(help="Of the losses' runs.")] = 6,
    no_train: Annotated[
        bool, typer.Option("--no-train", help="Report on finished runs alone.")
    ] = False,
    bootstrap: Annotated[int, typer.Option(help="Draws of patients; 0: no intervals.")] = 1000,
    batch_size: BatchSize = 64,
    learning_rate: LearningRate = 0.01,
    dropout: Dropout = 0.1,
    schedule: Schedule = "constant",
    warmup_steps: WarmupSteps = 0,
    steps_per_epoch: StepsPerEpoch = None,
    augment: Augment = False,
    crop_steps: CropSteps = 0,
    crop_size: CropSize = 128,
    bn_momentum: BnMomentum = 0.99,
    clipnorm: Clipnorm = None,
    ema_momentum: EmaMomentum = None,
    gamma: Gamma = 2.0,
    max_margin: MaxMargin = 0.5,
    beta: Beta = 0.9999,
    defer_share: DeferShare = 0.8,
    device_windows: DeviceWindows = False,
    precision: Precision = "float32",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Train what is missing, measure, and set the paper's tables beside the published numbers."""
    given = locals()
    need_train()
    from ichlite.commands.console import print_json, progress, say
    from ichlite.data.store import Store
    from ichlite.errors import UsageError
    from ichlite.reproduce.campaign import check_out, check_runs, steps_to_do, train_runs
    from ichlite.reproduce.document import FIGURES_FOLDER, verdict_counts, write_report
    from ichlite.reproduce.measure import measure_all
    from ichlite.reproduce.plan import paper_grid
    from ichlite.reproduce.report import command_of, make_report

    for option, count, least in (("--seeds", seeds, 1), ("--bootstrap", bootstrap, 0)):
        if count < least:
            raise UsageError(option, found=count, expected=f"at least {least}")
    base = recipe_from(given)
    grid = paper_grid(
        base,
        models=_names(models),
        losses=_names(losses),
        seeds=range(seed, seed + seeds),
        model_epochs=epochs_models,
        loss_epochs=epochs_losses,
    )
    opened = Store.open(store)
    check_out(out)
    check_runs(grid.runs, opened, out, store.name, train=not no_train)

    def show(run: PlannedRun, row: Row) -> None:
        auc = row["validation_mean_roc_auc"]
        shown = "undefined" if auc is None else f"{auc:.4f}"
        say(f"{run.name}, epoch {row['epoch']}: loss {row['loss']:.4f}, validation AUC {shown}")

    steps = 0 if no_train else steps_to_do(grid.runs, opened, out)
    with progress("training", total=steps) as advance:
        outcomes = train_runs(
            grid.runs,
            opened,
            out,
            store_name=store.name,
            train=not no_train,
            on_run=lambda run: say(f"training {run.name}"),
            on_step=lambda: advance(1),
            on_epoch=show,
        )
    out.mkdir(parents=True, exist_ok=True)
    with progress("measuring", total=len(outcomes) + 1) as advance:
        summary, costs = measure_all(
            outcomes, grid, opened, out, draws=bootstrap, on_done=lambda: advance(1)
        )
    report = make_report(
        outcomes,
        summary,
        costs,
        opened,
        out / FIGURES_FOLDER,
        command=command_of(store.name, base, grid, draws=bootstrap),
        draws=bootstrap,
    )
    files = write_report(report, out)
    say(f"{verdict_counts(report.claims)}; {out / 'report.html'}")
    if as_json:
        print_json(
            {
                "out": str(out),
                "warning": report.warning,
                "runs": [
                    {"run": one.run.name, "state": one.state, "reason": one.reason or None}
                    for one in outcomes
                ],
                "claims": [
                    {"claim": c.key, "verdict": c.verdict, "evidence": list(c.evidence)}
                    for c in report.claims
                ],
                "files": [str(path) for path in files],
            }
        )
    failed = [one for one in outcomes if one.state == "failed"]
    for one in failed:
        say(f"{one.run.name} failed: {one.reason}")
    if failed:
        raise typer.Exit(1)


def _names(words: str) -> list[str]:
    """`a,b` → its names.

    Example:
        >>> _names("bce, ldam,")
        ['bce', 'ldam']
    """
    return [word.strip() for word in words.split(",") if word.strip()]
