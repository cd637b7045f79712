"""Draw figures in one style for all reports; ROC and precision-recall curves are drawn here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ichlite.evaluate.metrics import precision_recall_curve, roc_curve
from ichlite.labels import ANY, ANY_COLOUR, CLASSES, SUBTYPES

if TYPE_CHECKING:
    from ichlite.evaluate.predictions import Cases

Curve = Literal["roc", "precision-recall"]

INK = "#1b1f23"
SOFT = "#5b646d"
RULE = "#dfe3e6"
OURS = ANY_COLOUR
CURVES: tuple[Curve, ...] = ("roc", "precision-recall")
COLOURS: Mapping[str, str] = {ANY: ANY_COLOUR, **{s.name: s.colour for s in SUBTYPES}}
_STYLE: dict[str, Any] = {
    "font.size": 9.5,
    "font.family": "DejaVu Sans",
    "axes.titlesize": 10,
    "axes.titleweight": "bold",
    "axes.labelcolor": SOFT,
    "axes.edgecolor": SOFT,
    "axes.linewidth": 0.7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "axes.axisbelow": True,
    "grid.color": RULE,
    "grid.linewidth": 0.7,
    "text.color": INK,
    "xtick.color": SOFT,
    "ytick.color": SOFT,
    "legend.frameon": False,
    "svg.hashsalt": "ichlite",
    "svg.fonttype": "path",
}


@contextmanager
def styled(width_in: float, height_in: float) -> Iterator[Any]:
    """Make a matplotlib figure in the style of all reports, to be drawn on in the `with` block.

    Args:
        width_in: Width in inches.
        height_in: Height in inches.

    Example:
        >>> with styled(4, 3) as figure:
        ...     axes = figure.add_subplot()
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        yield Figure(figsize=(width_in, height_in), dpi=150, layout="constrained")


def save(figure: Any, path: Path) -> Path:
    """Save a matplotlib figure as `.svg` or `.png` and return the path.

    No date or version is written, so the same figure gives the same bytes.
    """
    from matplotlib import rc_context

    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with rc_context(_STYLE):
        figure.savefig(path, metadata=metadata)
    return path


def not_run(axes: Any) -> None:
    """Write "not run" on matplotlib axes that have nothing to show."""
    axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center", color=SOFT)


def plot_curves(cases: Cases, curve: Curve, path: Path, title: str) -> Path:
    """Save the ROC or precision-recall curves of slices or scans, one a class, and return the path.

    Args:
        cases: Labels and probabilities of slices or scans.
        curve: Kind of curve, `roc` or `precision-recall`.
        path: PNG file to write.
        title: Title above the plot.
    """
    roc = curve == "roc"
    labels, probabilities = cases.labels_of(), cases.probabilities_of()
    with styled(5.5, 5.0) as figure:
        axes = figure.add_subplot()
        for name in CLASSES:
            points = (roc_curve if roc else precision_recall_curve)(
                labels[name], probabilities[name]
            )
            if points is not None:
                width = 2.2 if name == ANY else 1.3
                axes.plot(*points, color=COLOURS[name], label=name, linewidth=width)
        if roc:
            axes.plot([0, 1], [0, 1], color=RULE, linewidth=0.8, linestyle="--")
        x, y = ("1 - specificity", "sensitivity") if roc else ("recall", "precision")
        axes.set(xlabel=x, ylabel=y, xlim=(-0.02, 1.02), ylim=(-0.02, 1.02), title=title)
        axes.set_aspect("equal")
        if axes.get_legend_handles_labels()[0]:
            figure.legend(loc="outside lower center", ncols=3, fontsize="small")
    return save(figure, path)
