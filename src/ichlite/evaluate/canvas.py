"""Make figures in the report's style and save them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ichlite.labels import ANY_COLOUR

INK = "#1b1f23"
SOFT = "#5b646d"
RULE = "#dfe3e6"
OURS = ANY_COLOUR
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
    """Width and height in inches → a matplotlib figure; draw on it inside the block.

    Example:
        >>> with styled(4, 3) as figure:
        ...     axes = figure.add_subplot()
    """
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        yield Figure(figsize=(width_in, height_in), dpi=150, layout="constrained")


def save(figure: Any, path: Path) -> Path:
    """Figure and path, `.svg` or `.png` → the path; the same figure gives the same bytes."""
    from matplotlib import rc_context

    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
    with rc_context(_STYLE):
        figure.savefig(path, metadata=metadata)
    return path


def not_run(axes: Any) -> None:
    """Say on empty axes that there is nothing to draw."""
    axes.text(0.5, 0.5, "not run", transform=axes.transAxes, ha="center", va="center", color=SOFT)
