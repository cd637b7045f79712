"""Write a benchmark, or a Pareto comparison of bundles, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Document = Mapping[str, Any]
TIMES = (
    "model | precision | runtime | threads | init ms | first ms | p50 ms | p95 ms | p99 ms | "
    "ratio | quartiles of rounds | off LiteRT",
    "{model} | {precision} | {runtime} | {threads:d} | {init_ms:.2f} | {first_ms:.2f} | "
    "{p50_ms:.2f} | {p95_ms:.2f} | {p99_ms:.2f} | {ratio:.2f} | {quartiles} | "
    "{max_probability_difference:.0e}",
)
SIZES = (
    "model | precision | runtime | file | gzip | zstd | parameters | MFLOPs | arena bytes | "
    "RSS growth MB | peak RSS MB",
    "{model} | {precision} | {runtime} | {bytes:,} | {gzip_bytes:,} | {zstd_bytes:,} | {params:,} |"
    " {mflops:.1f} | {arena_bytes:,} | {rss_growth_mb:.1f} | {peak_rss_mb:.1f}",
)
STAGES = ("stage | ms a slice | files as they came", "{stage} | {ms:.3f} | {shipped_ms:.3f}")
LAYERS = (
    "layer | kind | output | MFLOPs | MB | GB/s there | bound ms | limit",
    "{layer} | {kind} | {output} | {mflops:.2f} | {mb:.2f} | {gb_per_s:.0f} | {bound_ms:.4f} | "
    "{limit}",
)
BUNDLES = (
    "Bundle | Model | Precision | Mean ROC AUC | Lost | ms, median | ms, quickest | Times faster | "
    "KB | KB, zstd | M FLOPs | Parameters | Gate | On the front of",
    "{name} | {architecture} | {precision} | {auc[mean]:.4f} | {mean_drop:+.4f} | {p50_ms:.2f} | "
    "{min_ms:.2f} | {speedup:.2f} | {kb:,.1f} | {zstd_kb:,.1f} | {mflops:,.0f} | {params:,} | "
    "{gate} | {front_names}",
)
"""Titles of columns, and what stands in them; of a number its format, too."""
FRONT_NAMES = {"min_ms": "time", "bytes": "size", "zstd_bytes": "zstd size", "flops": "FLOPs"}


def bench_markdown(document: Document) -> str:
    """Return tables of models beside each other, the scan's stages, and the roofline.

    Args:
        document: Of `bench_document.bench_document`.
    """
    runs = [
        {
            **run,
            "quartiles": _range(run["ratio_quartiles"]),
            "mflops": None if run["flops"] is None else run["flops"] / 1e6,
        }
        for run in document["runs"]
    ]
    least = min(run["threads"] for run in runs)
    parts = [_head(document), "## Inference", _protocol(document["protocol"])]
    parts += [markdown_table(*TIMES, runs), "## Size"]
    parts += [markdown_table(*SIZES, (run for run in runs if run["threads"] == least))]
    parts += [*_comparisons(document["comparisons"]), *_scan(document["scan"])]
    if document["roofline"] is not None:
        parts += _roofline(document["roofline"])
    return "\n\n".join(parts) + "\n"


def pareto_markdown(document: Document) -> str:
    """Return a row a bundle, fastest first, the shipped one in bold, and the rule.

    Args:
        document: Of `ichlite pareto`.
    """
    shipped, gate = document["shipped"], document["gate"]
    rows = [
        {
            **one,
            "name": f"**{one['name']}**" if one["name"] == shipped else one["name"],
            "kb": one["bytes"] / 1e3,
            "zstd_kb": one["zstd_bytes"] / 1e3,
            "mflops": one["flops"] / 1e6,
            "gate": "passes" if one["passes"] else "fails",
            "front_names": ", ".join(FRONT_NAMES[cost] for cost in one["fronts"]),
        }
        for one in sorted(document["bundles"], key=lambda one: one["min_ms"])
    ]
    rule = (
        f"Reference: {document['reference']}. Shipped: **{shipped}**, by this rule: "
        f"{document['rule']} (at most {gate['max_mean_drop']:g} of the mean, "
        f"{gate['max_subtype_drop']:g} of a subtype)."
    )
    if document["undefined"]:
        rule += (
            f"\nThe gate says nothing of {', '.join(document['undefined'])}: the test split has no "
            "positives of it, or nothing else."
        )
    return f"{markdown_table(*BUNDLES, rows)}\n\n{rule}\n"


class _Unknown:
    """Stands for None: nothing, in any format."""

    def __format__(self, _: str) -> str:
        return ""


def markdown_table(titles: str, cells: str, rows: Iterable[Document]) -> str:
    """Return a padded Markdown table: words to the left, numbers to the right, None as nothing.

    Example:
        >>> print(markdown_table("name | count", "{name} | {n:,}", [{"name": "a", "n": 1000}]))
        | name | count |
        |------|------:|
        | a    | 1,000 |
    """
    fields = cells.split(" | ")
    table = [titles.split(" | ")]
    for row in rows:
        known = {key: _Unknown() if value is None else value for key, value in row.items()}
        table.append([field.format_map(known).replace("|", "\\|") for field in fields])
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    sides = [">" if ":" in field else "<" for field in fields]
    lines = [
        " | ".join(map("{:{}{}}".format, row, sides, widths))  # each cell, its side and width
        for row in table
    ]
    ends = {"<": "--", ">": "-:"}
    rule = "|".join("-" * width + ends[side] for side, width in zip(sides, widths, strict=True))
    return "\n".join([f"| {lines[0]} |", f"|{rule}|", *(f"| {line} |" for line in lines[1:])])


def _head(document: Document) -> str:
    machine, load = document["machine"], document["load_average"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return (
        f"# Benchmark, {document['date']}\n\n"
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; load average "
        f"{_or_unknown(load['before'])} before, {_or_unknown(load['after'])} after.\n"
        f"ichlite {machine['ichlite']}, Python {machine['python']}, {packages}."
    )


def _protocol(protocol: Document) -> str:
    reference = protocol["reference"]
    return (
        f"Batch 1, input {'x'.join(map(str, protocol['input']))}, {protocol['runs']} inferences "
        f"each in turns of {protocol['turn']}, the entries of one thread count by turns; init and "
        f"first: median of {protocol['starts']} processes. Ratio: median over that of "
        f"{reference['model']} {reference['precision']} under {reference['runtime']} on one thread "
        "in the same rounds. Off LiteRT: largest difference of a probability."
    )


def _comparisons(found: Document) -> list[str]:
    sentences = (
        ("litert_to_fastest_runtime",
         "LightFCN float32, one thread: LiteRT takes {} of the fastest runtime, {fastest}."),
        ("mobilenet_v2_to_light_fcn",
         "MobileNetV2 float32 takes {} of LightFCN: LiteRT, one thread."),
        ("mobilenet_v2_to_bundle",
         "MobileNetV2 float32 takes {} of the bundle: LiteRT, one thread."),
    )  # fmt: skip
    lines = []
    for key, sentence in sentences:
        ratio = found[key]
        if ratio is not None:
            words = (
                f"{ratio['ratio']:.2f} times the time (quartiles of the rounds "
                f"{_range(ratio['ratio_quartiles'])}; quickest inferences "
                f"{ratio['ratio_of_quickest']:.2f})"
            )
            lines.append("- " + sentence.format(words, **ratio))
    return ["## Ratios in this run", "\n".join(lines)] if lines else []


def _scan(scan: Document) -> list[str]:
    shipped = scan["as_shipped"]["stages_ms"]
    rows = [
        {"stage": stage, "ms": ms, "shipped_ms": shipped[stage]}
        for stage, ms in scan["stages_ms"].items()
    ]
    return [
        "## Files to result",
        f"{scan['slices']} uncompressed slices, one thread: {scan['ms_per_slice']:.2f} ms a slice; "
        f"limit (reading the bytes and bare inference) {scan['limit_ms_per_slice']:.2f}; "
        f"ratio {scan['ratio']:.2f} (quickest readings {scan['ratio_of_quickest']:.2f}), on two "
        f"threads {scan['two_thread_ratio']:.2f} "
        f"(quickest {scan['two_thread_ratio_of_quickest']:.2f}). "
        f"`ichlite read` holds {_or_unknown(scan['peak_rss_mb'])} MB at most, with "
        f"{scan['read_slices']} slices {_or_unknown(scan['read_peak_rss_mb'])} MB.",
        markdown_table(*STAGES, rows),
    ]


def _roofline(found: Document) -> list[str]:
    rows = [
        {
            **layer,
            "output": "x".join(map(str, layer["output_shape"][1:])),
            "mflops": layer["flops"] / 1e6,
            "mb": layer["bytes"] / 1e6,
            "gb_per_s": layer["bytes_per_s"] / 1e9,
        }
        for layer in found["layers"]
    ]
    return [
        "## Roofline",
        f"{found['model']} {found['precision']} under {found['runtime']}, one thread. This machine "
        f"reaches {found['peak_flops_per_s'] / 1e9:.0f} GFLOP/s and "
        f"{found['memory_bytes_per_s'] / 1e9:.0f} GB/s from memory. The layers take at least "
        f"{found['bound_ms']:.2f} ms; the median is {found['p50_ms']:.2f} ms: "
        f"{found['share']:.0%} of the bound is reached ({found['share_of_quickest']:.0%} by the "
        f"quickest inference). Without layers the bound is {found['simple_bound_ms']:.2f} ms, "
        f"{found['simple_share']:.0%}.",
        markdown_table(*LAYERS, rows),
    ]


def _range(quartiles: Sequence[float]) -> str:
    return " ".join(f"{one:.2f}" for one in quartiles)


def _or_unknown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"
