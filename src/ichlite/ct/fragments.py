"""Find where each frame of compressed pixel data lies in its file, without reading the frames.

A frame is one fragment or several. Which fragments are whose is told by their number, else by the
basic offset table, else by the marks that a codestream starts with. (An extended offset table is
for frames of one fragment each, whose number tells the same.)

Source:
    DICOM PS3.5 annex A.4, table A.4-1 and A.4-2.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from ichlite.ct.pages import ITEM, SEQUENCE_END, ByteSource, tag_name
from ichlite.errors import UnreadableFile

Span = tuple[int, int]
"""Place of a fragment or frame in its file: its first byte (that of the item's header), and the
byte after its last."""

_ITEM_BYTES = 8
_MARK_BYTES = 4
_STARTS = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51")
"""Of JPEG and JPEG-LS, and of JPEG 2000."""
_MOST_FRAGMENTS = 50_000
_MOST_TABLE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Fragments:
    """The fragments of encapsulated (compressed) pixel data: their places, and what they start.

    Attributes:
        spans: First byte and byte after the last of each fragment in the file, item header
            included.
        starts: For each fragment, whether it begins with the start marker of a JPEG, JPEG-LS or
            JPEG 2000 codestream.
        table: The basic offset table: offset of each frame in bytes, from the first fragment's
            item; empty where there is none.
        whole: Whether the sequence delimiter was found; if not, the file is cut short.
    """

    spans: tuple[Span, ...]
    starts: tuple[bool, ...]
    table: tuple[int, ...]
    whole: bool


def find_fragments(file: ByteSource, offset: int, size: int) -> Fragments:
    """Find the fragments of encapsulated (compressed) pixel data, without decoding them.

    Args:
        file: Open DICOM file.
        offset: Byte of the file at which the value of PixelData starts.
        size: Length of the file in bytes.

    Raises:
        UnreadableFile: Something else stands where a fragment should, or there are more than
            50,000 fragments.
    """
    spans: list[Span] = []
    starts: list[bool] = []
    table: tuple[int, ...] | None = None
    position, whole = offset, False
    while position + _ITEM_BYTES <= size:
        file.seek(position)
        head = file.read(_ITEM_BYTES + _MARK_BYTES)
        group, element, length = struct.unpack_from("<HHI", head)
        tag = group << 16 | element
        if tag == SEQUENCE_END:
            whole = True
            break
        if tag != ITEM:
            raise UnreadableFile(
                "the compressed pixel data is damaged", found=tag_name(tag), expected="a fragment"
            )
        start, position = position, position + _ITEM_BYTES + length
        if position > size:
            break
        if table is None:
            table = _offsets(file, start + _ITEM_BYTES, length)
            continue
        spans.append((start, position))
        starts.append(head[_ITEM_BYTES:].startswith(_STARTS))
        if len(spans) > _MOST_FRAGMENTS:
            raise UnreadableFile(
                "the compressed pixel data has too many fragments",
                expected=f"at most {_MOST_FRAGMENTS}",
            )
    return Fragments(tuple(spans), tuple(starts), table or (), whole)


def frame_spans(fragments: Fragments, count: int, *, single: bool) -> list[Span]:
    """Return the place of each frame of encapsulated pixel data in its file.

    Args:
        fragments: As `find_fragments` gave them.
        count: NumberOfFrames of the file.
        single: Whether the transfer syntax has one fragment for each frame (RLE).

    Returns:
        First byte and byte after the last of each frame, in order; fewer than `count` where the
        file is cut short.

    Raises:
        UnreadableFile: The fragments make another number of frames than `count`.

    Example:
        >>> two = Fragments(((8, 20), (20, 30)), (True, False), (0,), whole=True)
        >>> frame_spans(two, 1, single=False), frame_spans(two, 2, single=False)
        ([(8, 30)], [(8, 20), (20, 30)])
    """
    spans = fragments.spans
    if fragments.whole and len(spans) == count:
        return list(spans)
    first = _firsts(fragments, count, single=single)
    if len(first) > count or (fragments.whole and len(first) != count):
        raise UnreadableFile(
            "NumberOfFrames does not fit the compressed pixel data",
            found=f"{len(first)} frames in {len(spans)} fragments",
            expected=count,
        )
    ends = [*(spans[index][0] for index in first[1:]), *(spans[-1:] and [spans[-1][1]])]
    return [(spans[index][0], end) for index, end in zip(first, ends, strict=True)]


def _firsts(fragments: Fragments, count: int, *, single: bool) -> list[int]:
    """Return the indices of the fragments that a frame starts with."""
    spans = fragments.spans
    if single or not spans:
        return list(range(len(spans)))
    if len(fragments.table) == count:
        by_table = _by_table(spans, fragments.table)
        if by_table:
            return by_table
    return [index for index, starts in enumerate(fragments.starts) if starts]


def _by_table(spans: Sequence[Span], table: Sequence[int]) -> list[int]:
    """Return the fragments at which a table says that frames start; none where it is wrong.

    What lies beyond the last fragment is cut off, with the frames there.
    """
    index_at = {start - spans[0][0]: index for index, (start, _) in enumerate(spans)}
    inside = [offset for offset in table if offset < spans[-1][1] - spans[0][0]]
    known = [index_at[offset] for offset in inside if offset in index_at]
    ascending = all(a < b for a, b in pairwise(known))
    right = len(known) == len(inside) and known[:1] == [0] and ascending
    return known if right else []


def _offsets(file: ByteSource, start: int, length: int) -> tuple[int, ...]:
    if not 0 < length <= _MOST_TABLE_BYTES:
        return ()
    file.seek(start)
    value = file.read(length)
    return struct.unpack(f"<{len(value) // 4}I", value[: len(value) // 4 * 4])
