"""Class heads: probabilities that are some, of the structure that their names promise."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from ichlite.errors import UnknownName
from ichlite.models.class_heads import HEADS, class_head


def outputs(kind: str, scale: float = 1.0) -> tuple[keras.Model, np.ndarray]:
    keras.utils.set_random_seed(0)
    model = class_head(kind, np.zeros(4), np.ones(4))
    rng = np.random.default_rng(3)
    model.set_weights([w + rng.standard_normal(w.shape) for w in model.get_weights()])
    features = scale * np.random.default_rng(1).standard_normal((50, 4)).astype(np.float32)
    return model, np.asarray(model.predict_on_batch(features), np.float64)


@pytest.mark.parametrize("kind", HEADS)
def test_probabilities_and_complements_sum_to_one_and_any_is_the_largest(kind: str) -> None:
    _, pairs = outputs(kind)
    np.testing.assert_allclose(np.exp(pairs).sum(axis=-1), 1.0, atol=1e-5)
    assert (pairs[:, 0, 0] >= pairs[:, 1:, 0].max(axis=1) - 1e-6).all()
    assert np.isfinite(outputs(kind, scale=50.0)[1]).all()


def test_only_the_hierarchical_head_puts_any_above_its_largest_subtype() -> None:
    log_likely = {kind: outputs(kind)[1][..., 0] for kind in HEADS}
    gaps = {kind: one[:, 0] - one[:, 1:].max(axis=1) for kind, one in log_likely.items()}
    assert gaps["hierarchical"].max() > 0.1
    assert max(np.abs(gaps[kind]).max() for kind in ("independent", "correlated")) < 1e-6


def test_only_the_correlated_head_is_no_linear_one() -> None:
    """Along a line through the features, independent logits are straight."""
    line = np.linspace(-2, 2, 9)[:, None] * np.ones((1, 4), np.float32)
    bends = {}
    for kind in ("independent", "correlated"):
        pairs = np.asarray(outputs(kind)[0].predict_on_batch(line.astype(np.float32)))
        logits = pairs[:, 1:, 0] - pairs[:, 1:, 1]
        bends[kind] = np.abs(np.diff(logits, n=2, axis=0)).max()
    assert bends["independent"] < 1e-4 < 1e-2 < bends["correlated"]


def test_an_unknown_head_is_refused() -> None:
    with pytest.raises(UnknownName, match="independent, correlated, hierarchical"):
        class_head("chain", np.zeros(4), np.ones(4))
