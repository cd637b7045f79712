"""Write the section of the HTML report about one analysed scan.

Everything that comes from a file or its name goes through `html_text`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import UsageError
from ichlite.infer.bundle import Bundle
from ichlite.infer.decision import Calibration
from ichlite.infer.heatmap import LESION_LEVEL, above_level, heatmap
from ichlite.labels import ANY, ANY_COLOUR, CLASSES, NAMES, SUBTYPES
from ichlite.records import Analysed, NotAnalysed, ScanResult
from ichlite.write.chart import probability_chart
from ichlite.write.escaping import html_text
from ichlite.write.picture import data_uri, grey_slice, heat_colours, overlay, relative
from ichlite.write.triage import common_folder, remarks, shown_any, shown_threshold, verdict

SHOWN_SLICES = 4
"""Slices shown large, highest `any` first."""

MOST_THUMBNAILS = 56
THUMBNAIL_PIXELS = 96


def scan_section(scan: Analysed, bundle: Bundle) -> str:
    """Return the figures, chart, pictures and table of an analysed scan with pixels.

    Raises:
        UsageError: The scan was read without `keep_pixels`.
    """
    if scan.hu is None or scan.activation_maps is None:
        raise UsageError(
            "no report on a scan without pixels", remedy="read it with keep_pixels=True"
        )
    return "".join(
        [
            _figures(scan),
            f'<p class="uid">study {html_text(scan.study)}<br>series {html_text(scan.series)}</p>',
            _remarks(scan),
            _chart(scan, bundle),
            _highest_slices(scan, scan.hu, scan.activation_maps, bundle),
            _filmstrip(scan, scan.hu),
            _slice_table(scan),
        ]
    )


def badge(scan: ScanResult) -> str:
    """Return a result's place in the triage as a coloured word, never colour alone."""
    words = verdict(scan)
    if isinstance(scan, NotAnalysed):
        look = "none"
    elif scan.urgent:
        look = "urgent"
    else:
        look = "uncleared" if scan.urgent is None else "unflagged"
    forced = " forced" if words.endswith("forced") else ""
    return f'<span class="badge {look}{forced}">{words}</span>'


def place(scan: ScanResult) -> str:
    """Return the place of a result's files, escaped, free to wrap after each folder."""
    return html_text(common_folder(scan)).replace("/", "/<wbr>")


def items(lines: Sequence[str]) -> str:
    """Return lines from anywhere as escaped list items.

    Example:
        >>> items(("1 < 2",))
        '<li>1 &lt; 2</li>'
    """
    return "".join(f"<li>{html_text(line)}</li>" for line in lines)


def _figures(scan: Analysed) -> str:
    scores = scan.scan
    subtypes = "".join(
        f'<div><dt><i style="background:{s.colour}"></i>{s.name}</dt>'
        f"<dd>{scores[s.name]:.2f}</dd></div>"
        for s in SUBTYPES
    )
    total = shown_any(scores[ANY], scan.threshold)
    return (
        f'<dl class="facts"><div><dt>any haemorrhage</dt><dd class="big">{total}</dd>'
        f"</div>{subtypes}<div><dt>slices</dt><dd>{len(scan.slices)}</dd></div></dl>"
    )


def _remarks(scan: Analysed) -> str:
    lines = items(remarks(scan))
    return f'<ul class="remarks">{lines}</ul>' if lines else ""


def _chart(scan: Analysed, bundle: Bundle) -> str:
    threshold = bundle.rule.threshold(ANY)
    placed = scan.slices[0].position_mm is not None
    together = bundle.rule.scan_rule == "noisy_or"
    meaning = (
        f"The scan's threshold, {shown_threshold(threshold)}, is for all slices together: no "
        "single slice has to reach it, and one that does need not be enough."
        if together
        else f"Red dashes: threshold of “any”, {shown_threshold(threshold)}."
    )
    gaps = " Tinted: no slice was judged here." if scan.breaks and placed else ""
    return (
        f"<figure>{probability_chart(scan, None if together else threshold)}"
        "<figcaption>Calibrated probability of each slice, smoothed over its neighbours. "
        f"{_key(ANY_COLOUR, 'any (broad band)', ANY)}"
        f"{''.join(_key(s.colour, s.name) for s in SUBTYPES)}"
        f"{meaning}{gaps}</figcaption></figure>"
    )


def _key(colour: str, name: str, kind: str = "") -> str:
    shown = f"var(--any, {colour})" if kind == ANY else colour
    return f'<span class="key {kind}"><i style="background:{shown}"></i>{name}</span> '


def _highest_slices(
    scan: Analysed, hu: NDArray[np.int16], maps: NDArray[np.float32], bundle: Bundle
) -> str:
    order = sorted(range(len(scan.slices)), key=lambda i: (-scan.slices[i].probabilities[ANY], i))
    pairs = "".join(
        _pair(scan, index, hu[index], maps[index], bundle) for index in order[:SHOWN_SLICES]
    )
    return (
        f'<h3>Highest slices</h3><div class="pairs">{pairs}</div>'
        f'<p class="note">Left: brain window 40/80. Right: the same with {_map_note(maps, bundle)}'
        "</p>"
    )


def _map_note(maps: NDArray[np.float32], bundle: Bundle) -> str:
    """Return what the overlay shows and what it does not, in words."""
    rows, columns = maps.shape[1:3]
    bar = '<span style="background:linear-gradient(90deg, {})"></span>'
    if bundle.map.kind == "lesion":
        scale = f"{LESION_LEVEL:g} {bar.format(_stops(LESION_LEVEL))} 1"
        return (
            f"the places where the lesion map of the slice's leading subtype, {rows}x{columns} "
            f'cells, says blood (<span class="scale">{scale}</span>; below {LESION_LEVEL:g} '
            "nothing is painted). It learned from outlines of bleeds, its probabilities are "
            "calibrated by nothing, and it shows where the model suspects blood, not what is there."
        )
    scale = f"0 {bar.format(_stops())} strongest"
    return (
        "the class activation map of the slice's leading subtype, coloured relative to this "
        f'slice\'s strongest cell (<span class="scale">{scale}</span>), whose probability stands '
        "below: a bright place in a slice of low probability is no finding. The map is coarse: "
        f"{rows}x{columns} cells over the whole slice. It points to a region, never to an edge, "
        "and shows what the model used, not what is there."
    )


def _stops(first: float = 0.0) -> str:
    """Return CSS colour stops of the overlay's colours from this value to 1."""
    values = np.linspace(first, 1.0, 7)
    return ", ".join(
        "rgb({:.0f}, {:.0f}, {:.0f}) {:.0%}".format(*colour, share)
        for colour, share in zip(heat_colours(values), np.linspace(0, 1, 7), strict=True)
    )


def _pair(
    scan: Analysed,
    index: int,
    hu: NDArray[np.int16],
    logits: NDArray[np.float32],
    bundle: Bundle,
) -> str:
    scores = scan.slices[index]
    leading = max(range(len(NAMES)), key=lambda i: scores.probabilities[NAMES[i]])
    subtype = SUBTYPES[leading]
    grey = grey_slice(hu)
    is_lesion = bundle.map.kind == "lesion"
    heat = heatmap(logits, Calibration() if is_lesion else bundle.calibration, leading)
    warm = overlay(grey, above_level(heat) if is_lesion else relative(heat))
    title = f"slice {index + 1} of {len(scan.slices)}"
    where = "" if scores.position_mm is None else f" at {scores.position_mm:.1f} mm"
    return (
        f'<figure class="pair"><div>'
        f'<img src="{data_uri(grey)}" alt="{title}, brain window" width="256" height="256">'
        f'<img src="{data_uri(warm)}" alt="{title}, map of {subtype.name}" width="256" '
        f'height="256"></div><figcaption><b>{title}</b>{where}'
        f'<span class="scores">any {scores.probabilities[ANY]:.2f}'
        f'<i style="background:{subtype.colour}"></i>{subtype.name} '
        f"{scores.probabilities[subtype.name]:.2f}</span>"
        f'<span class="file">map: {subtype.name}, strongest cell {heat.max():.2g}</span>'
        f'<span class="file">{html_text(Path(scores.file).name)}</span></figcaption></figure>'
    )


def _filmstrip(scan: Analysed, hu: NDArray[np.int16]) -> str:
    step = -(-len(scan.slices) // MOST_THUMBNAILS)
    cells = []
    for index in range(0, len(scan.slices), step):
        scores = scan.slices[index].probabilities
        leading = max(SUBTYPES, key=lambda s: scores[s.name])
        cells.append(
            f'<span class="thumb" style="--p:{scores[ANY]:.3f};--c:{leading.colour}" '
            f'title="slice {index + 1}: any {scores[ANY]:.2f}">'
            f'<img src="{data_uri(grey_slice(hu[index]), THUMBNAIL_PIXELS)}" '
            f'alt="slice {index + 1}"><i></i><small>{index + 1}</small></span>'
        )
    heading = "All slices" if step == 1 else f"Every {step}th slice"
    return (
        f'<h3>{heading}, feet to head</h3><div class="strip">{"".join(cells)}</div>'
        '<p class="note">The bar under a slice is as long as its probability of any haemorrhage '
        "and has the colour of its leading subtype.</p>"
    )


def _slice_table(scan: Analysed) -> str:
    head = "".join(f'<th scope="col" class="num">{s.abbreviation}</th>' for s in SUBTYPES)
    rows = []
    for number, scores in enumerate(scan.slices, 1):
        position = "" if scores.position_mm is None else f"{scores.position_mm:.1f}"
        cells = "".join(
            f'<td class="num">{scores.probabilities[name]:.3f}</td>' for name in CLASSES
        )
        rows.append(
            f'<tr><td class="num">{number}</td><td class="num">{position}</td>{cells}'
            f'<td class="place">{html_text(scores.file)}</td></tr>'
        )
    return (
        "<details><summary>Probabilities of every slice</summary>"
        '<div class="wide"><table><thead><tr><th scope="col" class="num">slice</th>'
        f'<th scope="col" class="num">mm</th><th scope="col" class="num">any</th>{head}'
        f'<th scope="col">file</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</details>"
    )
