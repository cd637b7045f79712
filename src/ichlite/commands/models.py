"""`ichlite models`: list every architecture and what it costs."""

from __future__ import annotations

import typer

from ichlite.commands.needs import need_train
from ichlite.commands.options import PlainJson

EPILOG = "Example: ichlite models --json"


def models(
    as_json: PlainJson = False,
) -> None:
    """List the models with their parameters, FLOPs and file sizes, counted here and now."""
    need_train()
    from dataclasses import asdict

    from ichlite.bench.architectures import cost
    from ichlite.commands.console import print_json, progress
    from ichlite.models import MODELS

    found = []
    with progress("counting", total=len(MODELS)) as advance:
        for name in MODELS:
            found.append(cost(name))
            advance(1)
    if as_json:
        print_json([asdict(one) for one in found])
        return
    typer.echo(f"{'model':16}{'parameters':>12}{'MFLOPs 256x256':>16}{'float32 .tflite':>18}")
    for one in found:
        typer.echo(
            f"{one.name:16}{one.params:>12,}{one.flops_256 / 1e6:>16,.1f}"
            f"{one.tflite_float32_bytes:>16,} B"
        )
