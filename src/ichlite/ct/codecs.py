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

from ichlite.ct.rle import decode_rle
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

# Start-of-frame markers: lossless JPEG (ISO 10918-1, SOF3) and JPEG-LS (ISO 14495-1, SOF55).
_FRAME_MARKERS = (0xC3, 0xF7)


@dataclass(frozen=True, slots=True)
class _Stream:
    """What a codestream says of itself."""

    rows: int
    columns: int
    components: int
    bits: int
    signed: bool


def decode(header: SliceHeader) -> NDArray[np.int16] | NDArray[np.uint16]:
    """A compressed slice's header in; its stored values out (reads the file).

    Args:
        header: Whose transfer syntax is JPEG lossless, JPEG-LS, JPEG 2000 or RLE.

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
        raise UnreadableFile("compressed pixel data is cut short", expected="an end-of-image mark")
    try:
        pixels = _decompressed(frame, syntax)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a codec on untrusted bytes may raise anything
        found = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableFile("pixels do not decode", found=found) from None
    expected = header.rows * header.columns * 2
    if len(pixels) != expected:
        raise UnreadableFile(
            "decoded pixels have a wrong size", found=f"{len(pixels)} bytes", expected=expected
        )
    values = np.frombuffer(pixels, "<u2").reshape(header.rows, header.columns)
    return _with_sign(values, stream, signed)


def _decompressed(frame: bytes, syntax: str) -> bytes | bytearray:
    """Little-endian 16-bit pixels; codecs are loaded when first needed."""
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
            expected=f"{header.rows}x{header.columns}, 1 components, 9 to 16 bits",
        )


def _read_frame(header: SliceHeader) -> bytes:
    """The bytes of the one frame: all fragments after the offset table (PS3.5 annex A.4)."""
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
            raise UnreadableFile("compressed pixel data is short or damaged")
        (length,) = struct.unpack_from("<I", value, position + 4)
        fragment = value[position + 8 : position + 8 + length]
        if len(fragment) != length:
            raise UnreadableFile(
                "compressed pixel data is short",
                found=f"{len(fragment)} bytes",
                expected=length,
            )
        fragments.append(fragment)
        position += 8 + length
    if len(fragments) < 2:
        raise UnreadableFile("no compressed image in the pixel data")
    return b"".join(fragments[1:])


def _jpeg2000_stream(frame: bytes) -> _Stream:
    """Read the SIZ segment (ISO 15444-1 A.5.1)."""
    start = frame.find(b"\xff\x4f\xff\x51", 0, 1024)
    if start < 0 or len(frame) < start + 4 + 41:
        raise UnreadableFile("JPEG 2000 pixel data has no image header")
    width, height, left, top = struct.unpack_from(">4I", frame, start + 8)
    (components,) = struct.unpack_from(">H", frame, start + 40)
    depth, step_x, step_y = struct.unpack_from("3B", frame, start + 42)
    if (step_x, step_y) != (1, 1):
        raise UnreadableFile("JPEG 2000 pixel data is subsampled")
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
    raise UnreadableFile("JPEG pixel data has no lossless frame header")
