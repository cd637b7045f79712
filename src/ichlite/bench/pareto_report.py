"""The document of a Pareto comparison in; its Markdown table and its plot out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

HEADER = (
    "Bundle", "Model", "Precision", "Mean ROC AUC", "Lost", "ms a slice", "Times faster", "KB",
    "KB, zstd", "M FLOPs", "Parameters", "Gate", "On the front of",
)  # fmt: skip
PANELS = (
    ("p50_ms", "ms a slice, one thread", 1.0),
    ("bytes", "file, KB", 1e-3),
    ("zstd_bytes", "file packed by zstd, KB", 1e-3),
    ("flops", "M FLOPs a slice", 1e-6),
)
FRONT_NAMES = {"p50_ms": "time", "bytes": "size", "zstd_bytes": "zstd size", "flops": "FLOPs"}


def pareto_markdown(document: Mapping[str, Any]) -> str:
    """Document → Markdown: a row a bundle, fastest first, the shipped one in bold."""
    rows = sorted(document["bundles"], key=lambda one: one["p50_ms"])
    lines = [
        "| " + " | ".join(HEADER) + " |",
        "|" + " --- |" * 3 + " ---: |" * 8 + " --- |" * 2,
        *("| " + " | ".join(_cells(one, document["shipped"])) + " |" for one in rows),
        "",
        f"Reference: {document['reference']}. Shipped: **{document['shipped']}**, by this rule: "
        f"{document['rule']} (at most {document['gate']['max_mean_drop']:g} of the mean, "
        f"{document['gate']['max_subtype_drop']:g} of a subtype).",
    ]
    return "\n".join(lines) + "\n"


def plot_pareto(document: Mapping[str, Any], path: Path) -> Path:
    """Document → PNG: mean ROC AUC against time, size, packed size and FLOPs, fronts drawn."""
    from matplotlib.figure import Figure

    bundles = document["bundles"]
    figure = Figure(figsize=(12, 9), layout="constrained")
    grid = figure.subplots(2, 2, sharey=True).ravel()
    for axes, (cost, label, factor) in zip(grid, PANELS, strict=True):
        front = sorted(
            (one[cost] * factor, one["auc"]["mean"]) for one in bundles if cost in one["fronts"]
        )
        axes.step(*zip(*front, strict=True), where="post", color="0.75", zorder=1)
        for number, one in enumerate(bundles, start=1):
            x, y = one[cost] * factor, one["auc"]["mean"]
            shipped = one["name"] == document["shipped"]
            axes.scatter(
                x, y, s=90 if shipped else 45, marker="*" if shipped else "o",
                color="C3" if shipped else "C0" if one["passes"] else "0.6", zorder=2,
            )  # fmt: skip
            axes.annotate(str(number), (x, y), (4, 4), textcoords="offset points", fontsize=9)
        found = [one[cost] * factor for one in bundles]
        axes.set_xlim(min(found) / 1.3, max(found) * 1.3)
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter("{x:g}")
        axes.xaxis.set_minor_formatter("{x:g}" if max(found) < 10 * min(found) else "")
        axes.set_xlabel(label)
        axes.grid(alpha=0.3, which="both")
    for axes in grid[::2]:
        axes.set_ylabel("mean ROC AUC, test split")
    key = "   ".join(f"{number} {one['name']}" for number, one in enumerate(bundles, start=1))
    figure.suptitle(
        "Up and to the left is better. Star: shipped; grey dots: fail the gate; line: the front.",
        fontsize=11,
    )
    figure.supxlabel(_wrapped(key), fontsize=9)
    figure.savefig(path, dpi=110)
    return path


def _cells(one: Mapping[str, Any], shipped: str) -> list[str]:
    name = f"**{one['name']}**" if one["name"] == shipped else str(one["name"])
    return [
        name,
        one["architecture"],
        one["precision"],
        f"{one['auc']['mean']:.4f}",
        f"{one['mean_drop']:+.4f}",
        f"{one['p50_ms']:.2f}",
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

    return textwrap.fill(text, width)
