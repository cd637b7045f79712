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
"""Where the worklist shows a study: urgent; to be looked at, as it is not cleared or has no result;
being received or read; read and not flagged."""
State = Literal["received", "queued", "running", "done", "parked"]
VerdictWord = Literal["agree", "disagree", "unsure"]
Look = Literal["urgent", "uncleared", "none", "work", "unflagged"]


class Fault(Document, frozen=True, kw_only=True):
    """Why something was refused."""

    error: str


class StudyEntry(Document, frozen=True, kw_only=True):
    """A study of the worklist.

    Attributes:
        study: StudyInstanceUID.
        state: Where it stands.
        group: Where the worklist shows it.
        call: Its last result in words.
        look: How the page shows that.
        status: Of its last result: `analysed`, `not_analysed`, null without one.
        urgent, complete, any_probability: Of its last result.
        reasons: Why it was not analysed or is not cleared.
        version: That was queued last.
        read_version: Of its last result; null without one.
        instances: How many came.
        source: Who sent it last.
        priority: 2 for STAT, 1 for HIGH.
        first_at, last_at: When its first and last instance came.
        due_at: When it is complete; null where nothing is waited for.
        read_at: When its last result was there.
        patient_name, patient_id, study_date, accession, description: As its files say.
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
        research_use_only: Not a medical device.
        studies: In the order that was asked for.
        counts: Studies of each group, whatever was asked for.
        page, pages: Which of how many.
    """

    research_use_only: Literal[True]
    studies: tuple[StudyEntry, ...]
    counts: dict[Group, int]
    page: int
    pages: int


class VersionEntry(Document, frozen=True, kw_only=True):
    """One reading of a study.

    Attributes:
        version: From 1 on.
        state: Where it stands.
        call, look: As in `StudyEntry`.
        superseded: Whether a later one counts in its place.
        any_probability, urgent, complete, status, reasons: Its result.
        instances: That it read.
        queued_at, finished_at: When.
        seconds: That the reading took.
        bundle, settings, inputs: What decided, and on what: name and hashes.
        brain_level_hu, noise_hu: Of the scan that was judged.
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
    """One file for one peer.

    Attributes:
        delivery: Its number.
        study, version: Whose result it is.
        peer, file: What goes where.
        state: `waiting`, `sent`, `dead` (given up: may be tried again) or `superseded`.
        attempts: So far.
        next_at: When it is tried next; null unless it waits.
        fault: Of the last attempt.
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
    """What a reader thinks of a result."""

    version: int
    reader: str
    verdict: VerdictWord
    remark: str
    at: Moment


class AuditEntry(Document, frozen=True, kw_only=True):
    """A row of the audit log."""

    number: int
    at: Moment
    actor: str
    action: str
    details: dict[str, str | int | float | bool | list[str] | None]


class SeriesEntry(Document, frozen=True, kw_only=True):
    """What came of one series."""

    series: str
    description: str
    instances: int
    source: str
    last_at: Moment


class StudyDetail(Document, frozen=True, kw_only=True):
    """All that the node knows of a study."""

    research_use_only: Literal[True]
    study: StudyEntry
    versions: tuple[VersionEntry, ...]
    series: tuple[SeriesEntry, ...]
    deliveries: tuple[DeliveryEntry, ...]
    verdicts: tuple[VerdictEntry, ...]
    audit: tuple[AuditEntry, ...]


class NodeStatus(Document, frozen=True, kw_only=True):
    """Where the node stands.

    Attributes:
        version: Of ichlite.
        received, queued, running, done, parked: Studies in each state.
        outbox: Deliveries in each state.
        associations: DICOM associations that are open.
        free_bytes, reserve_bytes: Of the store's disk.
        takes: Whether there is space to take more.
        aet: The node's AE title.
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
    """What a request did.

    Attributes:
        done: Whether there was anything to do: a study that waits for nothing is complete already.
    """

    done: bool


class Refused(Document, frozen=True, kw_only=True):
    """A file that was not taken, and why."""

    file: str
    reason: str


class UploadAnswer(Document, frozen=True, kw_only=True):
    """What became of an upload.

    Attributes:
        stored: Files that were taken.
        new: Those of them that the node did not have.
        studies: Of these studies.
        passed_over: Members of an archive that are no images by their name, such as DICOMDIR.
        refused: What was not taken.
    """

    stored: int
    new: int
    studies: tuple[str, ...]
    passed_over: int
    refused: tuple[Refused, ...]


class Ready(Document, frozen=True, kw_only=True):
    """Whether the node can do its work, and else why not."""

    ready: bool
    reasons: tuple[str, ...]


def moment(seconds: float) -> str:
    """Return a time as ISO 8601 in UTC.

    Example:
        >>> moment(0.5)
        '1970-01-01T00:00:00Z'
    """
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def moment_or_none(seconds: float | None) -> str | None:
    """Return a time as ISO 8601 in UTC, None where there is none."""
    return None if seconds is None else moment(seconds)
