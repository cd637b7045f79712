"""Name the parts that are missing of an image that was stored as several files."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ichlite.records import Frame, SliceHeader


def missing_parts(headers: Sequence[SliceHeader]) -> list[str]:
    """Describe the concatenations (images stored as several files) of a series that lack parts.

    A part that is missing between two others shows by the frame offsets, one at the end by
    InConcatenationTotalNumber alone: where no file states that number, the image is not known to
    be whole and is described too.

    Args:
        headers: Headers of the slices of one series.

    Returns:
        One line for each image that is not known to be whole; empty where all are.

    Source:
        DICOM PS3.3 C.7.6.16.2.2.4.
    """
    parts: dict[str, dict[str, Frame]] = defaultdict(dict)
    for header in headers:
        frame = header.frame
        if frame is not None and frame.concatenation is not None:
            parts[frame.concatenation.uid].setdefault(header.instance_uid, frame)
    return [line for files in parts.values() for line in _gaps(list(files.values()))]


def _gaps(files: list[Frame]) -> list[str]:
    of_files = [one.concatenation for one in files if one.concatenation is not None]
    known = {one.parts for one in of_files if one.parts is not None}
    if len(known) != 1 or len(files) != min(known):
        expected = "/".join(map(str, sorted(known))) or "InConcatenationTotalNumber"
        return [
            "an image was stored in parts, and not all are there; "
            f"found {len(files)}; expected {expected}"
        ]
    spans = sorted(
        (one.concatenation.frames_before, one.count)
        for one in files
        if one.concatenation is not None and one.concatenation.frames_before is not None
    )
    due = 0
    for before, count in spans:
        if before != due:
            return [
                "an image was stored in parts that do not follow each other; "
                f"found one that starts after {before} frames; expected {due}"
            ]
        due += count
    return []
