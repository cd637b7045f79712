"""Training a class head: it learns, the same for the same seed, and refuses what it cannot use."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.made_features import made_features

from ichlite.errors import InputError, UnknownName
from ichlite.models.class_heads import HEADS
from ichlite.models.features import SliceFeatures
from ichlite.train.head_training import HeadRecipe, fit_class_head, head_inputs, head_logits

RECIPE = HeadRecipe(steps=80, slices=32, learning_rate=0.05)


def telling() -> SliceFeatures:
    """Slices whose features say which subtype bleeds."""
    table = made_features(scans=20, width=6)
    told = table.features + 4 * table.labels
    return replace(table, features=told.astype(np.float32))


@pytest.mark.parametrize("kind", HEADS)
def test_a_head_learns_any_and_the_subtypes(kind: str) -> None:
    table = telling()
    found = head_logits(fit_class_head(replace(RECIPE, kind=kind), [table]), table)
    for column in range(6):
        ill, well = (found[table.labels[:, column] == truth, column] for truth in (1, 0))
        assert (ill[:, None] > well).mean() > 0.95


@pytest.mark.long
def test_a_seed_says_it_all() -> None:
    table = telling()
    one, same, other = (
        head_logits(fit_class_head(replace(RECIPE, steps=2, seed=seed), [table]), table)
        for seed in (1, 1, 2)
    )
    np.testing.assert_allclose(one, same, atol=1e-6)
    assert np.abs(one - other).max() > 1e-3


def test_maxima_of_a_lesion_map_are_inputs() -> None:
    table = replace(telling(), map_maxima=np.ones((240, 5), np.float32))
    assert head_inputs(table).shape == (240, 11)


def test_what_cannot_be_trained_on_is_refused() -> None:
    table = telling()
    with pytest.raises(InputError, match=r"0 of \d+ with blood"):
        fit_class_head(RECIPE, [table, table.take(table.labels[:, 0] == 0)])
    with pytest.raises(UnknownName, match="class head"):
        fit_class_head(replace(RECIPE, kind="chain"), [table])
