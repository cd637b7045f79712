"""Walk the bytes of a DICOM data set: a buffer of a few pages, and the form of one element.

What `elements` and `functional_groups` are made of. These bytes are untrusted: nothing is allocated
by a declared length, and sequences are passed over without recursion.

Source:
    DICOM PS3.5 section 7 (data set).
"""

from __future__ import annotations

import struct
from typing import Protocol

from ichlite.errors import UnreadableFile

ITEM = 0xFFFEE000
ITEM_END = 0xFFFEE00D
SEQUENCE_END = 0xFFFEE0DD
UNDEFINED = 0xFFFFFFFF
"""Declared length of a sequence, item or pixel data that a delimiter ends (PS3.5 section 7.5)."""

# Value representations whose explicit header has two reserved bytes and a 32-bit length (PS3.5
# table 7.1-1).
_LONG_VR = frozenset(
    {b"OB", b"OD", b"OF", b"OL", b"OV", b"OW", b"SQ", b"SV", b"UC", b"UN", b"UR", b"UT", b"UV"}
)

PAGE_BYTES = 16_384
MAX_VALUE_BYTES = 16_384
MAX_HEADER_BYTES = 1 << 24
_MAX_SEQUENCE_ELEMENTS = 100_000
_MAX_DEPTH = 64


class ByteSource(Protocol):
    """A seekable source of bytes: an open file, a member of a zip archive, a deflated data set."""

    def seek(self, offset: int, whence: int = 0, /) -> int:
        """Move to a position in bytes, as `io.IOBase.seek` does, and return it."""

    def read(self, size: int = -1, /) -> bytes:
        """Read at most `size` bytes; all that are left for -1."""


class Pages:
    """Random access to the bytes of a DICOM header through one buffer.

    Args:
        file: Open file, or something like one.
        first: First bytes of the file, already read.
        size: Length of the file in bytes.
    """

    def __init__(self, file: ByteSource, first: bytes, size: int) -> None:
        self._file = file
        self.size = size
        self.buffer = first
        self.start = 0

    def locate(self, position: int, count: int) -> int:
        """Load a range of bytes into `buffer`, if it is not there, and return its index in it.

        Args:
            position: First byte of the range in the file.
            count: Length of the range in bytes.

        Raises:
            UnreadableFile: The range reaches beyond the end of the file.
        """
        if position + count > self.size:
            raise UnreadableFile(
                "the file is cut short inside its header",
                found=f"{self.size} bytes",
                expected=f"at least {position + count}",
            )
        index = position - self.start
        if index < 0 or index + count > len(self.buffer):
            self._file.seek(position)
            self.buffer = self._file.read(max(PAGE_BYTES, count))
            self.start = position
            index = 0
            if len(self.buffer) < count:
                raise UnreadableFile("the file changed while it was read")
        return index


def after_sequence(pages: Pages, position: int, order: str, implicit: bool) -> int:
    """Return the byte after a sequence of undefined length, skipping nested ones too.

    Args:
        pages: Bytes of the data set.
        position: Byte at which the value of the sequence starts.
        order: Byte order, `<` little endian or `>` big endian.
        implicit: Whether the elements are implicit VR.

    Raises:
        UnreadableFile: The sequence is damaged, nested too deeply, or too long.
    """
    # One entry an open level: whether it is a sequence (of items) or an item (of elements), and
    # whether its elements are implicit (a sequence with VR UN always is, PS3.5 section 6.2.2).
    open_levels: list[tuple[bool, bool]] = [(True, implicit)]
    for _ in range(_MAX_SEQUENCE_ELEMENTS):
        in_sequence, implicit = open_levels[-1]
        index = pages.locate(position, 8)
        group, element, length = struct.unpack_from(f"{order}HHI", pages.buffer, index)
        tag = group << 16 | element
        position += 8
        if tag == (SEQUENCE_END if in_sequence else ITEM_END):
            open_levels.pop()
            if not open_levels:
                return position
            continue
        if in_sequence:
            if tag != ITEM:
                raise UnreadableFile(
                    "a sequence in the header is damaged", found=tag_name(tag), expected="an item"
                )
            opened = (False, implicit)
        else:
            _, vr, length, position = element_header(pages, position - 8, order, implicit)
            opened = (True, implicit or vr == b"UN")
        if length != UNDEFINED:
            position += length
            continue
        open_levels.append(opened)
        if len(open_levels) > _MAX_DEPTH:
            raise UnreadableFile(
                "sequences are nested too deeply", expected=f"at most {_MAX_DEPTH} levels"
            )
    raise UnreadableFile(
        "a sequence has too many elements", expected=f"at most {_MAX_SEQUENCE_ELEMENTS}"
    )


def element_header(
    pages: Pages, position: int, order: str, implicit: bool
) -> tuple[int, bytes, int, int]:
    """Parse the header of a DICOM element.

    Args:
        pages: Bytes of the data set.
        position: Byte at which the element starts.
        order: Byte order, `<` little endian or `>` big endian.
        implicit: Whether the element is implicit VR.

    Returns:
        Four values: tag (group << 16 | element), value representation (b"" where implicit),
        declared length of the value in bytes, and the byte at which the value starts.

    Raises:
        UnreadableFile: The header is damaged or cut short.
    """
    index = pages.locate(position, 8)
    buffer = pages.buffer
    if implicit:
        group, element, length = struct.unpack_from(order + "HHI", buffer, index)
        return group << 16 | element, b"", length, position + 8
    group, element, vr, short = struct.unpack_from(order + "HH2sH", buffer, index)
    tag = group << 16 | element
    if vr not in _LONG_VR:
        if not is_vr(vr):
            raise UnreadableFile(
                f"the header is damaged at element {tag_name(tag)}, byte {position}"
            )
        return tag, vr, short, position + 8
    index = pages.locate(position, 12)
    (length,) = struct.unpack_from(order + "I", pages.buffer, index + 8)
    return tag, vr, length, position + 12


def read_value(pages: Pages, tag: int, start: int, length: int) -> bytes:
    """Return the raw value of an element that is no sequence.

    Args:
        pages: Bytes of the data set.
        tag: Tag of the element, for messages.
        start: Byte at which the value starts.
        length: Length of the value in bytes.

    Raises:
        UnreadableFile: The value is longer than `MAX_VALUE_BYTES`, or cut short.
    """
    if length > MAX_VALUE_BYTES:
        raise UnreadableFile(
            f"element {tag_name(tag)} is too long",
            found=f"{length} bytes",
            expected=f"at most {MAX_VALUE_BYTES}",
        )
    index = pages.locate(start, length)
    return pages.buffer[index : index + length]


def is_vr(two_bytes: bytes) -> bool:
    """Return whether two bytes can be a DICOM value representation: two capital letters."""
    return len(two_bytes) == 2 and two_bytes.isalpha() and two_bytes.isupper()


def tag_name(tag: int) -> str:
    """Format a tag (group << 16 | element) as DICOM writes it, such as `(0028,0010)`."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"
