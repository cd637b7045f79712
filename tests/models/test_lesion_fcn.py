"""A lesion map, tied to the slice's logits by its maximum, on LightFCN's own layers."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from ichlite.errors import UsageError
from ichlite.models import build, lesion_fcn, light_fcn
from ichlite.models.from_hu import from_hu
from ichlite.models.outputs import has_lesion_map, slice_logits

SMALL = {"expansions": (8, 8, 8, 8), "width": 8, "head_width": 8}


def windows(count: int, size: int) -> np.ndarray:
    return np.random.default_rng(0).random((count, size, size, 3), np.float32)


def test_the_map_has_cells_of_eight_pixels_and_costs_some_hundred_weights() -> None:
    model = lesion_fcn()
    assert model.output["lesion_map"].shape == (None, 32, 32, 5)
    assert slice_logits(model.output).shape == (None, 5)
    assert 0 < model.count_params() - light_fcn().count_params() < 1000


def test_light_fcns_layers_are_all_there() -> None:
    def kinds(model: keras.Model) -> dict[str, list[tuple[int, ...]]]:
        return {one.name: [w.shape for w in one.weights] for one in model.layers if one.weights}

    paper, ours = kinds(light_fcn()), kinds(lesion_fcn())
    ours["logits"] = ours.pop("pooled_logits")
    assert paper.items() <= ours.items()
    assert set(ours) - set(paper) == {"map_fine", "map_deep", "map_gain"}


def test_slice_logits_are_pooled_ones_and_the_maps_maximum_times_the_gain() -> None:
    model = lesion_fcn(**SMALL, size=64)
    gains = np.array([0.0, 0.5, 1.0, 2.0, 3.0], np.float32)
    model.get_layer("map_gain").kernel.assign(gains)
    pooled = keras.Model(model.input, model.get_layer("pooled_logits").output)
    x = windows(3, 64)
    given = {key: np.asarray(value) for key, value in model(x).items()}
    strongest = given["lesion_map"].max(axis=(1, 2))
    np.testing.assert_allclose(given["logits"], pooled(x) + gains * strongest, atol=1e-5)


def test_the_gain_never_turns_negative() -> None:
    model = lesion_fcn(**SMALL, size=64, dropout=0.0)
    for layer in model.layers:
        layer.trainable = layer.name == "map_gain"
    model.compile(keras.optimizers.SGD(1.0), {"logits": "mse", "lesion_map": None})
    # Logits are too low, and the map's maximum is negative: the gain is pulled far below 0.
    model.train_on_batch(windows(2, 64), {"logits": np.full((2, 5), 40.0)})
    np.testing.assert_array_equal(model.get_layer("map_gain").kernel, 0.0)


def test_no_cell_claims_blood_at_first() -> None:
    first = np.asarray(lesion_fcn()(windows(1, 256))["lesion_map"])
    assert np.abs(first + 4).max() < 1


def test_crops_have_smaller_maps() -> None:
    model = lesion_fcn(**SMALL, size=None)
    for size in (64, 128):
        assert model(windows(2, size))["lesion_map"].shape == (2, size // 8, size // 8, 5)


def test_a_cell_lies_where_its_pixels_are() -> None:
    model = lesion_fcn(**SMALL, size=256)
    x = windows(1, 256)
    spot = x.copy()
    spot[0, 80:88, 200:208] += 5.0
    before, after = (np.asarray(model(one)["lesion_map"])[0] for one in (x, spot))
    fine = np.abs(after - before).max(axis=-1)
    row, column = np.unravel_index(fine.argmax(), fine.shape)
    assert abs(row - 10) <= 1
    assert abs(column - 25) <= 1


def test_hu_in_front_keeps_both_outputs() -> None:
    outer = from_hu(lesion_fcn(**SMALL))
    assert has_lesion_map(outer)
    given = outer.predict_on_batch(np.zeros((1, 256, 256), np.int16))
    assert given["lesion_map"].shape == (1, 32, 32, 5)


def test_a_model_without_a_map_says_so() -> None:
    assert not has_lesion_map(light_fcn(expansions=(8,)))


def test_too_few_blocks_are_refused() -> None:
    with pytest.raises(UsageError, match="3 or more"):
        build("lesion_fcn", expansions=(8, 8))
