"""`ichlite reproduce`: the paper's tables, figures and claims on prepared stores."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.needs import need_train
from ichlite.commands.options import AsJson, Devices, FoldSeed, Stores, option, with_records
from ichlite.train.recipe import DATA, OPTIMISATION, OUTPUT, WIDTHS, Recipe

EPILOG = "Example: ichlite reproduce ct-ich paper --folds 5 --seeds 2 --stop-after 60"


CAMPAIGN = "Runs of the paper"
OF_A_RUN = ("model", "loss", "epochs", "seed", "keep", *WIDTHS, "expansions")
"""What differs between the paper's runs, or is another option of this command."""


@with_records(recipe=OF_A_RUN)
def reproduce(
    stores: Stores,
    out: Annotated[
        Path,
        typer.Argument(help="Folder to make for runs and report; the same command again goes on."),
    ],
    *,
    seeds: Annotated[
        int, option(CAMPAIGN, help="Runs of each model and loss, which differ in their seed.")
    ] = 3,
    seed: Annotated[int, option(CAMPAIGN, help="First seed; the others follow it.")] = 1,
    seeds_of: Annotated[
        list[str] | None,
        option(
            CAMPAIGN,
            metavar="MODEL=COUNT",
            help="Fewer runs of one model, such as sfcn=2 (repeat for more).",
        ),
    ] = None,
    models: Annotated[
        str,
        option(
            CAMPAIGN,
            metavar="NAMES",
            help="Models to compare, as in Tables 2 to 4, separated by commas.",
        ),
    ] = "mobilenet_v2,sfcn,sfcn_depthwise,light_fcn",
    losses: Annotated[
        str,
        option(
            CAMPAIGN,
            metavar="NAMES",
            help="Losses to compare, as in Table 5, separated by commas.",
        ),
    ] = "bce,focal,ldam",
    epochs_models: Annotated[
        int, option(CAMPAIGN, help="Epochs of the runs that compare models.")
    ] = 5,
    epochs_losses: Annotated[
        int, option(CAMPAIGN, help="Epochs of the runs that compare losses.")
    ] = 6,
    no_train: Annotated[
        bool,
        option(CAMPAIGN, "--no-train", help="Train nothing; report on the runs that are finished."),
    ] = False,
    stop_after: Annotated[
        float | None,
        option(
            CAMPAIGN,
            metavar="MINUTES",
            help="Begin no run after this many minutes, and report on what is done by then.",
        ),
    ] = None,
    recipe: Recipe,
    folds: Annotated[
        int,
        option(
            DATA,
            help="Number of folds of patients to test on in turn; 0 for the store's test split.",
        ),
    ] = 0,
    fold_seed: FoldSeed = 0,
    init: Annotated[
        list[str] | None,
        option(
            OPTIMISATION,
            metavar="MODEL=FILE",
            help="Model file whose weights the runs of a model start from (repeat for more).",
        ),
    ] = None,
    beside: Annotated[
        list[Path] | None,
        option(
            OUTPUT,
            metavar="FOLDER",
            help="Folder of another reproduction, to show its verdicts beside (repeat for more).",
        ),
    ] = None,
    rsna_tables: Annotated[
        Path | None,
        option(
            OUTPUT,
            metavar="FOLDER",
            help="Folder with RSNA 2019's tables of studies, to count beside the paper's.",
        ),
    ] = None,
    bootstrap: Annotated[
        int,
        option(
            OUTPUT,
            help="Bootstrap resamples of the patients for 95 % intervals; 0 for no intervals.",
        ),
    ] = 1000,
    keep: Annotated[
        str | None,
        option(
            OUTPUT,
            help="Epoch of each run that is judged: best (by validation) or last.  [default: best; "
            "with --folds, last]",
        ),
    ] = None,
    devices: Devices = None,
    as_json: AsJson = False,
) -> None:
    """Train what is missing, measure, and set the paper's tables beside the published numbers."""
    need_train()
    from ichlite.commands.console import interrupts_told, print_json, progress, say
    from ichlite.data.join import Fold, open_stores
    from ichlite.errors import UsageError
    from ichlite.reproduce.campaign import (
        NO_TIME,
        Data,
        check_out,
        check_runs,
        steps_to_do,
        train_runs,
    )
    from ichlite.reproduce.campaign_facts import command_of
    from ichlite.reproduce.campaign_plan import paper_grid
    from ichlite.reproduce.campaign_report import (
        FIGURES_FOLDER,
        judge_results,
        make_report,
        write_report,
    )
    from ichlite.reproduce.campaign_summary import measure_all
    from ichlite.train.draw import check_shares
    from ichlite.train.logs import epoch_line

    for word, count, least in (
        ("--seeds", seeds, 1),
        ("--bootstrap", bootstrap, 0),
        ("--stop-after", stop_after or 0, 0),
    ):
        if count < least:
            raise UsageError(f"{word} is out of range", found=count, expected=f"at least {least}")
    check_out(out)
    of_models = {model: _count(model, text) for model, text in _pairs("--seeds-of", seeds_of)}
    inits = {model: Path(text) for model, text in _pairs("--init", init)}
    for path in inits.values():
        if not path.is_file():
            raise UsageError(
                "--init names no file", found=path, expected="MODEL=FILE, a .keras file"
            )
    if folds < 0 or folds == 1:
        raise UsageError("--folds is out of range", found=folds, expected="0, or at least 2")
    check_shares(recipe.shares, len(stores))
    base = replace(recipe, seed=seed, keep=keep or ("last" if folds else "best"))
    left_out = tuple(Fold(number, folds, fold_seed) for number in range(1, folds + 1))
    data = Data(open_stores(stores), " ".join(store.name for store in stores), inits, left_out)
    grid = paper_grid(
        base,
        models=_names(models),
        losses=_names(losses),
        seeds=range(seed, seed + seeds),
        folds=data.folds,
        seeds_of=of_models,
        model_epochs=epochs_models,
        loss_epochs=epochs_losses,
    )
    check_runs(grid.runs, data, out, train=not no_train)
    for folder in beside or []:
        judge_results(folder, draws=0)  # refused now, not after hours of training

    steps = 0 if no_train else steps_to_do(grid.runs, data, out)
    with interrupts_told(), progress("training", total=steps) as advance:
        outcomes = train_runs(
            grid.runs,
            data,
            out,
            train=not no_train,
            stop_after_s=None if stop_after is None else stop_after * 60,
            device_count=devices,
            on_run=lambda run: say(f"training {run.name}"),
            on_step=lambda: advance(1),
            on_epoch=lambda run, row: say(f"{run.name}, {epoch_line(row)}"),
        )
    out.mkdir(parents=True, exist_ok=True)
    with progress("measuring", total=1) as advance:
        measured = measure_all(
            outcomes, grid, data.store, out, draws=bootstrap, rsna_tables=rsna_tables
        )
        advance(1)
    report = make_report(
        outcomes,
        measured,
        data,
        out / FIGURES_FOLDER,
        command=command_of(data, base, grid, draws=bootstrap, seeds_of=of_models),
        draws=bootstrap,
        beside=[
            judge_results(folder, draws=bootstrap, rsna=measured.rsna) for folder in beside or []
        ],
    )
    files = write_report(report, out)
    claims = report.judged.claims
    waiting = sum(one.reason == NO_TIME for one in outcomes)
    say(f"{report.judged.counts_words}; {out / 'report.html'}")
    if waiting:
        say(f"{waiting} runs are still to do; the same command again goes on")
    if as_json:
        print_json(
            {
                "out": str(out),
                "warning": report.warning,
                "folds": folds,
                "runs": [
                    {"run": one.run.name, "state": one.state, "reason": one.reason or None}
                    for one in outcomes
                ],
                "claims": [
                    {
                        "claim": claim.key,
                        "verdict": claim.verdict,
                        "patients": claim.patients,
                        "evidence": list(claim.evidence),
                        "beside": {one.name: one.claims[i].verdict for one in report.beside},
                    }
                    for i, claim in enumerate(claims)
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
    """Return the names in a text such as `a,b`.

    Example:
        >>> _names("bce, ldam,")
        ['bce', 'ldam']
    """
    return [word.strip() for word in words.split(",") if word.strip()]


def _pairs(word: str, given: list[str] | None) -> list[tuple[str, str]]:
    """Split what was given as MODEL=VALUE.

    Raises:
        UsageError: It is not of that form, or names no model.
    """
    from ichlite.errors import UsageError, check_name
    from ichlite.models import MODELS

    found = []
    for text in given or []:
        model, mark, value = text.partition("=")
        if not (mark and value):
            raise UsageError(
                f"{word} cannot be read", found=text, expected="MODEL=VALUE, such as light_fcn=…"
            )
        check_name("model", model, MODELS)
        found.append((model, value))
    return found


def _count(model: str, text: str) -> int:
    from ichlite.errors import UsageError

    if not text.isdecimal() or int(text) < 1:
        raise UsageError(
            f"--seeds-of {model} is no count", found=text, expected="a number of at least 1"
        )
    return int(text)
