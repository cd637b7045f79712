"""Grids, smooth fields and shapes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.phantom.fields import Grid, blend, capsule, ellipsoid, smooth_noise, step, upsample

GRID = Grid((30, 40, 50), (-30.0, -20.0, -25.0), (2.0, 1.0, 1.0))


@given(st.integers(2, 9), st.integers(2, 40))
def test_linear_upsampling_keeps_a_ramp(knots: int, n: int) -> None:
    out = upsample(np.linspace(0, 1, knots).astype(np.float32), (n,))
    np.testing.assert_allclose(out, np.linspace(0, 1, n), atol=1e-5)


@given(st.integers(3, 9), st.integers(2, 40))
def test_smooth_upsampling_keeps_a_constant(knots: int, n: int) -> None:
    out = upsample(np.full((knots, 4), 2.5, np.float32), (n, 7), smooth=True)
    assert out.shape == (n, 7)
    np.testing.assert_allclose(out, 2.5, rtol=1e-5)


def test_axis_order_is_z_y_x() -> None:
    coarse = np.zeros((2, 2, 2), np.float32)
    coarse[1] = 1
    out = upsample(coarse, (5, 3, 4))
    assert out[-1].min() == 1
    assert out[0].max() == 0


def test_noise_is_seeded_and_of_about_unit_spread() -> None:
    one = smooth_noise(np.random.default_rng(1), (60, 60), (1.0, 1.0), 6.0)
    two = smooth_noise(np.random.default_rng(1), (60, 60), (1.0, 1.0), 6.0)
    np.testing.assert_array_equal(one, two)
    assert 0.6 < one.std() < 1.4


def test_an_ellipsoid_lies_where_it_should() -> None:
    box, distance = ellipsoid(GRID, (10.0, -5.0, 4.0), (6.0, 3.0, 8.0))
    inside = np.zeros(GRID.shape, bool)
    inside[box] = distance < 0
    z, y, x = GRID.mesh_mm()
    exact = ((x - 10) / 6) ** 2 + ((y + 5) / 3) ** 2 + ((z - 4) / 8) ** 2 < 1
    np.testing.assert_array_equal(inside, exact)


def test_a_turned_ellipsoid_points_the_other_way() -> None:
    _, along = ellipsoid(GRID, (0.0, 0.0, 0.0), (9.0, 2.0, 2.0))
    _, turned = ellipsoid(GRID, (0.0, 0.0, 0.0), (9.0, 2.0, 2.0), turn_deg=90)
    wide = (along < 0).any((0, 1)).sum(), (turned < 0).any((0, 1)).sum()
    assert wide[0] > 3 * wide[1]


def test_a_capsule_measures_distance_to_its_axis() -> None:
    box, distance = capsule(GRID, (0.0, 0.0, -10.0), (0.0, 0.0, 10.0), 3.0)
    z, y, x = GRID.mesh_mm(box)
    level = np.abs(z[:, 0, 0]) <= 10
    expected = np.hypot(x, y)[0] - 3
    for plane in distance[level]:
        np.testing.assert_allclose(plane, expected, atol=1e-4)


def test_shapes_outside_the_grid_are_empty() -> None:
    _, distance = ellipsoid(GRID, (500.0, 0.0, 0.0), (3.0, 3.0, 3.0))
    assert distance.size == 0


@pytest.mark.parametrize(("weight", "expected"), [(0.0, 10.0), (0.5, 30.0), (1.0, 50.0)])
def test_blend_mixes_in_place(weight: float, expected: float) -> None:
    hu = np.full(GRID.shape, 10, np.float32)
    box = GRID.box((0.0, 0.0, 0.0), (2.0, 2.0, 2.0))
    blend(hu, box, np.full(hu[box].shape, weight, np.float32), 50.0)
    assert hu[box].min() == hu[box].max() == expected
    assert hu[0, 0, 0] == 10


def test_step_is_a_ramp_of_the_given_width() -> None:
    out = step(np.array([-1, -0.5, 0, 0.5, 1], np.float32), 2.0)
    np.testing.assert_allclose(out, [1, 0.75, 0.5, 0.25, 0])
