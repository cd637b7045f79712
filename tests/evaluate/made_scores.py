"""Tables of scores with numbers of one's choice: patients in folds, some bleeding."""

from __future__ import annotations

import numpy as np

from ichlite.evaluate.scores import ScoreTable
from ichlite.labels import NAMES

SLICES = 6


def made_scores(
    *,
    patients: int = 40,
    folds: int = 2,
    seed: int = 0,
    skill: float = 2.0,
    offset: float = 0.0,
    recipe: str = "",
) -> ScoreTable:
    """Patients of six slices each; two in five bleed in one subtype, on their last three slices.

    Args:
        patients: How many; they are dealt to the folds, counted from 1.
        folds: How many.
        seed: Of the model's luck, not of the labels.
        skill: How far the logits of bleeding slices lie above the others.
        offset: Of the logits of odd folds, as folds' models differ in calibration.
        recipe: Hash of what trained the models.
    """
    rng = np.random.default_rng(seed)
    names = np.repeat([f"P{p:02d}" for p in range(patients)], SLICES)
    number = np.tile(np.arange(SLICES), patients)
    owner = np.repeat(np.arange(patients), SLICES)
    subtypes = np.zeros((len(names), len(NAMES)), np.uint8)
    bleeding = (owner % 5 < 2) & (number >= SLICES // 2)
    subtypes[np.flatnonzero(bleeding), (2 * (owner // 5) + owner % 5)[bleeding] % len(NAMES)] = 1
    fold = np.random.default_rng(7).permutation(patients)[owner] % folds + 1
    logits = rng.normal(-2, 1, subtypes.shape) + skill * subtypes + offset * (fold % 2)[:, None]
    labels = np.column_stack([subtypes.max(axis=1), subtypes])
    p = 1 / (1 + np.exp(-logits))
    return ScoreTable(
        image=np.array([f"{n}-{k}" for n, k in zip(names, number, strict=True)]),
        patient=names,
        study=names,
        series=names,
        position_mm=(5.0 * number).astype(np.float32),
        fold=fold.astype(str),
        labels=labels,
        logits=logits.astype(np.float32),
        probabilities=np.column_stack([p.max(axis=1), p]),
        by_slice=np.ones(len(names), bool),
        folds=np.full(len(names), str(folds)),
        recipe=np.full(len(names), recipe),
    )
