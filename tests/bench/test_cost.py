"""Costs against the figures of facts computed elsewhere, and FLOPs against counting by hand."""

from __future__ import annotations

import keras
import pytest

from ichlite.bench.cost import cost
from ichlite.compress.model_cost import flops, one_slice
from ichlite.models import build


@pytest.mark.parametrize(
    ("name", "size", "mflops"),
    [
        ("light_fcn", 256, 187.9),
        ("light_fcn", 224, 143.8),
        ("sfcn", 256, 2_245.3),
        ("sfcn", 224, 1_719.0),
        ("mobilenet_v2", 224, 612.7),
    ],
)
def test_flops_are_those_of_the_paper_check(name: str, size: int, mflops: float) -> None:
    assert flops(one_slice(build(name, size=size), size)) / 1e6 == pytest.approx(mflops, abs=0.06)


def test_a_multiply_add_is_two() -> None:
    image = keras.Input(batch_shape=(1, 8, 8, 3))
    model = keras.Model(image, keras.layers.Conv2D(4, 3, padding="same", use_bias=False)(image))
    assert flops(model) == 2 * 8 * 8 * 3 * 3 * 3 * 4


def test_light_fcn_costs_what_the_paper_says() -> None:
    found = cost("light_fcn")
    assert (found.name, found.params) == ("light_fcn", 86_853)
    assert 187e6 < found.flops_256 < 190e6
    assert found.tflite_float32_bytes == pytest.approx(316_544, rel=0.002)
