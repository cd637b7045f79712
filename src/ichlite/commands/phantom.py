"""`ichlite phantom`: make synthetic head CT, as a prepared store or as DICOM studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ichlite.commands.options import AsJson, Balance, Processes, Seed, option
from ichlite.train.recipe import DATA, OUTPUT

if TYPE_CHECKING:
    from ichlite.phantom.generate import Made

EPILOG = "Example: ichlite phantom phantoms --subjects 200 --seed 1 --processes 2"


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make, for the store or the studies.")],
    subjects: Annotated[
        int, option(DATA, help="Number of patients to make, with 12 to 64 slices each.")
    ] = 20,
    seed: Seed = 0,
    processes: Processes = 1,
    balance: Balance = "paper",
    form: Annotated[
        str,
        option(
            OUTPUT,
            "--format",
            help="Form of the output: store (for training) or dicom (studies and labels.csv).",
        ),
    ] = "store",
    grid: Annotated[
        int | None,
        option(
            OUTPUT,
            help="Rows and columns of the DICOM images, 32 to 1024; only with --format dicom.  "
            "[default: 512]",
        ),
    ] = None,
    compress: Annotated[
        bool,
        option(
            OUTPUT,
            "--compress",
            help="Compress the images of --format dicom by lossless JPEG 2000.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make synthetic head CT with the five bleeds: a prepared store, or whole DICOM studies."""
    from ichlite.commands.console import print_json, progress, require, say
    from ichlite.errors import UsageError, check_name

    check_name("format", form, ["dicom", "store"])
    if form == "store" and (compress or grid is not None):
        raise UsageError(
            f"{'--compress' if compress else '--grid'} does nothing for a store",
            expected="--format dicom with it",
        )
    require("train", "nilearn", "scipy")
    from dataclasses import asdict
    from functools import partial
    from time import monotonic

    from ichlite.phantom.generate import Order, write_store
    from ichlite.phantom.studies import write_studies

    start_s = monotonic()
    size = 256 if form == "store" else 512 if grid is None else grid
    order = Order(subjects=subjects, seed=seed, balance=balance, grid=size)
    write = write_store if form == "store" else partial(write_studies, compress=compress)
    with progress("phantoms", total=subjects) as advance:
        made = write(out, order, processes=processes, progress=lambda *_: advance(1))
    seconds = monotonic() - start_s
    if as_json:
        asked = {"out": str(out), "format": form, "seed": seed, "balance": balance}
        print_json({**asked, **asdict(made), **pace(made, seconds)})
    else:
        say(f"{made.images} slices of {made.patients} phantoms in {out}, {seconds:.0f} s")


def pace(made: Made, seconds: float) -> dict[str, float]:
    """Return how long the making took, as JSON-able items."""
    return {"seconds": round(seconds, 2), "slices_per_s": round(made.images / seconds, 2)}
