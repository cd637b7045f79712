"""The arguments of one training run, as one frozen record; its defaults are the paper's."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ichlite.errors import UnknownName, UsageError

Schedule = Literal["constant", "cosine"]
SCHEDULES: tuple[str, ...] = ("constant", "cosine")


@dataclass(frozen=True, slots=True)
class Recipe:
    """How to train.

    Attributes:
        model, loss: Keys of `models.MODELS` and `losses.LOSSES`.
        epochs: Of full frames.
        batch_size: Images a step.
        learning_rate: Of Adam; the highest one of a cosine schedule.
        dropout: Share of pooled features dropped.
        seed: Of weights, order, crops and augmentation.
        schedule: `constant`, or `cosine`: linear warm-up, then half a cosine down to 1 % over all
            steps.
        warmup_steps: Of the cosine schedule.
        steps_per_epoch: None: one pass over the training split an epoch.
        augment: Move, flip, shift HU and add noise (`augment.py`).
        crop_steps: Steps on lesion-aimed crops before the first epoch.
        crop_size: Side of these crops in pixels.
        bn_momentum: Of batch normalisation's running statistics.
        clipnorm: Longest gradient of one variable; None: any.
        ema_momentum: Of an average of the weights that is validated and saved as best; None: none.
        gamma: Of focal loss.
        max_margin: Of LDAM, in logits.
    """

    model: str = "light_fcn"
    loss: str = "bce"
    epochs: int = 5
    batch_size: int = 64
    learning_rate: float = 0.01
    dropout: float = 0.1
    seed: int = 0
    schedule: Schedule = "constant"
    warmup_steps: int = 0
    steps_per_epoch: int | None = None
    augment: bool = False
    crop_steps: int = 0
    crop_size: int = 128
    bn_momentum: float = 0.99
    clipnorm: float | None = None
    ema_momentum: float | None = None
    gamma: float = 2.0
    max_margin: float = 0.5

    def __post_init__(self) -> None:
        if self.schedule not in SCHEDULES:
            raise UnknownName("schedule", self.schedule, list(SCHEDULES))
        at_least = {
            "epochs": 0, "batch_size": 1, "crop_steps": 0, "crop_size": 32, "warmup_steps": 0,
            "seed": 0,
        }  # fmt: skip
        if self.steps_per_epoch is not None:
            at_least["steps_per_epoch"] = 1
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise UsageError(name, found=getattr(self, name), expected=f"at least {least}")
        if self.epochs + self.crop_steps == 0:
            raise UsageError("nothing to train", found="0 epochs", expected="1 or more")
        if not 0 < self.learning_rate < math.inf:
            raise UsageError("learning_rate", found=self.learning_rate, expected="above 0")
        for name in ("dropout", "bn_momentum", "ema_momentum"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise UsageError(name, found=share, expected="at least 0 and below 1")

    def epoch_steps(self, images: int) -> int:
        """Training images → optimiser steps of one epoch."""
        return self.steps_per_epoch or max(1, -(-images // self.batch_size))

    def total_steps(self, images: int) -> int:
        """Training images → optimiser steps of the whole run, crops included."""
        return self.crop_steps + self.epochs * self.epoch_steps(images)

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, as a manifest keeps them."""
        return asdict(self)
