"""The options of all commands that train, each written once, and the `Recipe` they make."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from ichlite.train.recipe import Recipe

Model = Annotated[str, typer.Option(help="Architecture; see `ichlite models`.")]
Loss = Annotated[
    str,
    typer.Option(
        help="bce, focal, ldam, ldam_drw, class_balanced, asymmetric or distribution_balanced."
    ),
]
Epochs = Annotated[int, typer.Option(help="Training epochs on full slices, after the crop steps.")]
BatchSize = Annotated[int, typer.Option(help="Images in each training step.")]
LearningRate = Annotated[float, typer.Option(help="Learning rate of the Adam optimiser.")]
Dropout = Annotated[float, typer.Option(help="Share of features dropped before the last layer.")]
Schedule = Annotated[str, typer.Option(help="Learning-rate schedule: constant or cosine.")]
WarmupSteps = Annotated[int, typer.Option(help="Warm-up steps of the cosine schedule.")]
StepsPerEpoch = Annotated[
    int | None,
    typer.Option(help="Training steps in an epoch; default: one pass over the training split."),
]
Shares = Annotated[
    list[float] | None,
    typer.Option(
        "--share", help="Share of each batch for a store, once a store in their order, such as 0.5."
    ),
]
BleedingShare = Annotated[
    float | None,
    typer.Option(help="Share of slices with a bleed in what each store gives to a batch."),
]
BrainLevel = Annotated[
    float | None,
    typer.Option(
        "--brain-level-hu", help="Median brain HU that each scan is brought to, such as 30."
    ),
]
VaryScanner = Annotated[
    bool,
    typer.Option(
        "--vary-scanner",
        help="With --augment: vary kernel, noise grain, contrast and known HU range, too.",
    ),
]
LeaveOut = Annotated[
    list[str] | None,
    typer.Option(help="Subtype that is not trained, such as epidural where a store has none."),
]
Deterministic = Annotated[
    bool,
    typer.Option("--deterministic", help="Same run, same machine: same bits. Slower."),
]
Keep = Annotated[
    str, typer.Option(help="Epoch that becomes best.keras: the best by validation, or the last.")
]
MapWeight = Annotated[
    float, typer.Option(help="Weight of the lesion map's loss, for models that have a map.")
]
Augment = Annotated[bool, typer.Option(help="Augment slices: move, flip, shift HU and add noise.")]
CropSteps = Annotated[
    int, typer.Option(help="Training steps on crops around bleeds, before the epochs.")
]
CropSize = Annotated[int, typer.Option(help="Side of a crop in pixels.")]
BnMomentum = Annotated[
    float, typer.Option(help="Momentum of batch normalisation's running statistics.")
]
Clipnorm = Annotated[
    float | None, typer.Option(help="Largest gradient norm of a variable; longer ones are clipped.")
]
EmaMomentum = Annotated[
    float | None,
    typer.Option(
        help="Momentum of a running average of the weights, which is validated and saved."
    ),
]
Gamma = Annotated[float, typer.Option(help="Focusing exponent of the focal loss.")]
MaxMargin = Annotated[float, typer.Option(help="Largest LDAM margin, in logits.")]
Beta = Annotated[float, typer.Option(help="Beta of the class-balanced weights.")]
DeferShare = Annotated[
    float, typer.Option(help="Share of the steps for which ldam_drw is plain LDAM.")
]
DeviceWindows = Annotated[
    bool, typer.Option(help="Send HU to the device and compute the windows there.")
]
Precision = Annotated[str, typer.Option(help="Number format of training: float32 or bfloat16.")]
Width = Annotated[int | None, typer.Option(help="LightFCN: channels between blocks.")]
Expansion = Annotated[
    int | None,
    typer.Option(help="LightFCN: channels inside the first block; each next one doubles them."),
]
Expansions = Annotated[
    list[int] | None,
    typer.Option(help="LightFCN: channels inside a block, given five times in their order."),
]
HeadWidth = Annotated[int | None, typer.Option(help="LightFCN: channels of the last feature map.")]


def recipe_from(given: Mapping[str, Any], *, but: Collection[str] = ()) -> Recipe:
    """A command's arguments by name → the recipe of those that are a recipe's.

    Args:
        given: As `locals()` gives them at a command's start; other names do not matter, and what
            is not among them has the recipe's default.
        but: Names that mean something else in this command.

    Raises:
        UsageError: A value is out of range.

    Example:
        >>> recipe_from({"loss": "ldam", "store": "phantoms"}).loss
        'ldam'
    """
    from ichlite.train.recipe import Recipe

    names = {field.name for field in fields(Recipe)} - set(but)
    chosen = {name: value for name, value in given.items() if name in names}
    if chosen.get("leave_out") is None:  # of a repeatable option that was not given
        chosen["leave_out"] = ()
    return Recipe(**chosen)
