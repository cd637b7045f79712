"""Write the section of the HTML report about one analysed scan.

Everything that comes from a file or its name goes through `html_text`, or into JSON that no page
can take for its own text.
"""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Collection, Container, Iterable, Sequence
from itertools import pairwise

from ichlite.contracts.codec import to_json_value
from ichlite.ct.image_checks import COMPRESSED_SYNTAXES
from ichlite.ct.stack import slice_normal
from ichlite.infer.bundle import Bundle
from ichlite.infer.heatmap import LESION_LEVEL
from ichlite.infer.results import (
    Analysed,
    ScanResult,
    shown_any,
    shown_threshold,
)
from ichlite.labels import ANY, CLASSES, SUBTYPES
from ichlite.records import SliceHeader, image_name
from ichlite.write.call import decision, meter, record_line
from ichlite.write.chart import probability_chart
from ichlite.write.escaping import html_text, unicode_document
from ichlite.write.marked import marked_words
from ichlite.write.study_view import MapView, PixelView, Shown, StudyView
from ichlite.write.triage import common_folder, remarks

_SWATCHES = {ANY: "var(--any)", **{subtype.name: subtype.colour for subtype in SUBTYPES}}


def scan_section(
    scan: Analysed,
    shown: Shown,
    bundle: Bundle,
    *,
    identifiers: bool = False,
    known: Collection[str] = (),
) -> str:
    """Return the HTML of the report about one analysed scan: call, chart, tables and pictures.

    Args:
        scan: Result of the scan.
        shown: Pictures, maps and viewer data of the scan, from `show_study`.
        bundle: Bundle that judged it.
        identifiers: Whether the section names the patient, dates, descriptions and UIDs.
        known: Remarks that stand elsewhere in the page and are left out here.
    """
    first = shown.headers[0] if shown.headers else None
    lines = [line for line in remarks(scan) if line not in known]
    if not identifiers:
        lines = [hide_identifiers(line, scan) for line in lines]
    return "".join(
        [
            f'<p class="decision">{meter(scan)}{decision(scan, bundle)}</p>',
            _marked(scan, shown),
            record_line(bundle),
            definitions("who", identity(scan, first)) if identifiers else "",
            f'<ul class="remarks">{items(lines)}</ul>' if lines else "",
            '<div class="reading"><div class="screen"><p class="still">',
            "The pictures need JavaScript, which this page carries inside itself.</p>",
            _chart(scan, shown, bundle),
            _facts(scan, shown),
            f'</div><div class="panel">{_scores(scan)}',
            f'<p class="note map-note">{_map_note(shown.view.map)}</p></div></div>',
            _slice_table(scan),
            _payload(shown),
        ]
    )


def _marked(scan: Analysed, shown: Shown) -> str:
    """Return where the lesion map marks blood, in words."""
    if shown.marked is None:
        return ""
    where = "Marked" if scan.scan[ANY] >= scan.threshold else "Marked, though under the threshold"
    said = f"{where}: {marked_words(shown.marked)}" if shown.marked else "No place is marked."
    return f"<p>{html_text(said)}</p>"


def place(scan: ScanResult, shared: Container[str] = (), *, folders: int | None = None) -> str:
    """Return the folder of a result's files as HTML that may wrap after each folder name.

    Args:
        scan: Result of the series.
        shared: Folders of several series; see `triage.common_folder`.
        folders: Most folder names to show, from the end, 1 or more; None for all.
    """
    named = common_folder(scan, shared)
    parts = named.split("/")
    if folders is not None and len(parts) > folders:
        named = "/".join(["…", *parts[-folders:]])
    return html_text(named).replace("/", "/<wbr>")


def items(lines: Iterable[str]) -> str:
    """Return lines of untrusted text as escaped HTML list items.

    Example:
        >>> items(("1 < 2",))
        '<li>1 &lt; 2</li>'
    """
    return "".join(f"<li>{html_text(line)}</li>" for line in lines)


def definitions(look: str, pairs: Iterable[tuple[str, str | None]]) -> str:
    """Return terms and their values as an HTML definition list, without terms of unknown value.

    Args:
        look: CSS class of the list.
        pairs: Term and value; a value that is None or empty leaves the term out.

    Example:
        >>> definitions("facts", [("kernel", "STD+"), ("tube voltage", None)])
        '<dl class="facts"><div><dt>kernel</dt><dd>STD+</dd></div></dl>'
    """
    told = "".join(
        f"<div><dt>{html_text(term)}</dt><dd>{html_text(said)}</dd></div>"
        for term, said in pairs
        if said
    )
    return f'<dl class="{look}">{told}</dl>'


def hide_identifiers(line: str, scan: ScanResult) -> str:
    """Return a line about a scan with its study and series UIDs replaced by `…`.

    Example:
        >>> from ichlite.infer.results import NotAnalysed
        >>> one = NotAnalysed(study="1.2.3", series="1.2.4", files=(), reasons=("a chest",))
        >>> hide_identifiers("series 1.2.4 cannot be one head CT", one)
        'series … cannot be one head CT'
    """
    for uid in sorted(filter(None, (scan.series, scan.study)), key=len, reverse=True):
        line = line.replace(uid, "…")
    return line


def identity(scan: ScanResult, header: SliceHeader | None) -> list[tuple[str, str | None]]:
    """Return the identifying facts about a scan: patient, dates, descriptions and UIDs.

    Args:
        scan: Result of the series, for its UIDs.
        header: Header of one of its slices; None where no file can be read, for the UIDs alone.

    Returns:
        Pairs of a term and its value; None or empty where the value is not known.
    """
    uids: list[tuple[str, str | None]] = [("study UID", scan.study), ("series UID", scan.series)]
    if header is None:
        return uids
    age = header.patient_age_years
    return [
        ("patient", (header.patient_name or "").replace("^", " ").strip()),
        ("patient ID", header.patient_id),
        ("study date", _date(header.study_date or header.examination_date)),
        ("born", _date(header.patient_birth_date)),
        ("sex", header.patient_sex),
        ("age", None if age is None else f"{age:g} years"),
        ("study", header.study_description),
        ("series", header.series_description),
        *uids,
    ]


def _date(text: str | None) -> str | None:
    """Return a date of DICOM as 2026-01-31; what is none as it is."""
    if text is None or len(text) != 8 or not text.isdigit():
        return text
    return f"{text[:4]}-{text[4:6]}-{text[6:]}"


def _chart(scan: Analysed, shown: Shown, bundle: Bundle) -> str:
    threshold = bundle.rule.threshold(ANY)
    placed = scan.slices[0].position_mm is not None
    rule = bundle.rule
    together, peak = (rule.scan_rule == name for name in ("noisy_or", "peak"))
    reach = f", which {rule.evidence_mm:g} mm of head must reach" if peak else ""
    meaning = (
        f"The threshold, {shown_threshold(threshold)}, is for all slices together, not for one."
        if together
        else f"Red dashes: threshold of “any”, {shown_threshold(threshold)}{reach}."
    )
    gaps = " Tinted: no slice was judged here." if scan.breaks and placed else ""
    marked = [index for index, one in enumerate(shown.view.slices) if one.marks]
    ticks = " Ticks on top: marked slices." if marked else ""
    return (
        f"<figure>{probability_chart(scan, None if together else threshold, marked)}"
        f'<figcaption>{"".join(map(_key, CLASSES))}<span class="note">Probability of each slice. '
        f"{meaning}{ticks}{gaps}</span></figcaption></figure>"
    )


def _key(name: str) -> str:
    said = "any (broad)" if name == ANY else name
    return f'<span class="key {name}"><i style="background:{_SWATCHES[name]}"></i>{said}</span> '


def _scores(scan: Analysed) -> str:
    rows = "".join(
        f'<tr><th scope="row"><i style="background:{_SWATCHES[name]}"></i>{name}</th>'
        f"<td>{_score(scan, name)}</td></tr>"
        for name in CLASSES
    )
    return (
        '<table class="scores"><thead><tr><th scope="col">haemorrhage</th><th scope="col">scan</th>'
        f"</tr></thead><tbody>{rows}</tbody></table>"
    )


def _score(scan: Analysed, name: str) -> str:
    value = scan.scan[name]
    return shown_any(value, scan.threshold) if name == ANY else f"{value:.2f}"


def _facts(scan: Analysed, shown: Shown) -> str:
    pixels = shown.view.pixels
    return "<h3>Scanner and pictures</h3>" + definitions(
        "facts",
        [
            ("slices", f"{len(scan.slices)}{_left_out(scan)}"),
            ("whole head", "yes" if scan.complete else "no, incomplete"),
            *(_scanner(shown.headers) if shown.headers else ()),
            ("covered", _covered(scan)),
            ("shown", _resolution(pixels)),
            ("sides", None if shown.view.marks else "not known: no left and right is marked"),
        ],
    )


def _scanner(headers: Sequence[SliceHeader]) -> list[tuple[str, str | None]]:
    first = headers[0]
    spacing = first.pixel_spacing_mm
    tilt = first.image_orientation and float(slice_normal(first.image_orientation)[2])
    turned = None if tilt is None else _angle(tilt)
    syntax = COMPRESSED_SYNTAXES.get(first.layout.transfer_syntax_uid, "uncompressed")
    return [
        ("kernel", first.convolution_kernel),
        ("tube voltage", None if first.kvp is None else f"{first.kvp:g} kV"),
        ("slice thickness", _range([one.slice_thickness_mm for one in headers])),
        ("matrix", f"{first.rows}x{first.columns}"),
        ("pixel", None if spacing is None else f"{spacing[0]:.3g}x{spacing[1]:.3g} mm"),
        ("gantry tilt", turned),
        ("image type", " ".join(first.image_type)),
        ("files", syntax + (", lossy" if any(one.lossy_compressed for one in headers) else "")),
    ]


def _left_out(scan: Analysed) -> str:
    return f"; {len(scan.left_out)} left out, see skipped files" if scan.left_out else ""


def _angle(cosine: float) -> str:
    return f"{math.degrees(math.acos(min(1.0, cosine))):.1f}°"


def _covered(scan: Analysed) -> str | None:
    """Return the length from the first to the last slice, and the steps between them."""
    positions = [s.position_mm for s in scan.slices if s.position_mm is not None]
    steps = [abs(b - a) for a, b in pairwise(positions)]
    if not steps:
        return None
    return f"{abs(positions[-1] - positions[0]):.0f} mm, a slice every {_range(steps)}"


def _range(values_mm: Sequence[float | None]) -> str | None:
    """Return a length, or the shortest and longest of several, in words.

    Example:
        >>> _range([5.0, 5.0]), _range([2.5, 5.0, None]), _range([None])
        ('5 mm', '2.5 to 5 mm', None)
    """
    known = [round(value, 1 if value >= 2 else 2) for value in values_mm if value is not None]
    if not known:
        return None
    low, high = min(known), max(known)
    return f"{low:g} mm" if high - low < 0.05 else f"{low:g} to {high:g} mm"


def _resolution(pixels: PixelView | None) -> str:
    if pixels is None:
        return "no pictures: the page would be too large; read this study by itself"
    size = f"{pixels.rows}x{pixels.columns}"
    grid = "the matrix of the files" if pixels.native else "the grid that was judged"
    return f"{size} pixels, {grid}; each HU from -200 to 400 exactly, steps of 64 HU beyond"


def _map_note(spec: MapView) -> str:
    """Return what the overlay shows and what it does not, in words."""
    rows, columns = spec.rows, spec.columns
    if spec.kind == "lesion":
        return (
            f"The lesion map ({rows}x{columns} cells) is painted from {LESION_LEVEL:g} on, but not "
            "on bone alone. It shows where the model suspects blood, not what is there; its values "
            "are no calibrated probabilities, and its areas no measurements."
        )
    return (
        f"The class activation map ({rows}x{columns} cells) of the slice's leading subtype is "
        "coloured relative to this slice's strongest cell: a bright place in a slice of low "
        "probability is no finding. It points to a region, never to an edge, and shows what the "
        "model used, not what is there."
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
            f'<td class="place">{html_text(image_name(scores.file, scores.frame))}</td></tr>'
        )
    return (
        "<details><summary>Probabilities and file of every slice</summary>"
        '<div class="wide" tabindex="0" role="region" aria-label="Probabilities of every slice">'
        '<table><thead><tr><th scope="col" class="num">slice</th>'
        f'<th scope="col" class="num">mm</th><th scope="col" class="num">any</th>{head}'
        f'<th scope="col">file</th></tr></thead><tbody>{"".join(rows)}</tbody></table></div>'
        "</details>"
    )


def view_json(view: StudyView) -> str:
    """Format the viewer's data as compact JSON that is safe inside an HTML script element."""
    document = unicode_document(to_json_value(view))
    return json.dumps(document, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _payload(shown: Shown) -> str:
    data = base64.b64encode(shown.data).decode("ascii")
    return (
        f'<script type="application/json" class="view">{view_json(shown.view)}</script>'
        f'<script type="text/plain" class="data">{data}</script>'
    )
