"""Resize HU slices to the model's 256x256 grid, and make the tensor that a model takes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.hounsfield import HU_MAX, HU_MIN, read_stored, to_hu
from ichlite.ct.stack import without_slices
from ichlite.ct.windows import PAPER_WINDOWS, apply_windows
from ichlite.errors import InputError, SeriesError, UsageError
from ichlite.records import HeadVolume, Series, SkippedFile, SliceHeader

__all__ = [
    "GRID",
    "HU_MAX",
    "HU_MIN",
    "MAX_SLICES",
    "is_upside_down",
    "leave_out",
    "model_input",
    "read_slice",
    "read_volume",
    "resize_hu",
]

GRID = 256
"""Rows and columns of the model's grid."""

MAX_SLICES = 2000
"""Most slices of a series: a head at 0.2 mm; 2000 slices fill 262 MB on the grid."""


TURNED = "the image was upside down and was turned by 180 degrees"

GriddedSlice = tuple[NDArray[np.int16], str | None]
_Attempt = GriddedSlice | InputError
Each = Callable[[Callable[[SliceHeader], _Attempt], Iterable[SliceHeader]], Iterable[_Attempt]]


def resize_hu(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Resize a slice of any matrix to the model's 256x256 grid by exact area averaging.

    Halves round up. A slice that is not square is first padded with air to a centred square, so
    that nothing is stretched.

    Args:
        hu: (row, column) int16, HU in [-1024, 3071].

    Returns:
        (256, 256) int16, HU in [-1024, 3071].

    Raises:
        UsageError: `hu` is not a two-dimensional int16 image with pixels.

    Example:
        >>> blocks = np.tile(np.array([[0, 1], [1, 0]], np.int16), (256, 256))
        >>> resize_hu(blocks)[0, 0]
        np.int16(1)
    """
    if hu.ndim != 2 or hu.size == 0 or hu.dtype != np.int16:
        raise UsageError(
            "a slice cannot be resized",
            found=f"{hu.dtype} of shape {hu.shape}",
            expected="int16 of shape (rows, columns)",
        )
    square = _padded_to_square(hu)
    side = square.shape[0]
    if side == GRID:
        return square.copy()
    if side == 2 * GRID:
        return _mean_of_2x2(square)
    if side % GRID == 0:
        return _mean_of_blocks(square, side // GRID)
    return _mean_of_areas(square)


def model_input(hu: NDArray[np.int16]) -> NDArray[np.float32]:
    """Convert HU on the 256x256 grid to the model's three-channel input; training uses it too.

    Args:
        hu: (..., 256, 256) int16, HU in [-1024, 3071].

    Returns:
        (..., 256, 256, 3) float32 in [0, 1]: brain, subdural and soft-tissue windows.

    Raises:
        UsageError: The last two axes are not 256x256.

    Example:
        >>> model_input(np.full((2, 256, 256), 40, np.int16))[1, 0, 0].tolist()
        [0.5, 0.30000001192092896, 0.5]
    """
    if hu.shape[-2:] != (GRID, GRID):
        raise UsageError(
            "HU are not on the model's grid",
            found=f"shape {hu.shape}",
            expected=f"(..., {GRID}, {GRID})",
            remedy="call resize_hu first",
        )
    return apply_windows(hu, PAPER_WINDOWS)


def is_upside_down(header: SliceHeader) -> bool:
    """Return whether an axial image is rotated by 180 degrees, with the face at the bottom.

    So it is where the patient lay prone, or the image was turned by hand; the patient's left is
    then on the left.

    Args:
        header: Header of the slice; without ImageOrientationPatient the answer is False.

    Source:
        DICOM PS3.3 C.7.6.2.1.1.
    """
    orientation = header.image_orientation
    return orientation is not None and orientation[0] < 0 and orientation[4] < 0


def upright(header: SliceHeader) -> SliceHeader:
    """Return a slice's header with orientation and position after `read_slice` turned the image.

    Args:
        header: Header of the slice; one whose image is not upside down is returned unchanged.
    """
    if not is_upside_down(header) or header.image_orientation is None:
        return header
    row, column = np.array(header.image_orientation).reshape(2, 3)
    place = header.image_position_mm
    if place is not None and header.pixel_spacing_mm is not None:
        down_mm, right_mm = header.pixel_spacing_mm
        last = np.array(place) + row * right_mm * (header.columns - 1)
        last = last + column * down_mm * (header.rows - 1)
        place = (float(last[0]), float(last[1]), float(last[2]))
    turned = (*(-row).tolist(), *(-column).tolist())
    return replace(
        header,
        image_orientation=cast("tuple[float, float, float, float, float, float]", turned),
        image_position_mm=place,
    )


def read_slice(header: SliceHeader) -> GriddedSlice:
    """Read one slice as HU on the 256x256 grid, the face at the top.

    Args:
        header: Header of the slice, from `find_series`.

    Returns:
        Two values: (256, 256) int16 HU in [-1024, 3071]; and a note on repairs, lossy compression
        and rotation, None where there is nothing to note.

    Raises:
        UnreadableFile: The pixels cannot be read or decoded.
        HounsfieldError: The stored values cannot be converted to HU.
    """
    hu, note = to_hu(read_stored(header), header)
    hu = resize_hu(hu)
    if is_upside_down(header):
        hu = np.ascontiguousarray(hu[::-1, ::-1])
        note = TURNED if note is None else f"{note}; {TURNED}"
    return hu, note


def read_volume(series: Series, each: Each = map) -> HeadVolume:
    """Read the slices of a series as a volume of HU on the 256x256 grid.

    Args:
        series: Series from `find_series`.
        each: Function that applies another to the slices and yields results in order: `map`, or
            that of a thread pool.

    Returns:
        The volume of the slices that can be read, with one note for each kind of repair. The other
        slices are listed in its `left_out`, and its series is without them.

    Raises:
        SeriesError: The series has no slices, or more than `MAX_SLICES`.
        UnreadableFile: No slice can be read; the first one's pixels do not decode.
        HounsfieldError: No slice can be read; the first one's values cannot be converted to HU.
    """
    if not 0 < len(series.slices) <= MAX_SLICES:
        raise SeriesError(
            f"series {series.series_uid} cannot be one head CT",
            found=f"{len(series.slices)} slices",
            expected=f"1 to {MAX_SLICES}",
        )
    volume_hu = np.empty((len(series.slices), GRID, GRID), np.int16)
    repairs: Counter[str] = Counter()
    failures: dict[int, InputError] = {}
    for index, outcome in enumerate(each(_attempt, series.slices)):
        if isinstance(outcome, InputError):
            failures[index] = outcome
            continue
        volume_hu[index], note = outcome
        if note is not None:
            repairs[note] += 1
    if len(failures) == len(series.slices):
        raise failures[0]
    turned = replace(series, slices=tuple(map(upright, series.slices)))
    volume = HeadVolume(turned, volume_hu, summarise_notes(repairs, len(series.slices)))
    return leave_out(volume, {index: str(error) for index, error in failures.items()})


def leave_out(volume: HeadVolume, reasons: Mapping[int, str]) -> HeadVolume:
    """Remove slices that cannot be judged from a volume, and list them in its `left_out`.

    Args:
        volume: Volume with more slices than are removed.
        reasons: Index of each slice to remove → why it cannot be judged, in one line.

    Returns:
        A new volume of the other slices; `volume` itself where `reasons` is empty.
    """
    if not reasons:
        return volume
    slices = volume.series.slices
    files = (
        SkippedFile(
            slices[index].path,
            _without_path(reason, slices[index].path),
            may_be_ct=True,
            frame=slices[index].frame_number,
        )
        for index, reason in reasons.items()
    )
    return replace(
        volume,
        series=without_slices(volume.series, reasons),
        hu=np.delete(volume.hu, list(reasons), axis=0),
        left_out=(*volume.left_out, *files),
    )


def _without_path(reason: str, path: str) -> str:
    """Return a reason without its file, which is shown beside it."""
    return reason.removeprefix(path).removeprefix(":").lstrip()


def _attempt(header: SliceHeader) -> _Attempt:
    try:
        return read_slice(header)
    except InputError as error:
        return error


def summarise_notes(repairs: Counter[str], slices: int) -> tuple[str, ...]:
    """Return one line for each note, with the number of slices that it applies to.

    Args:
        repairs: Note → number of slices.
        slices: Number of all slices of the series.

    Example:
        >>> summarise_notes(Counter({"lossy": 2}), 34)
        ('lossy (2 of 34 slices)',)
    """
    return tuple(f"{note} ({count} of {slices} slices)" for note, count in sorted(repairs.items()))


def _padded_to_square(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    rows, columns = hu.shape
    if rows == columns:
        return hu
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    square = np.full((side, side), HU_MIN, np.int16)
    square[top : top + rows, left : left + columns] = hu
    return square


def _mean_of_2x2(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return means of 2x2 blocks; four values in [-1024, 3071] sum within int16."""
    row_sums = np.add(hu[0::2], hu[1::2], order="C")  # a turned NIfTI slice has columns first
    # Two neighbours are one 32-bit word a + 65536 b; times 65537 its upper half is a + b, whatever
    # the byte order. Words are added half as fast again as every other number of a row.
    words = row_sums.view(np.uint32)
    words *= np.uint32(65537)
    words += np.uint32(2 << 16)
    means = words.view(np.int32)
    means >>= np.int32(18)
    return means.astype(np.int16)


def _mean_of_blocks(hu: NDArray[np.int16], block: int) -> NDArray[np.int16]:
    """Return means of block x block pixels, in whole numbers."""
    row_sums = sum(hu[i::block].astype(np.int32) for i in range(block))
    sums = sum(np.asarray(row_sums)[:, i::block] for i in range(block))
    pixels = block * block
    return ((2 * np.asarray(sums) + pixels) // (2 * pixels)).astype(np.int16)


def _mean_of_areas(hu: NDArray[np.int16]) -> NDArray[np.int16]:
    """Return means over areas that cut pixels: whole numbers, the same on every machine."""
    area = hu.shape[0] ** 2
    sums = _area_sums(_area_sums(hu.astype(np.int64)).T).T
    means: NDArray[np.int16] = ((2 * sums + area) // (2 * area)).astype(np.int16)
    return means


def _area_sums(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return sums (256, n) over 256 equal parts of the first axis, in 1/256 of a pixel.

    On an axis of length 256 * side, pixel j covers [256 j, 256 (j + 1)) and part i covers
    [side * i, side * (i + 1)): the difference of running sums at its two ends.
    """
    side = len(values)
    running: NDArray[np.int64] = np.zeros((side + 1, values.shape[1]), np.int64)
    np.cumsum(values, axis=0, out=running[1:])
    whole, rest = np.divmod(side * np.arange(GRID + 1), GRID)
    cut = values[np.minimum(whole, side - 1)]
    at_ends = np.asarray(GRID * running[whole] + rest[:, None] * cut, np.int64)
    return at_ends[1:] - at_ends[:-1]
