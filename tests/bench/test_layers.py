"""Layers and bounds against counting by hand, and peaks that are of one thread."""

from __future__ import annotations

import keras
import pytest
from tests.bench.documents import LAYERS, PEAKS

from ichlite.bench.layers import layers_of
from ichlite.bench.peaks import Peaks, bytes_per_s, flops_per_s
from ichlite.bench.roofline import bounds, roofline, simple_bound_ms
from ichlite.compress.graph import with_map
from ichlite.compress.model_cost import flops, one_slice
from ichlite.compress.quantize import to_tflite
from ichlite.errors import InputError
from ichlite.models import build


def test_a_layer_counted_by_hand() -> None:
    image = keras.Input(batch_shape=(1, 8, 6, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", bias_initializer="ones")(image)
    x = keras.layers.DepthwiseConv2D(3, padding="same", bias_initializer="ones")(x)
    x = keras.layers.MaxPooling2D(2)(x)
    content = to_tflite(keras.Model(image, x), "float32")
    conv, depthwise, pool = layers_of(content)
    assert (conv.kind, conv.output_shape) == ("CONV_2D", (1, 8, 6, 4))
    assert conv.flops == 8 * 6 * 4 * (2 * 3 * 3 * 3 + 1)
    assert (conv.input_bytes, conv.output_bytes) == (8 * 6 * 3 * 4, 8 * 6 * 4 * 4)
    assert conv.weight_bytes == (3 * 3 * 3 * 4 + 4) * 4
    assert conv.bytes == conv.input_bytes + conv.weight_bytes + conv.output_bytes
    assert depthwise.flops == 8 * 6 * 4 * (2 * 3 * 3 + 1)
    assert pool.flops == 4 * 3 * 4 * 4


def test_light_fcns_layers_are_its_graph() -> None:
    model = build("light_fcn")
    layers = layers_of(to_tflite(with_map(model), "float32"))
    kinds = [layer.kind for layer in layers]
    # The stem, two in each of five blocks, the head and the map; one depthwise a block.
    assert (kinds.count("CONV_2D"), kinds.count("DEPTHWISE_CONV_2D")) == (13, 5)
    assert (kinds.count("ADD"), kinds.count("MAX_POOL_2D"), kinds.count("MEAN")) == (5, 5, 1)
    # TensorFlow's profiler counts normalisation, which is folded here.
    counted = sum(layer.flops for layer in layers)
    assert 0.96 < counted / flops(one_slice(model, 256)) < 1


def test_what_cannot_be_counted_is_refused() -> None:
    image = keras.Input(batch_shape=(1, 8))
    model = keras.Model(image, keras.ops.sin(image))
    with pytest.raises(InputError, match="the operations of SIN cannot be counted"):
        layers_of(to_tflite(model, "float32"))


def test_a_bound_worked_by_hand() -> None:
    first, second = bounds(LAYERS, PEAKS)
    # 2 MFLOP at 1 GFLOP/s; 1000 bytes at 4 GB/s.
    assert (first.compute_ms, first.move_ms) == pytest.approx((2.0, 2.5e-4))
    # 4000 bytes do not fit where 4 GB/s were measured: 1 MB/s.
    assert (second.bytes_per_s, second.bound_ms) == (1e6, pytest.approx(4.0))
    assert (first.limit, second.limit) == ("operations", "bytes")
    # 2.001 MFLOP; 600 + 300 + 1000 bytes at 1 MB/s.
    assert simple_bound_ms(LAYERS, PEAKS) == pytest.approx(2.001)
    found = roofline(LAYERS, PEAKS, p50_ms=12.0, min_ms=8.0)
    assert (found["share"], found["share_of_quickest"]) == pytest.approx((0.5, 0.75))
    assert found["bound_ms"] == pytest.approx(sum(one["bound_ms"] for one in found["layers"]))


def test_larger_working_sets_than_measured_come_from_memory() -> None:
    assert PEAKS.bandwidth(1000) == 4e9
    assert PEAKS.bandwidth(9_000_000) == PEAKS.memory_bytes_per_s == 1e6


def test_the_better_of_two_measurements() -> None:
    best = PEAKS.best_with(Peaks(2e9, ((1000, 3e9), (8000, 2e6))))
    assert best == Peaks(2e9, ((1000, 4e9), (8000, 2e6)))


def test_peaks_are_possible(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ichlite.bench.peaks._SECONDS_EACH", 0.02)
    monkeypatch.setattr("ichlite.bench.peaks.SIDES", (256,))
    # A Raspberry Pi and the fastest core there is.
    assert 1e9 < flops_per_s() < 2e12
    assert 1e8 < bytes_per_s(2**20) < 2e12
