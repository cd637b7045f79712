"""Define what is done to a model when it is compressed: the options of `ichlite compress`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ichlite.errors import UsageError
from ichlite.option_fields import (
    ABOVE_0,
    BELOW_1,
    between,
    changed_words,
    check_settings,
    documented,
    setting,
)
from ichlite.train.recipe import MOST_SEED

SHRINKING, TUNING, ACCURACY = "What to do to the model", "Fine-tuning", "Accuracy"
PRUNED, SPARSE, CLUSTERED, ROUNDED = "pruned", "sparse", "clustered", "rounded"
"""Names of the compression steps, in the order in which they are done."""
MOST_CLUSTERS = 64
MOST_STEPS = 10_000_000
MEAN = "mean"


@documented
@dataclass(frozen=True, slots=True)
class Shrinking:
    """What to do to a model before it is converted; what is None or False is not done."""

    keep_channels: tuple[float, ...] | None = setting(
        None,
        SHRINKING,
        "Share of the channels inside blocks to keep; repeat it to give each block, in order, a "
        "share of its own.",
    )
    keep_width: float | None = setting(
        None, SHRINKING, "Share of the channels between blocks to keep."
    )
    sparsity: float | None = setting(
        None, SHRINKING, "Share of the weights to set to zero.", BELOW_1
    )
    clusters: int | None = setting(
        None,
        SHRINKING,
        f"Number of values that the weights of a layer share, 4 to {MOST_CLUSTERS}.",
        between(4, MOST_CLUSTERS),
    )
    quantization_aware: bool = setting(
        False,
        SHRINKING,
        "Fine-tune with int8's rounding (quantization-aware training).",
        word="qat",
        switch=True,
    )

    def __post_init__(self) -> None:
        check_settings(self)
        if self.prunes:
            check_shares(self.keep_channels, self.keep_width)

    @property
    def changes(self) -> bool:
        """Whether any compression was asked for."""
        return self != Shrinking()

    @property
    def prunes(self) -> bool:
        """Whether channels are removed."""
        return self.keep_channels is not None or self.keep_width is not None

    @property
    def steps(self) -> tuple[str, ...]:
        """Names of the compression steps in order, each followed by one fine-tuning."""
        rounding_alone = self.quantization_aware and (self.sparsity, self.clusters) == (None, None)
        asked = {
            PRUNED: self.prunes,
            SPARSE: self.sparsity is not None,
            CLUSTERED: self.clusters is not None,
            ROUNDED: rounding_alone,
        }
        return tuple(name for name, wanted in asked.items() if wanted)

    def until(self, step: str) -> Shrinking:
        """Return the part of this compression that is done by the end of a step.

        Args:
            step: One of `steps`, or empty for the last.
        """
        if step == PRUNED:
            return Shrinking(self.keep_channels, self.keep_width)
        return replace(self, clusters=None) if step == SPARSE else self


def check_shares(keep: Sequence[float] | None, keep_width: float | None) -> list[float]:
    """Check the shares of channels to keep, and return them as one list.

    Args:
        keep: Shares inside blocks, one for all or one for each; None to keep all.
        keep_width: Share of the channels between blocks; None to keep all.

    Raises:
        UsageError: No share is given, one is not in (0, 1], or all are 1.
    """
    shares = [*(keep or ()), *([] if keep_width is None else [keep_width])]
    if not shares or not all(0 < share <= 1 for share in shares) or min(shares) == 1:
        raise UsageError(
            "shares of channels to keep are out of range",
            found=", ".join(f"{share:g}" for share in shares) or "none",
            expected="above 0, at most 1, and not all of them 1",
        )
    return shares


@documented
@dataclass(frozen=True, slots=True)
class Tuning:
    """How to fine-tune a model.

    A step on crops is a quarter of the work of one on full slices; the store must know where the
    lesions are. The learning rate warms up, then falls by half a cosine to 1 %.
    """

    steps: int = setting(
        600,
        TUNING,
        "Optimiser steps of each fine-tuning, on full slices.",
        between(1, MOST_STEPS),
    )
    crop_steps: int = setting(
        0,
        TUNING,
        "Optimiser steps on crops around lesions, before those on full slices.",
        between(0, MOST_STEPS),
    )
    batch_size: int = setting(32, TUNING, "Images in each optimiser step.", between(1, 4096))
    learning_rate: float = setting(1e-3, TUNING, "Highest learning rate of fine-tuning.", ABOVE_0)
    teacher_weight: float = setting(
        0.5, TUNING, "Weight of the teacher's answers against the labels, 0 to 1.", between(0, 1)
    )
    temperature: float = setting(
        1.0,
        TUNING,
        "Distillation temperature: teacher and student logits are divided by it before they are "
        "compared; above 0.",
        ABOVE_0,
    )
    seed: int = setting(
        0,
        TUNING,
        "Random seed of fine-tuning and of the slices that int8's ranges come from.",
        between(0, MOST_SEED),
    )

    def __post_init__(self) -> None:
        check_settings(self)

    @property
    def total(self) -> int:
        """Number of steps of one fine-tuning, on crops and on full slices together."""
        return self.crop_steps + self.steps


@documented
@dataclass(frozen=True, slots=True)
class Gate:
    """How much ROC AUC on the validation split compression may cost."""

    max_mean_drop: float = setting(
        0.005,
        ACCURACY,
        "Largest allowed loss of mean ROC AUC on the validation split.",
        between(0, 1),
        word="max-auc-drop",
    )
    max_subtype_drop: float = setting(
        0.02, ACCURACY, "Largest allowed loss of ROC AUC of any one subtype.", between(0, 1)
    )

    def __post_init__(self) -> None:
        check_settings(self)

    def limit(self, name: str) -> float:
        """Return the largest loss of ROC AUC allowed for a subtype or for `mean`."""
        return self.max_mean_drop if name == MEAN else self.max_subtype_drop


def settings_words(*records: Shrinking | Tuning | Gate) -> list[str]:
    """Return the command-line options of `ichlite compress` that differ from their defaults.

    Example:
        >>> settings_words(Shrinking((0.25,), 0.5, clusters=32), Tuning(steps=9), Gate(0.01))[:6]
        ['--keep-channels', '0.25', '--keep-width', '0.5', '--clusters', '32']
    """
    return [word for record in records for word in changed_words(record)]
