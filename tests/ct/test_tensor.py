from fractions import Fraction
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.dicom_files import head_slice, write_ct_slice, write_head_series

from ichlite.ct.series import find_series
from ichlite.ct.tensor import GRID, HU_MAX, HU_MIN, model_input, read_slice, read_volume, resize_hu
from ichlite.ct.windows import PAPER_WINDOWS, apply_windows
from ichlite.errors import SeriesError, UsageError
from ichlite.records import Series


def random_hu(rows, columns, seed):
    return (
        np.random.default_rng(seed).integers(HU_MIN, HU_MAX + 1, (rows, columns)).astype(np.int16)
    )


def exact_cell(hu, row, column):
    """One cell of the grid by exact fractions: the definition, written as slowly as it reads."""
    rows, columns = hu.shape
    side = max(rows, columns)
    top, left = (side - rows) // 2, (side - columns) // 2
    scale = Fraction(side, GRID)

    def shares(index):
        start, stop = index * scale, (index + 1) * scale
        return {
            pixel: min(stop, pixel + 1) - max(start, Fraction(pixel))
            for pixel in range(int(start), -int(-stop // 1))
        }

    total = Fraction(0)
    for (i, share_i), (j, share_j) in product(shares(row).items(), shares(column).items()):
        inside = 0 <= i - top < rows and 0 <= j - left < columns
        total += share_i * share_j * (int(hu[i - top, j - left]) if inside else HU_MIN)
    return (total / scale**2 + Fraction(1, 2)) // 1


@settings(max_examples=60, deadline=None)
@given(st.integers(16, 700), st.integers(16, 700), st.integers(0, 2**32 - 1))
def test_any_shape_equals_the_exact_area_average(rows, columns, seed):
    hu = random_hu(rows, columns, seed)
    grid = resize_hu(hu)
    assert grid.shape == (GRID, GRID)
    assert grid.dtype == np.int16
    for row, column in np.random.default_rng(seed).integers(0, GRID, (12, 2)):
        assert grid[row, column] == exact_cell(hu, int(row), int(column))


@pytest.mark.parametrize("side", [256, 512, 768, 1024])
def test_whole_number_paths_equal_the_exact_area_average(side):
    hu = random_hu(side, side, side)
    grid = resize_hu(hu)
    for row, column in np.random.default_rng(0).integers(0, GRID, (200, 2)):
        assert grid[row, column] == exact_cell(hu, int(row), int(column))


@pytest.mark.parametrize("side", [256, 512, 768, 400])
def test_how_an_image_lies_in_memory_does_not_matter(side):
    hu = random_hu(side, side, side)
    expected = resize_hu(hu)
    every_second = np.repeat(hu, 2, axis=1)[:, ::2]
    for same in (np.asfortranarray(hu), hu[::-1, ::-1].copy()[::-1, ::-1], every_second):
        assert np.array_equal(same, hu)
        assert np.array_equal(resize_hu(same), expected)


@pytest.mark.parametrize("side", [512, 768, 400])
@pytest.mark.parametrize("value", [HU_MIN, -1, 0, HU_MAX])
def test_a_constant_image_stays_constant_at_the_ends_of_the_range(side, value):
    assert np.all(resize_hu(np.full((side, side), value, np.int16)) == value)


def test_halves_round_up_below_zero_too():
    block = np.array([[-1, -1], [-2, -2]], np.int16)
    assert np.all(resize_hu(np.tile(block, (256, 256))) == -1)


def test_rows_stay_rows_and_columns_columns():
    hu = np.full((512, 512), HU_MIN, np.int16)
    hu[100:104, 400:420] = 500
    rows, columns = np.nonzero(resize_hu(hu) == 500)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (50, 51, 200, 209)


def test_a_wide_image_is_padded_above_and_below_not_stretched():
    grid = resize_hu(np.zeros((256, 512), np.int16))
    assert np.all(grid[:64] == HU_MIN)
    assert np.all(grid[64:192] == 0)
    assert np.all(grid[192:] == HU_MIN)


@pytest.mark.parametrize(
    "wrong", [np.zeros((4, 4), np.float32), np.zeros(16, np.int16), np.zeros((0, 4), np.int16)]
)
def test_what_is_no_image_is_refused(wrong):
    with pytest.raises(UsageError, match="resized"):
        resize_hu(wrong)


def test_model_input_is_the_windows_of_the_paper():
    hu = random_hu(GRID, GRID, 5)
    np.testing.assert_array_equal(model_input(hu), apply_windows(hu, PAPER_WINDOWS))
    np.testing.assert_array_equal(model_input(hu[None])[0], model_input(hu))


def test_model_input_refuses_another_grid():
    with pytest.raises(UsageError, match="grid"):
        model_input(np.zeros((512, 512), np.int16))


def test_volume_axes_are_slice_row_column(tmp_path):
    for index in range(3):
        pixels = np.full((256, 256), -1000, np.int16)
        pixels[10 + index, 200] = 700
        write_ct_slice(
            tmp_path / str(index),
            pixels,
            SOPInstanceUID=f"1.2.{index}",
            ImagePositionPatient=[0.0, 0.0, 5.0 * index],
        )
    (series,), _ = find_series([tmp_path])
    volume = read_volume(series)
    assert volume.hu.shape == (3, GRID, GRID)
    assert [tuple(map(int, np.argwhere(one == 700)[0])) for one in volume.hu] == [
        (10, 200),
        (11, 200),
        (12, 200),
    ]


def test_volume_is_its_slices_and_names_each_repair_once(tmp_path):
    write_head_series(
        tmp_path,
        4,
        PixelRepresentation=0,
        BitsStored=12,
        HighBit=11,
        PixelData=((head_slice(0.5).astype(int) + 24) % 4096).astype("<u2").tobytes(),
    )
    (series,), _ = find_series([tmp_path])
    volume = read_volume(series)
    assert volume.notes == (
        "12-bit values were stored 1000 too low and wrapped; repaired (4 of 4 slices)",
    )
    for header, hu in zip(series.slices, volume.hu, strict=True):
        np.testing.assert_array_equal(read_slice(header)[0], hu)


def test_an_empty_series_is_refused():
    with pytest.raises(SeriesError, match="0 slices"):
        read_volume(Series("1", "1.1", "p", (), (), None))
