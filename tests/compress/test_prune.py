"""Pruning: channels that add nothing go without a trace, and work goes with them."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.compress.trained import as_if_trained

from ichlite.compress.flops import flops, one_slice
from ichlite.compress.prune import expansion_blocks, prune_channels, rectified_energy
from ichlite.errors import InputError, UsageError
from ichlite.models import build, light_fcn

IMAGES = np.random.default_rng(1).random((2, 64, 64, 3), np.float32)


@pytest.mark.parametrize(
    ("name", "blocks"), [("light_fcn", 5), ("sfcn_depthwise", 4), ("mobilenet_v2", 16)]
)
def test_silent_channels_go_without_a_trace(name: str, blocks: int) -> None:
    model = as_if_trained(build(name, size=64))
    found = expansion_blocks(model)
    assert len(found) == blocks
    rng = np.random.default_rng(2)
    for block in found:
        kernel, *bias = block.project.get_weights()
        silent = rng.permutation(kernel.shape[2])[: kernel.shape[2] // 2]
        kernel[:, :, silent] = 0
        block.project.set_weights([kernel, *bias])
    narrow = prune_channels(model, (0.5,))
    np.testing.assert_allclose(narrow(IMAGES), model(IMAGES), atol=2e-5)
    assert narrow.count_params() < 0.65 * model.count_params()


def test_half_of_light_fcn_is_half_the_work() -> None:
    model = light_fcn()
    narrow = prune_channels(model, (0.5,))
    widths = [block.expand.filters for block in expansion_blocks(narrow)]
    assert widths == [16, 32, 64, 128, 256]
    assert flops(one_slice(narrow, 256)) < 0.65 * flops(one_slice(model, 256))
    groups = [block.expand.filters for block in expansion_blocks(prune_channels(model, (0.3,)))]
    assert groups == [16, 24, 40, 80, 160]
    assert all(width % 8 == 0 for width in groups)


def test_each_block_may_have_a_share_of_its_own() -> None:
    narrow = prune_channels(light_fcn(size=64), (0.25, 0.25, 0.5, 1.0, 0.5))
    assert [block.expand.filters for block in expansion_blocks(narrow)] == [8, 16, 64, 256, 256]


def test_the_strongest_stay() -> None:
    model = as_if_trained(light_fcn(size=64))
    block = expansion_blocks(model)[0]
    kernel, *bias = block.project.get_weights()
    kernel[:, :, 8:] *= 1e-3
    block.project.set_weights([kernel, *bias])
    narrow = prune_channels(model, (0.25,))
    np.testing.assert_array_equal(
        narrow.get_layer("block1_expand").get_weights()[0],
        model.get_layer("block1_expand").get_weights()[0][..., :8],
    )


@given(st.floats(-3, 3), st.floats(0.01, 3))
def test_rectified_energy_is_that_of_samples(mean: float, sigma: float) -> None:
    z = (np.arange(20_000) + 0.5) / 20_000
    samples = mean + sigma * np.sqrt(2) * _inverse_erf(2 * z - 1)
    expected = np.mean(np.square(np.maximum(samples, 0.0)))
    found = rectified_energy(np.array([mean]), np.array([sigma]))[0]
    assert found == pytest.approx(expected, rel=0.02, abs=2e-3)


def _inverse_erf(y: np.ndarray) -> np.ndarray:
    from scipy.special import erfinv

    return np.asarray(erfinv(y))


def test_what_cannot_be_pruned_is_refused() -> None:
    with pytest.raises(InputError, match="sfcn has no expansion channels"):
        prune_channels(build("sfcn", size=64), (0.5,))
    for shares in ((), (0.0,), (1.0,), (-1.0,), (float("nan"),), (0.5, 2.0, 0.5, 0.5, 0.5)):
        with pytest.raises(UsageError, match="shares of channels"):
            prune_channels(light_fcn(size=64), shares)
    with pytest.raises(UsageError, match="2 of them; expected one, or 5"):
        prune_channels(light_fcn(size=64), (0.5, 0.5))


def test_a_channel_that_others_read_too_is_left_alone() -> None:
    image = keras.Input((8, 8, 3))
    wide = keras.layers.Conv2D(16, 1, name="wide")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="filter")(wide)
    x = keras.layers.Conv2D(4, 1, name="narrow")(x)
    both = keras.layers.Concatenate()([x, wide])
    assert expansion_blocks(keras.Model(image, both)) == ()
    assert len(expansion_blocks(keras.Model(image, x))) == 1
