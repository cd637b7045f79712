"""Say of each kind of bleed whether a scan shows it, how likely that is, and where to look."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.header import read_headers
from ichlite.ct.tensor import is_upside_down
from ichlite.infer.bundle import Bundle
from ichlite.infer.results import Analysed, objections
from ichlite.labels import ANY, CLASSES, NAMES
from ichlite.records import SliceHeader

Presence = Literal["present", "absent", "undetermined"]


@dataclass(frozen=True, slots=True)
class Point:
    """A point in a source image, and the value of the lesion map there.

    Attributes:
        column, row: Pixels from the top left corner of the image, in which the middle of the first
            pixel is 0.5.
        value: Probability in the lesion map at the point, in [0, 1], not calibrated.

    Source:
        DICOM PS3.3 C.18.6.1.2.
    """

    column: float
    row: float
    value: float


@dataclass(frozen=True, slots=True)
class Finding:
    """Whether a scan shows any bleed or one subtype, how likely that is, and where to look.

    Attributes:
        name: `any` or the name of the subtype.
        presence: Whether it is present, absent or undetermined; see `presence_of`.
        probability, threshold: Probability of the scan and its threshold, in [0, 1].
        slice_index: Index, from the feet, of the slice with the highest probability.
        point: Point of that slice where its lesion map is strongest; None where the finding is not
            present, the bundle has no lesion map, or the scan was read without pixels.
    """

    name: str
    presence: Presence
    probability: float
    threshold: float
    slice_index: int
    point: Point | None


def findings_of(scan: Analysed, bundle: Bundle) -> tuple[Finding, ...]:
    """Return the findings of a scan: one for any bleed, then one for each subtype.

    Headers of the scan's files are read again for the points.

    Args:
        scan: Result of the scan, read with `keep_pixels` if points are wanted.
        bundle: Bundle that judged it.
    """
    thresholds = bundle.at(scan.operating_point).rule.thresholds
    maps = scan.lesion_map if scan.urgent else None  # nothing is present in another
    found: list[Finding] = []
    for name in CLASSES:
        index = int(np.argmax([one.probabilities[name] for one in scan.slices]))
        presence = presence_of(scan, name, thresholds[name])
        found.append(
            Finding(
                name=name,
                presence=presence,
                probability=scan.scan[name],
                threshold=thresholds[name],
                slice_index=index,
                point=strongest_point(scan, name, index, maps) if presence == "present" else None,
            )
        )
    return tuple(found)


def presence_of(scan: Analysed, name: str, threshold: float) -> Presence:
    """Return whether a bleed is present, absent or undetermined, in accord with the scan's call.

    `any` is present where the scan is urgent. It is absent only where the scan can be cleared: not
    where it is incomplete, a child's, or was judged by force. A subtype is present in an urgent
    scan from its own threshold on, and absent below it where a scan is whole; what reaches its
    threshold in a scan that is not urgent is undetermined.

    Args:
        scan: Result of the scan.
        name: `any` or the name of a subtype.
        threshold: Threshold of that class, in [0, 1].

    Example:
        >>> from ichlite.labels import CLASSES
        >>> quiet = Analysed(study="1", series="2", files=(), slices=(), urgent=False,
        ...     scan=dict.fromkeys(CLASSES, 0.2), operating_point="balanced", threshold=0.5,
        ...     logits=np.zeros((0, 5), np.float32))
        >>> presence_of(quiet, "any", 0.5), presence_of(quiet, "subdural", 0.1)
        ('absent', 'undetermined')
    """
    reached = scan.scan[name] >= threshold
    if scan.urgent and (name == ANY or reached):
        return "present"
    if reached or scan.not_cleared or objections(scan):
        return "undetermined"
    return "absent"


def strongest_point(
    scan: Analysed, name: str, index: int, maps: NDArray[np.float32] | None
) -> Point | None:
    """Return the point where a slice's lesion map is strongest, in pixels of the source image.

    Args:
        scan: Result of the scan; the header of the slice's file is read again.
        name: Name of a subtype, or `any` for the strongest of all.
        index: Index of the slice, from the feet.
        maps: (slice, map row, map column, 5) float32, `scan.lesion_map`; None where there is none.

    Returns:
        The point; None without a lesion map, where the slice shows bone and air alone, or where
        the file can no longer be read.
    """
    scores = scan.slices[index]
    header = next(
        (
            one
            for one in read_headers(scores.file)
            if isinstance(one, SliceHeader) and one.frame_number == scores.frame
        ),
        None,
    )
    if maps is None or header is None:
        return None
    values = maps[index].max(axis=-1) if name == ANY else maps[index][..., NAMES.index(name)]
    cell = np.unravel_index(int(values.argmax()), values.shape)
    if values[cell] == 0:  # bone and air alone
        return None
    # The map lies over the square that holds the picture in its middle, the face up.
    side = max(header.rows, header.columns)
    rows, columns = values.shape
    down, right = side * (cell[0] + 0.5) / rows, side * (cell[1] + 0.5) / columns
    if is_upside_down(header):
        down, right = side - down, side - right
    row = float(down - (side - header.rows) // 2)
    column = float(right - (side - header.columns) // 2)
    return Point(
        column=min(max(column, 0.5), header.columns - 0.5),
        row=min(max(row, 0.5), header.rows - 0.5),
        value=float(values[cell]),
    )
