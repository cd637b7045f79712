"""Write a benchmark as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

Run = Mapping[str, Any]


def to_markdown(document: Mapping[str, Any]) -> str:
    """A document → tables of models beside each other, the scan's stages, and the roofline."""
    parts = [*_head(document), "", *_times(document), "", *_sizes(document["runs"])]
    parts += ["", *_comparisons(document["comparisons"]), *_scan(document["scan"])]
    if document["roofline"] is not None:
        parts += ["", *_roofline(document["roofline"])]
    return "\n".join(parts) + "\n"


def _head(document: Mapping[str, Any]) -> list[str]:
    machine, load = document["machine"], document["load_average"]
    packages = ", ".join(f"{name} {version}" for name, version in machine["packages"].items())
    return [
        f"# Benchmark, {document['date']}",
        "",
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; "
        f"load average {_number(load['before'], 1) or 'unknown'} before, "
        f"{_number(load['after'], 1) or 'unknown'} after.",
        f"ichlite {machine['ichlite']}, Python {machine['python']}, {packages}.",
    ]


def _times(document: Mapping[str, Any]) -> list[str]:
    protocol = document["protocol"]
    reference = protocol["reference"]
    header = ["model", "precision", "runtime", "threads", "init ms", "first ms", "p50 ms"]
    header += ["p95 ms", "p99 ms", "ratio", "quartiles of rounds", "off LiteRT"]
    rows = [
        [
            *_names(run),
            str(run["threads"]),
            *(_number(run[f"{key}_ms"], 2) for key in ("init", "first", "p50", "p95", "p99")),
            _number(run["ratio"], 2),
            _range(run["ratio_quartiles"]),
            "" if run["max_probability_difference"] is None
            else f"{run['max_probability_difference']:.0e}",
        ]
        for run in document["runs"]
    ]  # fmt: skip
    return [
        "## Inference",
        "",
        f"Batch 1, input {'x'.join(map(str, protocol['input']))}, {protocol['runs']} inferences "
        f"each in turns of {protocol['turn']}, the entries of one thread count by turns; init and "
        f"first: median of {protocol['starts']} processes. Ratio: median over that of "
        f"{reference['model']} {reference['precision']} under {reference['runtime']} on one thread "
        "in the same rounds. Off LiteRT: largest difference of a probability.",
        "",
        *_table(header, rows, texts=3),
    ]


def _sizes(runs: Sequence[Run]) -> list[str]:
    header = ["model", "precision", "runtime", "file", "gzip", "zstd", "parameters", "MFLOPs"]
    header += ["arena bytes", "RSS growth MB", "peak RSS MB"]
    least = min(run["threads"] for run in runs)
    rows = [
        [
            *_names(run),
            *(_count(run[key]) for key in ("bytes", "gzip_bytes", "zstd_bytes", "params")),
            "" if run["flops"] is None else _number(run["flops"] / 1e6, 1),
            _count(run["arena_bytes"]),
            _number(run["rss_growth_mb"], 1),
            _number(run["peak_rss_mb"], 1),
        ]
        for run in runs
        if run["threads"] == least
    ]
    return ["## Size", "", *_table(header, rows, texts=3)]


def _comparisons(found: Mapping[str, Any]) -> list[str]:
    lines = []
    runtimes = found["litert_to_fastest_runtime"]
    models = {
        "LightFCN": found["mobilenet_v2_to_light_fcn"],
        "the bundle": found["mobilenet_v2_to_bundle"],
    }
    if runtimes is not None:
        lines.append(
            f"- LightFCN float32, one thread: LiteRT takes {_ratio(runtimes)} of the fastest "
            f"runtime, {runtimes['fastest']}."
        )
    lines += [
        f"- MobileNetV2 float32 takes {_ratio(ratio)} of {name}: LiteRT, one thread."
        for name, ratio in models.items()
        if ratio is not None
    ]
    return ["## Ratios in this run", "", *lines, ""] if lines else []


def _scan(scan: Mapping[str, Any]) -> list[str]:
    shipped = scan["as_shipped"]["stages_ms"]
    rows = [
        [stage, _number(ms, 3), _number(shipped[stage], 3)]
        for stage, ms in scan["stages_ms"].items()
    ]
    return [
        "## Files to result",
        "",
        f"{scan['slices']} uncompressed slices, one thread: {scan['ms_per_slice']:.2f} ms a slice; "
        f"limit (reading the bytes and bare inference) {scan['limit_ms_per_slice']:.2f}; "
        f"ratio {scan['ratio']:.2f} (quickest readings {scan['ratio_of_quickest']:.2f}), on two "
        f"threads {scan['two_thread_ratio']:.2f} "
        f"(quickest {scan['two_thread_ratio_of_quickest']:.2f}). "
        f"`ichlite read` holds {_number(scan['peak_rss_mb'], 1)} MB at most, with "
        f"{scan['read_slices']} slices {_number(scan['read_peak_rss_mb'], 1)} MB.",
        "",
        *_table(["stage", "ms a slice", "files as they came"], rows, texts=1),
    ]


def _roofline(found: Mapping[str, Any]) -> list[str]:
    rows = [
        [
            str(layer["layer"]),
            layer["kind"],
            "x".join(map(str, layer["output_shape"][1:])),
            _number(layer["flops"] / 1e6, 2),
            _number(layer["bytes"] / 1e6, 2),
            _number(layer["bytes_per_s"] / 1e9, 0),
            _number(layer["bound_ms"], 4),
            layer["limit"],
        ]
        for layer in found["layers"]
    ]
    header = ["layer", "kind", "output", "MFLOPs", "MB", "GB/s there", "bound ms", "limit"]
    return [
        "## Roofline",
        "",
        f"{found['model']} {found['precision']} under {found['runtime']}, one thread. This machine "
        f"reaches {found['peak_flops_per_s'] / 1e9:.0f} GFLOP/s and "
        f"{found['memory_bytes_per_s'] / 1e9:.0f} GB/s from memory. The layers take at least "
        f"{found['bound_ms']:.2f} ms; the median is {found['p50_ms']:.2f} ms: "
        f"{found['share']:.0%} of the bound is reached ({found['share_of_quickest']:.0%} by the "
        f"quickest inference). Without layers the bound is {found['simple_bound_ms']:.2f} ms, "
        f"{found['simple_share']:.0%}.",
        "",
        *_table(header, rows, texts=3),
    ]


def _names(run: Run) -> list[str]:
    return [run["model"], run["precision"], run["runtime"]]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]], *, texts: int) -> list[str]:
    """Header and rows → Markdown, padded; the first `texts` columns are words, not numbers."""
    cells = [list(header), *map(list, rows)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(header))]
    lines = [
        "| "
        + " | ".join(
            cell.ljust(width) if column < texts else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        + " |"
        for row in cells
    ]
    rule = [
        "-" * (width + 2) if column < texts else "-" * (width + 1) + ":"
        for column, width in enumerate(widths)
    ]
    return [lines[0], "|" + "|".join(rule) + "|", *lines[1:]]


def _ratio(found: Mapping[str, Any]) -> str:
    return (
        f"{found['ratio']:.2f} times the time (quartiles of the rounds "
        f"{_range(found['ratio_quartiles'])}; quickest inferences "
        f"{found['ratio_of_quickest']:.2f})"
    )


def _range(quartiles: Sequence[float]) -> str:
    return " ".join(f"{one:.2f}" for one in quartiles)


def _number(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"


def _count(value: int | None) -> str:
    return "" if value is None else f"{value:,}"
