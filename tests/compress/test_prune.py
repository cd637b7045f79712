"""Pruning: channels that say nothing go without a trace, work goes with them; who says how much."""

from __future__ import annotations

from collections.abc import Sequence

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import erfinv
from tests.compress.trained import as_if_trained

from ichlite.compress.channels import Group, expansions, streams
from ichlite.compress.model_cost import flops, one_slice
from ichlite.compress.prune import energy_of, prune_channels, rectified_energy, strengths
from ichlite.errors import InputError, UsageError
from ichlite.models import build, light_fcn

IMAGES = np.random.default_rng(1).random((2, 64, 64, 3), np.float32)


@pytest.mark.long
@pytest.mark.parametrize(
    ("name", "blocks"), [("light_fcn", 5), ("sfcn_depthwise", 4), ("mobilenet_v2", 16)]
)
def test_silent_channels_go_without_a_trace(name: str, blocks: int) -> None:
    model = as_if_trained(build(name, size=64))
    found = expansions(model)
    assert len(found) == blocks
    silence_half(found)
    narrow = prune_channels(model, (0.5,))
    np.testing.assert_allclose(narrow(IMAGES), model(IMAGES), atol=2e-5)
    assert narrow.count_params() < 0.65 * model.count_params()


@pytest.mark.parametrize(("name", "widths"), [("light_fcn", 1), ("mobilenet_v2", 5)])
def test_a_stream_is_narrowed_without_a_trace(name: str, widths: int) -> None:
    model = as_if_trained(build(name, size=64))
    found = streams(model)
    assert len(found) == widths
    silence_half(found)
    narrow = prune_channels(model, keep_width=0.5)
    np.testing.assert_allclose(narrow(IMAGES), model(IMAGES), atol=2e-5)
    for before, after in zip(found, streams(narrow), strict=True):
        assert before.width / 2 <= after.width < before.width / 2 + 8


def silence_half(groups: Sequence[Group]) -> None:
    """No reader hears half of the channels of each group."""
    rng = np.random.default_rng(2)
    for group in groups:
        silent = rng.permutation(group.width)[: group.width // 2]
        for reader in group.readers:
            kernel, *bias = reader.get_weights()
            kernel[:, :, silent] = 0
            reader.set_weights([kernel, *bias])


@pytest.mark.long
def test_half_of_light_fcn_is_half_the_work() -> None:
    model = light_fcn()
    narrow = prune_channels(model, (0.5,))
    widths = [block.width for block in expansions(narrow)]
    assert widths == [16, 32, 64, 128, 256]
    assert flops(one_slice(narrow, 256)) < 0.65 * flops(one_slice(model, 256))
    groups = [block.width for block in expansions(prune_channels(model, (0.3,)))]
    assert groups == [16, 24, 40, 80, 160]
    assert all(width % 8 == 0 for width in groups)
    both = prune_channels(model, (0.5,), 0.5)
    assert both.count_params() == light_fcn(expansions=widths, width=16).count_params()
    assert flops(one_slice(both, 256)) < 0.4 * flops(one_slice(model, 256))


def test_each_block_may_have_a_share_of_its_own() -> None:
    narrow = prune_channels(light_fcn(size=64), (0.25, 0.25, 0.5, 1.0, 0.5))
    assert [block.width for block in expansions(narrow)] == [8, 16, 64, 256, 256]


def test_the_strongest_stay() -> None:
    model = as_if_trained(light_fcn(size=64))
    project = expansions(model)[0].readers[0]
    kernel, *bias = project.get_weights()
    kernel[:, :, 8:] *= 1e-3
    project.set_weights([kernel, *bias])
    narrow = prune_channels(model, (0.25,))
    np.testing.assert_array_equal(
        narrow.get_layer("block1_expand").get_weights()[0],
        model.get_layer("block1_expand").get_weights()[0][..., :8],
    )


@pytest.mark.long
def test_what_cannot_be_pruned_is_refused() -> None:
    with pytest.raises(InputError, match="sfcn has no expansion channels"):
        prune_channels(build("sfcn", size=64), (0.5,))
    with pytest.raises(InputError, match="sfcn_depthwise has no residual stream"):
        prune_channels(build("sfcn_depthwise", size=64), (0.5,), 0.5)
    for shares in ((), (0.0,), (1.0,), (-1.0,), (float("nan"),), (0.5, 2.0, 0.5, 0.5, 0.5)):
        with pytest.raises(UsageError, match="shares of channels"):
            prune_channels(light_fcn(size=64), shares)
    with pytest.raises(UsageError, match="2 of them; expected one, or 5"):
        prune_channels(light_fcn(size=64), (0.5, 0.5))
    with pytest.raises(UsageError, match="take no channel away"):
        prune_channels(light_fcn(size=64), (0.99,), 0.99)
    for width in (0.0, 1.0, 1.5, float("nan")):
        with pytest.raises(UsageError, match="shares of channels"):
            prune_channels(light_fcn(size=64), None, width)


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
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 1)(image)
    x = keras.layers.DepthwiseConv2D(3)(x)
    model = keras.Model(image, keras.layers.Conv2D(2, 1, name="project")(x))
    kernel = np.asarray(model.get_layer("project").kernel, np.float64)[0, 0]
    lengths = np.square(kernel).sum(axis=1)
    np.testing.assert_allclose(strengths(expansions(model)[0]), lengths / lengths.sum())
