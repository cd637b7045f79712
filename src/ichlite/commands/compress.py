"""`ichlite compress`: a trained model in, a bundle that `ichlite read --bundle` takes out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from ichlite.commands.needs import need_train

EPILOG = "Example: ichlite compress runs/ldam phantoms bundles/ldam-int8 --precision int8"


def compress(
    model: Annotated[Path, typer.Argument(help="Run folder (its best model) or .keras file.")],
    store: Annotated[Path, typer.Argument(help="Prepared store to calibrate and measure on.")],
    out: Annotated[Path, typer.Argument(help="Bundle folder to write.")],
    precision: Annotated[str, typer.Option(help="float32 or int8.")] = "int8",
    name: Annotated[str | None, typer.Option(help="Of the bundle.")] = None,
    seed: Annotated[int, typer.Option(help="Of the calibration slices.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Turn a trained model into a bundle for LiteRT, calibrated on the validation split."""
    need_train()
    from ichlite.commands.console import print_json, say
    from ichlite.compress.export import export
    from ichlite.data.store import Store
    from ichlite.errors import InputError
    from ichlite.models.saved import load
    from ichlite.train.manifest import FILE, read_manifest

    training = read_manifest(model if model.is_dir() else model.parent)
    if training is None:
        raise InputError(
            f"no training manifest beside {model.name}",
            expected=f"{FILE} in the run folder",
            remedy="give the folder that `ichlite train` wrote",
        )
    written = export(
        load(model),
        Store.open(store),
        out,
        precision=precision,
        training=training,
        name=name,
        seed=seed,
        report=say,
    )
    parity = written.manifest["parity"]
    if as_json:
        print_json(
            {
                "bundle": str(written.path),
                "model_bytes": written.model_bytes,
                "parity": parity,
                "thresholds": written.manifest["decision"]["thresholds"],
                "metrics": written.manifest["metrics"],
            }
        )
    else:
        say(
            f"bundle {written.path}: {written.model_bytes:,} bytes, largest probability "
            f"difference to Keras {parity['max_probability_difference']:.3g}"
        )
