"""Decide whether a compressed model lost too much ROC AUC to be written."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from ichlite.compress.settings import MEAN, Gate
from ichlite.contracts.bundle import GateResult
from ichlite.errors import IchliteError
from ichlite.labels import NAMES

FAILED = "gate"
"""`code` of the error raised when a model fails the accuracy gate."""
REMEDY = (
    "compress less, fine-tune longer (--steps), train with int8's rounding (--qat), or allow more "
    "(--max-auc-drop for the mean, --max-subtype-drop for a subtype)"
)


@dataclass(frozen=True, slots=True)
class Drops:
    """ROC AUC of a model before and after compression, and the differences.

    Attributes:
        before, after: ROC AUC of each subtype and of `mean`; None where undefined.
        drops: ROC AUC before minus after; negative where it improved, None where undefined.
    """

    before: Mapping[str, float | None]
    after: Mapping[str, float | None]

    @property
    def drops(self) -> dict[str, float | None]:
        """Loss of ROC AUC for each subtype, and then for `mean`; None where undefined."""
        found: dict[str, float | None] = {}
        for name in (*NAMES, MEAN):
            before, after = self.before[name], self.after[name]
            found[name] = None if before is None or after is None else before - after
        return found

    @property
    def undefined(self) -> list[str]:
        """Subtypes whose loss is undefined, for lack of positive or of negative slices."""
        return [name for name in NAMES if self.drops[name] is None]

    def result(self, gate: Gate) -> GateResult:
        """Return the losses as recorded in a manifest, together with the gate's limits."""
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
    """Raise an error if compression cost a model more ROC AUC than the gate allows.

    Args:
        name: Name of the bundle, for the error message.
        drops: ROC AUC before and after compression.
        gate: Largest losses allowed.

    Raises:
        IchliteError: A loss is above its limit, or the mean ROC AUC is undefined.

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
    """Return the subtypes, and `mean`, whose loss of ROC AUC is above the gate's limit."""
    return [
        name for name, drop in drops.drops.items() if drop is not None and drop > gate.limit(name)
    ]
