"""Draw a result on one page: the call, the numbers, and the slices where blood is most likely.

No name, date or UID is drawn: the picture tells nobody who the patient is.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter, ImageFont

from ichlite import __version__
from ichlite.ct.windows import BRAIN, Window
from ichlite.errors import UsageError
from ichlite.infer.bundle import Bundle
from ichlite.infer.heatmap import LESION_LEVEL, enlarged
from ichlite.infer.results import Analysed, ScanResult, shown_threshold
from ichlite.labels import ANY, NAMES, SUBTYPES
from ichlite.write.dicom_object import ascii_text
from ichlite.write.findings import Finding, findings_of
from ichlite.write.marked import marked_places
from ichlite.write.pictures import Pictures, picture_of, pictures_of
from ichlite.write.result_text import (
    call_lines,
    headline,
    reason_lines,
    shown_probability,
)
from ichlite.write.study_view import jumps_of
from ichlite.write.triage import DISCLAIMER

WIDTH, HEIGHT = 1280, 1024
MOST_PICTURES = 4

_MARGIN = 32
_PANEL = 428
"""Pixels of the left column, which has the words and numbers."""
_SIDE = 376
"""Pixels of a slice's picture."""
_GAP = 12
_BLACK, _INK, _DIM, _LINE = "#000000", "#f2f2f2", "#a8a8a8", "#3a3a3a"
_LOOKS = {"urgent": "#d62728", "not flagged": "#4a4a4a", "not cleared": "#b07d00"}
_UNANSWERED_LOOK = "#7a4fb5"
_COLOURS = {ANY: "#f2f2f2", **{subtype.name: subtype.colour for subtype in SUBTYPES}}
_WARM = "#f0d28a"
_LEADING = 7
"""Pixels between lines."""
_FOOT = 62
"""Pixels of the foot of the page."""


def summary_picture(scans: Sequence[ScanResult], bundle: Bundle) -> NDArray[np.uint8]:
    """Draw a result on one page as an RGB picture: call, probabilities and suspicious slices.

    Args:
        scans: One scan that was analysed, read with `keep_pixels`; or all series of a study of
            which none was.
        bundle: Bundle that judged, or would have.

    Returns:
        (1024, 1280, 3) uint8 RGB.

    Raises:
        UsageError: The scan was read without pixels.
    """
    page = Image.new("RGB", (WIDTH, HEIGHT), _BLACK)
    draw = ImageDraw.Draw(page)
    first = scans[0]
    down = _call(draw, first)
    if isinstance(first, Analysed):
        down = _table(draw, findings_of(first, bundle), down)
        _slices(page, first)
        down = _paragraph(draw, _judged(first), down, 17, _DIM, _PANEL)
    _reasons(draw, reason_lines(scans), down, alone=not isinstance(first, Analysed))
    _footer(draw, first, bundle)
    return np.asarray(page)


def _call(draw: ImageDraw.ImageDraw, scan: ScanResult) -> int:
    """Draw the call and what it was decided by; return where the next thing may stand."""
    place = headline(scan).lower()
    look = next((colour for said, colour in _LOOKS.items() if said in place), _UNANSWERED_LOOK)
    words = _wrapped(headline(scan), 34, _PANEL - 40)
    height = 24 + 42 * len(words)
    draw.rounded_rectangle((_MARGIN, _MARGIN, _MARGIN + _PANEL, _MARGIN + height), 10, fill=look)
    for number, line in enumerate(words):
        draw.text((_MARGIN + 20, _MARGIN + 10 + 42 * number), line, _INK, font=_font(34))
    down = _MARGIN + height + 20
    for line in call_lines(scan)[isinstance(scan, Analysed) :]:
        down = _paragraph(draw, line, down, 19, _INK, _PANEL)
    return down + 12


def _table(draw: ImageDraw.ImageDraw, findings: Sequence[Finding], down: int) -> int:
    """Draw a row for each finding: name, bar with threshold, number, presence."""
    left, right = _MARGIN, _MARGIN + _PANEL
    for text, at in (("haemorrhage", left), ("scan", left + 184), ("threshold", left + 246)):
        draw.text((at, down), text, _DIM, font=_font(15))
    down += 24
    for finding in findings:
        draw.line((left, down, right, down), _LINE)
        colour = _COLOURS[finding.name]
        draw.rectangle((left, down + 13, left + 12, down + 25), fill=colour)
        draw.text((left + 22, down + 7), finding.name, _INK, font=_font(19))
        draw.text((left + 184, down + 7), shown_probability(finding), _INK, font=_font(19))
        threshold = shown_threshold(finding.threshold)
        draw.text((left + 246, down + 7), threshold, _DIM, font=_font(19))
        ink = _INK if finding.presence == "present" else _DIM
        draw.text((left + 308, down + 7), finding.presence, ink, font=_font(18))
        _bar(draw, finding, (left + 22, down + 34, right, down + 40))
        down += 50
    return down + 14


def _judged(scan: Analysed) -> str:
    """Return how much of the head was judged."""
    left_out = f", {len(scan.left_out)} left out" if scan.left_out else ""
    whole = "the whole head" if scan.complete else "not the whole head"
    return f"{len(scan.slices)} slices judged{left_out}: {whole}."


def _bar(draw: ImageDraw.ImageDraw, finding: Finding, box: tuple[int, int, int, int]) -> None:
    """Draw a probability as a bar, with a mark at its threshold."""
    left, top, right, bottom = box
    draw.rectangle(box, fill="#1c1c1c")
    end = left + round((right - left) * finding.probability)
    draw.rectangle((left, top, max(left, end), bottom), fill=_COLOURS[finding.name])
    mark = left + round((right - left) * finding.threshold)
    draw.line((mark, top - 4, mark, bottom + 4), _INK, 2)


def _reasons(draw: ImageDraw.ImageDraw, lines: Sequence[str], down: int, *, alone: bool) -> None:
    """Draw why a scan is not cleared, or was not analysed, as far as there is room.

    Args:
        draw: Of the page.
        lines: A reason each.
        down: Where the first may stand.
        alone: Whether nothing stands beside them.
    """
    size, width = (24, WIDTH - 2 * _MARGIN) if alone else (17, _PANEL)
    for line in lines:
        height = (size + _LEADING) * len(_wrapped(ascii_text(f"- {line}"), size, width))
        if down + height > HEIGHT - _FOOT - 2 * size:
            draw.text((_MARGIN, down), "More stands in the report.", _WARM, font=_font(size))
            return
        down = _paragraph(draw, f"- {line}", down, size, _WARM, width)


def _footer(draw: ImageDraw.ImageDraw, scan: ScanResult, bundle: Bundle) -> None:
    down = HEIGHT - _FOOT
    draw.line((_MARGIN, down - 10, WIDTH - _MARGIN, down - 10), _LINE)
    draw.text((_MARGIN, down), DISCLAIMER, _INK, font=_font(22))
    maker = f"ichlite {__version__}, bundle {bundle.label}"
    box = draw.textbbox((0, 0), maker, font=_font(16))
    draw.text((WIDTH - _MARGIN - box[2], down + 4), maker, _DIM, font=_font(16))
    if isinstance(scan, Analysed):
        said = (
            f"Outlined: where the lesion map, which nothing calibrates, is over {LESION_LEVEL:g}, "
            "in the colour of the strongest subtype. It points to a place and is no measurement."
            if scan.has_lesion_map
            else "The slices of the highest probability. This bundle has no lesion map."
        )
        draw.text((_MARGIN, down + 30), said, _DIM, font=_font(15))


def _slices(page: Image.Image, scan: Analysed) -> None:
    """Draw the slices to look at first, two by two."""
    if scan.hu is None:
        raise UsageError("no picture of a scan without pixels", remedy="read it with keep_pixels")
    pictures = pictures_of(scan, scan.hu, native=False)
    left, top = WIDTH - _MARGIN - 2 * _SIDE - _GAP, _MARGIN
    lesions, head, sides = scan.lesion_map, pictures.head, pictures.marks
    found = () if lesions is None else marked_places(scan, lesions, head, sides)
    first = [jump.slice for jump in jumps_of(scan, found)]
    for number, index in enumerate(first[:MOST_PICTURES]):
        down, right = divmod(number, 2)
        place = (left + right * (_SIDE + _GAP), top + down * (_SIDE + _GAP + 70))
        cells = None if lesions is None else lesions[index]
        page.paste(_slice(scan.hu[index], cells, index, pictures), place)
        _caption(ImageDraw.Draw(page), scan, index, place)


def _slice(
    judged: NDArray[np.int16], cells: NDArray[np.float32] | None, index: int, pictures: Pictures
) -> Image.Image:
    """Return a slice in the brain window, with the outline of its lesion map."""
    headers = pictures.headers
    hu = picture_of(headers[index], judged) if headers else judged
    side = max(hu.shape)
    whole = Image.new("L", (side, side))
    offset = ((side - hu.shape[1]) // 2, (side - hu.shape[0]) // 2)
    whole.paste(Image.fromarray(_grey(hu, BRAIN)), offset)
    box = _square(pictures, side)
    picture = whole.resize((_SIDE, _SIDE), Image.Resampling.LANCZOS, box=box).convert("RGB")
    if cells is not None:
        _outline(picture, cells, tuple(one / side for one in box))
    draw = ImageDraw.Draw(picture)
    if pictures.marks is not None:
        _marks(draw, pictures.marks)
    return picture


def _outline(picture: Image.Image, cells: NDArray[np.float32], box: Sequence[float]) -> None:
    """Draw the edge of where a lesion map says blood, each part in its strongest subtype's colour.

    Args:
        picture: Drawn on.
        cells: (row, column, 5), the lesion map of the slice.
        box: Left, top, right and bottom of the picture, as shares of the map.
    """
    maps = [enlarged(cells[..., subtype]) for subtype in range(len(NAMES))]
    shown = np.stack([_cut(one, box) for one in maps])
    strongest = shown.argmax(axis=0)
    inside = Image.fromarray(np.uint8(255) * (shown.max(axis=0) >= LESION_LEVEL))
    thick = np.asarray(inside.filter(ImageFilter.MaxFilter(5))) > np.asarray(inside)
    for number, subtype in enumerate(SUBTYPES):
        mask = Image.fromarray(np.uint8(255) * (thick & (strongest == number)))
        picture.paste(subtype.colour, mask=mask)


def _cut(values: NDArray[np.float32], box: Sequence[float]) -> NDArray[np.float32]:
    """Return a part of a map at the size of a picture."""
    size = len(values)
    left, top, right, bottom = (share * size for share in box)
    image = Image.fromarray(values)
    return np.asarray(
        image.resize((_SIDE, _SIDE), Image.Resampling.BILINEAR, box=(left, top, right, bottom)),
        np.float32,
    )


def _square(pictures: Pictures, side: int) -> tuple[float, float, float, float]:
    """Return the square of a picture that holds the head: left, top, right and bottom in pixels."""
    top, bottom, left, right = pictures.head
    half = min(0.5, max(bottom - top, right - left) / 2)
    across = min(max((left + right) / 2, half), 1 - half)
    down = min(max((top + bottom) / 2, half), 1 - half)
    return (
        (across - half) * side,
        (down - half) * side,
        (across + half) * side,
        (down + half) * side,
    )


def _grey(hu: NDArray[np.int16], window: Window) -> NDArray[np.uint8]:
    """Return HU as grey: black to white of a window."""
    share = (hu.astype(np.float32) - window.low_hu) / (window.high_hu - window.low_hu)
    return np.asarray(np.rint(255 * np.clip(share, 0, 1)), np.uint8)


def _marks(draw: ImageDraw.ImageDraw, marks: tuple[str, str, str, str]) -> None:
    """Name the sides of a picture."""
    middle, edge = _SIDE // 2, _SIDE - 14
    places = ((14, middle), (edge, middle), (middle, 14), (middle, edge))
    for letter, place in zip(marks, places, strict=True):
        draw.text(
            place, letter, _INK, font=_font(18), anchor="mm", stroke_width=2, stroke_fill=_BLACK
        )


def _caption(draw: ImageDraw.ImageDraw, scan: Analysed, index: int, place: tuple[int, int]) -> None:
    """Say which slice a picture is, and what is most likely on it."""
    scores = scan.slices[index]
    leading = max(NAMES, key=lambda name: scores.probabilities[name])
    at = "" if scores.position_mm is None else f", {scores.position_mm:.0f} mm"
    left, down = place[0], place[1] + _SIDE + 6
    draw.text((left, down), f"slice {index + 1} of {len(scan.slices)}{at}", _INK, font=_font(18))
    said = f"any {scores.probabilities[ANY]:.2f}, {leading} {scores.probabilities[leading]:.2f}"
    draw.text((left, down + 25), said, _DIM, font=_font(17))


def _paragraph(
    draw: ImageDraw.ImageDraw, text: str, down: int, size: int, ink: str, width: int
) -> int:
    """Draw text in lines of a width; return where the next thing may stand."""
    for line in _wrapped(ascii_text(text), size, width):
        draw.text((_MARGIN, down), line, ink, font=_font(size))
        down += size + _LEADING
    return down + 5


def _wrapped(text: str, size: int, width: int) -> list[str]:
    """Return text in lines that are no wider than they may be, cut inside a word if need be."""
    font = _font(size)
    lines = [""]
    for word in text.split():
        longer = f"{lines[-1]} {word}".strip()
        if font.getlength(longer) <= width:
            lines[-1] = longer
            continue
        lines += [""] if lines[-1] else []
        for letter in word:
            if font.getlength(lines[-1] + letter) > width:
                lines.append("")
            lines[-1] += letter
    return lines


def _font(size: int) -> ImageFont.FreeTypeFont:
    """Return the typeface that Pillow brings with it, which is the same on every machine."""
    font = ImageFont.load_default(size)
    if not isinstance(font, ImageFont.FreeTypeFont):
        raise UsageError("Pillow has no FreeType here", remedy="install Pillow from a wheel")
    return font
