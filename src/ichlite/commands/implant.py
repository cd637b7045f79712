"""`ichlite implant`: put bleeds into the scans without blood of a prepared store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.options import AsJson, Balance, Processes, Seed, option
from ichlite.commands.phantom import pace
from ichlite.train.recipe import DATA

EPILOG = "Example: ichlite implant store implants --scans 200 --seed 1 --processes 2"


def implant(
    store: Annotated[
        Path, typer.Argument(help="Prepared store; its scans without blood are used.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to make, for the store of implants.")],
    scans: Annotated[int, option(DATA, help="Number of scans with blood to make.")] = 50,
    seed: Seed = 0,
    split: Annotated[
        str, option(DATA, help="Split whose scans are taken: train, validation, test or all.")
    ] = "all",
    balance: Balance = "training",
    processes: Processes = 1,
    as_json: AsJson = False,
) -> None:
    """Put the bleeds of phantoms into real scans without blood; patients and splits stay."""
    from ichlite.atomic_files import check_place
    from ichlite.commands.console import print_json, progress, require, say

    check_place(store, out)
    require("train", "nilearn", "scipy")
    from dataclasses import asdict
    from time import monotonic

    from ichlite.phantom.implant_store import ImplantOrder, write_implants

    start_s = monotonic()
    order = ImplantOrder(source=store, scans=scans, seed=seed, split=split, balance=balance)
    with progress("implants", total=scans) as advance:
        made, left_out = write_implants(
            out, order, processes=processes, progress=lambda *_: advance(1)
        )
    seconds = monotonic() - start_s
    for one in left_out:
        say(f"left out: series {one.series}: {one.reason}")
    if as_json:
        asked = {"out": str(out), "scans": scans, "seed": seed, "split": split, "balance": balance}
        dropped = {one.series: one.reason for one in left_out}
        print_json({**asked, **asdict(made), "left_out": dropped, **pace(made, seconds)})
    else:
        line = f"{made.images} slices of {scans} scans in the heads of {made.patients} patients"
        say(f"{line} in {out}, {seconds:.0f} s")
