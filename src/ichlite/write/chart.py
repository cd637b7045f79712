"""Draw a scan's slice probabilities along the head: lines stretch, labels keep their size."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape

from ichlite.infer.results import Analysed
from ichlite.labels import ANY, CLASSES, SUBTYPES

MOST_DOTS = 90
"""Most slices of a scan for which each is drawn as a dot; longer scans are drawn as lines alone."""

_MOST_TICKS = 8

_FIRST, _LAST = 2.0, 98.0
"""Where the first and last slice stand, of 100: their marks are whole."""

_INKS = {ANY: "var(--any)", **{subtype.name: subtype.colour for subtype in SUBTYPES}}

Point = tuple[float, float]


def places(scan: Analysed) -> list[float]:
    """Return the place of each slice along the chart's axis, in percent of its width."""
    values = _axis(scan)[0]
    x = _scale(min(values), max(values))
    return [round(x(value), 2) for value in values]


def probability_chart(scan: Analysed, threshold: float | None, marked: Iterable[int] = ()) -> str:
    """Draw the probability of each class along a scan, as an HTML element with an SVG chart.

    Args:
        scan: Result with at least one slice; where positions are unknown, slices are evenly spaced.
        threshold: Threshold of a slice's `any`, in [0, 1], drawn as a dashed line; None for no
            line.
        marked: Indices of slices that get a tick on top.
    """
    title = _axis(scan)[1]
    at = places(scan)
    drawn = [*_gaps(scan, at), *(f'<path class="grid" d="M0 {y}H100"/>' for y in (0, 50, 100))]
    drawn += [f'<path class="marked" d="M{at[index]} -6V0"/>' for index in marked]
    if threshold is not None:
        drawn.append(f'<path class="threshold" d="M0 {_y(threshold)}H100"/>')
    for name in CLASSES:
        points = [(p, _y(s.probabilities[name])) for p, s in zip(at, scan.slices, strict=True)]
        drawn += [_line(name, run) for run in _runs(points, scan.breaks)]
        if name != ANY and len(points) <= MOST_DOTS:
            dots = "".join(f"M{across} {down}h0" for across, down in points)
            drawn.append(f'<path class="dots" style="stroke:{_INKS[name]}" d="{dots}"/>')
    ticks = "".join(
        f'<span class="x" style="left:{at[number - 1]:.2f}%">{number}</span>'
        for number in slice_ticks(len(at))
    )
    levels = "".join(f'<span class="y" style="top:{_y(p)}%">{p:g}</span>' for p in (0.0, 0.5, 1.0))
    return (
        '<div class="chart" role="img" aria-label="Probability of each subtype along the head">'
        '<svg viewBox="0 0 100 100" preserveAspectRatio="none" aria-hidden="true" '
        f'focusable="false">{"".join(drawn)}</svg>{levels}{ticks}'
        f'<span class="title">{escape(title)}</span></div>'
    )


def _axis(scan: Analysed) -> tuple[list[float], str]:
    """Return where each slice is, and what stands under the numbers of the slices."""
    positions_mm = [s.position_mm for s in scan.slices if s.position_mm is not None]
    if len(positions_mm) == len(scan.slices) and len(set(positions_mm)) > 1:
        return positions_mm, "feet ← slice → head"
    return [float(number) for number in range(1, len(scan.slices) + 1)], "slice"


def _scale(low: float, high: float) -> Callable[[float], float]:
    """Return the function from a value on the axis to its place, from 0 to 100."""
    if high <= low:
        return lambda _: (_FIRST + _LAST) / 2
    return lambda value: _FIRST + (value - low) / (high - low) * (_LAST - _FIRST)


def _y(probability: float) -> float:
    return round(100 * (1 - probability), 1)


def slice_ticks(count: int) -> list[int]:
    """Return the slice numbers to label on the chart's axis: round ones, at most eight.

    Args:
        count: Number of slices of the scan.

    Example:
        >>> slice_ticks(36), slice_ticks(3)
        ([1, 5, 10, 15, 20, 25, 30, 35], [1, 2, 3])
    """
    steps = (factor * 10**power for power in range(6) for factor in (1, 2, 5))
    step = next(step for step in steps if count // step < _MOST_TICKS)
    return [max(1, number) for number in range(0 if step > 1 else 1, count + 1, step)]


def _runs(points: Sequence[Point], breaks: Sequence[int]) -> list[Sequence[Point]]:
    """Return the runs of points between breaks: no line is drawn where no slice is."""
    starts = [0, *(index + 1 for index in breaks)]
    return [points[a:b] for a, b in zip(starts, [*starts[1:], len(points)], strict=True)]


def _gaps(scan: Analysed, at: Sequence[float]) -> list[str]:
    """Return a tinted band over each gap along the axis."""
    if any(scores.position_mm is None for scores in scan.slices):
        return []
    bands = ((at[index], at[index + 1] - at[index]) for index in scan.breaks)
    return [
        f'<rect class="gap" x="{start}" width="{width:.2f}" y="0" height="100"/>'
        for start, width in bands
        if width > 0
    ]


def _line(name: str, points: Sequence[Point]) -> str:
    """Return a line through points; of one point a dot, which round ends make visible."""
    path = "L".join(f"{x} {y}" for x, y in points) + ("h0" if len(points) == 1 else "")
    return f'<path class="line {name}" style="stroke:{_INKS[name]}" d="M{path}"/>'
