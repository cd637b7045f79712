"""Constraints: so many zeros, so few values, and int8 sees no more of them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from tests.compress.trained import as_if_trained

from ichlite.compress.constraints import Clusters, Sparsity, channel_axis, cluster, kernels_of
from ichlite.compress.fold import fold
from ichlite.errors import UsageError
from ichlite.models import light_fcn


@pytest.fixture
def folded() -> keras.Model:
    return fold(as_if_trained(light_fcn(size=64)))


def move(model: keras.Model, seed: int) -> None:
    """As an optimiser step does."""
    rng = np.random.default_rng(seed)
    for kernel in kernels_of(model):
        kernel.assign_add(rng.normal(0, 0.01, kernel.shape))


def shares_of_zeros(model: keras.Model) -> list[float]:
    return [
        float((np.asarray(k) == 0).mean()) for k in kernels_of(model) if np.prod(k.shape) >= 1024
    ]


def test_sparsity_grows_and_holds(folded: keras.Model) -> None:
    sparsity = Sparsity(folded, 0.8)
    last = 0.0
    for step in range(1, 11):
        move(folded, step)
        sparsity.apply(step, 10)
        shares = shares_of_zeros(folded)
        assert min(shares) >= last - 1e-9
        last = min(shares)
    assert shares == pytest.approx([0.8] * len(shares), abs=1e-3)
    small = [k for k in kernels_of(folded) if np.prod(k.shape) < 1024]
    assert small
    assert all((np.asarray(k) != 0).all() for k in small)


@pytest.mark.parametrize("count", [4, 16, 64])
def test_a_layer_has_no_more_integers_than_clusters(folded: keras.Model, count: int) -> None:
    clusters = Clusters(folded, count)
    for step in range(3):
        move(folded, step)
        clusters.apply(step + 1, 3)
    for kernel in kernels_of(folded):
        values = np.asarray(kernel, np.float64)
        largest = np.abs(values).max(axis=channel_axis(values), keepdims=True)
        integers = np.round(127 * values / np.where(largest > 0, largest, 1))
        assert len(np.unique(integers)) <= count
        assert np.abs(integers).max() == 127


def test_zeros_stay_zero_when_weights_are_shared(folded: keras.Model) -> None:
    Sparsity(folded, 0.6).apply(1, 1)
    zeros = [np.asarray(kernel) == 0 for kernel in kernels_of(folded)]
    clusters = Clusters(folded, 16)
    move(folded, 0)
    clusters.apply(1, 1)
    for kernel, before in zip(kernels_of(folded), zeros, strict=True):
        assert (np.asarray(kernel)[before] == 0).all()


def test_what_is_shared_already_does_not_move(folded: keras.Model) -> None:
    Clusters(folded, 16)
    before = [np.asarray(kernel).copy() for kernel in kernels_of(folded)]
    Clusters(folded, 16)
    for kernel, values in zip(kernels_of(folded), before, strict=True):
        np.testing.assert_allclose(np.asarray(kernel), values, atol=1e-5)


@given(
    arrays(np.float64, st.integers(1, 80), elements=st.floats(-1, 1)),
    st.integers(4, 64),
)
def test_each_value_has_the_nearest_centroid(unit: np.ndarray, count: int) -> None:
    centroids, place = cluster(unit, count)
    assert {-1.0, 0.0, 1.0} <= set(centroids)
    assert len(centroids) <= count
    assert (np.diff(centroids) > 0).all()
    distance = np.abs(unit[:, None] - centroids)
    found = distance[np.arange(len(unit)), place]
    np.testing.assert_allclose(found, distance.min(axis=1), atol=1e-12)


def test_impossible_constraints_are_refused(folded: keras.Model) -> None:
    for share in (-0.1, 1.0, float("nan")):
        with pytest.raises(UsageError, match="sparsity"):
            Sparsity(folded, share)
    for count in (3, 65):
        with pytest.raises(UsageError, match="4 to 64"):
            Clusters(folded, count)
