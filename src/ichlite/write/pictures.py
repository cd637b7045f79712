"""Choose the pictures of a scan that a page shows, and say which side of the patient is where.

They are those of the files at their own matrix where they are small enough, and where the files,
read again, still give what was judged; else what was judged, on the model's grid. Left, right,
front and back are named only where the files give what was judged: a picture that was turned on
the way is then turned here, too, and so are the names of its sides. Where there are no DICOM files
to read again, as of a NIfTI volume, the affine of what was judged names them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.header import read_headers
from ichlite.ct.hounsfield import read_stored, to_hu
from ichlite.ct.tensor import GRID, resize_hu
from ichlite.errors import InputError
from ichlite.infer.results import Analysed
from ichlite.records import SliceHeader
from ichlite.write.pixels import pack_slice

MOST_SCAN_BYTES = 4_200_000
"""Most bytes of a scan's packed pictures at the matrix of its files; a scan that needs more is
shown on the 256x256 grid. In base64 they are 5.6 MB, so a page on one study is under 6 MB."""

_BRAIN_HU = (0, 80)
_THIN, _MARGIN = 0.05, 0.05
"""Share of the widest row or column, and of the square: bone and scalp around the brain."""

Marks = tuple[str, str, str, str]
Box = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class Pictures:
    """The pictures of a scan that a page shows, packed, with their size and orientation.

    Attributes:
        packed: Packed HU of each slice (see `pixels.pack_slice`), feet to head.
        native: Whether the pictures have the matrix of the files; else the 256x256 grid.
        rows, columns: Size of each picture.
        row_mm, column_mm: Distance between rows and between columns, in mm; None where unknown.
        marks: Letters of the patient's sides (DICOM PatientOrientation: L, R, A, P, H, F) at the
            left, right, top and bottom of a picture; None where they are not known.
        head: Top, bottom, left and right of the head, as shares of the square that holds a picture
            in its middle.
        headers: Headers of the slices; empty where a file can no longer be read, or slices differ
            in size or orientation.
    """

    packed: tuple[bytes, ...]
    native: bool
    rows: int
    columns: int
    row_mm: float | None
    column_mm: float | None
    marks: Marks | None
    head: Box
    headers: tuple[SliceHeader, ...]


def pictures_of(scan: Analysed, judged: NDArray[np.int16], *, native: bool) -> Pictures:
    """Return the pictures of a scan for the HTML page, feet to head.

    Args:
        scan: Result of the scan.
        judged: (slice, 256, 256) int16 HU that the model saw. They are the pictures if `native` is
            false, if a file can no longer be read or has other content, or if pictures at the
            matrix of the files would need more than `MOST_SCAN_BYTES`.
        native: Whether to read the files again for pictures at their full matrix.

    Returns:
        One picture for each slice, all with the same matrix.
    """
    headers = _headers(scan)
    first = headers[0] if headers else None
    packed, turned = _native_pictures(headers, judged, wanted=native) if headers else ([], None)
    is_native = bool(packed)
    rows, columns = (first.rows, first.columns) if first and is_native else (GRID, GRID)
    row_mm, column_mm = _spacing_mm(first, native=is_native)
    marks = None if turned is None or first is None else _marks(first, turned=turned)
    if first is None and scan.affine is not None:
        marks = _marks_by(scan.affine)
        _, row_mm, column_mm = scan.spacing_mm or (None, None, None)
    return Pictures(
        packed=tuple(packed or map(pack_slice, judged)),
        native=is_native,
        rows=rows,
        columns=columns,
        row_mm=row_mm,
        column_mm=column_mm,
        marks=marks,
        head=_head_box(judged),
        headers=headers,
    )


def picture_of(header: SliceHeader, judged: NDArray[np.int16]) -> NDArray[np.int16]:
    """Read one slice at the full matrix of its file, rotated as the model saw it.

    Args:
        header: Header of the slice.
        judged: (256, 256) int16 HU that the model saw.

    Returns:
        (row, column) int16 HU; `judged` if the file cannot be read or has other content.
    """
    try:
        hu = _read(header)
    except InputError:
        return judged
    upright = (np.rot90(hu, turns) for turns in (0, 2))
    return next((one for one in upright if _gives(one, judged)), judged)


def _headers(scan: Analysed) -> tuple[SliceHeader, ...]:
    """Return the headers of a scan's files, or none where they are no longer there, or differ."""
    found: list[SliceHeader] = []
    of_file: dict[str, dict[int | None, SliceHeader]] = {}
    for scores in scan.slices:
        if scores.file not in of_file:
            of_file[scores.file] = {
                one.frame_number: one
                for one in read_headers(scores.file)
                if isinstance(one, SliceHeader)
            }
        header = of_file[scores.file].get(scores.frame)
        if header is None or not _alike(header, found):
            return ()
        found.append(header)
    return tuple(found)


def _alike(header: SliceHeader, others: Sequence[SliceHeader]) -> bool:
    """Return whether a slice's picture has the size and orientation of those before it."""
    if not others:
        return True
    return all(
        np.allclose(one or (), other or (), atol=1e-3) if bool(one) == bool(other) else False
        for one, other in (
            ((header.rows, header.columns), (others[0].rows, others[0].columns)),
            (header.pixel_spacing_mm, others[0].pixel_spacing_mm),
            (header.image_orientation, others[0].image_orientation),
        )
    )


def _native_pictures(
    headers: Sequence[SliceHeader], judged: NDArray[np.int16], *, wanted: bool
) -> tuple[list[bytes], bool | None]:
    """Return the packed pictures of files, as they were judged, and whether that is turned by 180°.

    Args:
        headers: Of the slices.
        judged: (slice, 256, 256) int16 HU that were judged.
        wanted: Whether pictures are wanted, or only how they lie.

    Returns:
        No pictures where they are too large, or the files do not give what was judged; None where
        not even how they lie is known.
    """
    try:
        middle = len(headers) // 2
        hu = _read(headers[middle])
        turned = next((t for t in (0, 2) if _gives(np.rot90(hu, t), judged[middle])), None)
        if turned is None:
            return [], None
        # The middle slice is about the largest: far too many of them need not be packed to see it.
        if not wanted or len(headers) * len(pack_slice(hu)) > 2 * MOST_SCAN_BYTES:
            return [], bool(turned)
        pictures: list[bytes] = []
        for header, expected in zip(headers, judged, strict=True):
            hu = np.rot90(_read(header), turned)
            pictures.append(pack_slice(hu))
            if not _gives(hu, expected):
                return [], bool(turned)
        return pictures if sum(map(len, pictures)) <= MOST_SCAN_BYTES else [], bool(turned)
    except InputError:
        return [], None


def _read(header: SliceHeader) -> NDArray[np.int16]:
    hu, _ = to_hu(read_stored(header), header)
    return hu


def _gives(hu: NDArray[np.int16], judged: NDArray[np.int16]) -> bool:
    return bool(np.array_equal(resize_hu(np.ascontiguousarray(hu)), judged))


def _spacing_mm(first: SliceHeader | None, *, native: bool) -> tuple[float | None, float | None]:
    """Return the distance between rows and between columns of the pictures."""
    if first is None or first.pixel_spacing_mm is None:
        return None, None
    row_mm, column_mm = first.pixel_spacing_mm
    scale = 1.0 if native else max(first.rows, first.columns) / GRID
    return row_mm * scale, column_mm * scale


def _marks(header: SliceHeader, *, turned: bool) -> Marks | None:
    """Return the letters at the left, right, top and bottom of a picture."""
    if header.image_orientation is None:
        return None
    sign = -1.0 if turned else 1.0
    along_row = [sign * cosine for cosine in header.image_orientation[:3]]
    along_column = [sign * cosine for cosine in header.image_orientation[3:]]
    return _marks_along(along_row, along_column)


def _marks_by(affine: NDArray[np.float64]) -> Marks:
    """Return the letters by an affine, whose x and y count to the right and front."""
    down, right = (affine[:3, 1:3].T * (-1.0, -1.0, 1.0)).tolist()
    return _marks_along(right, down)


def _marks_along(along_row: Sequence[float], along_column: Sequence[float]) -> Marks:
    return (
        direction([-cosine for cosine in along_row]),
        direction(along_row),
        direction([-cosine for cosine in along_column]),
        direction(along_column),
    )


def direction(cosines: Sequence[float]) -> str:
    """Return the letter of the patient's side (L, R, A, P, H or F) that a direction is nearest to.

    Args:
        cosines: Direction cosines along x, y and z of the patient's coordinates.

    Source:
        DICOM PS3.3 C.7.6.1.1.1.

    Example:
        >>> direction((1, 0, 0)), direction((0, -0.9, 0.4))
        ('L', 'A')
    """
    axis = max(range(3), key=lambda index: abs(cosines[index]))
    return ("RL", "AP", "FH")[axis][cosines[axis] > 0]


def _head_box(hu: NDArray[np.int16]) -> Box:
    """Return where the head lies in all slices, by its brain: a headrest is none."""
    tissue = (hu > _BRAIN_HU[0]) & (hu < _BRAIN_HU[1])
    ends: list[float] = []
    for axes in ((0, 2), (0, 1)):
        counts = tissue.sum(axis=axes)
        inside = np.flatnonzero(counts > _THIN * counts.max())
        low, high = (inside[0], inside[-1] + 1) if len(inside) else (0, GRID)
        ends += [float(max(0.0, low / GRID - _MARGIN)), float(min(1.0, high / GRID + _MARGIN))]
    return ends[0], ends[1], ends[2], ends[3]
