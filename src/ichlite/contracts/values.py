"""Kinds of value that documents share: lines, probabilities, numbers of each class, a rule."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal

from msgspec import UNSET, Meta, UnsetType

from ichlite.contracts.codec import Document
from ichlite.labels import CLASSES

Probability = Annotated[float, Meta(ge=0, le=1)]
Count = Annotated[int, Meta(ge=0, le=10**15)]
Positive = Annotated[float, Meta(gt=0, le=1e6)]
Moderate = Annotated[float, Meta(ge=-1e6, le=1e6)]
Line = Annotated[str, Meta(min_length=1, max_length=1000)]
Sha256 = Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
ByClass = Mapping[str, Probability]
"""A probability for each of `CLASSES`."""
AnyRule = Literal["max", "noisy_or"]
ScanRule = Literal["max", "top3_mean", "peak", "noisy_or"]


class RuleSpec(Document, frozen=True, kw_only=True):
    """How probabilities of slices become those of a scan; see `infer.decision.Rule`.

    Attributes:
        neighbour_weights: Weights of the slices around a slice, itself in the middle.
        any_rule: How `any` of a slice follows from its subtypes.
        scan_rule: How a scan's probabilities follow from those of its slices.
        evidence_mm: Length of head, in mm, that `peak` averages over, or that `noisy_or` counts as
            one piece of evidence.
    """

    neighbour_weights: tuple[Annotated[float, Meta(ge=0, le=1e6)], ...]
    any_rule: AnyRule
    scan_rule: ScanRule
    evidence_mm: Positive | UnsetType = UNSET


def check_line(name: str, text: str) -> None:
    """Raise an error for text that is blank, or that a terminal would not print as it is.

    Args:
        name: What the text is, for the message.
        text: Text to check.

    Raises:
        ValueError: The text is blank, or has line breaks or control characters.
    """
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{name} {text!r:.80} is not a line of text")


def check_classes(name: str, values: Mapping[str, float]) -> None:
    """Raise an error unless there is a value for `any` and each of the five subtypes.

    Args:
        name: What the values are, for the message.
        values: Class → value.

    Raises:
        ValueError: A class is missing, or there is another one.
    """
    if set(values) != set(CLASSES):
        raise ValueError(f"{name} of {sorted(values)}, not of {', '.join(CLASSES)}")
