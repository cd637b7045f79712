"""Decide whether a compressed model lost too much ROC AUC to be written."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

from ichlite.contracts.bundle import GateResult
from ichlite.errors import IchliteError, UsageError
from ichlite.labels import NAMES

MEAN = "mean"
FAILED = "gate"
"""`code` of the error that says that a model lost too much."""
REMEDY = (
    "compress less, fine-tune longer (--steps), train with int8's rounding (--qat), or allow more "
    "(--max-auc-drop for the mean, --max-subtype-drop for a subtype)"
)


@dataclass(frozen=True, slots=True)
class Gate:
    """How much ROC AUC on the validation split compression may cost.

    Attributes:
        max_mean_drop: Most that the mean over subtypes may lose.
        max_subtype_drop: Most that any one subtype may lose.
    """

    max_mean_drop: float = 0.005
    max_subtype_drop: float = 0.02

    def __post_init__(self) -> None:
        for option, drop in (
            ("--max-auc-drop", self.max_mean_drop),
            ("--max-subtype-drop", self.max_subtype_drop),
        ):
            if not 0 <= drop <= 1 or math.isnan(drop):
                raise UsageError(f"{option} is out of range", found=drop, expected="from 0 to 1")

    def words(self) -> list[str]:
        """Return the options of `ichlite compress` that are not the default.

        Example:
            >>> Gate(0.01).words()
            ['--max-auc-drop', '0.01']
        """
        words, usual = [], Gate()
        if self.max_mean_drop != usual.max_mean_drop:
            words += ["--max-auc-drop", f"{self.max_mean_drop}"]
        if self.max_subtype_drop != usual.max_subtype_drop:
            words += ["--max-subtype-drop", f"{self.max_subtype_drop}"]
        return words

    def limit(self, name: str) -> float:
        """Return the most that a subtype, or `mean`, may lose."""
        return self.max_mean_drop if name == MEAN else self.max_subtype_drop


@dataclass(frozen=True, slots=True)
class Drops:
    """What compression cost.

    Attributes:
        before, after: ROC AUC of each subtype and `mean`; None where undefined.
        drops: Before less after; below 0 where it gained, None where undefined.
    """

    before: Mapping[str, float | None]
    after: Mapping[str, float | None]

    @property
    def drops(self) -> dict[str, float | None]:
        """What each subtype, and then `mean`, lost."""
        found: dict[str, float | None] = {}
        for name in (*NAMES, MEAN):
            before, after = self.before[name], self.after[name]
            found[name] = None if before is None or after is None else before - after
        return found

    @property
    def undefined(self) -> list[str]:
        """Subtypes that nothing is known of: no positives, or nothing else, to judge by."""
        return [name for name in NAMES if self.drops[name] is None]

    def result(self, gate: Gate) -> GateResult:
        """Return the drops as a manifest has them, with the gate that they passed."""
        return GateResult(
            split="validation",
            max_mean_drop=gate.max_mean_drop,
            max_subtype_drop=gate.max_subtype_drop,
            before=dict(self.before),
            after=dict(self.after),
            drops=self.drops,
            undefined=tuple(self.undefined),
        )


def check(name: str, drops: Drops, gate: Gate) -> None:
    """Refuse a bundle that lost more than it may.

    Raises:
        IchliteError: It cost more; or no mean is defined, so nothing is known.

    Example:
        >>> same = dict.fromkeys((*NAMES, MEAN), 0.9)
        >>> check("small", Drops(same, same), Gate())
        >>> check("small", Drops(same, {**same, "subdural": 0.87}), Gate())
        Traceback (most recent call last):
        ichlite.errors.IchliteError: small fails the accuracy gate and is not written; \
found subdural 0.9000 to 0.8700; expected at most 0.02 less; compress less, \
fine-tune longer (--steps), train with int8's rounding (--qat), or allow more (--max-auc-drop for \
the mean, --max-subtype-drop for a subtype)
    """
    if drops.drops[MEAN] is None:
        raise IchliteError(
            f"{name} cannot be judged by the accuracy gate and is not written",
            found="no subtype with positives and negatives on the validation split",
            remedy="use a larger store",
            code=FAILED,
        )
    lost = lost_too_much(drops, gate)
    if lost:
        raise IchliteError(
            f"{name} fails the accuracy gate and is not written",
            found=", ".join(
                f"{one} {drops.before[one]:.4f} to {drops.after[one]:.4f}" for one in lost
            ),
            expected=" and ".join(
                dict.fromkeys(f"at most {gate.limit(one):g} less" for one in lost)
            ),
            remedy=REMEDY,
            code=FAILED,
        )


def lost_too_much(drops: Drops, gate: Gate) -> list[str]:
    """Return the subtypes, or `mean`, that lost more than they may."""
    return [
        name for name, drop in drops.drops.items() if drop is not None and drop > gate.limit(name)
    ]
