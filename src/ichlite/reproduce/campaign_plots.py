"""Draw the pictures of a reproduction: what was measured beside what was published."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ichlite.data.store import Store
from ichlite.evaluate.intervals import Interval
from ichlite.evaluate.plots import OURS, SOFT, not_run, save, styled
from ichlite.labels import NAMES, SUBTYPES
from ichlite.models import build
from ichlite.reproduce.architecture import draw_architecture
from ichlite.reproduce.campaign_plan import LOSS_MODEL
from ichlite.reproduce.campaign_summary import GroupResults, Summary, title_of
from ichlite.reproduce.costs import Costs
from ichlite.reproduce.examples import RULE, choose_examples, draw_examples
from ichlite.reproduce.published import TABLES, name_of
from ichlite.reproduce.results import MEAN

_METRICS = ("accuracy", "roc_auc", "balanced_accuracy", "sensitivity", "specificity")
_SPREAD = 0.16
"""Seeds stand beside one another within this part of a category."""
_PAPER = "paper, other data"
_RED = "#B00020"
_PUBLISHED: dict[str, Any] = {
    "marker": "D", "linestyle": "none", "markerfacecolor": "white", "markeredgecolor": _RED,
    "markersize": 6, "markeredgewidth": 1.3, "label": _PAPER,
}  # fmt: skip
_SUFFIXES: Mapping[str, str] = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True, slots=True)
class Picture:
    """One figure of the report: its file, title and caption."""

    path: Path
    title: str
    caption: str

    @property
    def data_url(self) -> str:
        """The picture as a `data:` URL, for embedding in a web page."""
        content = b64encode(self.path.read_bytes()).decode("ascii")
        return f"data:{_SUFFIXES[self.path.suffix]};base64,{content}"


def draw_pictures(
    summary: Summary, costs: Costs, store: Store, name: str, figures: Path
) -> tuple[Picture, ...]:
    """Draw Figures 1 and 2 and the plots of a reproduction into a folder.

    Args:
        summary: Scores of models and losses.
        costs: Costs of the models.
        store: Store whose test split gives the slices of Figure 2.
        name: Name of the data, for captions.
        figures: Existing folder for the pictures.
    """
    chosen = choose_examples(store)
    images = ", ".join(
        f"{one.subtype} {'none' if one.row is None else store.image[one.row]}" for one in chosen
    )
    return (
        Picture(
            draw_architecture(build(LOSS_MODEL), figures / "figure1.svg", name_of(LOSS_MODEL)),
            "Figure 1. LightFCN",
            "Drawn from the Keras model. Widths are a reconstruction: the paper's figure is not in "
            "its text. Squares show the sides of the feature maps, on a root scale.",
        ),
        Picture(
            draw_examples(store, chosen, figures / "figure2.png"),
            "Figure 2. A preprocessed slice of each subtype",
            f"From {name}. Chosen by rule: {RULE}. Images: {images}.",
        ),
        Picture(
            plot_groups(summary.losses, 5, "roc_auc", figures / "losses.svg"),
            "Losses, seed by seed",
            "Mean over subtypes. A loss is better only where its seeds stand clear of the other's.",
        ),
        Picture(
            plot_groups(summary.models, 2, "balanced_accuracy", figures / "models.svg"),
            "Models, seed by seed",
            "Mean over subtypes. The paper's AUC of Table 2 stands under "
            "balanced accuracy, which it is.",
        ),
        Picture(
            plot_subtypes(summary, figures / "subtypes.svg"),
            "Table 3, drawn",
            "Left bar of a pair: measured here; right, hatched: the paper's.",
        ),
        Picture(
            plot_costs(summary, costs, figures / "costs.svg"),
            "What performance costs",
            "Filled: measured here. Hollow: the paper's, balanced accuracy being the mean of its "
            "Table 3, time and size of its Table 4. Only the order of models can be compared.",
        ),
    )


def plot_groups(
    groups: Mapping[str, GroupResults], number: int, auc_metric: str, path: Path
) -> Path:
    """Plot one panel per metric, with each seed, their mean and interval, and the published value.

    Args:
        groups: Results of each group, by name.
        number: Number of the paper's table with the published values.
        auc_metric: Metric that the column AUC of that table holds.
        path: File that the picture is written to.

    Returns:
        The path.
    """
    with styled(12.5, 3.5) as figure:
        for axes, metric in zip(figure.subplots(1, len(_METRICS)), _METRICS, strict=True):
            column = "auc" if metric == auc_metric else metric
            drawn = False
            for place, (name, group) in enumerate(groups.items()):
                statistic = group.statistic(MEAN, metric)
                if statistic.mean is not None:
                    drawn = True
                    seeds = np.asarray(statistic.by_seed) * 100
                    half = _SPREAD / 2 * (len(seeds) > 1)
                    axes.plot(
                        place - 0.28 + np.linspace(-half, half, len(seeds)), seeds, "o", color=OURS,
                        markersize=3.5, alpha=0.55, markeredgewidth=0, label="one seed",
                    )  # fmt: skip
                    _point(axes, place, statistic.mean, statistic.interval)
                printed = TABLES[number].value((name,), column)
                if printed is not None:
                    axes.plot(place + 0.28, printed, **_PUBLISHED)
            if not drawn:
                not_run(axes)
            axes.set_title(f"{title_of(metric)}, %")
            axes.set_xticks(range(len(groups)), [_broken(name_of(name)) for name in groups], size=8)
            axes.set_xlim(-0.6, len(groups) - 0.4)
            axes.margins(y=0.12)
        _legend(figure)
        return save(figure, path)


def plot_subtypes(summary: Summary, path: Path) -> Path:
    """Plot sensitivity and balanced accuracy by subtype as bars, with published values hatched.

    Args:
        summary: Scores of the models.
        path: File that the picture is written to.
    """
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    models = ("mobilenet_v2", "sfcn", "light_fcn")
    shown = (("sensitivity", "sensitivity"), ("balanced_accuracy", "auc"))
    with styled(11, 5.6) as figure:
        panels = figure.subplots(len(shown), len(models), sharey="row")
        for axes, model in zip(panels[0], models, strict=True):
            axes.set_title(name_of(model))
        for line, (metric, column) in zip(panels, shown, strict=True):
            for axes, model in zip(line, models, strict=True):
                if not _subtype_bars(axes, summary.models.get(model), model, metric, column):
                    axes.text(
                        0.03, 0.95, "not run here", transform=axes.transAxes, color=SOFT, va="top"
                    )
                axes.set_xticks(range(len(NAMES)), [s.abbreviation for s in SUBTYPES])
                axes.set_ylim(0, 100)
            line[0].set_ylabel(f"{title_of(metric)}, %")
        handles = [
            Patch(facecolor=OURS, label="measured here"),
            Line2D([], [], color=OURS, linewidth=1.2, label="95 % over patients"),
            Patch(facecolor="white", edgecolor=OURS, hatch="////", label=_PAPER),
        ]
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
        return save(figure, path)


def plot_costs(summary: Summary, costs: Costs, path: Path) -> Path:
    """Plot balanced accuracy of the models against inference time and against file size.

    Args:
        summary: Scores of the models.
        costs: Costs of the models.
        path: File that the picture is written to.
    """
    panels = (
        ("latency_float32_ms", "time", 1.0, "Time a slice, ms (ours: this machine, paper: Pi 4B)"),
        ("tflite_float32_bytes", "size", 1e6, "Size of the float32 .tflite file, MB"),
    )
    with styled(11, 4.2) as figure:
        for axes, (key, column, unit, label) in zip(
            figure.subplots(1, 2, sharey=True), panels, strict=True
        ):
            here, there = [], []
            for name, group in summary.models.items():
                x = costs.value(name, key)
                statistic = group.statistic(MEAN, "balanced_accuracy")
                if x is not None and statistic.mean is not None:
                    _point(axes, x / unit, statistic.mean, statistic.interval)
                    here.append((x / unit, statistic.mean * 100, name_of(name)))
                x = TABLES[4].value((name,), column)
                known = [TABLES[3].value((name, subtype), "auc") for subtype in NAMES]
                if x is not None and (printed := [one for one in known if one is not None]):
                    mean = float(np.mean(printed))
                    axes.plot(x / unit, mean, **_PUBLISHED)
                    there.append((x / unit, mean, name_of(name)))
            _names_at(axes, here, OURS)
            _names_at(axes, there, _RED)
            if not here:
                not_run(axes)
            axes.set_xscale("log")
            axes.margins(x=0.22, y=0.15)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_xlabel(label)
        figure.axes[0].set_ylabel("Balanced accuracy, mean of subtypes, %")
        _legend(figure)
        return save(figure, path)


def _point(axes: Any, x: float, mean: float, ends: Interval | None) -> None:
    error = None
    if ends is not None:
        error = [[max(0.0, mean - ends[0]) * 100], [max(0.0, ends[1] - mean) * 100]]
    axes.errorbar(
        x, mean * 100, error, fmt="o", color=OURS, markersize=6.5, capsize=3, linewidth=1.4,
        label="mean of seeds, 95 % over patients",
    )  # fmt: skip


def _subtype_bars(
    axes: Any, group: GroupResults | None, model: str, metric: str, column: str
) -> bool:
    """Draw a pair of bars a subtype; tell whether any of them was measured."""
    drawn = False
    for place, subtype in enumerate(SUBTYPES):
        statistic = None if group is None else group.statistic(subtype.name, metric)
        if statistic is not None and statistic.mean is not None:
            drawn = True
            axes.bar(place - 0.2, statistic.mean * 100, 0.38, color=subtype.colour)
            if statistic.interval is not None:
                ends = [end * 100 for end in statistic.interval]
                axes.plot([place - 0.2] * 2, ends, color=OURS, linewidth=1.2)
        printed = TABLES[3].value((model, subtype.name), column)
        if printed is not None:
            axes.bar(
                place + 0.2, printed, 0.38, facecolor="white", edgecolor=subtype.colour,
                hatch="////", linewidth=1,
            )  # fmt: skip
    return drawn


def _names_at(axes: Any, points: Sequence[tuple[float, float, str]], colour: str) -> None:
    """Write names beside points, above and below in turn, so that neighbours do not collide."""
    for number, (x, y, words) in enumerate(sorted(points)):
        above = number % 2 == 0
        axes.annotate(
            words, (x, y), xytext=(7, 6 if above else -6), textcoords="offset points", size=8.5,
            color=colour, va="bottom" if above else "top",
        )  # fmt: skip


def _broken(name: str) -> str:
    """Break a long name into two lines, to fit under an axis."""
    return name.replace("_", "_\n").replace("NetV2", "-\nNetV2").replace("tFCN", "t-\nFCN")


def _legend(figure: Any) -> None:
    """Make one legend for all panels, each kind of mark once."""
    found = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if found:
        figure.legend(found.values(), found.keys(), loc="outside upper right", ncols=len(found))
