"""Features of slices: what the network computes, kept whole."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import keras
import numpy as np
import pytest
from tests.made_features import made_features
from tests.toy import make_store

from ichlite.data.feed import to_windows
from ichlite.errors import InputError
from ichlite.models import light_fcn
from ichlite.models.features import SliceFeatures, features_of, join_features
from ichlite.models.lesion_fcn import lesion_fcn
from ichlite.models.saved import predict

NARROW = {"expansions": (8, 8, 8), "width": 8, "head_width": 6}


def test_logits_follow_from_the_pooled_features(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=2)
    model = light_fcn(**NARROW)
    rows = np.array([7, 0, 3])
    found = features_of(model, store, rows)
    kernel, bias = model.get_layer("logits").get_weights()
    np.testing.assert_allclose(found.features @ kernel + bias, found.logits, atol=1e-5)
    np.testing.assert_allclose(found.logits, predict(model, store, rows), atol=1e-6)
    assert found.image.tolist() == store.image[rows].tolist()
    assert found.labels.tolist() == np.column_stack([store.any, store.labels])[rows].tolist()
    assert found.map_maxima.shape == (3, 0)


def test_a_lesion_map_gives_its_maxima(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=1)
    model = lesion_fcn(**NARROW)
    rows = np.arange(3)
    maps = np.asarray(model.predict_on_batch(to_windows(store.hu[rows]))["lesion_map"])
    found = features_of(model, store, rows)
    np.testing.assert_allclose(found.map_maxima, maps.max(axis=(1, 2)), atol=1e-5)


def test_scans_are_in_the_order_of_their_positions() -> None:
    table = made_features(scans=2, slices=8)
    turned = table.take(np.arange(len(table))[::-1])
    expected = [list(range(15, 7, -1)), list(range(7, -1, -1))]
    assert [scan.tolist() for scan in turned.scans()] == expected


def test_tables_are_kept_and_joined(tmp_path: Path) -> None:
    table = made_features(scans=2)
    path = tmp_path / "deep" / "table.npz"
    table.write(path)
    again = SliceFeatures.read(path)
    twice = join_features([table, again])
    assert len(twice) == 2 * len(table)
    for field in fields(SliceFeatures):
        assert np.array_equal(getattr(table, field.name), getattr(again, field.name))
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match="holds no features"):
        SliceFeatures.read(path)


def test_a_network_without_named_features_is_refused(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=1)
    image = keras.Input((256, 256, 3))
    pooled = keras.layers.GlobalAveragePooling2D()(image)
    other = keras.Model(image, keras.layers.Dense(5)(pooled))
    with pytest.raises(InputError, match="gives no features"):
        features_of(other, store, np.arange(2))
    with pytest.raises(InputError, match="0 slices"):
        features_of(light_fcn(**NARROW), store, np.arange(0))
