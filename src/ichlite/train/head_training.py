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
"""Least number of slices in a padded scan, because a scan stage averages the three highest."""
SCORED_AT_ONCE = 64

Tensors = dict[str, NDArray[np.float32]]
_Batch = tuple[Any, Any, Any]
"""Inputs, truth and weights of examples, as Keras takes them; no weights: None."""


@dataclass(frozen=True, slots=True)
class HeadRecipe:
    """Arguments for training a class head.

    Attributes:
        kind: Key of `models.class_heads.HEADS`.
        seed: Random seed of its weights and of the draw of slices.
        steps: Steps of the optimiser.
        slices: Slices in a step, drawn equally from all sources.
        bleeding_share: Share of them that is drawn from slices with blood.
        learning_rate: Initial learning rate, which decays to 0 along a cosine.
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
    """Return the input of a class head: pooled features, then maxima of the lesion map if present.

    Returns:
        (slice, channel) float32.
    """
    return np.concatenate([table.features, table.map_maxima], axis=1)


def fit_class_head(recipe: HeadRecipe, sources: Sequence[SliceFeatures]) -> keras.Model:
    """Train a class head on slices' features.

    Only the hierarchical head has its own output for any haemorrhage, so only there it is trained.

    Args:
        recipe: Arguments of the training.
        sources: Tables of slices, such as real scans and phantoms; each contributes equally to
            every step.

    Returns:
        The trained model.

    Raises:
        UnknownName: No such kind.
        InputError: A source lacks slices with blood, or slices without.
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
    """Return the logits of a trained class head, (slice, 6), any haemorrhage first.

    Args:
        model: Trained class head.
        table: Features of the slices.
    """
    pairs = np.asarray(model.predict_on_batch(head_inputs(table)), np.float32)
    return np.asarray(pairs[..., 0] - pairs[..., 1])


@dataclass(frozen=True, slots=True)
class StageRecipe:
    """Arguments for training a scan stage.

    Attributes:
        kind: Key of `models.scan_stage.STAGES`.
        use: Inputs of each slice: `logits` or `features`; see `models.scan_stage.slice_inputs`.
        seed: Random seed of its weights, of dropout and of the draw of scans.
        steps: Steps of the optimiser.
        scans: Scans in a step, drawn equally from all sources.
        learning_rate: Initial learning rate, which decays to 0 along a cosine.
        weight_decay: Weight decay of AdamW.
        width: Channels of the hidden layers.
        vary: Whether scans are randomly shortened or thinned, as of `vary`, when they are drawn.
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
    """Train a scan stage on slices' features.

    Args:
        recipe: Arguments of the training.
        sources: Tables of slices, such as real scans and phantoms; each contributes equally to
            every step. A scan may be in several tables, as seen by several networks.

    Returns:
        The trained model.

    Raises:
        UnknownName: No such kind of scan stage, or of inputs.
        InputError: A source has no slices, or the sources are from networks with different outputs.
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
    """Return a trained scan stage's logits for every slice and scan of a table.

    Args:
        model: Trained scan stage.
        table: Features of the slices.
        use: Inputs that the model was trained with.
    """
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
    """Combine scans of different lengths into one batch, padded with zeros.

    Args:
        drawn: Table and row numbers, by position, of each scan.
        use: Inputs of each slice: `logits` or `features`.
        longest: Number of slices to pad to.

    Returns:
        Inputs: `slices` (scan, slice, channel) and `mask` (scan, slice, 1), 1 where there is a
        slice. Labels, 0 or 1: `slice_logits` (scan, slice, 5) and `scan_logits` (scan, 6), where a
        scan is positive if one of its slices is.
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
    """Drop up to a fifth of a scan at each end and, once in four, every other slice.

    Args:
        scan: (slice,) row numbers, by position.
        rng: Source of randomness.

    Returns:
        The remaining row numbers, at least `LEAST_SLICES`, or all if there are fewer.
    """
    cut = max(0, (len(scan) - LEAST_SLICES) // 5)
    kept = scan[rng.integers(cut + 1) : len(scan) - rng.integers(cut + 1)]
    if rng.random() < 0.25 and len(kept) >= 2 * LEAST_SLICES:
        kept = kept[rng.integers(2) :: 2]
    return kept


def joined_sources(
    real: Sequence[SliceFeatures], phantoms: Sequence[SliceFeatures]
) -> list[SliceFeatures]:
    """Join the tables of real scans into one source and those of phantoms into another.

    A scan in several tables, as seen by several networks, becomes several scans.

    Args:
        real: Tables of real scans, one for each network.
        phantoms: Tables of phantoms, likewise.

    Returns:
        At most two sources; none for a group without tables.
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
