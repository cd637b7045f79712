"""Assemble the `ichlite` application: one Typer app with all commands.

Commands import what they need in their bodies, so that `--help` is quick.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Annotated

import typer

from ichlite import __version__
from ichlite.allocator import keep_memory
from ichlite.commands import (
    bench,
    compress,
    demo,
    evaluate,
    implant,
    info,
    models,
    node,
    pareto,
    phantom,
    prepare,
    read,
    reproduce,
    score,
    train,
    tune,
)
from ichlite.commands.help_panels import PanelCommand

SUMMARY = (
    "Triage head CT for intracranial haemorrhage, and make the models that do it. "
    "Example: ichlite read STUDY_FOLDER"
)
EPILOG = "Research use only. Not a medical device."

app = typer.Typer(
    name="ichlite",
    help=SUMMARY,
    epilog=EPILOG,
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(wanted: bool) -> None:
    if wanted:
        sys.stdout.write(f"ichlite {__version__}\n")
        raise typer.Exit


@app.callback()
def ichlite(
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Do what every command needs before its work."""
    keep_memory()  # before numpy, LiteRT or TensorFlow start threads


_COMMANDS: tuple[tuple[Callable[..., None], str, str], ...] = (
    (demo.demo, demo.EPILOG, "Read the sample studies and write a report."),
    (read.read, read.EPILOG, "Read head CT studies: files or folders."),
    (info.info, info.EPILOG, "Show what the bundle is and how it decides."),
    (bench.bench, bench.EPILOG, "Measure the speed of inference and of reading."),
    (phantom.phantom, phantom.EPILOG, "Make synthetic head CT with bleeds."),
    (implant.implant, implant.EPILOG, "Put bleeds into real scans without blood."),
    (prepare.prepare, prepare.EPILOG, "Read a data set into a prepared store."),
    (train.train, train.EPILOG, "Train a model on a prepared store."),
    (tune.tune, tune.EPILOG, "Search for better hyperparameters."),
    (evaluate.evaluate, evaluate.EPILOG, "Measure a model on labelled images."),
    (compress.compress, compress.EPILOG, "Turn a trained model into a bundle."),
    (pareto.pareto, pareto.EPILOG, "Compare bundles and pick one."),
    (score.score, score.EPILOG, "Read an archive of studies into Parquet."),
    (reproduce.reproduce, reproduce.EPILOG, "Compare the paper with new measurements."),
    (models.models, models.EPILOG, "List the architectures and their costs."),
)
"""Every command with its example and its line in `ichlite --help`: first use a model, then make."""

for _command, _epilog, _line in _COMMANDS:
    app.command(_command.__name__, cls=PanelCommand, epilog=_epilog, short_help=_line)(_command)
app.add_typer(node.node, name="node", short_help="Run a box that reads what the scanner sends.")
