"""Plot a Pareto comparison of bundles."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichlite.evaluate.plots import INK, RULE, SOFT, save, styled

PANELS = (
    ("min_ms", "ms a slice, quickest, one thread", 1.0),
    ("bytes", "file, KB", 1e-3),
    ("zstd_bytes", "file packed by zstd, KB", 1e-3),
    ("flops", "M FLOPs a slice", 1e-6),
)
SHIPPED, PASSING, FAILING = "#B00020", "#0b6e99", "#a9b0b7"
DEPTH = 3
"""Bundles that lost more than so many times what the gate allows are triangles at the edge."""
EDGE = 0.04
"""Share of the height that is kept for those."""


def plot_pareto(document: Mapping[str, Any], path: Path) -> Path:
    """Document → PNG: mean ROC AUC against time, size, packed size and FLOPs, fronts drawn.

    Args:
        document: Of `ichlite pareto`.
        path: Of the picture.

    Returns:
        The path.
    """
    bundles = document["bundles"]
    scale = _scale(document)
    heights = [scale.height(one) for one in bundles]
    with styled(12, 10) as figure:
        grid = figure.subplots(2, 2, sharey=True).ravel()
        drawn = []
        for axes, (cost, label, factor) in zip(grid, PANELS, strict=True):
            points = [(one[cost] * factor, y) for one, y in zip(bundles, heights, strict=True)]
            drawn.append(points)
            _set_axes(axes, [x for x, _ in points], scale, label)
            _draw_front(
                axes, [at for at, one in zip(points, bundles, strict=True) if cost in one["fronts"]]
            )
            for point, one in zip(points, bundles, strict=True):
                _draw(axes, point, one, document["shipped"], scale)
        for axes in grid[::2]:
            axes.set_ylabel("mean ROC AUC, test split")
        _write_key(figure, bundles, scale)
        figure.draw_without_rendering()  # numbers go where things stand, which is known now
        for axes, points in zip(grid, drawn, strict=True):
            _number(axes, points)
        return save(figure, path)


@dataclass(frozen=True, slots=True)
class _Scale:
    """From the least AUC that is drawn where it is, and a strip for those below it, to the best."""

    least: float
    best: float

    @property
    def limits(self) -> tuple[float, float]:
        span = max(self.best - self.least, 0.001)
        return self.least - 3 * EDGE * span, self.best + EDGE * span

    def is_below(self, one: Mapping[str, Any]) -> bool:
        return bool(one["auc"]["mean"] < self.least)

    def height(self, one: Mapping[str, Any]) -> float:
        bottom, top = self.limits
        return bottom + EDGE * (top - bottom) if self.is_below(one) else float(one["auc"]["mean"])


def _scale(document: Mapping[str, Any]) -> _Scale:
    aucs = {one["name"]: float(one["auc"]["mean"]) for one in document["bundles"]}
    deepest = aucs[document["reference"]] - DEPTH * document["gate"]["max_mean_drop"]
    return _Scale(min(auc for auc in aucs.values() if auc >= deepest), max(aucs.values()))


def _write_key(figure: Any, bundles: Sequence[Mapping[str, Any]], scale: _Scale) -> None:
    names = [
        f"{number}\u00a0{one['name']}"
        + (f"\u00a0({one['auc']['mean']:.3f})" if scale.is_below(one) else "")
        for number, one in enumerate(bundles, start=1)
    ]
    figure.suptitle(
        "Up and to the left is better. Star: shipped; grey: fails the gate; line: the front"
        + ("; triangle: lower than drawn." if any(map(scale.is_below, bundles)) else "."),
        fontsize=11,
    )
    key = textwrap.fill("   ".join(names), 140, break_on_hyphens=False)
    figure.supxlabel(key, fontsize=9)


def _set_axes(axes: Any, costs: Sequence[float], scale: _Scale, label: str) -> None:
    from matplotlib.ticker import LogLocator

    axes.set(
        xscale="log", xlim=(min(costs) / 1.4, max(costs) * 1.4), xlabel=label, ylim=scale.limits
    )
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter("")


def _draw_front(axes: Any, front: Sequence[tuple[float, float]]) -> None:
    axes.step(*zip(*sorted(front), strict=True), where="post", color=SOFT, lw=0.8, zorder=1)


def _draw(
    axes: Any, point: tuple[float, float], one: Mapping[str, Any], shipped: str, scale: _Scale
) -> None:
    chosen = one["name"] == shipped
    axes.scatter(
        *point, s=110 if chosen else 40, zorder=2,
        marker="v" if scale.is_below(one) else "*" if chosen else "o",
        color=SHIPPED if chosen else PASSING if one["passes"] else FAILING,
    )  # fmt: skip


def _number(axes: Any, points: Sequence[tuple[float, float]]) -> None:
    """Write each point's number, from 1, beside it, where it hides no other point or number."""
    pixels = axes.transData.transform(points)
    taken = [tuple(one) for one in pixels]
    for number, (point, (x, y)) in enumerate(zip(points, pixels, strict=True), start=1):
        places = [
            (x + reach * math.cos(angle), y + reach * math.sin(angle))
            for reach in (16, 26, 38, 50)
            for angle in (math.pi / 4 * (1 + turn) for turn in range(8))
        ]
        free = max(places, key=lambda one: min(min(math.dist(one, other) for other in taken), 20))
        taken.append(free)
        axes.annotate(
            str(number), point, (free[0] - x, free[1] - y), textcoords="offset pixels",
            ha="center", va="center", fontsize=8.5, color=INK,
            arrowprops={"arrowstyle": "-", "color": RULE, "lw": 0.7, "shrinkA": 6, "shrinkB": 3},
        )  # fmt: skip
