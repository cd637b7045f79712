"""Read a Keras model's stages from its layers, and draw Figure 1 of them.

Nothing here knows LightFCN's widths: another model, or other widths, give another figure.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from ichlite.evaluate.plots import INK, SOFT, save, styled
from ichlite.labels import SUBTYPES

_JOINED = {"BatchNormalization": "BN", "ReLU": "ReLU"}
_TAIL = ("Dropout", *_JOINED)
"""These belong to the stage before them, whatever their name."""
_TINT = SUBTYPES[0].colour
_VARIES = "E"


@dataclass(frozen=True, slots=True)
class Stage:
    """Consecutive layers of a model that are drawn as one box.

    Attributes:
        name: Common prefix of the layers' names.
        steps: Operations in order, such as `Conv 1x1, 64 · BN · ReLU`.
        shape: Shape of the output, without the batch axis.
        residual: Whether the input is added to the output.
    """

    name: str
    steps: tuple[str, ...]
    shape: tuple[int, ...]
    residual: bool


def stages(model: keras.Model) -> tuple[Stage, ...]:
    """Return the stages, in order, of a model whose layers are named `stage_part`.

    Example:
        >>> from ichlite.models import build
        >>> [stage.name for stage in stages(build("light_fcn", expansions=(8,), width=4))]
        ['windows', 'stem', 'block1', 'head', 'pool', 'logits']
    """
    groups: list[tuple[str, list[Any]]] = []
    for layer in model.layers:
        name = layer.name.split("_")[0]
        if groups and (name == groups[-1][0] or type(layer).__name__ in _TAIL):
            groups[-1][1].append(layer)
        else:
            groups.append((name, [layer]))
    return tuple(_stage(name, layers) for name, layers in groups)


def shared_steps(blocks: Sequence[Stage]) -> tuple[str, ...]:
    """Return the steps that similar stages have in common, with E where their widths differ.

    Example:
        >>> a = Stage("a", ("Conv 1x1, 8 · BN", "Add"), (4, 4, 2), True)
        >>> b = Stage("b", ("Conv 1x1, 16 · BN", "Add"), (4, 4, 2), True)
        >>> shared_steps([a, b])
        ('Conv 1x1, E · BN', 'Add')
    """
    return tuple(_merged(steps) for steps in zip(*(block.steps for block in blocks), strict=True))


def draw_architecture(model: keras.Model, path: Path, title: str) -> Path:
    """Draw Figure 1 for a model: its stages in a row, and the inside of a residual block below.

    Args:
        model: Model whose layers are named `stage_part`.
        path: File that the picture is written to.
        title: Name of the model in the heading.

    Returns:
        The path.
    """
    found = stages(model)
    blocks = [stage for stage in found if stage.residual]
    with styled(13, 5.6 if blocks else 3.4) as figure:
        parts = figure.subplots(
            2 if blocks else 1, 1, squeeze=False, height_ratios=(3, 2)[: 1 + bool(blocks)]
        )[:, 0]
        heading = f"{title}: {model.count_params():,} parameters"
        figure.suptitle(heading, x=0.01, ha="left", weight="bold")
        _draw_row(parts[0], found, blocks)
        if blocks:
            _draw_block(parts[1], blocks)
        return save(figure, path)


def _stage(name: str, layers: Sequence[Any]) -> Stage:
    steps: list[str] = []
    for layer in layers:
        joined = _JOINED.get(type(layer).__name__)
        if joined and steps:
            steps[-1] += f" · {joined}"
        else:
            steps.append(_step(layer))
    added = any(isinstance(layer, keras.layers.Add) for layer in layers)
    return Stage(name, tuple(steps), tuple(layers[-1].output.shape[1:]), added)


def _step(layer: Any) -> str:
    config, kind = layer.get_config(), type(layer).__name__
    kernel, pool = (_by(config.get(key, ())) for key in ("kernel_size", "pool_size"))
    strides = config.get("strides", (1, 1))
    stride = f", stride {strides[0]}" if strides[0] > 1 else ""
    words = {
        "InputLayer": "Input",
        "Conv2D": f"Conv {kernel}, {config.get('filters')}{stride}",
        "DepthwiseConv2D": f"Depthwise {kernel}{stride}",
        "MaxPooling2D": f"Max pool {pool}",
        "GlobalAveragePooling2D": "Global average pool",
        "Dropout": f"Dropout {config.get('rate')}",
        "Dense": f"Dense, {config.get('units')}",
    }
    return words.get(kind, kind)


def _merged(steps: Sequence[str]) -> str:
    if len(set(steps)) == 1:
        return steps[0]
    words = zip(*(step.split(" ") for step in steps), strict=True)
    return " ".join(
        column[0] if len(set(column)) == 1 else _VARIES + ("," if column[0].endswith(",") else "")
        for column in words
    )


def _own_widths(stage: Stage, shared: Sequence[str]) -> list[str]:
    """Return the widths that set a residual stage apart from the others."""
    return [
        step.split(" · ")[0].rsplit(" ", 1)[-1]
        for step, common in zip(stage.steps, shared, strict=True)
        if step != common
    ]


def _draw_row(axes: Any, found: Sequence[Stage], blocks: Sequence[Stage]) -> None:
    """Draw every stage as a box, its feature map as a square above it, from left to right."""
    shared = shared_steps(blocks) if blocks else ()
    largest = max(stage.shape[0] for stage in found if len(stage.shape) == 3)
    for place, stage in enumerate(found):
        if len(stage.shape) == 3:
            # The side of the square shrinks with the root of the map's, or the last were dots.
            side = 0.8 * (stage.shape[0] / largest) ** 0.5
            _box(axes, place, 1.28 + side / 2, side, side, _TINT, 0.18)
        _box(axes, place, 0.5, 0.86, 1.0, _TINT if stage.residual else SOFT, 0.12)
        head = stage.name.replace("block", "Block ").capitalize()
        lines = "\n".join(_row_lines(stage, shared))
        _write(axes, place, 0.86, head, weight="bold", size=9)
        _write(axes, place, 0.40, lines, size=7.6, color=INK, linespacing=1.5)
        _write(axes, place, -0.14, _by(stage.shape), size=8.5, color=SOFT)
        if place:
            _arrow(axes, (place - 0.57, 0.5), (place - 0.43, 0.5))
    axes.set(xlim=(-0.5, len(found) - 0.5), ylim=(-0.25, 2.15))
    axes.axis("off")


def _row_lines(stage: Stage, shared: Sequence[str]) -> list[str]:
    """Return what stands in a box; of a residual stage, what sets it apart from the others."""
    if not stage.residual:
        return [line for step in stage.steps for line in _folded(step)]
    widths = [f"{_VARIES} = {width}" for width in _own_widths(stage, shared)]
    pools = [step for step in stage.steps if step.startswith("Max pool")]
    return ["expansion block", *widths, *pools]


def _folded(step: str) -> list[str]:
    """Break a step into lines that fit a box."""
    head, _, rest = step.partition(" · ")
    lines = head.split(", ", 1) if len(head) > 14 else [head]
    if head == "Global average pool":
        lines = ["Global", "average pool"]
    return [*lines, rest] if rest else lines


def _draw_block(axes: Any, blocks: Sequence[Stage]) -> None:
    """Draw the steps of a residual stage from left to right, with the connection around them."""
    steps = shared_steps(blocks)
    width = blocks[0].shape[-1]
    names = [f"HxWx{width}", *steps, f"H/2xW/2x{width}" if "pool" in steps[-1] else f"HxWx{width}"]
    step_in = 1.75
    for place, name in enumerate(names):
        at, end = place * step_in, place in {0, len(names) - 1}
        if name == "Add":
            axes.plot(at, 0.5, "o", markersize=20, markerfacecolor="white", markeredgecolor=INK)
            _write(axes, at, 0.49, "+", size=14)
        elif end:
            _write(axes, at, 0.5, name, size=9, color=SOFT)
        else:
            _box(axes, at, 0.5, 1.3, 0.62, _TINT, 0.12)
            _write(axes, at, 0.5, name.replace(" · ", "\n", 1), size=8.5, linespacing=1.5)
        if place:
            left = 0.22 if names[place - 1] == "Add" else 0.55 if place == 1 else 0.65
            right = 0.22 if name == "Add" else 0.55 if end else 0.65
            _arrow(axes, (at - step_in + left, 0.5), (at - right, 0.5))
    start, stop, top = 0.62, names.index("Add") * step_in, 1.12
    line = {"color": INK, "linewidth": 1, "solid_joinstyle": "round"}
    axes.plot([start, start, stop], [0.5, top, top], **line)
    _arrow(axes, (stop, top), (stop, 0.68))
    middle = (start + stop) / 2
    _write(axes, middle, top + 0.09, "residual connection", va="bottom", size=8.5, color=SOFT)
    widths = ", ".join(width for block in blocks for width in _own_widths(block, steps))
    axes.set_title(f"Expansion block{': E = ' + widths if widths else ''}", loc="left", size=9.5)
    axes.set(xlim=(-0.7, (len(names) - 1) * step_in + 0.7), ylim=(0.05, 1.45))
    axes.axis("off")


def _by(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _write(axes: Any, x: float, y: float, words: str, **style: Any) -> None:
    axes.text(x, y, words, **{"ha": "center", "va": "center", **style})


def _box(
    axes: Any, x: float, y: float, width: float, height: float, colour: str, alpha: float
) -> None:
    from matplotlib.colors import to_rgba
    from matplotlib.patches import FancyBboxPatch

    axes.add_patch(
        FancyBboxPatch(
            (x - width / 2, y - height / 2), width, height,
            boxstyle="round,pad=0,rounding_size=0.04", facecolor=to_rgba(colour, alpha),
            edgecolor=to_rgba(colour, 0.75), linewidth=0.9,
        )
    )  # fmt: skip


def _arrow(axes: Any, start: tuple[float, float], end: tuple[float, float]) -> None:
    line = {"arrowstyle": "-|>", "color": INK, "linewidth": 1, "mutation_scale": 9}
    axes.annotate("", xy=end, xytext=start, arrowprops={**line, "shrinkA": 0, "shrinkB": 0})
