"""The arguments of one training run, as one frozen record; its defaults are the paper's."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ichlite.ct.tensor import GRID
from ichlite.errors import UnknownName, UsageError

Schedule = Literal["constant", "cosine"]
SCHEDULES: tuple[str, ...] = ("constant", "cosine")
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[str, ...] = ("float32", "bfloat16")
Keep = Literal["best", "last"]
KEEPS: tuple[str, ...] = ("best", "last")
WIDTHS = ("width", "expansion", "head_width")
WITH_WIDTHS = ("light_fcn", "lesion_fcn")
CROP_MULTIPLE = 8
"""Crops are cut between lesion cells of so many pixels."""
BLOCKS = 5
"""Expansion blocks of the paper's LightFCN."""


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
        shares: Share of a batch that each store gives, in their order; None: one pass over all.
        bleeding_share: Share of slices with a bleed in what each store gives; None: as they come.
        brain_level_hu: Level that each scan's brain is brought to, here and in reading; None: none.
        augment: Move, flip, shift HU and add noise (`augment.py`).
        vary_scanner: When augmenting, move further, and vary kernel, contrast, noise and the range
            of known HU, too, as scanners and picture archives do.
        keep: Which epoch's weights become `best.keras`: `best` by validation, or `last`.
        map_weight: Of the loss of the lesion map against that of the labels, for models with one.
        crop_steps: Steps on lesion-aimed crops before the first epoch.
        crop_size: Side of these crops in pixels.
        bn_momentum: Of batch normalisation's running statistics.
        clipnorm: Longest gradient of one variable; None: any.
        ema_momentum: Of an average of the weights that is validated and saved as best; None: none.
        gamma: Of focal loss.
        max_margin: Of LDAM, in logits.
        beta: Of class-balanced weights, which `class_balanced` and `ldam_drw` use.
        defer_share: Of all steps, for which `ldam_drw` is plain LDAM.
        device_windows: Batches carry HU, and the device makes the windows.
        precision: Of the layers while training; weights, logits, loss, validation and the saved
            model are float32 in either.
        width, expansion, head_width: Of LightFCN: channels between its blocks, inside the first
            block (each next one has twice as many), of the last feature map; None: the paper's.
        expansions: Channels inside each of its five blocks, in place of `expansion`.
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
    shares: tuple[float, ...] | None = None
    bleeding_share: float | None = None
    brain_level_hu: float | None = None
    augment: bool = False
    vary_scanner: bool = False
    keep: Keep = "best"
    map_weight: float = 0.5
    crop_steps: int = 0
    crop_size: int = 128
    bn_momentum: float = 0.99
    clipnorm: float | None = None
    ema_momentum: float | None = None
    gamma: float = 2.0
    max_margin: float = 0.5
    width: int | None = None
    expansion: int | None = None
    head_width: int | None = None
    expansions: tuple[int, ...] | None = None
    beta: float = 0.9999
    defer_share: float = 0.8
    device_windows: bool = False
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        for name in ("shares", "expansions"):
            if getattr(self, name) is not None:  # a manifest has lists
                object.__setattr__(self, name, tuple(getattr(self, name)))
        if self.keep not in KEEPS:
            raise UnknownName("epoch to keep", self.keep, list(KEEPS))
        if self.schedule not in SCHEDULES:
            raise UnknownName("schedule", self.schedule, list(SCHEDULES))
        if self.precision not in PRECISIONS:
            raise UnknownName("precision", self.precision, list(PRECISIONS))
        at_least = {
            "epochs": 0, "batch_size": 1, "crop_steps": 0, "crop_size": 32, "warmup_steps": 0,
            "seed": 0,
        }  # fmt: skip
        if self.steps_per_epoch is not None:
            at_least["steps_per_epoch"] = 1
        at_least |= dict.fromkeys(_given(self, WIDTHS), 1)
        for name, least in at_least.items():
            if getattr(self, name) < least:
                raise UsageError(name, found=getattr(self, name), expected=f"at least {least}")
        if self.expansions is not None and (
            self.expansion is not None
            or len(self.expansions) != BLOCKS
            or min(self.expansions) < 1
        ):
            raise UsageError(
                "expansions",
                found=self.expansions,
                expected=f"{BLOCKS} numbers of channels, 1 or more, and no expansion beside them",
            )
        if _given(self, (*WIDTHS, "expansions")) and self.model not in WITH_WIDTHS:
            raise UsageError(
                "this model has no widths to choose",
                found=self.model,
                expected=" or ".join(WITH_WIDTHS),
            )
        if self.crop_size % CROP_MULTIPLE or self.crop_size > GRID:
            raise UsageError(
                "crop_size",
                found=self.crop_size,
                expected=f"a multiple of {CROP_MULTIPLE}, at most {GRID}",
            )
        if self.epochs + self.crop_steps == 0:
            raise UsageError("nothing to train", found="0 epochs", expected="1 or more")
        self._check_numbers()

    def _check_numbers(self) -> None:
        if not 0 < self.learning_rate < math.inf:
            raise UsageError("learning_rate", found=self.learning_rate, expected="above 0")
        for name in ("gamma", "max_margin"):
            if not 0 <= getattr(self, name) < math.inf:
                raise UsageError(name, found=getattr(self, name), expected="at least 0")
        for name in ("dropout", "bn_momentum", "ema_momentum", "beta"):
            share = getattr(self, name)
            if share is not None and not 0 <= share < 1:
                raise UsageError(name, found=share, expected="at least 0 and below 1")
        if self.shares is not None and not all(0 < share <= 1 for share in self.shares):
            raise UsageError("shares", found=self.shares, expected="each above 0 and at most 1")
        if self.bleeding_share is not None and not 0 < self.bleeding_share < 1:
            raise UsageError(
                "bleeding_share", found=self.bleeding_share, expected="between 0 and 1"
            )
        if self.brain_level_hu is not None and not 0 <= self.brain_level_hu <= 80:
            raise UsageError(
                "brain_level_hu", found=self.brain_level_hu, expected="from 0 to 80 HU"
            )
        if not 0 <= self.map_weight < math.inf:
            raise UsageError("map_weight", found=self.map_weight, expected="at least 0")
        if not 0 <= self.defer_share <= 1:
            raise UsageError("defer_share", found=self.defer_share, expected="from 0 to 1")

    def widths(self) -> dict[str, Any]:
        """The widths as `models.build` takes them; empty where they are the architecture's own.

        Example:
            >>> Recipe(expansion=16).widths()
            {'expansions': (16, 32, 64, 128, 256)}
        """
        widths = {name: getattr(self, name) for name in _given(self, (*WIDTHS, "expansions"))}
        if "expansion" in widths:
            first = widths.pop("expansion")
            widths["expansions"] = tuple(first * 2**block for block in range(BLOCKS))
        return widths

    def epoch_steps(self, images: int) -> int:
        """Training images → optimiser steps of one epoch."""
        return self.steps_per_epoch or max(1, -(-images // self.batch_size))

    def total_steps(self, images: int) -> int:
        """Training images → optimiser steps of the whole run, crops included."""
        return self.crop_steps + self.epochs * self.epoch_steps(images)

    def loss_at(self, step: int, total: int) -> str:
        """Step, from 0, and all steps → the loss in force: `ldam_drw` begins as `ldam`.

        Example:
            >>> recipe = Recipe(loss="ldam_drw", defer_share=0.8)
            >>> recipe.loss_at(7, 10), recipe.loss_at(8, 10)
            ('ldam', 'ldam_drw')
        """
        deferred = self.loss == "ldam_drw" and step < round(self.defer_share * total)
        return "ldam" if deferred else self.loss

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, as a manifest keeps them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def _given(recipe: Recipe, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(recipe, name) is not None]
