"""`ichlite implant`: put bleeds into the scans without blood of a prepared store."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: ichlite implant store implants --scans 200 --seed 1 --processes 2"


def implant(
    store: Annotated[
        Path, typer.Argument(help="Prepared store; its scans without blood are used.")
    ],
    out: Annotated[Path, typer.Argument(help="Folder to make.")],
    scans: Annotated[int, typer.Option(help="Scans with blood to make.")] = 50,
    seed: Annotated[int, typer.Option(help="Same seed, same bytes.")] = 0,
    split: Annotated[
        str, typer.Option(help="Whose heads: train, validation, test or all.")
    ] = "all",
    balance: Annotated[
        str, typer.Option(help="Which bleeds: paper (Table 1) or training.")
    ] = "training",
    processes: Annotated[int, typer.Option(help="Worker processes; changes no byte.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Put the bleeds of phantoms into real scans without blood; patients and splits stay."""
    from ichlite.commands.console import print_json, progress, require, say

    require("train", "nilearn", "scipy")
    from time import monotonic

    from ichlite.phantom.implant_store import ImplantOrder, write_implants

    start_s = monotonic()
    order = ImplantOrder(source=store, scans=scans, seed=seed, split=split, balance=balance)
    with progress("implants", total=scans) as advance:

        def tick(_done: int, _total: int) -> None:
            advance(1)

        made, left_out = write_implants(out, order, processes=processes, progress=tick)
    seconds = monotonic() - start_s
    for one in left_out:
        say(f"left out: series {one.series}: {one.reason}")
    document = {
        "out": str(out),
        "scans": scans,
        "seed": seed,
        "split": split,
        "balance": balance,
        **made.as_json(),
        "left_out": {one.series: one.reason for one in left_out},
        "seconds": round(seconds, 2),
        "slices_per_s": round(made.images / seconds, 2),
    }
    if as_json:
        print_json(document)
    else:
        line = f"{made.images} slices of {scans} scans in the heads of {made.patients} patients"
        say(f"{line} in {out}, {seconds:.0f} s")
