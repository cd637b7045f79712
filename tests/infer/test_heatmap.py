import numpy as np
import pytest

from ichlite.infer.heatmap import LEAST_TISSUE, LESION_LEVEL, enlarged, holds_tissue


def hot_at(row, column, shape=(4, 4)):
    cells = np.zeros(shape, np.float32)
    cells[row, column] = 1.0
    return cells


@pytest.mark.parametrize("shape", [(4, 4), (8, 8), (2, 3), (1, 1)])
def test_the_hottest_pixel_is_over_the_hottest_place(shape):
    row, column = shape[0] - 1, shape[1] // 2
    warm = enlarged(hot_at(row, column, shape))
    assert warm.shape == (256, 256)
    hottest = np.argwhere(warm == warm.max())
    rows = [(row * 256 / shape[0]) <= r < ((row + 1) * 256 / shape[0]) for r, _ in hottest]
    columns = [(column * 256 / shape[1]) <= c < ((column + 1) * 256 / shape[1]) for _, c in hottest]
    assert all(rows)
    assert all(columns)


def test_values_are_linear_between_centres():
    warm = enlarged(hot_at(1, 1))
    assert warm.min() >= 0
    assert warm.max() <= 1
    # Centres of places lie at pixels 31.5, 95.5, 159.5 …; half-way between, half the value.
    assert warm[95, 127] == pytest.approx(0.5, abs=0.02)


def test_what_reaches_the_level_lies_around_its_cell():
    cells = np.full((32, 32), 0.05, np.float32)
    cells[10, 20] = 0.95
    rows, columns = np.nonzero(enlarged(cells) >= LESION_LEVEL)
    # Cell 10, 20 is pixels 80-87, 160-167; the level is crossed half-way to the next centres.
    assert 76 <= rows.min() < 84 <= rows.max() < 92
    assert 156 <= columns.min() < 164 <= columns.max() < 172


def test_cells_of_bone_and_air_hold_no_tissue_and_those_at_the_inner_table_do():
    hu = np.full((2, 256, 256), -1000, np.int16)
    hu[0, :, 128:] = 1200
    hu[1] = 60
    hu[1, :, ::8] = 1200
    found = holds_tissue(hu, 32, 32)
    assert found.shape == (2, 32, 32)
    assert not found[0].any()
    assert found[1].all()
    hu[0, :, 128:136] = 1200
    blood_columns = int(np.ceil(8 * LEAST_TISSUE))
    hu[0, :, 128 : 128 + blood_columns] = 70
    assert holds_tissue(hu, 32, 32)[0, :, 16].all()
