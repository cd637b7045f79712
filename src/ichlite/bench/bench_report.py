"""Write a benchmark, or a Pareto comparison of bundles, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import structs

from ichlite.bench.pareto_front import ParetoDocument
from ichlite.contracts.bench import BenchDocument, Comparison, RunEntry

REPORT = """\
# Benchmark, {date}

{machine.cpu}, {machine.cores} cores, {machine.system};
load average {before} before, {after} after.
ichlite {machine.ichlite}, Python {machine.python}, {packages}.

## Inference

Batch 1, input {input}, {protocol.runs} inferences each in turns of {protocol.turn}, the entries
of one thread count by turns; init and first: median of {protocol.starts} processes. Ratio: median
over that of {reference.model} {reference.precision} under {reference.runtime} on one thread in
the same rounds. Off LiteRT: largest difference of a probability.

{times}

## Size

{sizes}

{ratios}## Files to result

{scan.slices} uncompressed slices, one thread: {scan.ms_per_slice:.2f} ms a slice; limit (reading
the bytes and bare inference) {scan.limit_ms_per_slice:.2f}; ratio {scan.ratio:.2f} (quickest
readings {scan.ratio_of_quickest:.2f}), on two threads {scan.two_thread_ratio:.2f} (quickest
{scan.two_thread_ratio_of_quickest:.2f}). `ichlite read` holds {peak} MB at most, with
{scan.read_slices} slices {read_peak} MB.

{stages}

The same slices in every transfer syntax that an encoder is installed for, quickest readings; a
syntax has a line for each installed package that decodes it. Ratio: to the first line.

{syntaxes}
"""
RATIO = (
    "{one.ratio:.2f} times the time (quartiles of the rounds {quartiles}; quickest inferences "
    "{one.ratio_of_quickest:.2f})"
)
RATIOS = {
    "litert_to_fastest_runtime": "LightFCN float32, one thread: LiteRT takes {} of the fastest "
    "runtime, {one.fastest}.",
    "mobilenet_v2_to_light_fcn": "MobileNetV2 float32 takes {} of LightFCN: LiteRT, one thread.",
    "mobilenet_v2_to_bundle": "MobileNetV2 float32 takes {} of the bundle: LiteRT, one thread.",
}
ROOFLINE = """
## Roofline

{model} {precision} under {runtime}, one thread. This machine reaches {gflops_per_s:.0f} GFLOP/s and
{gb_per_s:.0f} GB/s from memory. The layers take at least {bound_ms:.2f} ms; the median is
{p50_ms:.2f} ms: {share:.0%} of the bound is reached ({share_of_quickest:.0%} by the quickest
inference). Without layers the bound is {simple_bound_ms:.2f} ms, {simple_share:.0%}.

{table}
"""
PARETO = """\
{table}

Reference: {reference}. Shipped: **{shipped}**, by this rule: {rule} (at most
{gate.max_mean_drop:g} of the mean, {gate.max_subtype_drop:g} of a subtype).
"""
UNDEFINED = "The gate says nothing of {}: the test split has no positives of it, or nothing else.\n"
# Of each table the titles of its columns, and what stands in them; of a number its format, too.
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
SYNTAXES = (
    "transfer syntax | decoded by | KB a slice | ms a slice | on two threads | ratio",
    "{name} | {package} | {kb:.0f} | {quickest_ms_per_slice:.2f} | "
    "{two_thread_quickest_ms_per_slice:.2f} | {ratio_of_quickest:.2f}",
)
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
FRONT_NAMES = {"min_ms": "time", "bytes": "size", "zstd_bytes": "zstd size", "flops": "FLOPs"}


def bench_markdown(document: BenchDocument) -> str:
    """Return a benchmark document as Markdown: model timings, stages of a scan, roofline."""
    protocol, scan, load = document.protocol, document.scan, document.load_average
    runs = [
        {**structs.asdict(run), "quartiles": _range(run), "mflops": run.flops and run.flops / 1e6}
        for run in document.runs
    ]
    least = min(run.threads for run in document.runs)
    ratios = [
        "- " + RATIOS[key].format(RATIO.format(one=one, quartiles=_range(one)), one=one)
        for key, one in structs.asdict(document.comparisons).items()
        if one
    ]
    shipped = scan.as_shipped.stages_ms if scan.as_shipped else {}
    stages = [
        {"stage": stage, "ms": ms, "shipped_ms": shipped.get(stage)}
        for stage, ms in scan.stages_ms.items()
    ]
    syntaxes = [
        {**structs.asdict(entry), "kb": entry.bytes_per_slice / 1e3}
        for entry in scan.syntaxes or ()
    ]
    text = REPORT.format(
        **structs.asdict(document),
        before=_or_unknown(load.before),
        after=_or_unknown(load.after),
        packages=", ".join(f"{name} {of}" for name, of in document.machine.packages.items()),
        input="x".join(map(str, protocol.input)),
        reference=protocol.reference,
        times=markdown_table(*TIMES, runs),
        sizes=markdown_table(*SIZES, (run for run in runs if run["threads"] == least)),
        ratios="\n".join(["## Ratios in this run", "", *ratios, "", ""]) if ratios else "",
        peak=_or_unknown(scan.peak_rss_mb),
        read_peak=_or_unknown(scan.read_peak_rss_mb or None),
        stages=markdown_table(*STAGES, stages),
        syntaxes=markdown_table(*SYNTAXES, syntaxes),
    )
    found = document.roofline
    if found is None:
        return text
    layers = [
        {
            **structs.asdict(layer),
            "output": "x".join(map(str, layer.output_shape[1:])),
            "mflops": layer.flops / 1e6,
            "mb": layer.bytes / 1e6,
            "gb_per_s": layer.bytes_per_s / 1e9,
        }
        for layer in found.layers
    ]
    return text + ROOFLINE.format(
        **structs.asdict(found),
        gflops_per_s=found.peak_flops_per_s / 1e9,
        gb_per_s=found.memory_bytes_per_s / 1e9,
        table=markdown_table(*LAYERS, layers),
    )


def pareto_markdown(document: ParetoDocument) -> str:
    """Return a Pareto comparison as a Markdown table with one row for each bundle.

    The fastest bundle comes first, the one to ship is in bold, and the rule that chose it follows.
    """
    rows = [
        {
            **structs.asdict(one),
            "name": f"**{one.name}**" if one.name == document.shipped else one.name,
            "kb": one.bytes / 1e3,
            "zstd_kb": one.zstd_bytes / 1e3,
            "mflops": one.flops / 1e6,
            "gate": "passes" if one.passes else "fails",
            "front_names": ", ".join(FRONT_NAMES[cost] for cost in one.fronts),
        }
        for one in sorted(document.bundles, key=lambda one: one.min_ms)
    ]
    text = PARETO.format(**structs.asdict(document), table=markdown_table(*BUNDLES, rows))
    undefined = ", ".join(document.undefined)
    return text + UNDEFINED.format(undefined) if undefined else text


class _Unknown:
    """Stands for None: nothing, in any format."""

    def __format__(self, _: str) -> str:
        return ""


def markdown_table(titles: str, cells: str, rows: Iterable[Mapping[str, object]]) -> str:
    """Return a padded Markdown table; words are left-aligned, numbers right-aligned, None is blank.

    Args:
        titles: Column titles, separated by " | ".
        cells: Format string of each column, separated by " | "; one with ":" is right-aligned.
        rows: Values of each row by the names that `cells` uses.

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
    head, *body = (" | ".join(map("{:{}{}}".format, row, sides, widths)) for row in table)
    ends = {"<": "--", ">": "-:"}
    rule = "|".join("-" * width + ends[side] for side, width in zip(sides, widths, strict=True))
    return "\n".join([f"| {head} |", f"|{rule}|", *(f"| {line} |" for line in body)])


def _range(found: RunEntry | Comparison) -> str:
    return " ".join(f"{one:.2f}" for one in found.ratio_quartiles or ())


def _or_unknown(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.1f}"
