"""Plot a benchmark: times side by side, and the roofline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ichlite.contracts.bench import BenchDocument, Roofline, RunEntry, ScanEntry
from ichlite.evaluate.plots import INK, RULE, SOFT, save, styled

KINDS: Mapping[tuple[str, str], tuple[str, str]] = {
    ("litert", "float32"): ("LiteRT float32", "#0b6e99"),
    ("litert", "float16"): ("LiteRT float16", "#33475b"),
    ("litert", "dynamic"): ("LiteRT dynamic range", "#41b3a3"),
    ("litert", "int8"): ("LiteRT int8", "#6fc0e0"),
    ("onnxruntime", "float32"): ("ONNX Runtime", "#c05621"),
    ("openvino", "float32"): ("OpenVINO", "#6b46c1"),
    ("keras", "float32"): ("Keras, TensorFlow", "#4a7c2c"),
}
"""Label and colour of each runtime and precision, in the order in which they are drawn."""
STAGE_COLOURS = (
    *("#33475b", "#5b7c99", "#8fb3cc", "#c5dbe8", "#e3c9a4", "#e8a87c"),
    *("#c38d9e", "#41b3a3", "#0b6e99", "#7a4b94"),
)
LAYERS: Mapping[str, tuple[str, str]] = {
    "CONV_2D": ("convolutions", "o"),
    "DEPTHWISE_CONV_2D": ("depthwise convolutions", "s"),
    "ADD": ("additions", "^"),
    "MAX_POOL_2D": ("max-pools", "v"),
}
"""Label and marker of the layers that are drawn; the rest takes no time."""
REACHED = "#B00020"


def plot_bench(document: BenchDocument, path: Path) -> Path:
    """Plot the times of every model and runtime, and the stages of a scan.

    Args:
        document: Document returned by `bench_document.bench_document`.
        path: File that the picture is written to.

    Returns:
        The path.
    """
    from matplotlib.lines import Line2D

    runs = document.runs
    models = list(dict.fromkeys(run.model for run in runs))
    counts = sorted({run.threads for run in runs})
    rows = sum(run.threads == counts[0] for run in runs)
    height_in = 1.7 + 0.32 * len(models) + 0.2 * rows
    measured = {(run.runtime, run.precision) for run in runs}
    with styled(5.6 * len(counts), height_in + 2.4) as figure:
        above, below = figure.subfigures(2, 1, height_ratios=(height_in, 2.4))
        panels = above.subplots(1, len(counts), sharex=True, squeeze=False)[0]
        for axes, count in zip(panels, counts, strict=True):
            _times(axes, [run for run in runs if run.threads == count], models)
            axes.set_title(f"{count} thread{'s' * (count != 1)}")
        handles = [
            Line2D([], [], color=colour, marker="o", label=label)
            for kind, (label, colour) in KINDS.items()
            if kind in measured
        ]
        columns = min(len(handles), 3 * len(counts))
        above.legend(handles=handles, loc="outside upper center", ncols=columns)
        _stages(below.subplots(), document.scan)
        return save(figure, path)


def _times(axes: Any, runs: Sequence[RunEntry], models: Sequence[str]) -> None:
    """Draw a dot for each run's median, on a line from the quickest to the 95th percentile."""
    from matplotlib.ticker import NullFormatter

    place, ticks = 0, []
    for model in models:
        first = place
        for kind, (_, colour) in KINDS.items():
            for run in runs:
                if (run.model, run.runtime, run.precision) == (model, *kind):
                    p50, p95 = run.p50_ms, run.p95_ms
                    axes.plot([run.min_ms, p95], [place] * 2, color=colour, lw=2.2, alpha=0.45)
                    axes.plot(p50, place, "o", color=colour, markersize=7)
                    axes.text(
                        max(p95, p50) * 1.06, place, f"{p50:.2f}", va="center", size=7.5, color=INK
                    )
                    place += 1
        ticks.append((first + place - 1) / 2)
        axes.axhline(place, color=RULE, linewidth=0.7)
        place += 1
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_yticks(ticks, models)
    axes.set_ylim(place - 1, -1)
    _grid_of_times(axes, "milliseconds an inference: median, quickest to 95th percentile")
    axes.xaxis.set_major_formatter("{x:g}")
    low, high = axes.get_xlim()
    # Within a decade the ticks between have to say where one is; over several they would collide.
    axes.xaxis.set_minor_formatter("{x:g}" if high < 10 * low else NullFormatter())


def _stages(axes: Any, scan: ScanEntry) -> None:
    """Draw where a slice's time goes, beside the whole and its limit."""
    left = 0.0
    for (stage, ms), colour in zip(scan.stages_ms.items(), STAGE_COLOURS, strict=True):
        axes.barh(0, ms, left=left, color=colour, label=f"{stage} {ms:.2f}")
        left += ms
    axes.barh(1, scan.ms_per_slice, color=SOFT)
    axes.barh(2, scan.limit_ms_per_slice, color=RULE)
    axes.set_yticks(range(3), ["stages, one by one", "files to result", "limit"])
    axes.invert_yaxis()
    _grid_of_times(axes, "milliseconds a slice, one thread")
    axes.set_title(f"A scan of {scan.slices} slices: {scan.ratio:.2f} of the limit")
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5), fontsize=8)


def _grid_of_times(axes: Any, label: str) -> None:
    axes.grid(visible=False, axis="y")
    axes.grid(visible=True, axis="x", color=RULE)
    axes.set_xlabel(label)


def plot_roofline(found: Roofline, path: Path) -> Path:
    """Plot a roofline: the machine's peak rates, each layer of the model, and the whole model.

    Args:
        found: The `roofline` part of a benchmark document.
        path: File that the picture is written to.

    Returns:
        The path.
    """
    peak = found.peak_flops_per_s / 1e9
    rates = [rate.bytes_per_s / 1e9 for rate in found.bandwidths]
    span = (0.05, 30.0)
    with styled(8.2, 5.0) as figure:
        axes = figure.add_subplot()
        for rate, label, colour in (
            (rates[0], "caches", "#0b6e99"), (rates[-1], "memory", "#c05621"),
        ):  # fmt: skip
            axes.plot(
                [span[0], peak / rate, span[1]], [span[0] * rate, peak, peak], color=colour,
                label=f"{label}, {rate:.0f} GB/s",
            )  # fmt: skip
        for kind, (label, marker) in LAYERS.items():
            layers = [layer for layer in found.layers if layer.kind == kind]
            axes.scatter(
                [layer.flops / layer.bytes for layer in layers],
                [layer.flops / layer.bound_ms / 1e6 for layer in layers],
                [14 + 120 * layer.bound_ms / found.bound_ms for layer in layers],
                marker=marker, color=SOFT, alpha=0.7, linewidth=0, zorder=3,
                label=f"{label}: at most",
            )  # fmt: skip
        x, reached = found.flops / found.bytes, found.flops / found.p50_ms / 1e6
        axes.plot([x, x], [reached, reached / found.share], color=REACHED, linewidth=1)
        axes.plot(x, reached, "D", color=REACHED, zorder=4, label="the model, as measured")
        axes.annotate(
            f"{reached:.0f} GFLOP/s,\n{found.share:.0%} of its layers' bound", (x, reached),
            xytext=(8, -22), textcoords="offset points", color=REACHED, size=9,
        )  # fmt: skip
        axes.set(
            xscale="log", yscale="log", xlim=span, ylim=(peak / 30, peak * 1.6),
            xlabel="operations a byte moved", ylabel="GFLOP/s",
            title=f"{found.model} {found.precision}, {found.runtime}, one thread; "
            f"peak {peak:.0f} GFLOP/s",
        )  # fmt: skip
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_major_formatter("{x:g}")
        axes.legend(loc="lower right", fontsize=8)
        return save(figure, path)
