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
ScanRule = Literal["max", "top3_mean", "noisy_or"]


class RuleSpec(Document, frozen=True, kw_only=True):
    """From probabilities of slices to those of a scan; see `infer.decision.Rule`."""

    neighbour_weights: tuple[Annotated[float, Meta(ge=0, le=1e6)], ...]
    any_rule: AnyRule
    scan_rule: ScanRule
    evidence_mm: Positive | UnsetType = UNSET


def check_line(name: str, text: str) -> None:
    """Refuse text that is blank, or that a terminal would not print as it is.

    Raises:
        ValueError: It is.
    """
    if not text.strip() or not text.isprintable():
        raise ValueError(f"{name} {text!r:.80} is not a line of text")


def check_classes(name: str, values: Mapping[str, float]) -> None:
    """Refuse values of other classes than `any` and the five subtypes.

    Raises:
        ValueError: One is missing, or there are others.
    """
    if set(values) != set(CLASSES):
        raise ValueError(f"{name} of {sorted(values)}, not of {', '.join(CLASSES)}")
