"""The arguments of one training run, as one frozen record; its defaults are the paper's."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Literal

from ichlite.ct.tensor import GRID
from ichlite.errors import UnknownName, UsageError
from ichlite.labels import NAMES

Schedule = Literal["constant", "cosine"]
SCHEDULES: tuple[str, ...] = ("constant", "cosine")
Precision = Literal["float32", "bfloat16"]
PRECISIONS: tuple[str, ...] = ("float32", "bfloat16")
Keep = Literal["best", "last"]
KEEPS: tuple[str, ...] = ("best", "last")
MOST_SEED = 2**32 - 1
"""NumPy's and Keras' seeds are 32 bits long."""
WIDTHS = ("width", "expansion", "head_width")
WITH_WIDTHS = ("light_fcn", "lesion_fcn")
CROP_MULTIPLE = 8
"""Crops are cut between lesion cells of so many pixels."""
BLOCKS = 5
"""Expansion blocks of the paper's LightFCN."""

_Range = tuple[Callable[[Any], bool], str]
_FROM_0: _Range = (lambda x: 0 <= x < math.inf, "at least 0")
_FROM_1: _Range = (lambda x: x >= 1, "at least 1")
_ABOVE_0: _Range = (lambda x: 0 < x < math.inf, "above 0")
_BELOW_1: _Range = (lambda x: 0 <= x < 1, "at least 0 and below 1")
_SHARES_TOLERANCE = 0.001
_RANGES: Mapping[str, _Range] = {
    **dict.fromkeys(("epochs", "crop_steps", "warmup_steps"), _FROM_0),
    **dict.fromkeys(("batch_size", "steps_per_epoch", *WIDTHS), _FROM_1),
    **dict.fromkeys(("learning_rate", "clipnorm"), _ABOVE_0),
    **dict.fromkeys(("gamma", "max_margin", "map_weight"), _FROM_0),
    **dict.fromkeys(("dropout", "bn_momentum", "ema_momentum", "beta"), _BELOW_1),
    "seed": (lambda x: 0 <= x <= MOST_SEED, f"at least 0 and at most {MOST_SEED}"),
    "crop_size": (
        lambda x: 32 <= x <= GRID and x % CROP_MULTIPLE == 0,
        f"a multiple of {CROP_MULTIPLE}, at least 32 and at most {GRID}",
    ),
    "expansions": (
        lambda x: len(x) == BLOCKS and min(x) >= 1,
        f"{BLOCKS} numbers of channels, 1 or more",
    ),
    "shares": (
        lambda x: min(x, default=0) > 0 and abs(sum(x) - 1) < _SHARES_TOLERANCE,
        "each above 0, together 1",
    ),
    "bleeding_share": (lambda x: 0 < x < 1, "between 0 and 1"),
    "brain_level_hu": (lambda x: 0 <= x <= 80, "from 0 to 80 HU"),
    "defer_share": (lambda x: 0 <= x <= 1, "from 0 to 1"),
}
"""What each number of a recipe must be; None is left to the recipe."""


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
        leave_out: Subtypes that neither the loss nor validation looks at; their logits stay low.
        deterministic: Compute so that the same run on the same machine gives the same bits.
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
    leave_out: tuple[str, ...] = ()
    deterministic: bool = False
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
        for name in self.leave_out:
            if name not in NAMES:
                raise UnknownName("subtype to leave out", name, list(NAMES))
        object.__setattr__(self, "leave_out", tuple(n for n in NAMES if n in self.leave_out))
        if not self.kept:
            raise UsageError("every subtype is left out", expected="one or more to train")
        for kind, name, known in (
            ("epoch to keep", self.keep, KEEPS),
            ("schedule", self.schedule, SCHEDULES),
            ("precision", self.precision, PRECISIONS),
        ):
            if name not in known:
                raise UnknownName(kind, name, list(known))
        for name, (fits, expected) in _RANGES.items():
            value = getattr(self, name)
            if value is not None and not fits(value):
                raise UsageError(name, found=value, expected=expected)
        self._check_widths()
        if self.vary_scanner and not self.augment:
            raise UsageError(
                "scanners are varied as a part of augmentation",
                found="vary_scanner without augment",
                expected="both (--augment --vary-scanner), or neither",
            )
        if self.epochs + self.crop_steps == 0:
            raise UsageError("nothing to train", found="0 epochs", expected="1 or more")

    def _check_widths(self) -> None:
        if None not in (self.expansion, self.expansions):
            raise UsageError("expansion and expansions exclude each other")
        if _given(self, (*WIDTHS, "expansions")) and self.model not in WITH_WIDTHS:
            raise UsageError(
                "this model has no widths to choose",
                found=self.model,
                expected=" or ".join(WITH_WIDTHS),
            )

    @property
    def kept(self) -> list[int]:
        """Columns of the subtypes that are not left out."""
        return [i for i, name in enumerate(NAMES) if name not in self.leave_out]

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

    def why_no_longer(self) -> str | None:
        """Say why a run cannot go on to more epochs than it was made for; None: it can.

        Example:
            >>> Recipe(schedule="cosine").why_no_longer()
            'a cosine schedule, whose every step depends on the number of epochs'
        """
        if self.schedule != "constant":
            return f"a {self.schedule} schedule, whose every step depends on the number of epochs"
        if self.loss_at(0, 100) != self.loss and self.defer_share < 1:
            return f"{self.loss}, which changes at a share of all steps (--defer-share)"
        return None

    def as_dict(self) -> dict[str, Any]:
        """The attributes by name, as a manifest keeps them."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def _given(recipe: Recipe, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(recipe, name) is not None]
