"""`ichlite compress`: make bundles of a trained model, for `ichlite read --bundle`."""

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
    stores: Annotated[
        list[Path],
        typer.Argument(metavar="STORE...", help="Prepared stores that the run was trained on."),
    ],
    out: Annotated[Path, typer.Argument(help="Bundle to write; of several: folder of bundles.")],
    precision: Annotated[
        list[str] | None,
        typer.Option(help="float32, float16, dynamic or int8 (repeat for more); default int8."),
    ] = None,
    keep_channels: Annotated[
        list[float] | None,
        typer.Option(help="Share of expansion channels to keep (repeat: one a block, in order)."),
    ] = None,
    keep_width: Annotated[
        float | None, typer.Option(help="Share of the channels between blocks to keep.")
    ] = None,
    sparsity: Annotated[float | None, typer.Option(help="Share of weights to set to 0.")] = None,
    clusters: Annotated[
        int | None, typer.Option(help="Values that a layer's weights share, 4 to 64.")
    ] = None,
    qat: Annotated[bool, typer.Option("--qat", help="Train with int8's rounding.")] = False,
    teacher: Annotated[
        Path | None, typer.Option(help="Run or .keras file to learn from; default: the model.")
    ] = None,
    steps: Annotated[int, typer.Option(help="Of each fine-tuning, full frames.")] = 600,
    crop_steps: Annotated[int, typer.Option(help="Before them, on lesion-aimed crops.")] = 0,
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
    decisions: Annotated[
        list[Path] | None,
        typer.Option(
            help="Scores out of fold (file, or folder of one a fold; repeat for more seeds) that "
            "calibration and operating points come from; default: the validation split."
        ),
    ] = None,
    every_step: Annotated[
        bool, typer.Option("--every-step", help="Bundles after each step, not the last alone.")
    ] = False,
    name: Annotated[str | None, typer.Option(help="Of the bundle.")] = None,
    seed: Annotated[int, typer.Option(help="Of calibration slices and fine-tuning.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")] = False,
) -> None:
    """Make a trained model smaller and faster, and write it as a bundle for LiteRT."""
    need_train()
    from ichlite.commands.console import print_json, progress, say
    from ichlite.compress.bundles import Order, make_bundles
    from ichlite.compress.fine_tune import Tuning
    from ichlite.compress.gate import Gate
    from ichlite.compress.quantize import INT8
    from ichlite.compress.shrink import Shrinking
    from ichlite.compress.source import open_source, open_stores_of, open_teacher
    from ichlite.data.levels import levelled
    from ichlite.errors import IchliteError, UsageError
    from ichlite.evaluate.decisions import decisions_from_files

    shrinking = Shrinking(
        tuple(keep_channels) if keep_channels else None, keep_width, sparsity, clusters, qat
    )
    order = Order(
        out,
        tuple(dict.fromkeys(precision or [INT8])),
        shrinking,
        Tuning(steps, crop_steps, batch_size, learning_rate, teacher_weight, temperature, seed),
        Gate(max_auc_drop, max_subtype_drop),
        every_step,
        name,
        decisions_from_files(decisions) if decisions else None,
    )
    order.check_folders()
    if teacher is not None and not shrinking.changes:
        raise UsageError(
            "--teacher has nothing to teach",
            expected="--keep-channels, --keep-width, --sparsity, --clusters or --qat",
        )
    if teacher is not None and teacher_weight == 0:
        raise UsageError("--teacher is not listened to", found="--teacher-weight 0")
    opened = open_stores_of(model, stores)
    source = open_source(model, opened)
    opened = levelled(opened, source.recipe.brain_level_hu)
    with progress("fine-tuning", len(shrinking.steps) * order.tuning.total) as advance:
        written, refused = make_bundles(
            order,
            source,
            opened,
            teacher=None if teacher is None else open_teacher(teacher, source.model),
            teacher_path=teacher,
            report=say,
            on_step=lambda _step, _loss: advance(1),
            on_bundle=lambda made: None if as_json else say(_line(made)),
        )
    if as_json and (written or order.several):
        documents = [_document(one) for one in written]
        documents += [{"bundle": str(one.path), "refused": str(one.fault)} for one in refused]
        print_json(documents if order.several else documents[0])
    if refused and order.several:
        raise IchliteError(
            f"{len(refused)} of {len(written) + len(refused)} bundles are not written",
            found=", ".join(one.path.relative_to(out).as_posix() for one in refused),
            code=refused[0].fault.code,
        )
    if refused:
        raise refused[0].fault


def _document(written: Exported) -> dict[str, Any]:
    from ichlite.contracts.codec import to_json_value

    manifest = to_json_value(written.manifest)
    return {
        "bundle": str(written.path),
        "model_bytes": written.cost.bytes,
        **{key: manifest[key] for key in ("cost", "compression", "gate", "parity", "metrics")},
        "thresholds": manifest["decision"]["thresholds"],
    }


def _line(written: Exported) -> str:
    cost, drop = written.cost, written.gate.drops["mean"]
    lost = "undefined" if drop is None else f"{round(drop, 4) + 0.0:.4f}"
    return (
        f"bundle {written.path}: {cost.bytes:,} bytes ({cost.zstd_bytes:,} packed by zstd), "
        f"{cost.params:,} parameters, mean ROC AUC lost on the validation split {lost}"
    )
