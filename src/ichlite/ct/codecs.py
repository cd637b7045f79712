"""Decode the pixels of a compressed slice. The only file that calls a codec.

The bytes are untrusted: the codestream's own header must agree with the DICOM header on rows,
columns, components and bits before a codec sees it, because codecs allocate what the codestream
declares.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from io import FileIO

import numpy as np
from numpy.typing import NDArray

from ichlite.errors import UnreadableFile
from ichlite.records import SliceHeader

_RLE = "1.2.840.10008.1.2.5"
_JPEG_2000 = frozenset({"1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"})

_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE = b"\xff\xd9"
_MAX_FRAGMENTS = 10_000
_SLACK_BYTES = 1 << 20
"""A codec may enlarge noise and add its own headers; three times the pixels and this is plenty."""

_RLE_HEADER_BYTES = 64
_RLE_PLANES = 2

# Start-of-frame markers: lossless JPEG (ISO 10918-1, SOF3) and JPEG-LS (ISO 14495-1, SOF55).
_FRAME_MARKERS = (0xC3, 0xF7)


@dataclass(frozen=True, slots=True)
class _Stream:
    """The image's form as its codestream states it."""

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool


def decode(header: SliceHeader) -> NDArray[np.int16] | NDArray[np.uint16]:
    """Decode the stored values of a compressed slice (reads the file).

    Args:
        header: Of a slice whose transfer syntax is JPEG lossless, JPEG-LS, JPEG 2000 or RLE.

    Returns:
        (row, column), int16 or uint16 by PixelRepresentation.

    Raises:
        UnreadableFile: The pixels are missing, do not fit the header, or do not decode.
        OSError: The file cannot be read.
    """
    try:
        return _decoded(_read_frame(header), header)
    except UnreadableFile as error:
        raise UnreadableFile(f"{header.path}: {error}") from None


def _decoded(frame: bytes, header: SliceHeader) -> NDArray[np.int16] | NDArray[np.uint16]:
    syntax = header.layout.transfer_syntax_uid
    signed = bool(header.layout.pixel_representation)
    if syntax == _RLE:
        values = decode_rle(frame, header.rows, header.columns)
        return values.view("<i2") if signed else values
    stream = _jpeg2000_stream(frame) if syntax in _JPEG_2000 else _jpeg_stream(frame)
    _check(stream, header)
    if _END_OF_IMAGE not in frame[-4:]:  # one pad byte may follow
        raise UnreadableFile(
            "the compressed pixel data is cut short", expected="an end-of-image mark"
        )
    try:
        pixels = _decompressed(frame, syntax)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a codec on untrusted bytes may raise anything
        found = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableFile("the compressed pixels cannot be decoded", found=found) from None
    expected = header.rows * header.columns * 2
    if len(pixels) != expected:
        raise UnreadableFile(
            "the decoded pixels have a wrong size", found=f"{len(pixels)} bytes", expected=expected
        )
    values = np.frombuffer(pixels, "<u2").reshape(header.rows, header.columns)
    return _with_sign(values, stream, signed)


def _decompressed(frame: bytes, syntax: str) -> bytes | bytearray:
    """Return little-endian 16-bit pixels; codecs are loaded when first needed."""
    if syntax in _JPEG_2000:
        from openjpeg.utils import decode_pixel_data as decode_jpeg2000

        return bytes(decode_jpeg2000(frame, version=2))
    from libjpeg.utils import decode_pixel_data as decode_jpeg

    return bytes(decode_jpeg(frame, version=2, photometric_interpretation="MONOCHROME2"))


def _with_sign(
    values: NDArray[np.uint16], stream: _Stream, signed: bool
) -> NDArray[np.int16] | NDArray[np.uint16]:
    """Give the codestream's bits the sign that the DICOM header says they have."""
    if stream.signed == signed or stream.bits == 16:
        return values.view("<i2") if signed else values
    spare = 16 - stream.bits
    if signed:
        return (values << np.uint16(spare)).view("<i2") >> np.int16(spare)
    return values & np.uint16(0xFFFF >> spare)


def _check(stream: _Stream, header: SliceHeader) -> None:
    fits = (stream.rows, stream.columns, stream.components) == (header.rows, header.columns, 1)
    if not fits or not 9 <= stream.bits <= 16:
        raise UnreadableFile(
            "the compressed image does not fit its header",
            found=f"{stream.rows}x{stream.columns}, {stream.components} components, "
            f"{stream.bits} bits",
            expected=f"{header.rows}x{header.columns}, 1 component, 9 to 16 bits",
        )


def _read_frame(header: SliceHeader) -> bytes:
    """Join the fragments of the one frame, which follow the offset table (PS3.5 annex A.4)."""
    limit = 3 * 2 * header.rows * header.columns + _SLACK_BYTES
    with FileIO(header.path) as file:
        file.seek(header.layout.offset)
        value = file.read(limit)
    fragments: list[bytes] = []
    position = 0
    for _ in range(_MAX_FRAGMENTS):
        if value[position : position + 4] == _SEQUENCE_END:
            break
        if value[position : position + 4] != _ITEM or position + 8 > len(value):
            raise UnreadableFile("the compressed pixel data is short or damaged")
        (length,) = struct.unpack_from("<I", value, position + 4)
        fragment = value[position + 8 : position + 8 + length]
        if len(fragment) != length:
            raise UnreadableFile(
                "the compressed pixel data is short",
                found=f"{len(fragment)} bytes",
                expected=length,
            )
        fragments.append(fragment)
        position += 8 + length
    if len(fragments) < 2:
        raise UnreadableFile("the pixel data holds no compressed image")
    return b"".join(fragments[1:])


def _jpeg2000_stream(frame: bytes) -> _Stream:
    """Read the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 1024)
    if start < 0 or len(frame) < start + 4 + 41:
        raise UnreadableFile("the JPEG 2000 pixel data has no image header")
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    depth, step_x, step_y = struct.unpack_from("3B", frame, start + 42)
    if (step_x, step_y) != (1, 1):
        raise UnreadableFile("the JPEG 2000 pixel data is subsampled")
    return _Stream(height - top, width - left, components, (depth & 0x7F) + 1, depth >= 0x80)


def _jpeg_stream(frame: bytes) -> _Stream:
    """Read the frame header of lossless JPEG or JPEG-LS."""
    position = 2
    while frame[:2] == b"\xff\xd8" and position + 11 <= len(frame):
        mark, code, length = struct.unpack_from(">BBH", frame, position)
        if mark != 0xFF:
            break
        if code in _FRAME_MARKERS:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return _Stream(rows, columns, components, bits, signed=False)
        if code == 0xFF:
            position += 1
            continue
        position += 2 + length
    raise UnreadableFile("the JPEG pixel data has no lossless frame header")


def decode_rle(frame: bytes, rows: int, columns: int) -> NDArray[np.uint16]:
    """Decode one RLE frame of 16-bit pixels; memory is bounded by the image size.

    Why not pylibjpeg-rle: a damaged frame makes it panic, which passes every `except Exception`.

    Args:
        frame: The joined fragments of the frame.
        rows: Of the image.
        columns: Of the image.

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
            "the RLE pixel data does not fill the image",
            found=f"{len(plane)} bytes a plane",
            expected=count,
        )
    return plane
