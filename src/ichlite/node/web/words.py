"""Say where a study stands, and what its result is, in words: never "negative"."""

from __future__ import annotations

import math
from dataclasses import dataclass

from ichlite.node.web.documents import Look

STATES = {
    "received": "being received",
    "queued": "waits to be read",
    "running": "being read",
    "done": "read",
    "parked": "parked: could not be read",
}
GROUPS = {
    "urgent": ("Urgent", "The model sees signs of a haemorrhage: read these first."),
    "look": (
        "Not cleared",
        "Incomplete, a child's, not analysed or parked: none of these is a negative. Read them "
        "yourself.",
    ),
    "work": ("On the way", "Being received, or waiting to be read."),
    "unflagged": (
        "Not flagged",
        "Below the threshold. That is no all-clear: every study needs a radiologist's reading.",
    ),
}
"""Heading and meaning of each group of the worklist, in the order shown."""
PRIORITIES = {2: "STAT", 1: "high"}
VERDICTS = {"agree": "I agree", "disagree": "I disagree", "unsure": "I am unsure"}
DELIVERIES = {
    "waiting": "waits",
    "sent": "sent",
    "dead": "given up",
    "superseded": "not sent: superseded",
}


@dataclass(frozen=True, slots=True)
class Call:
    """A result in words, with the style it is shown in; colour is never the only sign."""

    words: str
    look: Look


def call_of(
    status: str | None, *, urgent: bool | None, complete: bool | None, reasons: tuple[str, ...]
) -> Call:
    """Return the words in which the result of a reading is shown.

    Args:
        status: `analysed` or `not_analysed`; None without a result.
        urgent: As in the `read` document.
        complete: As in the `read` document.
        reasons: Why it was not analysed or is not cleared, each `kind: …`.

    Example:
        >>> call_of("analysed", urgent=None, complete=False, reasons=()).words
        'incomplete: not cleared'
        >>> call_of("not_analysed", urgent=None, complete=None, reasons=()).words
        'not analysed'
    """
    if status is None:
        return Call("no result yet", "work")
    if status == "not_analysed":
        return Call("not analysed", "none")
    child = any(reason.startswith("child:") for reason in reasons)
    kind = "incomplete" if complete is False else "child" if child else ""
    if urgent:
        return Call(f"urgent ({kind})" if kind else "urgent", "urgent")
    if urgent is None:
        return Call(f"{kind}: not cleared" if kind else "not cleared", "uncleared")
    return Call("not flagged", "unflagged")


def shown_probability(value: float, *, urgent: bool | None) -> str:
    """Return a probability as text with two decimals that agrees with the call.

    Thresholds are shown rounded up (`infer.results.shown_threshold`), so a probability that reaches
    one is rounded up too, and one that does not is rounded down.

    Args:
        value: Probability, 0 to 1.
        urgent: Whether it reached its threshold.

    Example:
        >>> shown_probability(0.418, urgent=False), shown_probability(0.418, urgent=True)
        ('0.41', '0.42')
    """
    hundredths = round(100 * value, 6)
    return f"{(math.ceil if urgent else math.floor)(hundredths) / 100:.2f}"


def shown_date(date: str) -> str:
    """Return a DICOM date (YYYYMMDD) for display; other text is returned unchanged.

    Example:
        >>> shown_date("20260914"), shown_date("soon")
        ('2026-09-14', 'soon')
    """
    known = len(date) == 8 and date.isdigit()
    return f"{date[:4]}-{date[4:6]}-{date[6:]}" if known else date


def shown_name(name: str) -> str:
    """Return a DICOM person name for display, with all its representations.

    Example:
        >>> shown_name("Doe^Jane^^Dr"), shown_name("Yamada^Tarou=山田^太郎")
        ('Doe, Jane, Dr', 'Yamada, Tarou / 山田, 太郎')
    """
    ways = ([part.strip() for part in way.split("^")] for way in name.split("="))
    shown = (", ".join(part for part in way if part) for way in ways)
    return " / ".join(way for way in shown if way)


def shown_file(file: str) -> str:
    """Return the kind of a result file in words, such as `report (SR)`.

    Example:
        >>> shown_file("a6409e.sr.dcm"), shown_file("")
        ('report (SR)', 'notice')
    """
    kind = file.removesuffix(".dcm").rpartition(".")[2]
    return {"": "notice", "sr": "report (SR)", "sc": "picture (SC)"}.get(kind, file)


def shown_bytes(count: float) -> str:
    """Return a number of bytes for display, with a unit.

    Example:
        >>> shown_bytes(1_500_000)
        '1.5 MB'
    """
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
