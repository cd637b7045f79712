"""Read the functional groups of an enhanced image: what it says of all frames, and of each.

A slice of its own says in its header what a frame says in a sequence of sequences. The values are
kept under the tags that a slice has them under, so that a frame's header is read as a slice's is.

Source:
    DICOM PS3.3 C.7.6.16 (multi-frame functional groups), C.8.15 (enhanced CT), C.8.15.3.
"""

from __future__ import annotations

import struct
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ichlite.ct.pages import (
    ITEM,
    ITEM_END,
    MAX_HEADER_BYTES,
    SEQUENCE_END,
    UNDEFINED,
    Pages,
    after_sequence,
    element_header,
    read_value,
    tag_name,
)
from ichlite.ct.tags import TAGS
from ichlite.errors import UnreadableFile

ENHANCED_STORAGE = {
    "1.2.840.10008.5.1.4.1.1.2.1": "Enhanced CT (multi-frame)",
    "1.2.840.10008.5.1.4.1.1.2.2": "legacy converted Enhanced CT (multi-frame)",
}
"""Many slices a file, each frame with the header values of a slice of its own."""

MAX_FRAMES = 2000
"""Frames of a file: a head at 0.2 mm, as many as a series may have slices."""

_Tree = dict[int, "int | _Tree"]
"""Of each element that is looked for: in a sequence what is looked for, else the tag to keep as."""

_CODE_MEANING = 0x00080104
_FRAME_TYPE = 0x00089007
CONTRAST_AGENTS = 0x00180012
_SHARED = 0x52009229
_PER_FRAME = 0x52009230
GROUP_SEQUENCES = frozenset({CONTRAST_AGENTS, _SHARED, _PER_FRAME})


def _kept(*keywords: str) -> _Tree:
    return {TAGS[keyword]: TAGS[keyword] for keyword in keywords}


_CONVERTED = _kept(
    "ImageType", "ContrastBolusAgent", "BodyPartExamined", "SliceThickness", "KVP",
    "ConvolutionKernel", "ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing",
    "RescaleIntercept", "RescaleSlope", "RescaleType", "PixelPaddingValue",
)  # fmt: skip
_GROUPS: _Tree = {
    0x00209113: _kept("ImagePositionPatient"),  # PlanePositionSequence
    0x00209116: _kept("ImageOrientationPatient"),  # PlaneOrientationSequence
    0x00289110: _kept("PixelSpacing", "SliceThickness"),  # PixelMeasuresSequence
    # PixelValueTransformationSequence
    0x00289145: _kept("RescaleIntercept", "RescaleSlope", "RescaleType"),
    0x00189314: _kept("ConvolutionKernel"),  # CTReconstructionSequence
    0x00189325: _kept("KVP"),  # CTXRayDetailsSequence
    0x00189329: {_FRAME_TYPE: TAGS["ImageType"]},  # CTImageFrameTypeSequence
    0x00209111: _kept("StackID", "TemporalPositionIndex"),  # FrameContentSequence
    # AnatomicRegionSequence in FrameAnatomySequence
    0x00209071: {0x00082218: {_CODE_MEANING: TAGS["BodyPartExamined"]}},
    0x00209170: _CONVERTED,  # UnassignedSharedConvertedAttributesSequence
    0x00209171: _CONVERTED,  # UnassignedPerFrameConvertedAttributesSequence
}
_AGENT: _Tree = {_CODE_MEANING: TAGS["ContrastBolusAgent"]}
_UNNAMED = b"unnamed"


class Form(NamedTuple):
    """Encoding of DICOM elements.

    Attributes:
        order: Byte order as `struct` writes it: `<` little endian, `>` big endian.
        implicit: Whether elements have no value representation (implicit VR).
    """

    order: str
    implicit: bool


@dataclass(slots=True)
class Groups:
    """Functional groups of an enhanced image: raw values, by tag of a single-frame CT image.

    Attributes:
        shared: Values that all frames share, by tag (group << 16 | element).
        frames: Values of each frame, by tag, in order of the frames.
    """

    shared: dict[int, bytes] = field(default_factory=dict)
    frames: list[dict[int, bytes]] = field(default_factory=list)


def has_groups(values: Mapping[int, bytes]) -> bool:
    """Return whether the SOP class is Enhanced CT or Legacy Converted Enhanced CT.

    Args:
        values: Raw bytes of header elements, by tag (group << 16 | element).

    Example:
        >>> has_groups({TAGS["SOPClassUID"]: b"1.2.840.10008.5.1.4.1.1.2.1"})
        True
    """
    raw = values.get(TAGS["SOPClassUID"]) or values.get(TAGS["MediaStorageSOPClassUID"]) or b""
    return raw.rstrip(b" \0").decode("latin-1") in ENHANCED_STORAGE


def read_group(pages: Pages, tag: int, start: int, length: int, form: Form, groups: Groups) -> int:
    """Read one sequence of functional groups, or of contrast agents, into `groups`.

    Args:
        pages: Bytes of the data set.
        tag: Tag of the sequence, one of `GROUP_SEQUENCES`.
        start: Byte of the data set at which the value of the sequence starts.
        length: Declared length of the value in bytes, or `UNDEFINED`.
        form: Byte order of the elements, and whether they are implicit VR.
        groups: Groups to add the values to; changed.

    Returns:
        The byte after the sequence.

    Raises:
        UnreadableFile: The sequence is damaged, cut short, or has more than `MAX_FRAMES` items.
    """
    items, end = _items(pages, start, length, form, _AGENT if tag == CONTRAST_AGENTS else _GROUPS)
    if tag == _PER_FRAME:
        groups.frames = items
    elif tag == _SHARED:
        groups.shared.update(items[0] if items else {})
    elif items:  # an agent is there, whether or not it has a name
        groups.shared.setdefault(TAGS["ContrastBolusAgent"], _UNNAMED)
        groups.shared.update(items[0])
    return end


def _items(
    pages: Pages, position: int, length: int, form: Form, tree: _Tree
) -> tuple[list[dict[int, bytes]], int]:
    """Return what each item of a sequence says, and where the sequence ends."""
    end = None if length == UNDEFINED else position + length
    items: list[dict[int, bytes]] = []
    while end is None or position < end:
        tag, length = _mark(pages, position, form)
        position += 8
        if end is None and tag == SEQUENCE_END:
            return items, position
        if tag != ITEM or position > MAX_HEADER_BYTES:
            raise UnreadableFile(
                "a sequence in the header is damaged", found=tag_name(tag), expected="an item"
            )
        if len(items) == MAX_FRAMES:
            raise UnreadableFile(
                "there are too many frames", expected=f"at most {MAX_FRAMES} in a file"
            )
        values: dict[int, bytes] = {}
        position = _read_item(pages, position, length, form, tree, values)
        items.append(values)
    _check_end(position, end)
    return items, position


def _read_item(
    pages: Pages, position: int, length: int, form: Form, tree: _Tree, values: dict[int, bytes]
) -> int:
    """Keep what an item says, in its sequences too; return where it ends."""
    end = None if length == UNDEFINED else position + length
    while end is None or position < end:
        if end is None and _mark(pages, position, form)[0] == ITEM_END:
            return position + 8
        tag, vr, length, start = element_header(pages, position, *form)
        wanted = tree.get(tag)
        if isinstance(wanted, dict):
            inner = Form(form.order, form.implicit or vr == b"UN")
            items, position = _items(pages, start, length, inner, wanted)
            for key, value in (items[0] if items else {}).items():
                values.setdefault(key, value)
        elif length == UNDEFINED:
            position = after_sequence(pages, start, form.order, form.implicit or vr == b"UN")
        else:
            if wanted is not None:
                values.setdefault(wanted, read_value(pages, tag, start, length))
            position = start + length
    _check_end(position, end)
    return position


def _mark(pages: Pages, position: int, form: Form) -> tuple[int, int]:
    """Return tag and length of an item, or of the mark that ends one."""
    index = pages.locate(position, 8)
    group, element, length = struct.unpack_from(form.order + "HHI", pages.buffer, index)
    return group << 16 | element, length


def _check_end(position: int, end: int | None) -> None:
    if position != end:
        raise UnreadableFile("a sequence in the header is damaged: its parts do not fill it")
