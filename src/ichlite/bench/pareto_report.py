"""Write a Pareto comparison of bundles as a Markdown table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

HEADER = (
    "Bundle", "Model", "Precision", "Mean ROC AUC", "Lost", "ms, median", "ms, quickest",
    "Times faster", "KB", "KB, zstd", "M FLOPs", "Parameters", "Gate", "On the front of",
)  # fmt: skip
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
