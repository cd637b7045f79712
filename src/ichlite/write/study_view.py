"""Gather what the viewer shows of one scan: its document, and the bytes of its pictures.

The document and the bytes are all that the viewer needs: a page carries both inside itself, a
server may send them by themselves.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from msgspec import structs
from numpy.typing import NDArray

from ichlite.contracts.codec import Document
from ichlite.ct.windows import BRAIN, SUBDURAL, Window
from ichlite.errors import UsageError
from ichlite.infer.bundle import Bundle
from ichlite.infer.decision import calibrate
from ichlite.infer.heatmap import LESION_LEVEL
from ichlite.infer.results import Analysed
from ichlite.labels import ANY, NAMES
from ichlite.records import SliceHeader, image_name
from ichlite.write.chart import places
from ichlite.write.escaping import printable
from ichlite.write.marked import MarkedPlace, marked_places
from ichlite.write.pictures import pictures_of
from ichlite.write.pixels import LEVELS, pack_maps

VIEWER_WINDOWS: tuple[Window, ...] = (
    BRAIN,
    SUBDURAL,
    Window("stroke", 40, 40),
    Window("bone", 480, 2500),
)
"""Display windows that have a key and a button in the viewer; any other can be set by hand."""

MOST_JUMPS = 6
MOST_UNMARKED_JUMPS = 3
JUMP_APART_MM = 12.0
"""Least distance in mm between two suggested slices, so that they do not show the same bleed."""


class MarkView(Document, frozen=True, kw_only=True):
    """The part of a marked place of the lesion map that lies in one slice.

    Attributes:
        cells: Number of marked cells.
        side: Side of the patient; see `marked.MarkedPlace.side`.
        at: Row and column of the cells' centre, as shares of the map, in [0, 1].
    """

    cells: int
    side: str | None
    at: tuple[float, float]


class SliceView(Document, frozen=True, kw_only=True):
    """The data that the viewer shows of one slice.

    Attributes:
        file: Name of its file, without folders.
        position_mm: Position along the slice normal in mm; None where unknown.
        place: Place on the chart's axis, 0 at its left end, 100 at its right.
        probabilities: Class (`any` and each subtype) → probability in [0, 1].
        marks: Marked places of the lesion map, the largest first; None for an activation map.
        subtype: Name of the most likely subtype of the slice.
    """

    file: str
    position_mm: float | None
    place: float
    probabilities: Mapping[str, float]
    marks: tuple[MarkView, ...] | None
    subtype: str


class JumpView(Document, frozen=True, kw_only=True):
    """A slice that the viewer suggests to look at first.

    Attributes:
        slice: Index of the slice, from the feet.
        cells: Number of marked cells of the place to look at in it; None where nothing is marked.
        side, subtype: Side and subtype of that place; see `marked.MarkedPlace`.
    """

    slice: int
    cells: int | None = None
    side: str | None = None
    subtype: str | None = None


class PixelView(Document, frozen=True, kw_only=True):
    """Size and storage of the pictures of a scan in the page.

    Attributes:
        native: Whether the pictures have the matrix of the files; else the 256x256 grid.
        rows, columns: Size of each picture.
        row_mm, column_mm: Distance between rows and between columns, in mm; None where unknown.
        levels: Quantisation of HU; see `pixels.LEVELS`.
        bytes: Packed length of each slice, feet to head, and then that of the maps.
    """

    native: bool
    rows: int
    columns: int
    row_mm: float | None
    column_mm: float | None
    levels: tuple[tuple[int, int, int], ...]
    bytes: tuple[int, ...]


class MapView(Document, frozen=True, kw_only=True):
    """Description of the map that the viewer lays over the pictures.

    Attributes:
        kind: `lesion` or `activation`.
        rows, columns: Number of cells over the square that holds the picture in its middle.
        level: Value, in [0, 1], from which the map is painted.
    """

    kind: str
    rows: int
    columns: int
    level: float


class WindowView(Document, frozen=True, kw_only=True):
    """A display window that a button of the viewer sets."""

    name: str
    centre_hu: int
    width_hu: int


class StudyView(Document, frozen=True, kw_only=True):
    """The JSON document that the viewer shows a scan by, beside the packed pictures.

    Attributes:
        slices: Data of each slice, feet to head.
        jumps: Slices to look at first: one for each marked place, the largest first, then more
            of these; where nothing is marked, those of the highest `any`.
        windows: Display windows that have a button.
        map: Description of the overlaid map.
        marks: Letters of the patient's sides at the left, right, top and bottom of a picture; None
            where the orientation of the picture is not known.
        head: Top, bottom, left and right of the head, as shares of the square of the maps.
        pixels: Size and storage of the pictures; None where the page was too large for them.
    """

    slices: tuple[SliceView, ...]
    jumps: tuple[JumpView, ...]
    windows: tuple[WindowView, ...]
    map: MapView
    marks: tuple[str, str, str, str] | None
    head: tuple[float, float, float, float]
    pixels: PixelView | None


@dataclass(frozen=True, slots=True)
class Shown:
    """All that a page needs to show a scan: the viewer's document and the packed pictures.

    Attributes:
        view: Document of the viewer.
        data: Packed pictures of the slices, then the packed maps.
        headers: Headers of the slices; empty where a file can no longer be read.
        marked: Places that the lesion map marks, the largest first; None without a lesion map.
    """

    view: StudyView
    data: bytes
    headers: tuple[SliceHeader, ...]
    marked: tuple[MarkedPlace, ...] | None

    def without_pictures(self) -> Shown:
        """Return a copy without pictures and maps, for a page that would be too large."""
        return replace(self, view=structs.replace(self.view, pixels=None), data=b"")


def show_study(scan: Analysed, bundle: Bundle, *, native: bool = True) -> Shown:
    """Gather what a page needs to show a scan; its files are read again for their full matrix.

    Args:
        scan: Result, read with `keep_pixels`.
        bundle: Bundle that judged it.
        native: Whether pictures may have the matrix of the files; False for the 256x256 grid.

    Raises:
        UsageError: The scan was read without `keep_pixels`.
    """
    if scan.hu is None or scan.activation_maps is None:
        raise UsageError(
            "no report on a scan without pixels", remedy="read it with keep_pixels=True"
        )
    pictures = pictures_of(scan, scan.hu, native=native)
    lesion_map = scan.lesion_map
    if lesion_map is None:
        found, maps = None, _relative_maps(scan.activation_maps, bundle, scan)
    else:
        found = marked_places(scan, lesion_map, pictures.head, pictures.marks)
        # At each place the subtype that is strongest there.
        maps = np.asarray(lesion_map.max(axis=-1), np.float64)
    packed_maps = pack_maps(maps)
    view = StudyView(
        slices=tuple(
            SliceView(
                file=printable(image_name(Path(scores.file).name, scores.frame)),
                position_mm=scores.position_mm,
                place=place,
                probabilities=scores.probabilities,
                marks=None if found is None else _marks_in(index, found, maps.shape),
                subtype=max(NAMES, key=lambda name: scores.probabilities[name]),
            )
            for index, (scores, place) in enumerate(zip(scan.slices, places(scan), strict=True))
        ),
        jumps=jumps_of(scan, found or ()),
        windows=tuple(
            WindowView(name=one.name, centre_hu=one.centre_hu, width_hu=one.width_hu)
            for one in VIEWER_WINDOWS
        ),
        map=MapView(
            kind=bundle.map.kind,
            rows=maps.shape[1],
            columns=maps.shape[2],
            level=0.0 if found is None else LESION_LEVEL,
        ),
        marks=pictures.marks,
        head=pictures.head,
        pixels=PixelView(
            native=pictures.native,
            rows=pictures.rows,
            columns=pictures.columns,
            row_mm=pictures.row_mm,
            column_mm=pictures.column_mm,
            levels=LEVELS,
            bytes=(*map(len, pictures.packed), len(packed_maps)),
        ),
    )
    return Shown(view, b"".join([*pictures.packed, packed_maps]), pictures.headers, found)


def _marks_in(
    index: int, found: Sequence[MarkedPlace], shape: tuple[int, ...]
) -> tuple[MarkView, ...]:
    """Return the marks of one slice, the largest first."""
    marks = [
        MarkView(
            cells=place.cells[index - place.first],
            side=place.side,
            at=(
                place.centres[index - place.first][0] / shape[1],
                place.centres[index - place.first][1] / shape[2],
            ),
        )
        for place in found
        if place.first <= index <= place.last
    ]
    return tuple(sorted(marks, key=lambda mark: -mark.cells))


def _relative_maps(
    logits: NDArray[np.float32], bundle: Bundle, scan: Analysed
) -> NDArray[np.float64]:
    """Return each slice's activation map: its leading subtype, relative to its strongest place."""
    table = [[scores.probabilities[name] for name in NAMES] for scores in scan.slices]
    leading = np.argmax(table, axis=1)[:, None, None, None]
    shown = np.take_along_axis(calibrate(logits, bundle.calibration), leading, axis=-1)[..., 0]
    strongest = shown.max(axis=(1, 2), keepdims=True)
    return np.asarray(shown / np.maximum(strongest, np.finfo(float).tiny))


def jumps_of(scan: Analysed, found: Sequence[MarkedPlace]) -> tuple[JumpView, ...]:
    """Return the slices of a scan that the viewer suggests to look at first, at most six.

    First one slice for each marked place, the largest place first: among its slices with at least
    half as many marked cells as the slice with the most, the one with the highest probability of
    `any`. Then more slices of these places, at least `JUMP_APART_MM` from those already chosen.
    Where nothing is marked, up to three slices with the highest probability of `any`. Slices
    without a position count as adjacent to those next to them in order.

    Args:
        scan: Result of the scan.
        found: Places that its lesion map marks, the largest first.
    """
    scores = [one.probabilities[ANY] for one in scan.slices]
    positions = [one.position_mm for one in scan.slices]

    def apart(one: int, other: int) -> bool:
        a, b = positions[one], positions[other]
        if a is None or b is None:
            return abs(one - other) > 1
        return abs(a - b) >= JUMP_APART_MM

    def jump(place: MarkedPlace, index: int) -> JumpView:
        cells = place.cells[index - place.first]
        return JumpView(slice=index, cells=cells, side=place.side, subtype=place.subtype)

    chosen: list[JumpView] = []
    for place in found[:MOST_JUMPS]:
        half = max(place.cells) / 2
        large = [place.first + at for at, cells in enumerate(place.cells) if cells >= half]
        chosen.append(jump(place, max(large, key=lambda index: (scores[index], -index))))
    more = [
        jump(place, index)
        for place in found
        for index in sorted(
            range(place.first, place.last + 1), key=lambda i: -place.cells[i - place.first]
        )
    ]
    most = MOST_JUMPS
    if not found:
        order = sorted(range(len(scores)), key=lambda index: (-scores[index], index))
        more, most = [JumpView(slice=index) for index in order], MOST_UNMARKED_JUMPS
    for one in more:
        if len(chosen) < most and all(apart(one.slice, other.slice) for other in chosen):
            chosen.append(one)
    return tuple(chosen)
