"""`ichlite phantom`: make synthetic head CT, as a prepared store or as DICOM studies."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: ichlite phantom phantoms --subjects 200 --seed 1 --processes 2"


def phantom(
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    subjects: Annotated[int, typer.Option(help="Patients; about 38 slices each.")] = 20,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    processes: Annotated[int, typer.Option(help="Worker processes; changes no byte.")] = 1,
    balance: Annotated[
        str, typer.Option(help="paper (Table 1) or training (3 slices in 10 bleed).")
    ] = "paper",
    form: Annotated[str, typer.Option("--format", help="store or dicom.")] = "store",
    grid: Annotated[int, typer.Option(help="Matrix of DICOM images.")] = 512,
    compress: Annotated[
        bool, typer.Option("--compress", help="DICOM in lossless JPEG 2000.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make synthetic head CT with the five bleeds: a prepared store, or whole DICOM studies."""
    from ichlite.commands.console import print_json, progress, require, say
    from ichlite.errors import UnknownName

    if form not in ("store", "dicom"):
        raise UnknownName("format", form, ["dicom", "store"])
    require("train", "nilearn", "scipy")
    from time import monotonic

    from ichlite.phantom.generate import Order, write_store
    from ichlite.phantom.studies import write_studies

    start_s = monotonic()
    size = 256 if form == "store" else grid
    order = Order(subjects=subjects, seed=seed, balance=balance, grid=size)
    with progress("phantoms", total=subjects) as advance:

        def tick(_done: int, _total: int) -> None:
            advance(1)

        if form == "store":
            made = write_store(out, order, processes=processes, progress=tick)
        else:
            made = write_studies(out, order, processes=processes, compress=compress, progress=tick)
    seconds = monotonic() - start_s
    document = {
        "out": str(out),
        "format": form,
        "seed": seed,
        "balance": balance,
        **made.as_json(),
        "seconds": round(seconds, 2),
        "slices_per_s": round(made.images / seconds, 2),
    }
    if as_json:
        print_json(document)
    else:
        say(f"{made.images} slices of {made.patients} phantoms in {out}, {seconds:.0f} s")
