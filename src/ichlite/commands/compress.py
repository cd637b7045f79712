"""`ichlite compress`: make bundles of a trained model, for `ichlite read --bundle`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ichlite.commands.needs import need_train
from ichlite.commands.options import AsJson, option, with_records
from ichlite.compress.settings import ACCURACY, SHRINKING, TUNING, Gate, Shrinking, Tuning
from ichlite.train.recipe import OUTPUT

if TYPE_CHECKING:
    from ichlite.compress.export import Exported


EPILOG = (
    "Example: ichlite compress runs/bce phantoms small --keep-channels 0.5 --clusters 32. A model "
    "is pruned, made sparse, clustered and quantized, in this order, and fine-tuned after each "
    "step but the last. A bundle that loses more ROC AUC than allowed is not written, and the exit "
    "code is 1."
)


@with_records()
def compress(
    model: Annotated[
        Path, typer.Argument(help="Run folder, for its best model, or .keras file in one.")
    ],
    stores: Annotated[
        list[Path],
        typer.Argument(metavar="STORE...", help="Prepared stores that the run was trained on."),
    ],
    out: Annotated[
        Path,
        typer.Argument(
            help="Folder of the bundle to write; with several --precision, or with --every-step, "
            "the folder that holds them."
        ),
    ],
    *,
    precision: Annotated[
        list[str] | None,
        option(
            SHRINKING,
            help="Precision of the bundle: float32, float16, dynamic or int8 (repeat for more); "
            "int8 if not given.",
        ),
    ] = None,
    shrinking: Shrinking,
    teacher: Annotated[
        Path | None,
        option(
            TUNING,
            help="Run folder or .keras file of a model to learn from; the model itself, as it was, "
            "if not given.",
        ),
    ] = None,
    tuning: Tuning,
    gate: Gate,
    decisions: Annotated[
        list[Path] | None,
        option(
            ACCURACY,
            help="Scores out of fold that calibration and operating points come from: a file, or a "
            "folder with a file for each fold (repeat for more seeds); the validation split if not "
            "given.",
        ),
    ] = None,
    every_step: Annotated[
        bool,
        option(
            OUTPUT, "--every-step", help="Write bundles after each step, not after the last alone."
        ),
    ] = False,
    name: Annotated[
        str | None,
        option(OUTPUT, help="Name of the bundle; architecture and precision if not given."),
    ] = None,
    force: Annotated[
        bool, option(OUTPUT, "--force", help="Replace a bundle that is in the folder already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Make a trained model smaller and faster, and write it as a bundle for LiteRT."""
    need_train()
    from ichlite.commands.console import print_json, progress, say
    from ichlite.compress.bundles import Order, make_bundles
    from ichlite.compress.quantize import INT8
    from ichlite.compress.source import open_source, open_stores_of, open_teacher
    from ichlite.data.levels import levelled
    from ichlite.errors import IchliteError, UsageError
    from ichlite.evaluate.decisions import decisions_from_files

    order = Order(
        out,
        tuple(dict.fromkeys(precision or [INT8])),
        shrinking,
        tuning,
        gate,
        every_step,
        name,
        decisions_from_files(decisions) if decisions else None,
        force,
    )
    order.check_folders()
    if teacher is not None and not shrinking.changes:
        raise UsageError(
            "`--teacher` has nothing to teach, because the model is not changed",
            expected="--keep-channels, --keep-width, --sparsity, --clusters or --qat",
        )
    if teacher is not None and tuning.teacher_weight == 0:
        raise UsageError(
            "`--teacher` cannot be combined with `--teacher-weight 0`, which leaves it unheard"
        )
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
            f"{len(refused)} of {len(written) + len(refused)} bundles are refused and not written",
            found=", ".join(one.path.relative_to(out).as_posix() for one in refused),
            code=refused[0].fault.code,
        )
    if refused:
        raise refused[0].fault


def _document(written: Exported) -> dict[str, Any]:
    """Return what is printed of a bundle as JSON."""
    from ichlite.contracts.codec import to_json_value

    manifest = to_json_value(written.manifest)
    return {
        "bundle": str(written.path),
        "model_bytes": written.cost.bytes,
        **{key: manifest[key] for key in ("cost", "compression", "gate", "parity", "metrics")},
        "thresholds": manifest["decision"]["thresholds"],
    }


def _line(written: Exported) -> str:
    """Return what is printed of a bundle as a line."""
    cost, drop = written.cost, written.gate.drops["mean"]
    lost = "undefined" if drop is None else f"{round(drop, 4) + 0.0:.4f}"
    return (
        f"bundle {written.path}: {cost.bytes:,} bytes ({cost.zstd_bytes:,} packed by zstd), "
        f"{cost.params:,} parameters, mean ROC AUC lost on the validation split {lost}"
    )
