"""Read and decode the pixels of a compressed slice.

The bytes are untrusted: the codestream's own header must agree with the DICOM header on rows,
columns, components and bits before a decoder sees it, because decoders allocate what the codestream
declares. Which one decodes is told by the codestream, not by the transfer syntax: JPEG-LS that is
called lossless JPEG is read as what it is.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.decoders import JPEG, JPEG_2000, JPEG_LS, decode_rle, decompress
from ichlite.ct.image_checks import RLE_SYNTAX
from ichlite.ct.sources import open_source
from ichlite.errors import UnreadableFile
from ichlite.records import SliceHeader

_EXTENDED_SYNTAX = "1.2.840.10008.1.2.4.51"
_JPEG_2000_SYNTAXES = frozenset(f"1.2.840.10008.1.2.4.{last}" for last in (90, 91, 201, 202, 203))
"""The last three are high throughput (HTJ2K, ISO 15444-15): another block coder, the same frame."""

_ITEM = b"\xfe\xff\x00\xe0"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
_END_OF_IMAGE = b"\xff\xd9"
_START_OF_SCAN = b"\xff\xda"
_MAX_FRAGMENTS = 10_000
_SLACK_BYTES = 1 << 20
"""A codec may enlarge noise and add its own headers; three times the pixels and this is plenty."""

# Start-of-frame markers of JPEG (ISO 10918-1, table B.1) and JPEG-LS (ISO 14495-1, SOF55).
_LOSSLESS_FRAMES = {0xC3: JPEG, 0xF7: JPEG_LS}
_EXTENDED_FRAMES = {0xC0: JPEG, 0xC1: JPEG}


@dataclass(frozen=True, slots=True)
class _Stream:
    """The image's form as its codestream states it, and what kind of codestream that is."""

    kind: str
    rows: int
    columns: int
    components: int
    bits: int
    signed: bool


def _most_frame_bytes(rows: int, columns: int) -> int:
    """Return how many bytes the fragments of a frame may have."""
    return 3 * 2 * rows * columns + _SLACK_BYTES


def decode(header: SliceHeader) -> NDArray[np.int16] | NDArray[np.uint16]:
    """Read and decode the stored values of a slice with compressed pixel data.

    Args:
        header: Header of the slice; its transfer syntax is one of
            `image_checks.COMPRESSED_SYNTAXES`.

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
    if syntax == RLE_SYNTAX:
        values = decode_rle(frame, header.rows, header.columns)
        return values.view("<i2") if signed else values
    if syntax in _JPEG_2000_SYNTAXES:
        stream = _jpeg2000_stream(frame)
    else:
        stream = _jpeg_stream(frame, extended=syntax == _EXTENDED_SYNTAX)
    _check(stream, header)
    if _END_OF_IMAGE not in frame[-4:]:  # one pad byte may follow
        raise UnreadableFile(
            "the compressed pixel data is cut short", expected="an end-of-image mark"
        )
    if stream.kind != JPEG_2000 and _START_OF_SCAN not in frame:  # libjpeg takes it for black
        raise UnreadableFile("the compressed pixel data is cut short", expected="a scan")
    try:
        pixels = decompress(frame, stream.kind)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001  a codec on untrusted bytes may raise anything
        found = " ".join(str(error).split())[:120] or type(error).__name__
        raise UnreadableFile("the compressed pixels cannot be decoded", found=found) from None
    expected = header.rows * header.columns
    if pixels.size != expected:
        raise UnreadableFile(
            "the decoded pixels have a wrong size", found=f"{pixels.size} pixels", expected=expected
        )
    return _with_sign(pixels.reshape(header.rows, header.columns), stream, signed)


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
    """Join the fragments of a frame (PS3.5 annex A.4).

    Those of the only frame follow the offset table and end by a mark; those of one frame among
    several are known by their place.
    """
    layout = header.layout
    limit = _most_frame_bytes(header.rows, header.columns)
    with open_source(header.path) as file:
        file.seek(layout.offset)
        value = file.read(limit if layout.end is None else min(limit, layout.end - layout.offset))
    fragments: list[bytes] = []
    position = 0
    for _ in range(_MAX_FRAGMENTS):
        if value[position : position + 4] == _SEQUENCE_END or (
            layout.end is not None and position == layout.end - layout.offset
        ):
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
    tables = int(layout.end is None)
    if len(fragments) <= tables:
        raise UnreadableFile("the pixel data holds no compressed image")
    return b"".join(fragments[tables:])


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
    bits, signed = (depth & 0x7F) + 1, depth >= 0x80
    return _Stream(JPEG_2000, height - top, width - left, components, bits, signed)


def _jpeg_stream(frame: bytes, *, extended: bool) -> _Stream:
    """Read the frame header of JPEG: of the extended process, or of a lossless one or JPEG-LS."""
    kinds = _EXTENDED_FRAMES if extended else _LOSSLESS_FRAMES
    position = 2
    while frame[:2] == b"\xff\xd8" and position + 11 <= len(frame):
        mark, code, length = struct.unpack_from(">BBH", frame, position)
        if mark != 0xFF:
            break
        if code in kinds:
            bits, rows, columns, components = struct.unpack_from(">BHHB", frame, position + 4)
            return _Stream(kinds[code], rows, columns, components, bits, signed=False)
        if code == 0xFF:
            position += 1
            continue
        position += 2 + length
    wanted = "extended" if extended else "lossless"
    raise UnreadableFile(f"the JPEG pixel data has no {wanted} frame header")
