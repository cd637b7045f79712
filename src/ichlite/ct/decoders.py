"""Decompress codestreams. The only file that calls a codec.

The light half has a decoder for each kind. `ichlite[fast]` has quicker ones, in one package that is
too large to be required (docs/adr/0023-decoders.md); they are taken where it is installed, and let
Python's other threads run while they decode.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import UnreadableFile

JPEG = "JPEG"
JPEG_LS = "JPEG-LS"
JPEG_2000 = "JPEG 2000"
RLE = "RLE"

LIGHT_PACKAGES = {
    JPEG: "pylibjpeg-libjpeg",
    JPEG_LS: "pyjpegls",
    JPEG_2000: "pylibjpeg-openjpeg",
    RLE: "pillow",
}
"""Name of the package that decodes each kind of codestream in a plain installation."""
FAST_PACKAGE = "imagecodecs"
"""Name of the package that decodes all kinds of codestream where `ichlite[fast]` is installed."""

_RLE_HEADER_BYTES = 64
_RLE_PLANES = 2

_Buffer = bytes | bytearray | NDArray[Any]


class _Choice:
    """Whether to decode by `ichlite[fast]`; None before that is first asked."""

    fast: bool | None = None


_CHOICE = _Choice()


def fast_in_use() -> bool:
    """Return whether pixels are decoded by `imagecodecs`, the package of `ichlite[fast]`.

    So it is where that package can be imported; the answer is kept for the whole process.
    """
    if _CHOICE.fast is None:
        try:
            import_module(FAST_PACKAGE)
        except ImportError:
            _CHOICE.fast = False
        else:
            _CHOICE.fast = True
    return _CHOICE.fast


@contextmanager
def light_half_alone() -> Iterator[None]:
    """Decode without `ichlite[fast]` within a `with` block, in every thread of the process.

    For measurements and tests of the decoders of a plain installation.
    """
    before, _CHOICE.fast = _CHOICE.fast, False
    try:
        yield
    finally:
        _CHOICE.fast = before


def decompress(frame: bytes, kind: str) -> NDArray[np.uint16]:
    """Decompress a JPEG, JPEG-LS or JPEG 2000 frame of one component with more than 8 bits.

    The caller must first check the size that the frame declares, as decoders allocate by it.

    Args:
        frame: The codestream of one frame.
        kind: `JPEG`, `JPEG_LS` or `JPEG_2000`; the last may be HTJ2K.

    Returns:
        (rows * columns,) uint16, row by row; signed pixels as their bit patterns.

    Raises:
        Exception: Any error of the decoder that notices damage; some damaged JPEG and JPEG 2000
            frames decode without an error.
    """
    return np.frombuffer((_by_fast if fast_in_use() else _by_light_half)(frame, kind), "<u2")


def _by_light_half(frame: bytes, kind: str) -> _Buffer:
    if kind == JPEG_2000:
        from openjpeg.utils import decode_pixel_data as decode_jpeg_2000

        return decode_jpeg_2000(frame, version=2)
    if kind == JPEG_LS:
        from jpeg_ls import decode_buffer

        pixels: bytearray = decode_buffer(frame)[0]
        return pixels
    from libjpeg.utils import decode_pixel_data as decode_jpeg

    return decode_jpeg(frame, version=2, photometric_interpretation="MONOCHROME2")


def _by_fast(frame: bytes, kind: str) -> _Buffer:
    import imagecodecs

    if kind == JPEG_2000:
        # HTJ2K too: `htj2k_decode` loses errors and was seen to hang on damaged input.
        return imagecodecs.jpeg2k_decode(frame)
    if kind == JPEG_LS:
        return imagecodecs.jpegls_decode(frame)
    return imagecodecs.jpeg8_decode(frame)


def decode_rle(frame: bytes, rows: int, columns: int) -> NDArray[np.uint16]:
    """Decode one RLE frame of 16-bit pixels; memory is bounded by the image size.

    Why not pylibjpeg-rle: a damaged frame makes it panic, which passes every `except Exception`.

    Args:
        frame: The joined fragments of the frame.
        rows: Rows of the image.
        columns: Columns of the image.

    Returns:
        (row, column) uint16.

    Raises:
        UnreadableFile: The frame is damaged, or holds another number of pixels.

    Source:
        DICOM PS3.5 annex G (PackBits byte planes, most significant first).

    Example:
        >>> planes = struct.pack("<16I", 2, 64, 66, *[0] * 13) + bytes([255, 1, 255, 44])
        >>> decode_rle(planes, 1, 2).tolist()
        [[300, 300]]
    """
    if len(frame) < _RLE_HEADER_BYTES:
        raise UnreadableFile("the RLE pixel data is damaged", found=f"{len(frame)} bytes")
    planes, first, second = struct.unpack_from("<3I", frame)
    if planes != _RLE_PLANES or not _RLE_HEADER_BYTES <= first <= second <= len(frame):
        raise UnreadableFile(
            "the RLE pixel data is damaged",
            found=f"{planes} segments at {first} and {second}",
            expected=f"{_RLE_PLANES} inside {len(frame)} bytes",
        )
    pixels = np.empty((rows * columns, _RLE_PLANES), np.uint8)
    pixels[:, 1] = _unpacked(frame[first:second], rows * columns)
    pixels[:, 0] = _unpacked(frame[second:], rows * columns)
    return pixels.view("<u2").reshape(rows, columns)


def _unpacked(segment: bytes, count: int) -> NDArray[np.uint8]:
    """Unpack PackBits bytes into exactly `count` bytes."""
    plane = (_unpacked_by_fast if fast_in_use() else _unpacked_by_pillow)(segment, count)
    if plane is None:  # damaged, or only more bytes than the plane, as some devices write
        plane = _unpacked_by_loop(segment, count)
    if len(plane) != count:
        raise UnreadableFile(
            "the RLE pixel data does not fill the image",
            found=f"{len(plane)} bytes a plane",
            expected=count,
        )
    return plane


def _unpacked_by_fast(segment: bytes, count: int) -> NDArray[np.uint8] | None:
    """Unpack a segment by `ichlite[fast]`; None unless it holds the plane and no more."""
    import imagecodecs

    try:
        plane = np.frombuffer(imagecodecs.packbits_decode(segment, out=count), np.uint8)
    except imagecodecs.PackbitsError:
        return None
    return plane if len(plane) == count else None


def _unpacked_by_pillow(segment: bytes, count: int) -> NDArray[np.uint8] | None:
    """Unpack a segment by Pillow; None unless it holds the plane and no more."""
    from PIL import Image

    try:
        plane = Image.frombytes("L", (count, 1), segment, "packbits", "L")
    except ValueError:
        return None
    try:  # Pillow keeps silent when a run goes beyond the end
        Image.frombytes("L", (count + 1, 1), segment, "packbits", "L")
    except ValueError:
        return np.frombuffer(plane.tobytes(), np.uint8)
    return None


def _unpacked_by_loop(segment: bytes, count: int) -> NDArray[np.uint8]:
    """Unpack a segment up to a plane, a run at a time; a run may go beyond."""
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
    return np.frombuffer(b"".join(pieces), np.uint8)
