"""`ichlite phantom`: make synthetic head CT, as a prepared store or as DICOM studies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ichlite.phantom.generate import Made

EPILOG = "Example: ichlite phantom phantoms --subjects 200 --seed 1 --processes 2"

DATA, HARDWARE, OUTPUT = "Data", "Hardware", "Output"

Seed = Annotated[
    int, typer.Option(help="Random seed; the same one gives the same images.", rich_help_panel=DATA)
]
Processes = Annotated[
    int,
    typer.Option(
        help="Worker processes; the images do not depend on them.", rich_help_panel=HARDWARE
    ),
]
AsJson = Annotated[
    bool, typer.Option("--json", help="One JSON document on stdout.", rich_help_panel=OUTPUT)
]


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make, for the store or the studies.")],
    subjects: Annotated[
        int,
        typer.Option(help="Patients to make, about 38 slices each.", rich_help_panel=DATA),
    ] = 20,
    seed: Seed = 0,
    processes: Processes = 1,
    balance: Annotated[
        str,
        typer.Option(
            help="Mix of bleeds: paper (as in Table 1) or training (on 3 slices in 10).",
            rich_help_panel=DATA,
        ),
    ] = "paper",
    form: Annotated[
        str,
        typer.Option(
            "--format",
            help="Form of the output: store (for training) or dicom (studies and labels.csv).",
            rich_help_panel=OUTPUT,
        ),
    ] = "store",
    grid: Annotated[
        int,
        typer.Option(
            help="Rows and columns of DICOM images; a store has 256.", rich_help_panel=OUTPUT
        ),
    ] = 512,
    compress: Annotated[
        bool,
        typer.Option(
            "--compress", help="Lossless JPEG 2000 in DICOM images.", rich_help_panel=OUTPUT
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make synthetic head CT with the five bleeds: a prepared store, or whole DICOM studies."""
    from ichlite.commands.console import print_json, progress, require, say
    from ichlite.errors import UnknownName

    if form not in ("store", "dicom"):
        raise UnknownName("format", form, ["dicom", "store"])
    require("train", "nilearn", "scipy")
    from functools import partial
    from time import monotonic

    from ichlite.phantom.generate import Order, write_store
    from ichlite.phantom.studies import write_studies

    start_s = monotonic()
    size = 256 if form == "store" else grid
    order = Order(subjects=subjects, seed=seed, balance=balance, grid=size)
    write = write_store if form == "store" else partial(write_studies, compress=compress)
    with progress("phantoms", total=subjects) as advance:
        made = write(out, order, processes=processes, progress=lambda *_: advance(1))
    seconds = monotonic() - start_s
    if as_json:
        asked = {"out": str(out), "format": form, "seed": seed, "balance": balance}
        print_json({**asked, **made.as_json(), **pace(made, seconds)})
    else:
        say(f"{made.images} slices of {made.patients} phantoms in {out}, {seconds:.0f} s")


def pace(made: Made, seconds: float) -> dict[str, float]:
    """Return how long the making took, as JSON-able items."""
    return {"seconds": round(seconds, 2), "slices_per_s": round(made.images / seconds, 2)}
