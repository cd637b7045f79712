"""Define the arguments of one training run: the options of `ichlite train`, `tune`, `reproduce`.

Every command loads this module, so that it loads next to nothing.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any

from ichlite.errors import UsageError, check_name
from ichlite.labels import NAMES
from ichlite.option_fields import (
    ABOVE_0,
    BELOW_1,
    FROM_0,
    FROM_1,
    between,
    check_settings,
    documented,
    must,
    option_of,
    setting,
)

DATA, OPTIMISATION, AUGMENTATION = "Data", "Optimisation", "Augmentation"
LOSS, ARCHITECTURE, HARDWARE, OUTPUT = "Loss", "Architecture", "Hardware", "Output"
PANELS = (DATA, OPTIMISATION, AUGMENTATION, LOSS, ARCHITECTURE, HARDWARE, OUTPUT)
"""Panels of the options in `--help`, in their order."""

MOST_SEED = 2**32 - 1
"""NumPy's and Keras' seeds are 32 bits long."""
TUNED = ("batch_size", "learning_rate", "dropout")
"""Arguments that the paper's search varied (section 3.2)."""
WIDTHS = ("width", "expansion", "head_width")
WITH_WIDTHS = ("light_fcn", "lesion_fcn")
CROP_MULTIPLE = 8
"""Crop sizes and places are multiples of this many pixels, the side of a lesion cell."""
BLOCKS = 5
"""Expansion blocks of the paper's LightFCN."""
_SHARES_TOLERANCE = 0.001
_WORK_WITH = {
    "warmup_steps": ("schedule", ("cosine",)),
    "gamma": ("loss", ("focal",)),
    "max_margin": ("loss", ("ldam", "ldam_drw")),
    "beta": ("loss", ("class_balanced", "ldam_drw")),
    "defer_share": ("loss", ("ldam_drw",)),
}
"""Options that only have an effect with certain values of another option."""


def _side_of_crops(pixels: int) -> str | None:
    from ichlite.ct.tensor import GRID  # loads numpy, which no help needs

    return must(
        lambda x: 32 <= x <= GRID and x % CROP_MULTIPLE == 0,
        f"a multiple of {CROP_MULTIPLE}, at least 32 and at most {GRID}",
    )(pixels)


@documented
@dataclass(frozen=True, slots=True)
class Recipe:
    """Arguments of a training run; the defaults are the paper's."""

    model: str = setting(
        "light_fcn", ARCHITECTURE, "Network to train; `ichlite models` lists them."
    )
    loss: str = setting(
        "bce",
        LOSS,
        "Loss to minimise: bce, focal, ldam, ldam_drw, class_balanced, asymmetric or "
        "distribution_balanced.",
    )
    epochs: int = setting(
        5, OPTIMISATION, "Epochs on whole slices, after any --crop-steps.", FROM_0
    )
    batch_size: int = setting(64, OPTIMISATION, "Images in each training step.", FROM_1)
    learning_rate: float = setting(
        0.01,
        OPTIMISATION,
        "Learning rate of the Adam optimiser; with --schedule cosine, its highest.",
        ABOVE_0,
    )
    dropout: float = setting(
        0.1,
        ARCHITECTURE,
        "Share of the features before the last layer that each step drops at random.",
        BELOW_1,
    )
    seed: int = setting(
        0,
        OPTIMISATION,
        "Random seed of first weights, image order, crops and augmentation.",
        between(0, MOST_SEED),
    )
    schedule: str = setting(
        "constant",
        OPTIMISATION,
        "Learning-rate schedule: constant, or cosine down to 1 % over all steps.",
        choices=("constant", "cosine"),
        kind="schedule",
    )
    warmup_steps: int = setting(
        0,
        OPTIMISATION,
        "Steps over which --schedule cosine first rises to the learning rate.",
        FROM_0,
    )
    steps_per_epoch: int | None = setting(
        None,
        OPTIMISATION,
        "Training steps in an epoch; by default as many as one pass over the training split takes.",
        FROM_1,
    )
    shares: tuple[float, ...] | None = setting(
        None,
        DATA,
        "Share of each batch that is drawn from a store; give it once for each STORE, in their "
        "order; the shares add up to 1, such as --share 0.7 --share 0.3. By default all slices are "
        "drawn alike.",
        must(
            lambda x: min(x, default=0) > 0 and abs(sum(x) - 1) < _SHARES_TOLERANCE,
            "each above 0, together 1",
        ),
        word="share",
    )
    bleeding_share: float | None = setting(
        None,
        DATA,
        "Share of slices with blood in each batch or, with --share, in what each store contributes "
        "to it, above 0 and below 1; by default that of the stores.",
        must(lambda x: 0 < x < 1, "between 0 and 1"),
    )
    brain_level_hu: float | None = setting(
        None,
        DATA,
        "Shift every scan so that the median of its brain is at this HU, such as 30; reading with "
        "the model then does the same. By default HU stay as they are.",
        between(0, 80),
    )
    augment: bool = setting(
        False, AUGMENTATION, "Vary training slices at random: move, flip, shift HU, add noise."
    )
    vary_scanner: bool = setting(
        False,
        AUGMENTATION,
        "With --augment, also vary what differs between scanners: reconstruction kernel, noise "
        "texture, contrast and the range of HU; and use larger shifts, rotations and zooms.",
        switch=True,
    )
    leave_out: tuple[str, ...] = setting(
        (),
        DATA,
        "Subtype to leave out of training, for example because no slice shows it; the model never "
        "reports it (repeat for more).",
    )
    deterministic: bool = setting(
        False,
        HARDWARE,
        "Give the same weights, bit for bit, each time that this machine trains this run; slower.",
        switch=True,
    )
    keep: str = setting(
        "best",
        OUTPUT,
        "Epoch whose weights become best.keras: best (by validation) or last.",
        choices=("best", "last"),
        kind="epoch to keep",
    )
    map_weight: float = setting(
        0.5,
        LOSS,
        "Weight of the loss of the lesion map beside that of the slice, in networks with a map.",
        FROM_0,
    )
    crop_steps: int = setting(
        0,
        OPTIMISATION,
        "Training steps on crops around bleeds, before the epochs on whole slices.",
        FROM_0,
    )
    crop_size: int = setting(
        128, OPTIMISATION, "Side of the crops of --crop-steps, in pixels.", _side_of_crops
    )
    bn_momentum: float = setting(
        0.99, ARCHITECTURE, "Momentum of batch normalisation's running statistics.", BELOW_1
    )
    clipnorm: float | None = setting(
        None,
        OPTIMISATION,
        "Norm to which longer gradients of a variable are clipped, such as 1; by default none is.",
        ABOVE_0,
    )
    ema_momentum: float | None = setting(
        None,
        OPTIMISATION,
        "Validate and save a running average of the weights with this momentum, such as 0.999; by "
        "default the weights themselves.",
        BELOW_1,
    )
    gamma: float = setting(
        2.0, LOSS, "Exponent of the focal loss; the higher, the less easy slices count.", FROM_0
    )
    max_margin: float = setting(
        0.5,
        LOSS,
        "Margin in logits that ldam demands of the rarest subtype; others get less.",
        FROM_0,
    )
    width: int | None = setting(
        None,
        ARCHITECTURE,
        "Channels between the blocks of light_fcn or lesion_fcn; by default 32.",
        FROM_1,
    )
    expansion: int | None = setting(
        None,
        ARCHITECTURE,
        "Channels inside the first block of light_fcn or lesion_fcn, by default 32; each next "
        "block doubles them.",
        FROM_1,
    )
    head_width: int | None = setting(
        None,
        ARCHITECTURE,
        "Channels of the last feature map of light_fcn or lesion_fcn; by default 64.",
        FROM_1,
    )
    expansions: tuple[int, ...] | None = setting(
        None,
        ARCHITECTURE,
        f"Channels inside a block of light_fcn or lesion_fcn, given {BLOCKS} times in their order.",
        must(
            lambda x: len(x) == BLOCKS and min(x) >= 1, f"{BLOCKS} numbers of channels, 1 or more"
        ),
    )
    beta: float = setting(
        0.9999,
        LOSS,
        "Beta of class_balanced and ldam_drw; the nearer to 1, the more rare subtypes count.",
        BELOW_1,
    )
    defer_share: float = setting(
        0.8,
        LOSS,
        "Share of the steps that ldam_drw trains without weights, as ldam, before it weighs rare "
        "subtypes more.",
        between(0, 1),
    )
    device_windows: bool = setting(
        False,
        HARDWARE,
        "Compute the three CT windows on the device, to which HU are sent, not on the host.",
    )
    precision: str = setting(
        "float32",
        HARDWARE,
        "Number format that layers compute in while training: float32 or bfloat16.",
        choices=("float32", "bfloat16"),
        kind="precision",
    )

    def __post_init__(self) -> None:
        for name in ("shares", "expansions"):
            if getattr(self, name) is not None:  # a manifest has lists
                object.__setattr__(self, name, tuple(getattr(self, name)))
        for name in self.leave_out:
            check_name("subtype to leave out", name, NAMES)
        object.__setattr__(self, "leave_out", tuple(n for n in NAMES if n in self.leave_out))
        if not self.kept:
            raise UsageError("every subtype is left out", expected="one or more to train")
        check_settings(self)
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

    def check_effects(self) -> None:
        """Raise an error if an option was given that has no effect with the others.

        Raises:
            UsageError: An option that differs from its default has no effect.

        Example:
            >>> Recipe(warmup_steps=50).check_effects()
            Traceback (most recent call last):
            ichlite.errors.UsageError: --warmup-steps does nothing; found --schedule constant; ...
        """
        for name, (other, values) in _WORK_WITH.items():
            found = getattr(self, other)
            default = next(one.default for one in fields(self) if one.name == name)
            if getattr(self, name) != default and found not in values:
                word = option_of(type(self), other)
                raise UsageError(
                    f"{option_of(type(self), name)} does nothing",
                    found=f"{word} {found}",
                    expected=" or ".join(f"{word} {value}" for value in values),
                )

    @property
    def kept(self) -> list[int]:
        """Return the columns of the subtypes that are trained, those not in `leave_out`."""
        return [i for i, name in enumerate(NAMES) if name not in self.leave_out]

    def widths(self) -> dict[str, Any]:
        """Return the layer widths that were given, as keyword arguments for `models.build`.

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
        """Return the number of optimiser steps in one epoch.

        Args:
            images: Number of training images.
        """
        return self.steps_per_epoch or max(1, -(-images // self.batch_size))

    def total_steps(self, images: int) -> int:
        """Return the number of optimiser steps of the whole run, steps on crops included.

        Args:
            images: Number of training images.
        """
        return self.crop_steps + self.epochs * self.epoch_steps(images)

    def loss_at(self, step: int, total: int) -> str:
        """Return the name of the loss that applies at a step; `ldam_drw` begins as `ldam`.

        Args:
            step: Number of the step, from 0.
            total: Number of steps of the whole run.

        Example:
            >>> recipe = Recipe(loss="ldam_drw", defer_share=0.8)
            >>> recipe.loss_at(7, 10), recipe.loss_at(8, 10)
            ('ldam', 'ldam_drw')
        """
        deferred = self.loss == "ldam_drw" and step < round(self.defer_share * total)
        return "ldam" if deferred else self.loss

    def why_no_longer(self) -> str | None:
        """Return why a run of this recipe cannot be extended to more epochs; None if it can.

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
        """Return all arguments by name, with tuples as lists, for a manifest."""
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in asdict(self).items()
        }


def _given(recipe: Recipe, names: tuple[str, ...]) -> list[str]:
    return [name for name in names if getattr(recipe, name) is not None]
