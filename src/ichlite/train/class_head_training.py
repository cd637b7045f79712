"""Train a class head on frozen features of slices, for a fixed number of steps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.errors import InputError
from ichlite.models.class_heads import class_head
from ichlite.models.features import SliceFeatures, moments


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Arguments of a class head's training; all heads are trained alike.

    Attributes:
        kind: Key of `models.class_heads.HEADS`.
        seed: Random seed of its weights and of the draw of slices.
        steps: Steps of the optimiser.
        slices: Slices in a step, drawn from the sources in equal parts.
        bleeding_share: Share of them that is drawn from slices with blood.
        learning_rate: First rate, which falls to 0 along a cosine.
        weight_decay: Weight decay of AdamW.
    """

    kind: str = "independent"
    seed: int = 0
    steps: int = 400
    slices: int = 256
    bleeding_share: float = 0.4
    learning_rate: float = 0.01
    weight_decay: float = 0.01


def head_inputs(table: SliceFeatures) -> NDArray[np.float32]:
    """Return what a head takes: pooled features, and maxima of the lesion map, if there is one."""
    return np.concatenate([table.features, table.map_maxima], axis=1)


def fit_class_head(recipe: HeadRecipe, sources: Sequence[SliceFeatures]) -> keras.Model:
    """Train a class head.

    Only the hierarchical head has an output of its own for any bleed, so only there it is trained.

    Args:
        recipe: Arguments of the training.
        sources: Slices of real scans, of phantoms …; each gives the same share of every step.

    Returns:
        The trained model.

    Raises:
        UnknownName: No such kind.
        InputError: A source without bleeding slices, or with nothing else.
    """
    pools = []
    for table in sources:
        bleeds = table.labels[:, 0] > 0
        if bleeds.all() or not bleeds.any():
            raise InputError(
                "a class head cannot be trained on these slices",
                found=f"{int(bleeds.sum())} of {len(bleeds)} with blood",
                expected="some with and some without in every source",
            )
        pools.append((np.flatnonzero(bleeds), np.flatnonzero(~bleeds)))
    keras.utils.set_random_seed(recipe.seed)
    rng = np.random.default_rng(recipe.seed)
    inputs = [head_inputs(table) for table in sources]
    model = class_head(recipe.kind, *moments(inputs))
    model.compile(
        optimizer=keras.optimizers.AdamW(
            keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.steps),
            weight_decay=recipe.weight_decay,
        ),
        loss=_CrossEntropy(first=0 if recipe.kind == "hierarchical" else 1),
        jit_compile=False,
    )
    for _ in range(recipe.steps):
        x, y = [], []
        for table, values, (bleeding, quiet) in zip(sources, inputs, pools, strict=True):
            count = max(2, recipe.slices // len(sources))
            ill = round(count * recipe.bleeding_share)
            rows = np.r_[rng.choice(bleeding, ill), rng.choice(quiet, count - ill)]
            x.append(values[rows])
            y.append(table.labels[rows])
        model.train_on_batch(np.concatenate(x), np.concatenate(y).astype(np.float32))
    return model


def head_logits(model: keras.Model, table: SliceFeatures) -> NDArray[np.float32]:
    """Return the logits (slice, 6) that a trained head gives, any bleed first."""
    pairs = np.asarray(model.predict_on_batch(head_inputs(table)), np.float32)
    return np.asarray(pairs[..., 0] - pairs[..., 1])


class _CrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of log probabilities and log complements, from one output on."""

    def __init__(self, first: int) -> None:
        super().__init__(name="cross_entropy")
        self.first = first

    def call(self, labels: Any, pairs: Any) -> Any:
        """Return the loss (slice,) of labels (slice, 6) and pairs (slice, 6, 2)."""
        y, p = labels[:, self.first :], pairs[:, self.first :]
        return -keras.ops.mean(y * p[..., 0] + (1 - y) * p[..., 1], axis=-1)
