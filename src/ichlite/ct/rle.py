"""Decode one RLE frame of 16-bit pixels; memory is bounded by the image size.

Why not pylibjpeg-rle: a damaged frame makes it panic, which passes every `except Exception`.

Source:
    DICOM PS3.5 annex G (PackBits byte planes, most significant first).
"""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import UnreadableFile

_HEADER_BYTES = 64
_PLANES = 2


def decode_rle(frame: bytes, rows: int, columns: int) -> NDArray[np.uint16]:
    """One RLE frame in; its 16-bit pixels out.

    Args:
        frame: The joined fragments of the frame.
        rows: Of the image.
        columns: Of the image.

    Returns:
        (row, column) uint16.

    Raises:
        UnreadableFile: The frame is damaged, or holds another number of pixels.

    Example:
        >>> planes = struct.pack("<16I", 2, 64, 66, *[0] * 13) + bytes([255, 1, 255, 44])
        >>> decode_rle(planes, 1, 2).tolist()
        [[300, 300]]
    """
    if len(frame) < _HEADER_BYTES:
        raise UnreadableFile("RLE pixel data is damaged", found=f"{len(frame)} bytes")
    planes, first, second = struct.unpack_from("<3I", frame)
    if planes != _PLANES or not _HEADER_BYTES <= first <= second <= len(frame):
        raise UnreadableFile(
            "RLE pixel data is damaged",
            found=f"{planes} segments at {first} and {second}",
            expected=f"{_PLANES} inside {len(frame)} bytes",
        )
    pixels = np.empty((rows * columns, _PLANES), np.uint8)
    pixels[:, 1] = _unpacked(frame[first:second], rows * columns)
    pixels[:, 0] = _unpacked(frame[second:], rows * columns)
    return pixels.view("<u2").reshape(rows, columns)


def _unpacked(segment: bytes, count: int) -> NDArray[np.uint8]:
    """PackBits bytes in; exactly `count` bytes out."""
    pieces: list[bytes] = []
    position, produced, last = 0, 0, len(segment) - 1
    while produced < count and position < last:
        control = segment[position]
        if control < 128:
            stop = position + control + 2
            pieces.append(segment[position + 1 : stop])
            produced += control + 1
            position = stop
        elif control > 128:
            pieces.append(segment[position + 1 : position + 2] * (257 - control))
            produced += 257 - control
            position += 2
        else:
            position += 1
    plane = np.frombuffer(b"".join(pieces), np.uint8)
    if len(plane) != count:
        raise UnreadableFile(
            "RLE pixel data does not fill the image",
            found=f"{len(plane)} bytes a plane",
            expected=count,
        )
    return plane
