"""Draw a scan's slice probabilities along the head as one inline SVG."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from html import escape

from ichlite.labels import ANY, ANY_COLOUR, SUBTYPES
from ichlite.records import Analysed

WIDTH, HEIGHT = 760, 290
LEFT, RIGHT, TOP, BOTTOM = 46, 64, 14, 46
"""Margins of the plot inside the picture, in its own units."""

MOST_DOTS = 90
"""Scans with more slices than this are drawn as lines alone."""

_LABEL_HEIGHT = 13.0


def probability_chart(scan: Analysed, threshold: float | None) -> str:
    """Draw an analysed scan as an `<svg>` element.

    Args:
        scan: At least one slice; without positions the slice number stands on the axis.
        threshold: Threshold of a slice's `any`, in [0, 1], drawn as a dashed line; None: no line.
    """
    positions, axis_title = _axis(scan)
    x = _scale(min(positions), max(positions))
    subtypes = [(s.name, s.abbreviation, s.colour) for s in SUBTYPES]
    parts = [
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" '
        'aria-label="Probability of each subtype along the z axis">',
        *_gaps(scan, x),
        *_frame(positions, x, axis_title),
    ]
    if threshold is not None:
        parts.append(
            f'<line class="threshold" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(threshold):.1f}" '
            f'y2="{_y(threshold):.1f}"><title>threshold of any: {threshold:.2f}</title></line>'
        )
    for name, abbreviation, colour in [(ANY, "any", ANY_COLOUR), *subtypes]:
        values = [scores.probabilities[name] for scores in scan.slices]
        points = [(x(p), _y(v)) for p, v in zip(positions, values, strict=True)]
        parts += [_line(name, colour, run) for run in _runs(points, scan.breaks)]
        if name != ANY and len(points) <= MOST_DOTS:
            parts += _dots(name, abbreviation, colour, points, values)
    parts += _end_labels(scan, [*subtypes, (ANY, "any", ANY_COLOUR)])
    return "".join([*parts, "</svg>"])


def _axis(scan: Analysed) -> tuple[list[float], str]:
    positions_mm = [s.position_mm for s in scan.slices if s.position_mm is not None]
    if len(positions_mm) == len(scan.slices) and len(set(positions_mm)) > 1:
        return positions_mm, "position along z, mm (feet → head)"
    return [float(number) for number in range(1, len(scan.slices) + 1)], "slice (feet → head)"


def _scale(low: float, high: float) -> Callable[[float], float]:
    """Return the function from a value on the axis to its place in the picture."""
    start, end = LEFT, WIDTH - RIGHT
    if high <= low:
        return lambda _: (start + end) / 2
    return lambda value: start + (value - low) / (high - low) * (end - start)


def _y(probability: float) -> float:
    return TOP + (1 - probability) * (HEIGHT - TOP - BOTTOM)


def _frame(positions: Sequence[float], x: Callable[[float], float], title: str) -> list[str]:
    across = [
        f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{_y(p):.1f}" y2="{_y(p):.1f}"/>'
        f'<text x="{LEFT - 8}" y="{_y(p) + 4:.1f}" text-anchor="end">{p:g}</text>'
        for p in (0.0, 0.25, 0.5, 0.75, 1.0)
    ]
    ticks = [
        f'<line class="tick" x1="{x(at):.1f}" x2="{x(at):.1f}" y1="{_y(0):.1f}" '
        f'y2="{_y(0) + 5:.1f}"/><text x="{x(at):.1f}" y="{_y(0) + 18:.1f}" '
        f'text-anchor="middle">{at:g}</text>'
        for at in nice_ticks(min(positions), max(positions))
    ]
    name = (
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 8}" text-anchor="middle">'
        f"{escape(title)}</text>"
    )
    return [*across, *ticks, name]


def nice_ticks(low: float, high: float, most: int = 8) -> list[float]:
    """Return round numbers between the ends of an axis, `most` at most.

    Example:
        >>> nice_ticks(-3.2, 141.0)
        [0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 140.0]
    """
    if high <= low:
        return [low]
    step = 1e-3
    while True:
        for factor in (1, 2, 5):
            size = step * factor
            first, last = -(-low // size), high // size
            if last - first + 1 <= most:
                return [round(k * size, 6) + 0.0 for k in range(int(first), int(last) + 1)]
        step *= 10


def _runs(
    points: Sequence[tuple[float, float]], breaks: Sequence[int]
) -> list[Sequence[tuple[float, float]]]:
    """Return the runs of points between breaks: no line is drawn where no slice is."""
    starts = [0, *(index + 1 for index in breaks)]
    runs = [points[a:b] for a, b in zip(starts, [*starts[1:], len(points)], strict=True)]
    return [run if len(run) > 1 else [*run, *run] for run in runs]  # one point draws nothing


def _gaps(scan: Analysed, x: Callable[[float], float]) -> list[str]:
    """Return a tinted band over each gap along the z axis."""
    places = [(scan.slices[i].position_mm, scan.slices[i + 1].position_mm) for i in scan.breaks]
    return [
        f'<rect class="gap" x="{x(low):.1f}" width="{x(high) - x(low):.1f}" y="{TOP}" '
        f'height="{_y(0) - TOP:.1f}"><title>no slice judged here</title></rect>'
        for low, high in places
        if low is not None and high is not None and high > low
    ]


def _line(name: str, colour: str, points: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    return f'<polyline class="{name}" style="stroke:{_ink(name, colour)}" points="{path}"/>'


def _ink(name: str, colour: str) -> str:
    """Return a line's colour; a dark page must turn the dark grey of `any` light."""
    return f"var(--any, {colour})" if name == ANY else colour


def _dots(
    name: str,
    abbreviation: str,
    colour: str,
    points: Sequence[tuple[float, float]],
    values: Sequence[float],
) -> list[str]:
    return [
        f'<circle class="{name}" fill="{colour}" cx="{x:.1f}" cy="{y:.1f}" r="2.2">'
        f"<title>slice {number}: {abbreviation} {value:.2f}</title></circle>"
        for number, ((x, y), value) in enumerate(zip(points, values, strict=True), 1)
    ]


def _end_labels(scan: Analysed, series: Sequence[tuple[str, str, str]]) -> list[str]:
    """Return the lines' names at the right, each near its last value, none on another."""
    last = scan.slices[-1].probabilities
    ordered = sorted(series, key=lambda item: (last[item[0]], item[0] == ANY), reverse=True)
    heights: list[float] = []
    for name, _, _ in ordered:
        wanted = _y(last[name])
        heights.append(max(wanted, heights[-1] + _LABEL_HEIGHT) if heights else wanted)
    heights[-1] = min(heights[-1], _y(0))
    for index in range(len(heights) - 2, -1, -1):
        heights[index] = min(heights[index], heights[index + 1] - _LABEL_HEIGHT)
    return [
        f'<text class="label {name}" style="fill:{_ink(name, colour)}" x="{WIDTH - RIGHT + 9}" '
        f'y="{height + 4:.1f}">{abbreviation}</text>'
        for (name, abbreviation, colour), height in zip(ordered, heights, strict=True)
    ]
