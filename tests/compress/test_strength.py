"""Strength of channels: what samples of normal variables say, and who is heard."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfinv
from tests.compress.trained import as_if_trained

from ichlite.compress.channels import expansions, streams
from ichlite.compress.strength import energy_of, rectified_energy, strengths
from ichlite.models import light_fcn


@given(st.floats(-3, 3), st.floats(0.01, 3))
def test_rectified_energy_is_that_of_samples(mean: float, sigma: float) -> None:
    z = (np.arange(20_000) + 0.5) / 20_000
    samples = mean + sigma * np.sqrt(2) * erfinv(2 * z - 1)
    expected = np.mean(np.square(np.maximum(samples, 0.0)))
    found = rectified_energy(np.array([mean]), np.array([sigma]))[0]
    assert found == pytest.approx(expected, rel=0.02, abs=2e-3)


def test_each_reader_has_one_to_share_out() -> None:
    model = as_if_trained(light_fcn(size=64))
    for group in (*expansions(model), *streams(model)):
        found = strengths(group)
        assert found.shape == (group.width,)
        assert found.min() >= 0
        assert found.sum() == pytest.approx(len(group.readers))


def test_a_sum_has_the_energy_of_its_parts() -> None:
    model = as_if_trained(light_fcn(size=64))
    added = energy_of(model.get_layer("block1_add"))
    norm = model.get_layer("block1_project_bn")
    own = np.square(np.asarray(norm.beta)) + np.square(np.asarray(norm.gamma))
    np.testing.assert_allclose(added, own + energy_of(model.get_layer("stem_relu")), rtol=1e-6)


def test_without_normalisation_weights_alone_decide() -> None:
    import keras

    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1)(image)
    x = keras.layers.DepthwiseConv2D(3)(x)
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="project")(x))
    kernel = np.asarray(model.get_layer("project").kernel, np.float64)[0, 0]
    lengths = np.square(kernel).sum(axis=1)
    np.testing.assert_allclose(strengths(expansions(model)[0]), lengths / lengths.sum())
