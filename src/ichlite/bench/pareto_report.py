"""The document of a Pareto comparison in; its Markdown table and its plot out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ichlite.evaluate.canvas import INK, RULE, save, styled

HEADER = (
    "Bundle", "Model", "Precision", "Mean ROC AUC", "Lost", "ms, median", "ms, quickest",
    "Times faster", "KB", "KB, zstd", "M FLOPs", "Parameters", "Gate", "On the front of",
)  # fmt: skip
PANELS = (
    ("min_ms", "ms a slice, quickest, one thread", 1.0),
    ("bytes", "file, KB", 1e-3),
    ("zstd_bytes", "file packed by zstd, KB", 1e-3),
    ("flops", "M FLOPs a slice", 1e-6),
)
FAILING = "#a9b0b7"
FRONT_NAMES = {"min_ms": "time", "bytes": "size", "zstd_bytes": "zstd size", "flops": "FLOPs"}


def pareto_markdown(document: Mapping[str, Any]) -> str:
    """Document → Markdown: a row a bundle, fastest first, the shipped one in bold."""
    rows = sorted(document["bundles"], key=lambda one: one["min_ms"])
    lines = [
        "| " + " | ".join(HEADER) + " |",
        "|" + " --- |" * 3 + " ---: |" * 9 + " --- |" * 2,
        *("| " + " | ".join(_cells(one, document["shipped"])) + " |" for one in rows),
        "",
        f"Reference: {document['reference']}. Shipped: **{document['shipped']}**, by this rule: "
        f"{document['rule']} (at most {document['gate']['max_mean_drop']:g} of the mean, "
        f"{document['gate']['max_subtype_drop']:g} of a subtype).",
    ]
    if document["undefined"]:
        lines.append(
            f"The gate says nothing of {', '.join(document['undefined'])}: the test split has no "
            "positives of it, or nothing else."
        )
    return "\n".join(lines) + "\n"


def plot_pareto(document: Mapping[str, Any], path: Path) -> Path:
    """Document → PNG: mean ROC AUC against time, size, packed size and FLOPs, fronts drawn.

    What is lacking to an AUC of 1 is drawn on a logarithmic scale, so that good models stay apart.
    """
    from matplotlib.ticker import FixedLocator, LogLocator, NullLocator

    bundles = document["bundles"]
    with styled(12, 10) as figure:
        grid = figure.subplots(2, 2, sharey=True).ravel()
        lacking = [max(1 - one["auc"]["mean"], 1e-4) for one in bundles]
        for axes, (cost, label, factor) in zip(grid, PANELS, strict=True):
            costs = [one[cost] * factor for one in bundles]
            axes.set(
                xscale="log", xlim=(min(costs) / 1.4, max(costs) * 1.4), xlabel=label,
                yscale="log", ylim=(max(lacking) * 1.15, min(lacking) / 1.15),
            )  # fmt: skip
            axes.xaxis.set_major_formatter("{x:g}")
            axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axes.xaxis.set_minor_formatter("")
            axes.yaxis.set_minor_locator(NullLocator())
            axes.yaxis.set_major_locator(FixedLocator(_levels(lacking)))
            axes.yaxis.set_major_formatter(lambda gap, _: f"{1 - gap:.3g}")
            front = sorted(
                (x, y)
                for x, y, one in zip(costs, lacking, bundles, strict=True)
                if cost in one["fronts"]
            )
            axes.step(*zip(*front, strict=True), where="post", color=RULE, zorder=1)
            for x, y, one in zip(costs, lacking, bundles, strict=True):
                shipped = one["name"] == document["shipped"]
                axes.scatter(
                    x, y, s=110 if shipped else 40, marker="*" if shipped else "o", zorder=2,
                    color="#B00020" if shipped else "#0b6e99" if one["passes"] else FAILING,
                )  # fmt: skip
            _number(axes, list(zip(costs, lacking, strict=True)))
        for axes in grid[::2]:
            axes.set_ylabel("mean ROC AUC, test split")
        key = "   ".join(
            f"{number}\u00a0{one['name']}" for number, one in enumerate(bundles, start=1)
        )
        figure.suptitle(
            "Up and to the left is better. Star: shipped; grey: fails the gate; line: the front.",
            fontsize=11,
        )
        figure.supxlabel(_wrapped(key), fontsize=9)
        return save(figure, path)


def _levels(lacking: Sequence[float]) -> list[float]:
    """What is lacking to 1 → a few round values between, for the axis."""
    steps = (
        0.001,
        0.002,
        0.005,
        0.01,
        0.02,
        0.03,
        0.04,
        0.05,
        0.06,
        0.08,
        0.1,
        0.15,
        0.2,
        0.3,
        0.5,
    )
    return [one for one in steps if min(lacking) / 1.1 <= one <= max(lacking) * 1.1]


def _number(axes: Any, points: Sequence[tuple[float, float]]) -> None:
    """Write each point's number, from 1, beside it, where it hides no other point or number."""
    pixels = axes.transData.transform(points)
    taken = [tuple(one) for one in pixels]
    for number, (point, (x, y)) in enumerate(zip(points, pixels, strict=True), start=1):
        places = [
            (x + reach * math.cos(angle), y + reach * math.sin(angle))
            for reach in (13, 22, 32)
            for angle in (math.pi / 4 * (1 + turn) for turn in range(8))
        ]
        free = max(places, key=lambda one: min(min(math.dist(one, other) for other in taken), 14))
        taken.append(free)
        axes.annotate(
            str(number), point, (free[0] - x, free[1] - y), textcoords="offset pixels",
            ha="center", va="center", fontsize=8.5, color=INK,
            arrowprops={"arrowstyle": "-", "color": RULE, "lw": 0.7, "shrinkA": 6, "shrinkB": 3},
        )  # fmt: skip


def _cells(one: Mapping[str, Any], shipped: str) -> list[str]:
    plain = str(one["name"]).replace("|", "\\|")
    name = f"**{plain}**" if one["name"] == shipped else plain
    return [
        name,
        one["architecture"],
        one["precision"],
        f"{one['auc']['mean']:.4f}",
        f"{one['mean_drop']:+.4f}",
        f"{one['p50_ms']:.2f}",
        f"{one['min_ms']:.2f}",
        f"{one['speedup']:.2f}",
        f"{one['bytes'] / 1e3:,.1f}",
        f"{one['zstd_bytes'] / 1e3:,.1f}",
        f"{one['flops'] / 1e6:,.0f}",
        f"{one['params']:,}",
        "passes" if one["passes"] else "fails",
        ", ".join(FRONT_NAMES[cost] for cost in one["fronts"]),
    ]


def _wrapped(text: str, width: int = 140) -> str:
    import textwrap

    return textwrap.fill(text, width, break_on_hyphens=False)
