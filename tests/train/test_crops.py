"""Crops: half hold their lesion, half are free of any and inside the head."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.errors import StoreError
from ichlite.train.crops import CELL_PIXELS, CropSampler, corner

NO_CELLS = np.zeros((2, 32, 32), np.uint8)


@given(st.integers(-50, 300), st.integers(-50, 300), st.sampled_from([32, 64, 128, 256]))
def test_a_crop_lies_in_the_slice_and_on_its_cells(row: int, column: int, size: int) -> None:
    for first, wanted in zip(corner((256, 256), row, column, size), (row, column), strict=True):
        assert first % CELL_PIXELS == 0
        assert 0 <= first <= 256 - size
        if size // 2 <= wanted <= 256 - size // 2:
            assert 0 <= wanted - size // 2 - first < CELL_PIXELS


def test_lesions_are_in_view_wherever_they_are() -> None:
    rng = np.random.default_rng(0)
    spots = rng.integers(0, 256, (40, 2))
    hu = np.zeros((80, 256, 256), np.int16)
    hu[np.arange(40), spots[:, 0], spots[:, 1]] = 1000
    labels = np.zeros((40, 5), np.uint8)
    labels[:20, 2] = 1
    lesion = np.where(np.arange(40)[:, None] < 20, spots, np.nan).astype(np.float32)
    rows = np.arange(0, 40)
    cells = np.zeros((80, 32, 32), np.uint8)
    cells[np.arange(40), spots[:, 0] // 8, spots[:, 1] // 8] = 4
    sampler = CropSampler(labels, lesion, size=64)
    crops, crop_cells, images = sampler.batch(hu, cells, rows, 31, rng)
    assert crops.shape == (31, 64, 64)
    assert labels[images[:16]].tolist() == [[0, 0, 1, 0, 0]] * 16
    assert not labels[images[16:]].any()
    assert (crops[:16].reshape(16, -1).max(axis=1) == 1000).all()
    for crop, outlined in zip(crops[:16], crop_cells[:16], strict=True):
        assert np.argwhere(outlined == 4).tolist() == (np.argwhere(crop == 1000) // 8).tolist()


def test_rows_lead_to_the_store() -> None:
    hu = np.arange(10, dtype=np.int16)[:, None, None] * np.ones((1, 64, 64), np.int16)
    labels = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.uint8)
    lesion = np.array([[32, 32], [np.nan, np.nan]], np.float32)
    sampler = CropSampler(labels, lesion, size=32)
    cells = np.zeros((10, 8, 8), np.uint8)
    crops, _, images = sampler.batch(hu, cells, np.array([7, 3]), 2, np.random.default_rng(0))
    assert images.tolist() == [0, 1]
    assert crops[:, 0, 0].tolist() == [7, 3]


def test_negative_crops_are_centred_on_the_head() -> None:
    hu = np.full((2, 256, 256), -1024, np.int16)
    hu[1, 64:192, 64:192] = 30
    labels = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.uint8)
    sampler = CropSampler(labels, np.array([[9, 9], [np.nan] * 2], np.float32), size=32)
    crops, *_ = sampler.batch(hu, NO_CELLS, np.arange(2), 200, np.random.default_rng(0))
    hits = (crops[100:, 16, 16] > -200).mean()
    # A quarter of the frame is head: without aiming it would be 1/4, with 8 tries 0.9.
    assert hits > 0.75


def test_a_slice_above_the_head_still_gives_a_crop() -> None:
    hu = np.full((2, 256, 256), -1024, np.int16)
    labels = np.array([[1, 0, 0, 0, 0], [0, 0, 0, 0, 0]], np.uint8)
    sampler = CropSampler(labels, np.array([[9, 9], [np.nan] * 2], np.float32), size=32)
    crops, *_ = sampler.batch(hu, NO_CELLS, np.arange(2), 4, np.random.default_rng(0))
    assert (crops == -1024).all()


@pytest.mark.parametrize("labels", [np.ones((3, 5), np.uint8), np.zeros((3, 5), np.uint8)])
def test_both_kinds_of_slice_are_needed(labels: np.ndarray) -> None:
    with pytest.raises(StoreError, match="--crop-steps 0"):
        CropSampler(labels, np.full((3, 2), np.nan, np.float32), size=32)
