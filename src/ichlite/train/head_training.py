"""Train class heads and scan stages on frozen features of slices, for a fixed number of steps.

No scan is left aside to choose a step by: there are too few, and the test fold must not choose.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from ichlite.errors import InputError, UsageError
from ichlite.labels import NAMES
from ichlite.models.class_heads import class_head
from ichlite.models.features import SliceFeatures, join_features, moments
from ichlite.models.scan_stage import (
    MASK,
    SCAN_LOGITS,
    SLICE_LOGITS,
    SLICES,
    SliceInputs,
    scan_stage,
    slice_inputs,
)

LEAST_SLICES = 3
"""A scan stage averages the three highest slices, so that no scan is filled up to fewer."""
SCORED_AT_ONCE = 64

Tensors = dict[str, NDArray[np.float32]]
_Batch = tuple[Any, Any, Any]
"""Inputs, truth and weights of examples, as Keras takes them; no weights: None."""


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
    rng = _seeded(recipe)
    inputs = [head_inputs(table) for table in sources]
    model = class_head(recipe.kind, *moments(inputs))

    def draw() -> _Batch:
        x, y = [], []
        for table, values, (bleeding, quiet) in zip(sources, inputs, pools, strict=True):
            count = max(2, recipe.slices // len(sources))
            ill = round(count * recipe.bleeding_share)
            rows = np.r_[rng.choice(bleeding, ill), rng.choice(quiet, count - ill)]
            x.append(values[rows])
            y.append(table.labels[rows])
        return np.concatenate(x), np.concatenate(y).astype(np.float32), None

    return _trained(
        model, recipe, _CrossEntropy(first=0 if recipe.kind == "hierarchical" else 1), draw
    )


def head_logits(model: keras.Model, table: SliceFeatures) -> NDArray[np.float32]:
    """Return the logits (slice, 6) that a trained head gives, any bleed first."""
    pairs = np.asarray(model.predict_on_batch(head_inputs(table)), np.float32)
    return np.asarray(pairs[..., 0] - pairs[..., 1])


@dataclass(frozen=True, slots=True)
class StageRecipe:
    """Arguments of a scan stage's training.

    Attributes:
        kind: Key of `models.scan_stage.STAGES`.
        use: What it takes of each slice.
        seed: Random seed of its weights, of dropout and of the draw of scans.
        steps: Steps of the optimiser.
        scans: Scans in a step, drawn from the sources in equal parts.
        learning_rate: First rate, which falls to 0 along a cosine.
        weight_decay: Weight decay of AdamW.
        width: Channels inside.
        vary: Whether a scan may lose its ends, or every other slice, when it is drawn.
    """

    kind: str = "temporal_conv"
    use: SliceInputs = "logits"
    seed: int = 0
    steps: int = 150
    scans: int = 32
    learning_rate: float = 0.003
    weight_decay: float = 0.01
    width: int = 32
    vary: bool = True

    def __post_init__(self) -> None:
        if min(self.steps, self.scans, self.width) < 1 or self.learning_rate <= 0:
            raise UsageError(
                "a scan stage cannot be trained so",
                found=f"{self.steps} steps of {self.scans} scans, width {self.width}, "
                f"learning rate {self.learning_rate}",
                expected="all above 0",
            )


@dataclass(frozen=True, slots=True, eq=False)
class StageScores:
    """Logits of a scan stage.

    Attributes:
        slices: (slice, 5) logits, in the order of the table.
        scans: (scan, 6) logits, any bleed first, in the order of `SliceFeatures.scans`.
    """

    slices: NDArray[np.float32]
    scans: NDArray[np.float32]


def fit_scan_stage(recipe: StageRecipe, sources: Sequence[SliceFeatures]) -> keras.Model:
    """Train a scan stage.

    Args:
        recipe: Arguments of the training.
        sources: Slices of real scans, of phantoms …; each gives the same share of every step. The
            same scan may stand in several, as several networks see it.

    Returns:
        The trained model.

    Raises:
        UnknownName: No such kind, or inputs.
        InputError: A source without slices, or networks of different outputs.
    """
    widths = {(table.features.shape[1], table.map_maxima.shape[1]) for table in sources}
    if len(widths) != 1 or not all(len(table) for table in sources):
        raise InputError(
            "a scan stage cannot be trained on these features",
            found=f"{[len(table) for table in sources]} slices, widths {sorted(widths)}",
            expected="slices in every source, of networks with the same outputs",
        )
    rng = _seeded(recipe)
    scans_of = [table.scans() for table in sources]
    everything = [
        np.concatenate([slice_inputs(table, scan, recipe.use) for scan in scans])
        for table, scans in zip(sources, scans_of, strict=True)
    ]
    model = scan_stage(recipe.kind, *moments(everything), width=recipe.width)
    longest = max(LEAST_SLICES, *(len(scan) for scans in scans_of for scan in scans))

    def draw() -> _Batch:
        drawn = []
        for place in range(recipe.scans):
            source = place % len(sources)
            scan = scans_of[source][rng.integers(len(scans_of[source]))]
            drawn.append((sources[source], vary(scan, rng) if recipe.vary else scan))
        inputs, truth = padded(drawn, recipe.use, longest)
        there = inputs[MASK][..., 0]
        return inputs, truth, {SLICE_LOGITS: there / there.mean(), SCAN_LOGITS: np.ones(len(there))}

    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    return _trained(model, recipe, dict.fromkeys((SLICE_LOGITS, SCAN_LOGITS), loss), draw)


def score_scan_stage(model: keras.Model, table: SliceFeatures, use: SliceInputs) -> StageScores:
    """Return what a trained scan stage says of every slice and scan of a table."""
    scans = table.scans()
    slices = np.empty((len(table), len(NAMES)), np.float32)
    found = []
    longest = max(LEAST_SLICES, *(len(scan) for scan in scans))
    for first in range(0, len(scans), SCORED_AT_ONCE):
        part = scans[first : first + SCORED_AT_ONCE]
        inputs, _ = padded([(table, scan) for scan in part], use, longest)
        outputs = model.predict_on_batch(inputs)
        for scan, logits in zip(part, np.asarray(outputs[SLICE_LOGITS]), strict=True):
            slices[scan] = logits[: len(scan)]
        found.append(np.asarray(outputs[SCAN_LOGITS]))
    return StageScores(slices, np.concatenate(found))


def padded(
    drawn: Sequence[tuple[SliceFeatures, NDArray[np.int64]]], use: SliceInputs, longest: int
) -> tuple[Tensors, Tensors]:
    """Return scans as one batch: inputs and labels, shorter scans filled up with zeros.

    Args:
        drawn: Tables and the row numbers of a scan in each, by position.
        use: What of each slice the scan stage takes.
        longest: Slices to fill up to.

    Returns:
        `slices` (scan, slice, channel) and `mask` (scan, slice, 1); `slice_logits` (scan, slice, 5)
        and `scan_logits` (scan, 6) 0/1, a scan positive where one of its slices is.
    """
    rows = [slice_inputs(table, scan, use) for table, scan in drawn]
    slices = np.zeros((len(drawn), longest, rows[0].shape[1]), np.float32)
    mask = np.zeros((len(drawn), longest, 1), np.float32)
    slice_labels = np.zeros((len(drawn), longest, len(NAMES)), np.float32)
    scan_labels = np.zeros((len(drawn), 1 + len(NAMES)), np.float32)
    for place, ((table, scan), values) in enumerate(zip(drawn, rows, strict=True)):
        slices[place, : len(scan)] = values
        mask[place, : len(scan)] = 1.0
        slice_labels[place, : len(scan)] = table.labels[scan, 1:]
        scan_labels[place] = table.labels[scan].max(axis=0)
    return (
        {SLICES: slices, MASK: mask},
        {SLICE_LOGITS: slice_labels, SCAN_LOGITS: scan_labels},
    )


def vary(scan: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Return a scan without up to a fifth of it at either end and, once in four, every other slice.

    Args:
        scan: Row numbers by position.
        rng: Draws.

    Returns:
        At least `LEAST_SLICES` of them, or all where there are no more.
    """
    cut = max(0, (len(scan) - LEAST_SLICES) // 5)
    kept = scan[rng.integers(cut + 1) : len(scan) - rng.integers(cut + 1)]
    if rng.random() < 0.25 and len(kept) >= 2 * LEAST_SLICES:
        kept = kept[rng.integers(2) :: 2]
    return kept


def joined_sources(
    real: Sequence[SliceFeatures], phantoms: Sequence[SliceFeatures]
) -> list[SliceFeatures]:
    """Return real scans as one source and phantoms as another; what is empty is left out.

    A scan as several networks see it becomes several scans.
    """
    return [
        join_features(
            [
                replace(table, series=np.char.add(table.series, f"#{number}"))
                for number, table in enumerate(tables)
            ]
        )
        for tables in (real, phantoms)
        if tables
    ]


def _seeded(recipe: HeadRecipe | StageRecipe) -> np.random.Generator:
    """Return the draws of a training, and begin its weights and dropout by the same seed."""
    keras.utils.set_random_seed(recipe.seed)
    return np.random.default_rng(recipe.seed)


def _trained(
    model: keras.Model, recipe: HeadRecipe | StageRecipe, loss: Any, draw: Callable[[], _Batch]
) -> keras.Model:
    """Train a model for the steps of its recipe, each on a batch that is drawn for it."""
    rate = keras.optimizers.schedules.CosineDecay(recipe.learning_rate, recipe.steps)
    optimizer = keras.optimizers.AdamW(rate, weight_decay=recipe.weight_decay)
    model.compile(optimizer=optimizer, loss=loss, jit_compile=False)
    for _ in range(recipe.steps):
        inputs, truth, weights = draw()
        model.train_on_batch(inputs, truth, sample_weight=weights)
    return model


class _CrossEntropy(keras.losses.Loss):  # type: ignore[misc]
    """Cross-entropy of log probabilities and log complements, from one output on."""

    def __init__(self, first: int) -> None:
        super().__init__(name="cross_entropy")
        self.first = first

    def call(self, labels: Any, pairs: Any) -> Any:
        """Return the loss (slice,) of labels (slice, 6) and pairs (slice, 6, 2)."""
        y, p = labels[:, self.first :], pairs[:, self.first :]
        return -keras.ops.mean(y * p[..., 0] + (1 - y) * p[..., 1], axis=-1)
