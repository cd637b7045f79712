"""Plot a Pareto comparison of bundles."""

from __future__ import annotations

import math
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ichlite.bench.pareto_front import ParetoDocument
from ichlite.evaluate.plots import INK, RULE, SOFT, save, styled

PANELS = (
    ("min_ms", "ms a slice, quickest, one thread", 1.0),
    ("bytes", "file, KB", 1e-3),
    ("zstd_bytes", "file packed by zstd, KB", 1e-3),
    ("flops", "M FLOPs a slice", 1e-6),
)
SHIPPED, PASSING, FAILING = "#B00020", "#0b6e99", "#a9b0b7"
DEPTH = 3
"""Multiple of the gate's limit beyond which a bundle is drawn as a triangle at the lower edge."""
EDGE = 0.04
"""Share of the axis height reserved for the triangles at the lower edge."""
Place = tuple[float, float]


@dataclass(frozen=True, slots=True)
class AucScale:
    """Vertical axis of a Pareto plot, with a strip at the bottom for bundles below its range.

    Attributes:
        least: Lowest ROC AUC that is drawn at its true height.
        best: Highest ROC AUC.
    """

    least: float
    best: float

    @classmethod
    def of(cls, document: ParetoDocument) -> AucScale:
        """Return the scale on which a document of `ichlite pareto` is drawn."""
        aucs = {one.name: one.mean_auc for one in document.bundles}
        deepest = aucs[document.reference] - DEPTH * document.gate.max_mean_drop
        return cls(min(auc for auc in aucs.values() if auc >= deepest), max(aucs.values()))

    @property
    def limits(self) -> Place:
        """ROC AUC at the bottom and at the top of the axis."""
        span = max(self.best - self.least, 0.001)
        return self.least - 3 * EDGE * span, self.best + EDGE * span

    def height(self, auc: float) -> float:
        """Return the height at which a ROC AUC is drawn: below `least`, in the bottom strip."""
        bottom, top = self.limits
        return auc if auc >= self.least else bottom + EDGE * (top - bottom)


def plot_pareto(document: ParetoDocument, path: Path) -> Path:
    """Plot mean ROC AUC against time, file size, packed size and FLOPs, with the Pareto fronts.

    Args:
        document: Document of `ichlite pareto`.
        path: File that the picture is written to.

    Returns:
        The path.
    """
    bundles = document.bundles
    scale = AucScale.of(document)
    below = [one.mean_auc < scale.least for one in bundles]
    with styled(12, 10) as figure:
        panels = []
        for axes, panel in zip(figure.subplots(2, 2, sharey=True).ravel(), PANELS, strict=True):
            cost, label, factor = panel
            points = [(one.cost(cost) * factor, scale.height(one.mean_auc)) for one in bundles]
            _set_axes(axes, [x for x, _ in points], label, scale)
            front = [
                point for point, one in zip(points, bundles, strict=True) if cost in one.fronts
            ]
            axes.step(*zip(*sorted(front), strict=True), where="post", color=SOFT, lw=0.8, zorder=1)
            for point, one, is_below in zip(points, bundles, below, strict=True):
                chosen = one.name == document.shipped
                axes.scatter(
                    *point, s=110 if chosen else 40, zorder=2,
                    marker="v" if is_below else "*" if chosen else "o",
                    color=SHIPPED if chosen else PASSING if one.passes else FAILING,
                )  # fmt: skip
            panels.append((axes, points))
        for axes, _ in panels[::2]:
            axes.set_ylabel("mean ROC AUC, test split")
        figure.suptitle(
            "Up and to the left is better. Star: shipped; grey: fails the gate; line: the front"
            + ("; triangle: lower than drawn." if any(below) else "."),
            fontsize=11,
        )
        names = [
            f"{number}\u00a0{one.name}" + f"\u00a0({one.mean_auc:.3f})" * is_below
            for number, (one, is_below) in enumerate(zip(bundles, below, strict=True), start=1)
        ]
        key = textwrap.fill("   ".join(names), 140, break_on_hyphens=False)
        figure.supxlabel(key, fontsize=9)
        figure.draw_without_rendering()  # numbers go where things stand, which is known now
        for axes, points in panels:
            _number(axes, points)
        return save(figure, path)


def _set_axes(axes: Any, costs: Sequence[float], label: str, scale: AucScale) -> None:
    from matplotlib.ticker import LogLocator

    axes.set(xscale="log", xlim=(min(costs) / 1.4, max(costs) * 1.4), xlabel=label)
    axes.set_ylim(scale.limits)
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_minor_formatter("")


def _number(axes: Any, points: Sequence[Place]) -> None:
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
