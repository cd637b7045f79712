"""What `ichlite read --json` prints: an entry for each series, and every file that is in none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from ichlite.contracts.codec import Document
from ichlite.contracts.values import Probability
from ichlite.labels import CLASSES

SCHEMA: Literal["ichlite-read/1"] = "ichlite-read/1"

Reason = Annotated[str, Meta(min_length=1, pattern=r"^[^\n\r]+$")]
FrameNumber = Annotated[int, Meta(ge=1)]
"""Number of a frame of a multi-frame file, from 1; null for a file of one slice."""
Probabilities: Any = msgspec.defstruct(
    "Probabilities",
    [(name, Probability) for name in CLASSES],
    bases=(Document,),
    frozen=True,
    kw_only=True,
    namespace={"__doc__": "Probability of any haemorrhage and of each subtype."},
)
"""Type of the probabilities of a scan."""
SliceEntry: Any = msgspec.defstruct(
    "SliceEntry",
    [("file", str), ("position_mm", float | None), ("frame", FrameNumber | None, None)],
    bases=(Probabilities,),
    frozen=True,
    kw_only=True,
    namespace={
        "__doc__": "Probabilities of a slice, its file as it was given, its position along the "
        "slice normal, feet to head, null when unknown, and its frame in a file of several."
    },
)
"""Type of the entry of a slice."""


class AnalysedEntry(Document, frozen=True, kw_only=True, tag_field="status", tag="analysed"):
    """A series that was analysed.

    Attributes:
        study, series: StudyInstanceUID and SeriesInstanceUID.
        files: Paths of its files, as they were given.
        reasons: Objections to the series where it was judged all the same (`--force`), then the
            lines of `not_cleared`.
        urgent: True where the scan's `any` reaches the threshold; false where it does not; null
            where it does not and `not_cleared` says why the scan is not called negative.
        complete: Whether the whole head was judged.
        not_cleared: Why the scan is never called negative: `incomplete: …`, `child: …`.
        operating_point: Name of the operating point.
        threshold: Probability of `any` from which a scan is urgent.
        scan: Probabilities of the whole scan.
        slices: Probabilities of each slice, feet to head.
        notes: Repairs and remarks, one line each.
    """

    study: str
    series: str
    files: tuple[str, ...]
    reasons: tuple[Reason, ...]
    urgent: bool | None
    complete: bool
    not_cleared: tuple[Reason, ...]
    operating_point: str
    threshold: Probability
    scan: Probabilities
    slices: Annotated[tuple[SliceEntry, ...], Meta(min_length=1)]
    notes: tuple[Reason, ...]

    def __post_init__(self) -> None:
        """Raise ValueError where an incomplete scan, or a child's, is called negative."""
        if self.not_cleared and self.urgent is False:
            raise ValueError("urgent is false, and not_cleared says why it must not be")
        if not self.not_cleared and (self.urgent is None or not self.complete):
            raise ValueError("urgent is null or complete is false, and not_cleared is empty")


CALLED: Mapping[str, Any] = {
    "if": {"properties": {"not_cleared": {"maxItems": 0}}},
    "then": {"properties": {"urgent": {"type": "boolean"}, "complete": {"const": True}}},
    "else": {"properties": {"urgent": {"enum": [True, None]}}},
}
"""The rules of `AnalysedEntry.__post_init__`, as JSON Schema says them."""


class _Unread(Document, frozen=True, kw_only=True):
    """A series without numbers of its own, and why."""

    study: str
    series: str
    files: tuple[str, ...]
    reasons: Annotated[tuple[Reason, ...], Meta(min_length=1)]
    urgent: None
    complete: None
    not_cleared: Annotated[tuple[Reason, ...], Meta(max_length=0)]
    operating_point: None
    threshold: None
    scan: None
    slices: Annotated[tuple[SliceEntry, ...], Meta(max_length=0)]
    notes: tuple[Reason, ...]


class NotAnalysedEntry(_Unread, frozen=True, kw_only=True, tag_field="status", tag="not_analysed"):
    """A series that was not analysed, and why; that does not mean that it shows no bleed."""


class NotChosenEntry(_Unread, frozen=True, kw_only=True, tag_field="status", tag="not_chosen"):
    """A series that was not read because another series of its study was, and why.

    Attributes:
        read_instead: SeriesInstanceUID of the series that was read.
    """

    read_instead: str


class SkippedEntry(Document, frozen=True, kw_only=True):
    """A file that belongs to no series, or was left out of the one it belongs to, and why.

    Attributes:
        file: Path of the file, as it was given.
        reason: Why it was not read.
        may_be_ct: Whether it may contain a slice of a head CT that could not be read.
        frame: Number of the frame, from 1, where only that frame of a multi-frame file is meant;
            null for the whole file.
    """

    file: str
    reason: Reason
    may_be_ct: bool = False
    frame: FrameNumber | None = None


class Reading(Document, frozen=True, kw_only=True):
    """The result of reading a set of paths; every file occurs in exactly one place of it.

    Attributes:
        schema: Name and version of this kind of document.
        ichlite: Version of ichlite.
        research_use_only: Always true: ichlite is not a medical device.
        bundle: Name and version of the model.
        studies: One entry for each series. Of a study at most one series is analysed, unless all
            were asked for.
        skipped: Files that belong to no series.
        warnings: What a person must look at in the input as a whole, one line each.
    """

    schema: Literal["ichlite-read/1"]
    ichlite: str
    research_use_only: Literal[True]
    bundle: Annotated[str, Meta(min_length=1)]
    studies: tuple[AnalysedEntry | NotAnalysedEntry | NotChosenEntry, ...]
    skipped: tuple[SkippedEntry, ...]
    warnings: tuple[Reason, ...]
