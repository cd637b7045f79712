"""`ichlite compress`: a trained model in, bundles that `ichlite read --bundle` takes out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichlite.commands.needs import need_train

if TYPE_CHECKING:
    from ichlite.compress.export import Exported

EPILOG = (
    "Example: ichlite compress runs/bce phantoms small --keep-channels 0.5 --clusters 32. Steps "
    "are done in the order prune, sparsify, share, quantize, each but the last with fine-tuning. "
    "A bundle that loses more ROC AUC than allowed is not written: exit code 1."
)


def compress(
    model: Annotated[Path, typer.Argument(help="Run folder (its best model) or .keras file.")],
    store: Annotated[Path, typer.Argument(help="Prepared store to tune and measure on.")],
    out: Annotated[
        Path, typer.Argument(help="Bundle to write; of several precisions: folder of bundles.")
    ],
    precision: Annotated[
        list[str] | None,
        typer.Option(help="float32, float16, dynamic or int8 (repeat for more); default int8."),
    ] = None,
    keep_channels: Annotated[
        list[float] | None,
        typer.Option(help="Share of expansion channels to keep (repeat: one a block, in order)."),
    ] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of weights to set to 0.")] = None,
    clusters: Annotated[
        int | None, typer.Option(help="Values that a layer's weights share, 4 to 64.")
    ] = None,
    qat: Annotated[bool, typer.Option("--qat", help="Train with int8's rounding.")] = False,
    teacher: Annotated[
        Path | None, typer.Option(help="Run or .keras file to learn from; default: the model.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of each fine-tuning.")] = 600,
    batch_size: Annotated[int, typer.Option(help="Images a step.")] = 32,
    learning_rate: Annotated[float, typer.Option(help="Highest of fine-tuning.")] = 1e-3,
    teacher_weight: Annotated[float, typer.Option(help="Against the labels, 0 to 1.")] = 0.5,
    temperature: Annotated[float, typer.Option(help="Of teacher and model.")] = 1.0,
    max_auc_drop: Annotated[
        float, typer.Option(help="Gate: mean ROC AUC lost on the validation split.")
    ] = 0.005,
    max_subtype_drop: Annotated[
        float, typer.Option(help="Gate: ROC AUC lost by any one subtype.")
    ] = 0.02,
    name: Annotated[str | None, typer.Option(help="Of the bundle.")] = None,
    seed: Annotated[int, typer.Option(help="Of calibration slices and fine-tuning.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make a trained model smaller and faster, and write it as a bundle for LiteRT."""
    need_train()
    from ichlite.commands.console import print_json, progress, say
    from ichlite.compress.export import check_folder, export
    from ichlite.compress.fine_tune import Tuning
    from ichlite.compress.gate import Gate
    from ichlite.compress.quantize import INT8, check_precision
    from ichlite.compress.shrink import Shrinking, shrink
    from ichlite.data.store import Store
    from ichlite.errors import IchliteError, InputError, UsageError
    from ichlite.models.saved import load
    from ichlite.train.manifest import FILE, read_manifest
    from ichlite.train.recipe import Recipe

    shrinking = Shrinking(tuple(keep_channels) if keep_channels else None, sparsity, clusters, qat)
    tuning = Tuning(steps, batch_size, learning_rate, teacher_weight, temperature, seed)
    gate = Gate(max_auc_drop, max_subtype_drop)
    precisions = list(dict.fromkeys(precision or [INT8]))
    several = len(precisions) > 1
    folders = {one: out / one if several else out for one in precisions}
    for one, folder in folders.items():
        check_precision(one)
        check_folder(folder)
    if qat and precisions != [INT8]:
        raise UsageError("quantization-aware training", found=precisions, expected=INT8)
    if teacher is not None and not shrinking.changes:
        raise UsageError(
            "--teacher has nothing to teach",
            expected="--keep-channels, --sparsity, --clusters or --qat, which fine-tune",
        )
    training = read_manifest(model if model.is_dir() else model.parent)
    if training is None:
        raise InputError(
            f"no training manifest beside {model.name}",
            expected=f"{FILE} in the run folder",
            remedy="give the folder that `ichlite train` wrote",
        )
    original, opened = load(model), Store.open(store)
    trained_on = training.get("data", {}).get("store_hash")
    if trained_on != opened.hash:
        # Slices of another store's test split may have trained the model.
        raise InputError(
            f"{model} was not trained on {store}",
            found=f"store hash {opened.hash[:16]}",
            expected=str(trained_on)[:16],
            remedy="give the store that the run was trained on",
        )
    with progress("fine-tuning", shrinking.phases * steps) as advance:
        small = shrink(
            original,
            opened,
            Recipe(**training["recipe"]),
            shrinking,
            tuning,
            teacher=None if teacher is None else load(teacher),
            report=say,
            on_step=lambda _step, _loss: advance(1),
        )
    written, failures = [], []
    for one, folder in folders.items():
        try:
            made = export(
                small,
                opened,
                folder,
                precision=one,
                training=training,
                name=f"{name}-{one}" if name and several else name,
                seed=seed,
                reference=original,
                gate=gate,
                compression=shrinking.as_dict(tuning, teacher) if shrinking.changes else None,
                report=say,
            )
        except IchliteError as fault:  # of the gate; the other precisions are still tried
            failures.append(fault)
            continue
        written.append(made)
        if not as_json:
            say(_line(made))
    if as_json and written:
        print_json([_document(one) for one in written] if several else _document(written[0]))
    for failure in failures[1:]:
        say(str(failure))
    if failures:
        raise failures[0]


def _document(written: Exported) -> dict[str, Any]:
    manifest = written.manifest
    return {
        "bundle": str(written.path),
        "model_bytes": written.model_bytes,
        **{key: manifest[key] for key in ("cost", "compression", "gate", "parity", "metrics")},
        "thresholds": manifest["decision"]["thresholds"],
    }


def _line(written: Exported) -> str:
    cost, drop = written.manifest["cost"], written.manifest["gate"]["drops"]["mean"]
    lost = "undefined" if drop is None else f"{drop:+.4f}"
    return (
        f"bundle {written.path}: {cost['bytes']:,} bytes ({cost['zstd_bytes']:,} packed by zstd), "
        f"{cost['params']:,} parameters, mean ROC AUC lost on the validation split {lost}"
    )
