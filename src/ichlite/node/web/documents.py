"""Type what the JSON interface answers; the pages are made from the same records."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Literal

from msgspec import Meta, field

from ichlite.contracts.codec import Document
from ichlite.contracts.values import Probability

Uid = Annotated[str, Meta(pattern=r"^[0-9.]{1,64}$")]
Moment = Annotated[str, Meta(description="ISO 8601, UTC")]
Group = Literal["urgent", "look", "work", "unflagged"]
"""Group of the worklist in which a study is shown: `urgent`; `look`, to be looked at because it is
not cleared or has no result; `work`, being received or read; `unflagged`, read and not flagged."""
State = Literal["received", "queued", "running", "done", "parked"]
VerdictWord = Literal["agree", "disagree", "unsure"]
Look = Literal["urgent", "uncleared", "none", "work", "unflagged"]


class Fault(Document, frozen=True, kw_only=True):
    """Answer that says why a request was refused.

    Attributes:
        error: Reason in words.
    """

    error: str


class StudyEntry(Document, frozen=True, kw_only=True):
    """One study in the worklist.

    Attributes:
        study: StudyInstanceUID.
        state: State of its processing, such as `received` or `done`.
        group: Group of the worklist in which it is shown.
        call: Its latest result in words.
        look: Style in which the page shows the result.
        status: Status of its latest result: `analysed` or `not_analysed`; null without one.
        urgent, complete, any_probability: From its latest result; null without one.
        reasons: Reasons why it was not analysed, or is not cleared.
        version: Version that was queued last.
        read_version: Version of its latest result; null without one.
        instances: Number of instances received.
        source: Sender of its latest instance.
        priority: From RequestedProcedurePriority: 2 for STAT, 1 for HIGH, else 0.
        first_at, last_at: Times when its first and its latest instance came.
        due_at: Time when it counts as complete; null if no instance is waited for.
        read_at: Time when its latest result was ready.
        patient_name, patient_id, study_date, accession, description: As stated in its files.
    """

    study: str
    state: State
    group: Group
    call: str
    look: Look
    status: Literal["analysed", "not_analysed"] | None
    urgent: bool | None
    complete: bool | None
    any_probability: Probability | None = field(name="any")
    reasons: tuple[str, ...]
    version: int
    read_version: int | None
    instances: int
    source: str
    priority: int
    first_at: Moment
    last_at: Moment
    due_at: Moment | None
    read_at: Moment | None
    patient_name: str
    patient_id: str
    study_date: str
    accession: str
    description: str


class StudyList(Document, frozen=True, kw_only=True):
    """One page of the worklist.

    Attributes:
        research_use_only: Always true: ichlite is not a medical device.
        studies: Studies of this page, in the order asked for.
        counts: Number of studies in each group, whatever group was asked for.
        page, pages: Number of this page, from 1, and number of pages.
    """

    research_use_only: Literal[True]
    studies: tuple[StudyEntry, ...]
    counts: dict[Group, int]
    page: int
    pages: int


class VersionEntry(Document, frozen=True, kw_only=True):
    """One version of a study: a reading of the instances that had come when it began.

    Attributes:
        version: Number of the version, from 1.
        state: State of its processing.
        call, look: As in `StudyEntry`.
        superseded: Whether a later version has replaced it.
        any_probability, urgent, complete, status, reasons: Result of the reading; null before its
            end.
        instances: Number of instances read; 0 while it is queued.
        queued_at, finished_at: Times when it was queued, and when its result was ready or it was
            parked; null before.
        seconds: Duration of the reading, s; null before its end.
        bundle, settings, inputs: Name and version of the bundle, hash of the settings, hash of the
            files read; empty before its end.
        brain_level_hu, noise_hu: Brain level and noise of the scan that was judged, HU; null if not
            measured.
    """

    version: int
    state: State
    call: str
    look: Look
    superseded: bool
    any_probability: Probability | None = field(name="any")
    urgent: bool | None
    complete: bool | None
    status: Literal["analysed", "not_analysed"] | None
    reasons: tuple[str, ...]
    instances: int
    queued_at: Moment
    finished_at: Moment | None
    seconds: float | None
    bundle: str
    settings: str
    inputs: str
    brain_level_hu: float | None
    noise_hu: float | None


class DeliveryEntry(Document, frozen=True, kw_only=True):
    """Delivery of one result file to a peer, or of one notice to a webhook or e-mail target.

    Attributes:
        delivery: Number of the delivery.
        study, version: StudyInstanceUID and version of the result.
        peer, file: Name of the target and of the file; no file name for a notice.
        state: `waiting`, `sent`, `dead` (given up: may be tried again) or `superseded`.
        attempts: Number of attempts so far.
        next_at: Time of the next attempt; null unless the delivery is waiting.
        fault: Reason why the last attempt failed; empty if none did.
    """

    delivery: int
    study: str
    version: int
    peer: str
    file: str
    state: Literal["waiting", "sent", "dead", "superseded"]
    attempts: int
    next_at: Moment | None
    fault: str


class VerdictEntry(Document, frozen=True, kw_only=True):
    """A reader's opinion of a result."""

    version: int
    reader: str
    verdict: VerdictWord
    remark: str
    at: Moment


class AuditEntry(Document, frozen=True, kw_only=True):
    """One row of the audit log."""

    number: int
    at: Moment
    actor: str
    action: str
    details: dict[str, str | int | float | bool | list[str] | None]


class SeriesEntry(Document, frozen=True, kw_only=True):
    """Instances received of one series."""

    series: str
    description: str
    instances: int
    source: str
    last_at: Moment


class StudyDetail(Document, frozen=True, kw_only=True):
    """Everything the node knows of one study."""

    research_use_only: Literal[True]
    study: StudyEntry
    versions: tuple[VersionEntry, ...]
    series: tuple[SeriesEntry, ...]
    deliveries: tuple[DeliveryEntry, ...]
    verdicts: tuple[VerdictEntry, ...]
    audit: tuple[AuditEntry, ...]


class NodeStatus(Document, frozen=True, kw_only=True):
    """State of the node: its queues, connections and disk space.

    Attributes:
        version: Version of ichlite.
        received, queued, running, done, parked: Number of studies in each state.
        outbox: Number of deliveries in each state.
        associations: Number of open DICOM associations.
        free_bytes, reserve_bytes: Free space on the store's disk, and how much of it is kept in
            reserve.
        takes: Whether there is space for further instances.
        aet: AE title of the node.
    """

    version: str
    received: int
    queued: int
    running: int
    done: int
    parked: int
    outbox: dict[str, int]
    associations: int
    free_bytes: int
    reserve_bytes: int
    takes: bool
    aet: str


class Done(Document, frozen=True, kw_only=True):
    """Answer to a request for an action.

    Attributes:
        done: Whether there was anything to do; false, for instance, for a study that is complete
            already.
    """

    done: bool


class Refused(Document, frozen=True, kw_only=True):
    """An uploaded file that was refused, with the reason."""

    file: str
    reason: str


class UploadAnswer(Document, frozen=True, kw_only=True):
    """Result of an upload.

    Attributes:
        stored: Number of files that were accepted.
        new: Number of those that the node did not have yet.
        studies: StudyInstanceUIDs of the accepted files.
        passed_over: Number of archive members whose name shows that they are no images, such as
            DICOMDIR.
        refused: Files that were refused.
    """

    stored: int
    new: int
    studies: tuple[str, ...]
    passed_over: int
    refused: tuple[Refused, ...]


class Ready(Document, frozen=True, kw_only=True):
    """Whether the node can do its work, with the reasons if it cannot."""

    ready: bool
    reasons: tuple[str, ...]


def moment(seconds: float) -> str:
    """Return a time as ISO 8601 text in UTC.

    Args:
        seconds: Time, s since 1970.

    Example:
        >>> moment(0.5)
        '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_or_none(seconds: float | None) -> str | None:
    """Return a time in s since 1970 as ISO 8601 text in UTC; None for None."""
    return None if seconds is None else moment(seconds)
