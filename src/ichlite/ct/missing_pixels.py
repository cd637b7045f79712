"""Find the slices of a volume whose pixels were lost, or are another slice's.

A transfer or an export that breaks off leaves zeros where pixels were; one that goes wrong writes
one image under several names. Both look like a whole series in the headers.
"""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

_LOST_SHARE = 0.25
"""Rows of one value at one end of an image: at most 0.09 in the real scans at hand."""

_JUMP_SHARE = 0.125
"""Even noiseless air above a head does not grow by this from one slice to the next."""

_TISSUE_HU = -300
_TISSUE_SHARE = 0.05
_SAMPLE = 8


def lost_slices(hu: NDArray[np.int16]) -> dict[int, str]:
    """Find slices of which all pixels, or many rows at one end, have a single value: lost pixels.

    Only slices with others that show tissue both below and above them are named: air above the
    vertex may be empty, and so may what a converter puts below a head.

    Args:
        hu: (slice, row, column) int16 HU, feet to head.

    Returns:
        Index of each lost slice → why it cannot be judged, in one line.

    Example:
        >>> head = np.arange(3 * 64, dtype=np.int16).reshape(3, 8, 8)
        >>> head[1] = 0
        >>> lost_slices(head)
        {1: 'slice 2 of 3 holds no image; found one value in all its pixels'}
    """
    count, rows, _ = hu.shape
    least = int(_LOST_SHARE * rows)
    suspects = [
        index for index in _with_flat_end(hu, least) if _is_lost(hu, int(index), least, rows)
    ]
    if not suspects:
        return {}
    tissue = _with_tissue(hu)
    tissue[suspects] = False
    there = np.flatnonzero(tissue)
    reasons = {}
    for index in map(int, suspects):
        if not (len(there) and there[0] < index < there[-1]):
            continue
        name = f"slice {index + 1} of {count}"
        if _is_flat(hu[index]):
            reasons[index] = f"{name} holds no image; found one value in all its pixels"
        else:
            share = max(_flat_rows(hu[index])) / rows
            found = f"found one value in {share:.0%} of the rows; expected an image"
            reasons[index] = f"{name} is partly lost; {found}"
    return reasons


def repeated_images(hu: NDArray[np.int16]) -> dict[int, str]:
    """Find slices that show tissue and have exactly the pixels of a slice below them.

    Args:
        hu: (slice, row, column) int16 HU, feet to head.

    Returns:
        Index of each repeated slice → which slice it repeats, in one line; the lowest of the
        identical slices is not among them.

    Example:
        >>> head = np.arange(3 * 64, dtype=np.int16).reshape(3, 8, 8)
        >>> head[2] = head[0]
        >>> repeated_images(head)
        {2: 'slice 3 of 3 shows the same image as slice 1, alike in every pixel'}
    """
    count, rows, _ = hu.shape
    # The middle row tells images apart; only those that share it are compared as a whole.
    by_row: dict[bytes, list[int]] = defaultdict(list)
    for index in np.flatnonzero(_with_tissue(hu)).tolist():
        by_row[hu[index, rows // 2].tobytes()].append(index)
    by_image: dict[bytes, list[int]] = defaultdict(list)
    for group in by_row.values():
        if len(group) > 1:
            for index in group:
                by_image[hu[index].tobytes()].append(index)
    return {
        index: (
            f"slice {index + 1} of {count} shows the same image as slice {first + 1}, "
            "alike in every pixel"
        )
        for first, *others in by_image.values()
        for index in others
        if not _is_flat(hu[first])
    }


def _with_tissue(hu: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Return for each slice whether it shows tissue."""
    shares = (hu[:, ::_SAMPLE, ::_SAMPLE] > _TISSUE_HU).mean(axis=(1, 2))
    return np.asarray(shares >= _TISSUE_SHARE)


def _with_flat_end(hu: NDArray[np.int16], least: int) -> NDArray[np.intp]:
    """Find slices whose first or last `least` rows may be of one value.

    Two rows of each are looked at, all slices at once, so that whole ones cost next to nothing.
    """
    flat = np.zeros(len(hu), np.bool_)
    for outer, inner in ((0, least - 1), (-1, -least)):
        corner = hu[:, outer, :1]
        flat |= (hu[:, inner] == corner).all(axis=1) & (hu[:, outer] == corner).all(axis=1)
    return np.flatnonzero(flat)


def _is_lost(hu: NDArray[np.int16], index: int, least: int, rows: int) -> bool:
    """Return whether a slice is of one value, or has many more such rows than a neighbour has."""
    if _is_flat(hu[index]):
        return True
    neighbours = [_flat_rows(hu[one]) for one in (index - 1, index + 1) if 0 <= one < len(hu)]
    return any(
        flat >= least and flat - min(one[end] for one in neighbours) >= _JUMP_SHARE * rows
        for end, flat in enumerate(_flat_rows(hu[index]))
        if neighbours
    )


def _is_flat(image: NDArray[np.int16]) -> bool:
    return bool((image == image[0, 0]).all())


def _flat_rows(image: NDArray[np.int16]) -> tuple[int, int]:
    """Count the rows of one value at the first and at the last row of an image."""
    counts = []
    for seen in (image, image[::-1]):
        varied = (seen != seen[0, 0]).any(axis=1)
        counts.append(int(varied.argmax()) if varied.any() else len(seen))
    return counts[0], counts[1]
