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
from ichlite.write.marked import (
    MarkedPlace,
    likeliest_subtype,
    marked_cells,
    marked_places,
    side_of,
)
from ichlite.write.pictures import pictures_of
from ichlite.write.pixels import LEVELS, pack_maps

VIEWER_WINDOWS: tuple[Window, ...] = (
    BRAIN,
    SUBDURAL,
    Window("stroke", 40, 40),
    Window("bone", 480, 2500),
)
"""Windows that a key and a button set; any other is free."""

MOST_JUMPS = 6
MOST_UNMARKED_JUMPS = 3
JUMP_APART_MM = 12.0
"""Two jumps to one bleed would be one jump too many."""


class SliceView(Document, frozen=True, kw_only=True):
    """What is said of one slice.

    Attributes:
        file: Name of its file, without folders.
        position_mm: Along the slice normal; None where unknown.
        place: On the chart's axis, 0 at its left end, 100 at its right.
        probabilities: Of `any` and each subtype.
        cells: Places of a lesion map that say blood; None of an activation map.
        side: Of the patient, where these are (`marked.side_of`); None where there are none, or the
            sides are not known.
        subtype: The most likely one of the slice.
    """

    file: str
    position_mm: float | None
    place: float
    probabilities: Mapping[str, float]
    cells: int | None
    side: str | None
    subtype: str


class PixelView(Document, frozen=True, kw_only=True):
    """How the pictures are stored.

    Attributes:
        native: Whether at the matrix of the files, else on the model's grid.
        rows, columns: Of each picture.
        row_mm, column_mm: Distance between rows and between columns; None where unknown.
        levels: As `pixels.LEVELS`.
        bytes: Of each slice, one after the other, feet to head; then those of the maps.
    """

    native: bool
    rows: int
    columns: int
    row_mm: float | None
    column_mm: float | None
    levels: tuple[tuple[int, int, int], ...]
    bytes: tuple[int, ...]


class MapView(Document, frozen=True, kw_only=True):
    """What the overlay is.

    Attributes:
        kind: `lesion` or `activation`.
        rows, columns: Cells over the square that holds the picture in its middle.
        level: Value from which it is painted.
    """

    kind: str
    rows: int
    columns: int
    level: float


class WindowView(Document, frozen=True, kw_only=True):
    """A window that a button sets."""

    name: str
    centre_hu: int
    width_hu: int


class StudyView(Document, frozen=True, kw_only=True):
    """All that the viewer shows of a scan.

    Attributes:
        slices: Feet to head.
        jumps: Indices of the slices to look at first: those with the largest marks in the lesion
            map, or, without any, of the highest `any`; each of another place.
        marks: Letters at the left, right, top and bottom of a picture; None where the orientation
            of the picture is not known.
        head: Top, bottom, left and right of the head, of the square of the maps: 0 to 1.
        pixels: None where the page was too large for the pictures.
    """

    slices: tuple[SliceView, ...]
    jumps: tuple[int, ...]
    windows: tuple[WindowView, ...]
    map: MapView
    marks: tuple[str, str, str, str] | None
    head: tuple[float, float, float, float]
    pixels: PixelView | None


@dataclass(frozen=True, slots=True)
class Shown:
    """A scan made ready to be shown.

    Attributes:
        view: What the viewer needs beside the bytes.
        data: The packed pictures, then the packed maps.
        headers: Of its slices, where all files can still be read, else empty.
        marked: Where the lesion map marks blood, the largest place first; None without one.
    """

    view: StudyView
    data: bytes
    headers: tuple[SliceHeader, ...]
    marked: tuple[MarkedPlace, ...] | None

    def without_pictures(self) -> Shown:
        """Return the same with no pictures in it."""
        return replace(self, view=structs.replace(self.view, pixels=None), data=b"")


def show_study(scan: Analysed, bundle: Bundle, *, native: bool = True) -> Shown:
    """Make an analysed scan with pixels ready to be shown (reads its files again).

    Args:
        scan: Read with `keep_pixels`.
        bundle: The bundle that judged it.
        native: Whether pictures may have the matrix of the files; False: the model's grid.

    Raises:
        UsageError: The scan was read without `keep_pixels`.
    """
    if scan.hu is None or scan.activation_maps is None:
        raise UsageError(
            "no report on a scan without pixels", remedy="read it with keep_pixels=True"
        )
    pictures = pictures_of(scan, scan.hu, native=native)
    maps = _maps(scan.activation_maps, bundle, scan)
    marked = marked_cells(scan)
    cells = None if marked is None else marked.sum(axis=(1, 2)).tolist()
    sides: list[str | None] = [None] * len(maps)
    if marked is not None:
        sides = [side_of(one, pictures.head, pictures.marks) for one in marked]
    packed_maps = pack_maps(maps)
    view = StudyView(
        slices=tuple(
            SliceView(
                file=printable(image_name(Path(scores.file).name, scores.frame)),
                position_mm=scores.position_mm,
                place=place,
                probabilities=scores.probabilities,
                cells=None if cells is None else cells[index],
                side=sides[index],
                subtype=likeliest_subtype(scan, index, index),
            )
            for index, (scores, place) in enumerate(zip(scan.slices, places(scan), strict=True))
        ),
        jumps=jumps_of(scan, cells),
        windows=tuple(
            WindowView(name=one.name, centre_hu=one.centre_hu, width_hu=one.width_hu)
            for one in VIEWER_WINDOWS
        ),
        map=MapView(
            kind=bundle.map.kind,
            rows=maps.shape[1],
            columns=maps.shape[2],
            level=0.0 if marked is None else LESION_LEVEL,
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
    return Shown(
        view,
        b"".join([*pictures.packed, packed_maps]),
        pictures.headers,
        None if marked is None else marked_places(scan, marked, pictures.head, pictures.marks),
    )


def _maps(logits: NDArray[np.float32], bundle: Bundle, scan: Analysed) -> NDArray[np.float64]:
    """Return each slice's map in [0, 1].

    A lesion map shows at each place the subtype that is strongest there; an activation map the
    slice's leading subtype, relative to its own strongest place.
    """
    if scan.lesion_map is not None:
        return np.asarray(scan.lesion_map.max(axis=-1), np.float64)
    table = [[scores.probabilities[name] for name in NAMES] for scores in scan.slices]
    leading = np.argmax(table, axis=1)[:, None, None, None]
    shown = np.take_along_axis(calibrate(logits, bundle.calibration), leading, axis=-1)[..., 0]
    strongest = shown.max(axis=(1, 2), keepdims=True)
    return np.asarray(shown / np.maximum(strongest, np.finfo(float).tiny))


def jumps_of(scan: Analysed, cells: Sequence[int] | None) -> tuple[int, ...]:
    """Return the slices to look at first, none beside another.

    Those with marks in the lesion map, the largest first; where none has, the highest `any`.
    Slices without a position are taken for neighbours of those that are next to them in order.

    Args:
        scan: The result.
        cells: Of each slice, places of its lesion map that say blood; None without a lesion map.
    """
    count = len(scan.slices)
    positions = [scores.position_mm for scores in scan.slices]

    def apart(one: int, other: int) -> bool:
        a, b = positions[one], positions[other]
        if a is None or b is None:
            return abs(one - other) > 1
        return abs(a - b) >= JUMP_APART_MM

    sizes = [0] * count if cells is None else cells
    order = sorted(
        (index for index in range(count) if sizes[index] or not any(sizes)),
        key=lambda i: (-sizes[i], -scan.slices[i].probabilities[ANY], i),
    )
    most = MOST_JUMPS if any(sizes) else MOST_UNMARKED_JUMPS
    chosen: list[int] = []
    for index in order:
        if len(chosen) < most and all(apart(index, other) for other in chosen):
            chosen.append(index)
    return tuple(chosen)
