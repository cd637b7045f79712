import numpy as np
import pytest

from ichlite.infer.decision import Calibration
from ichlite.infer.heatmap import LESION_LEVEL, above_level, heatmap


def hot_at(row, column, shape=(4, 4), subtype=2):
    activation = np.full((*shape, 5), -9.0, np.float32)
    activation[row, column, subtype] = 9.0
    return activation


@pytest.mark.parametrize("shape", [(4, 4), (8, 8), (2, 3), (1, 1)])
def test_the_hottest_pixel_is_over_the_hottest_place(shape):
    row, column = shape[0] - 1, shape[1] // 2
    warm = heatmap(hot_at(row, column, shape), Calibration(), 2)
    assert warm.shape == (256, 256)
    hottest = np.argwhere(warm == warm.max())
    rows = [(row * 256 / shape[0]) <= r < ((row + 1) * 256 / shape[0]) for r, _ in hottest]
    columns = [(column * 256 / shape[1]) <= c < ((column + 1) * 256 / shape[1]) for _, c in hottest]
    assert all(rows)
    assert all(columns)


def test_only_the_asked_subtype_and_by_default_the_largest():
    activation = hot_at(1, 1)
    assert heatmap(activation, Calibration(), 0).max() < 0.01
    assert np.array_equal(heatmap(activation, Calibration()), heatmap(activation, Calibration(), 2))


def test_values_are_probabilities_and_linear_between_centres():
    warm = heatmap(hot_at(1, 1), Calibration(), 2)
    assert warm.min() >= 0
    assert warm.max() <= 1
    # Centres of places lie at pixels 31.5, 95.5, 159.5 …; half-way between, half the value.
    assert warm[95, 127] == pytest.approx(0.5, abs=0.02)


def test_calibration_counts():
    cold = Calibration(bias=(-30.0,) * 5)
    assert heatmap(hot_at(1, 1), cold, 2).max() < 1e-6


def test_only_what_a_lesion_map_is_surer_of_than_the_level_is_shown():
    lesion_map = np.full((32, 32, 5), -3.0, np.float32)
    lesion_map[10, 20, 2] = 3.0
    shown = above_level(heatmap(lesion_map, Calibration(), 2))
    rows, columns = np.nonzero(shown)
    assert shown[rows, columns].min() >= LESION_LEVEL
    # Cell 10, 20 is pixels 80-87, 160-167; the level is crossed half-way to the next centres.
    assert 76 <= rows.min() < 84 <= rows.max() < 92
    assert 156 <= columns.min() < 164 <= columns.max() < 172
    assert not above_level(heatmap(lesion_map, Calibration(), 0)).any()
