"""`ichlite info`: show what a bundle is, what it was made from and how it decides."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

EPILOG = "Example: ichlite info --bundle my-bundle --json"


def info(
    bundle: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Bundle folder; default: the embedded one.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Show the bundle's facts and model card, and the versions of what runs it."""
    import sys

    from ichlite.commands.console import print_json
    from ichlite.infer.bundle import load_bundle
    from ichlite.infer.bundle_facts import bundle_facts, model_card
    from ichlite.write.escaping import printable

    loaded = load_bundle(bundle)
    facts = bundle_facts(loaded)
    card = model_card(loaded)
    if as_json:
        print_json({**facts, "model_card": card})
        return
    for section in ("bundle", "input", "calibration", "decision", "cost", "metrics", "versions"):
        sys.stdout.write(f"{section}\n")
        for key, value in facts[section].items():
            sys.stdout.write(printable(f"  {key:<18} {value}") + "\n")
    sys.stdout.write("\n" + "\n".join(printable(line) for line in card.splitlines()) + "\n")
