"""Take a file of several frames apart: each frame's header values, pixels and place."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ichlite.ct.elements import Elements
from ichlite.ct.fragments import find_fragments, frame_spans
from ichlite.ct.functional_groups import MAX_FRAMES
from ichlite.ct.image_checks import NATIVE_SYNTAXES, RLE_SYNTAX, pixel_layout
from ichlite.ct.pages import ByteSource
from ichlite.ct.tags import TAGS
from ichlite.ct.values import Values
from ichlite.errors import UnreadableFile
from ichlite.records import Concatenation, Frame, PixelLayout

_BODY_PART = TAGS["BodyPartExamined"]


@dataclass(frozen=True, slots=True)
class FrameSource:
    """One frame of an enhanced CT image: its number, header elements and place of its pixels.

    Attributes:
        frame: Number of the frame, and its stack, temporal position and concatenation.
        elements: Header elements, under the tags that a single-frame CT image has them under.
        layout: Place and coding of the pixels; None where the file is cut off before their end.
    """

    frame: Frame
    elements: Elements
    layout: PixelLayout | None


def frame_sources(file: ByteSource, elements: Elements) -> list[FrameSource]:
    """Split an enhanced (multi-frame) CT image into its frames, without reading their pixels.

    Args:
        file: Open file; compressed frames are looked for in it.
        elements: Header elements of the file with its functional groups; its pixels are greyscale.

    Returns:
        One entry for each frame, in order.

    Raises:
        UnreadableFile: NumberOfFrames is missing, too large, or not the number of frames; or the
            pixel data does not fit the header.
    """
    values = Values(elements)
    count = values.integer_text("NumberOfFrames")
    if count is None:
        raise UnreadableFile("no NumberOfFrames in the file")
    if not 1 <= count <= MAX_FRAMES:
        raise UnreadableFile(
            "NumberOfFrames is out of range", found=count, expected=f"1 to {MAX_FRAMES}"
        )
    groups = elements.groups
    if len(groups.frames) != count:
        raise UnreadableFile(
            "NumberOfFrames does not fit PerFrameFunctionalGroupsSequence",
            found=f"{len(groups.frames)} items",
            expected=count,
        )
    layouts = _layouts(file, elements, pixel_layout(values, elements, count), count)
    concatenation = _concatenation(values)
    sources = []
    for number, own in enumerate(groups.frames, 1):
        merged = {**elements.values, **groups.shared, **own}
        if elements.values.get(_BODY_PART, b"").strip(b" \0"):
            merged[_BODY_PART] = elements.values[_BODY_PART]
        of_frame = replace(elements, values=merged)
        said = Values(of_frame)
        frame = Frame(
            number, count, said.text("StackID"), said.long("TemporalPositionIndex"), concatenation
        )
        layout = layouts[number - 1] if number <= len(layouts) else None
        sources.append(FrameSource(frame, of_frame, layout))
    return sources


def _layouts(
    file: ByteSource, elements: Elements, layout: PixelLayout, count: int
) -> list[PixelLayout]:
    """Return where the pixels of the frames are that are whole in the file."""
    if layout.transfer_syntax_uid in NATIVE_SYNTAXES:
        rows, columns = (Values(elements).required_whole(side) for side in ("Rows", "Columns"))
        length = 2 * rows * columns
        whole = min(count, (elements.size - layout.offset) // length)
        return [
            replace(layout, offset=layout.offset + length * index, length=length)
            for index in range(whole)
        ]
    fragments = find_fragments(file, layout.offset, elements.size)
    single = layout.transfer_syntax_uid == RLE_SYNTAX
    spans = frame_spans(fragments, count, single=single)
    return [replace(layout, offset=start, end=end) for start, end in spans]


def _concatenation(values: Values) -> Concatenation | None:
    uid = values.text("ConcatenationUID")
    if uid is None:
        return None
    return Concatenation(
        uid,
        values.whole("InConcatenationTotalNumber"),
        values.long("ConcatenationFrameOffsetNumber"),
    )
