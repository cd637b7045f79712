"""Plot what was measured beside what was published."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ichlite.evaluate.intervals import Interval
from ichlite.evaluate.plots import OURS, SOFT, not_run, save, styled
from ichlite.labels import NAMES, SUBTYPES
from ichlite.reproduce.campaign_summary import MEAN, GroupResults, Summary
from ichlite.reproduce.published import TABLES, Row
from ichlite.reproduce.verdicts import cost_value, name_of

TITLES: Mapping[str, str] = {
    "accuracy": "Accuracy",
    "roc_auc": "ROC AUC",
    "balanced_accuracy": "Balanced accuracy",
    "sensitivity": "Sensitivity",
    "specificity": "Specificity",
}
_SPREAD = 0.16
"""Seeds stand beside one another within this part of a category."""
_PAPER = "paper, other data"
_BALANCED = "balanced_accuracy"
_PUBLISHED: dict[str, Any] = {
    "marker": "D", "linestyle": "none", "markerfacecolor": "white", "markeredgecolor": "#B00020",
    "markersize": 6, "markeredgewidth": 1.3,
}  # fmt: skip


def plot_groups(
    groups: Mapping[str, GroupResults], number: int, auc_metric: str, path: Path
) -> Path:
    """Groups → one panel a metric: seeds, mean with interval, and the published number.

    Args:
        groups: By name.
        number: Of the table with the published numbers.
        auc_metric: Which metric that table's AUC is.
        path: Of the picture.

    Returns:
        The path.
    """
    columns = {
        "accuracy": "accuracy",
        "sensitivity": "sensitivity",
        "specificity": "specificity",
        auc_metric: "auc",
    }
    with styled(12.5, 3.5) as figure:
        for axes, (metric, title) in zip(
            figure.subplots(1, len(TITLES)), TITLES.items(), strict=True
        ):
            drawn = False
            for place, (name, group) in enumerate(groups.items()):
                drawn |= _group_at(axes, place, group, metric)
                printed = TABLES[number].value((name,), columns.get(metric, ""))
                if printed is not None:
                    axes.plot(place + 0.28, printed, **_PUBLISHED, label=_PAPER)
            if not drawn:
                not_run(axes)
            axes.set_title(f"{title}, %")
            axes.set_xticks(range(len(groups)), [_broken(name_of(name)) for name in groups], size=8)
            axes.set_xlim(-0.6, len(groups) - 0.4)
            axes.margins(y=0.12)
        _legend(figure)
        return save(figure, path)


def plot_subtypes(summary: Summary, path: Path) -> Path:
    """Summary → bars of sensitivity and balanced accuracy by subtype, published ones hatched."""
    models = ("mobilenet_v2", "sfcn", "light_fcn")
    shown = (("sensitivity", "sensitivity"), ("balanced_accuracy", "auc"))
    with styled(11, 5.6) as figure:
        panels = figure.subplots(len(shown), len(models), sharey="row")
        for line, (metric, column) in enumerate(shown):
            for axes, model in zip(panels[line], models, strict=True):
                drawn = _subtype_bars(axes, summary.models.get(model), model, metric, column)
                if not drawn:
                    axes.text(
                        0.03, 0.95, "not run here", transform=axes.transAxes, color=SOFT, va="top"
                    )
                axes.set_xticks(range(len(NAMES)), [s.abbreviation for s in SUBTYPES])
                axes.set_ylim(0, 100)
                axes.set_title(name_of(model) if line == 0 else "")
            panels[line][0].set_ylabel(f"{TITLES[metric]}, %")
        handles = _bar_handles()
        figure.legend(handles=handles, loc="outside upper right", ncols=len(handles))
        return save(figure, path)


def plot_costs(summary: Summary, costs: Mapping[str, Any], path: Path) -> Path:
    """Summary and costs → balanced accuracy against time and against file size."""
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
                x, statistic = cost_value(costs, name, key), group.statistic(MEAN, _BALANCED)
                if x is not None and statistic.mean is not None:
                    _point(axes, x / unit, statistic.mean, statistic.interval)
                    here.append((x / unit, statistic.mean * 100, name_of(name)))
                printed = TABLES[4].value((name,), column), _published_mean(name)
                if printed[0] is not None and printed[1] is not None:
                    axes.plot(printed[0] / unit, printed[1], **_PUBLISHED, label=_PAPER)
                    there.append((printed[0] / unit, printed[1], name_of(name)))
            _names_at(axes, here, OURS)
            _names_at(axes, there, _PUBLISHED["markeredgecolor"])
            drawn = bool(here)
            if not drawn:
                not_run(axes)
            axes.set_xscale("log")
            axes.margins(x=0.22, y=0.15)
            axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}")
            axes.set_xlabel(label)
        figure.axes[0].set_ylabel("Balanced accuracy, mean of subtypes, %")
        _legend(figure)
        return save(figure, path)


def _group_at(axes: Any, place: int, group: GroupResults, metric: str) -> bool:
    statistic = group.statistic(MEAN, metric)
    if statistic.mean is None:
        return False
    seeds = np.asarray(statistic.by_seed) * 100
    x = (
        place - 0.28 + np.linspace(-_SPREAD / 2, _SPREAD / 2, len(seeds))
        if len(seeds) > 1
        else [place - 0.28]
    )
    axes.plot(
        x, seeds, "o", color=OURS, markersize=3.5, alpha=0.55, markeredgewidth=0, label="one seed"
    )
    _point(axes, place, statistic.mean, statistic.interval)
    return True


def _point(axes: Any, x: float, mean: float, limits: Interval | None) -> None:
    error = None
    if limits is not None:
        error = [[max(0.0, mean - limits[0]) * 100], [max(0.0, limits[1] - mean) * 100]]
    axes.errorbar(
        x, mean * 100, error, fmt="o", color=OURS, markersize=6.5, capsize=3, linewidth=1.4,
        label="mean of seeds, 95 % over patients",
    )  # fmt: skip


def _subtype_bars(
    axes: Any, group: GroupResults | None, model: str, metric: str, column: str
) -> bool:
    drawn = False
    for place, subtype in enumerate(SUBTYPES):
        statistic = None if group is None else group.statistic(subtype.name, metric)
        if statistic is not None and statistic.mean is not None:
            drawn = True
            axes.bar(place - 0.2, statistic.mean * 100, 0.38, color=subtype.colour)
            if statistic.interval is not None:
                low, high = statistic.interval
                axes.plot([place - 0.2] * 2, [low * 100, high * 100], color=OURS, linewidth=1.2)
        printed = TABLES[3].value((model, subtype.name), column)
        if printed is not None:
            axes.bar(
                place + 0.2,
                printed,
                0.38,
                facecolor="white",
                edgecolor=subtype.colour,
                hatch="////",
                linewidth=1,
            )
    return drawn


def _bar_handles() -> list[Any]:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    return [
        Patch(facecolor=OURS, label="measured here"),
        Line2D([], [], color=OURS, linewidth=1.2, label="95 % over patients"),
        Patch(facecolor="white", edgecolor=OURS, hatch="////", label=_PAPER),
    ]


def _published_mean(model: str) -> float | None:
    """The mean over subtypes of Table 3's balanced accuracies."""
    rows: Sequence[Row] = [(model, name) for name in NAMES]
    values = [TABLES[3].value(row, "auc") for row in rows]
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _names_at(axes: Any, points: Sequence[tuple[float, float, str]], colour: str) -> None:
    """Names beside points, above and below in turn, so that neighbours do not collide."""
    for number, (x, y, words) in enumerate(sorted(points)):
        above = number % 2 == 0
        axes.annotate(
            words, (x, y), xytext=(7, 6 if above else -6), textcoords="offset points", size=8.5,
            color=colour, va="bottom" if above else "top",
        )  # fmt: skip


def _broken(name: str) -> str:
    """A long name in two lines, to fit under an axis."""
    return name.replace("_", "_\n").replace("NetV2", "-\nNetV2").replace("tFCN", "t-\nFCN")


def _legend(figure: Any) -> None:
    """One legend for all panels, each kind of mark once."""
    found = {
        label: handle
        for axes in figure.axes
        for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if found:
        figure.legend(found.values(), found.keys(), loc="outside upper right", ncols=len(found))
