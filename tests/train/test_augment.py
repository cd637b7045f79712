"""Augmentation: moves and HU changes of the promised size, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ichlite.ct.tensor import HU_MIN
from ichlite.train.augment import (
    AIR_HU,
    BONE_HU,
    MILD,
    SCANNERS,
    Augmenter,
    Move,
    Strength,
    of_one_window,
    shift,
)


class Changed:
    """An augmenter of slices whose bleeds nobody outlined."""

    def __init__(self, strength: Strength) -> None:
        self.strength, self.augmenter = strength, Augmenter(strength)

    def __call__(self, hu: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        return self.augmenter(hu, np.zeros((len(hu), 32, 32), np.uint8), rng)[0]


@pytest.fixture(scope="module", params=[MILD, SCANNERS], ids=["mild", "scanners"])
def augmenter(request: pytest.FixtureRequest) -> Changed:
    return Changed(request.param)


def frame(value: int = 40) -> np.ndarray:
    """An asymmetric frame: a block up and left of the middle."""
    hu = np.full((256, 256), HU_MIN, np.int16)
    hu[60:100, 40:120] = value
    return hu


def test_shift_moves_by_whole_pixels_and_air_moves_in() -> None:
    moved = shift(frame(), 10, -7)
    np.testing.assert_array_equal(moved[70:110, 33:113], 40)
    assert (moved == 40).sum() == 40 * 80
    np.testing.assert_array_equal(shift(frame(), 0, 0), frame())


def test_seed_makes_the_change(augmenter: Changed) -> None:
    hu = np.stack([frame()] * 3)
    one, again = (augmenter(hu, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one, augmenter(hu, np.random.default_rng(2)))
    np.testing.assert_array_equal(hu[0], frame())


def test_hu_stay_near_and_in_range(augmenter: Changed) -> None:
    rng = np.random.default_rng(0)
    strength = augmenter.strength
    level = int(strength.pivot_hu)
    flat = np.full((64, 256, 256), level, np.int16)
    inside = augmenter(flat, rng)[:, 100:156, 100:156].astype(float)
    means, noise = inside.mean(axis=(1, 2)), inside.std(axis=(1, 2))
    # Coarse noise has a mean of its own over so few pixels.
    assert np.abs(means - level).max() < strength.offset_hu + 0.7
    assert means.std() > strength.offset_hu / 4
    assert noise.max() < strength.noise_hu + 0.7
    assert noise.max() > strength.noise_hu / 2
    for value in (-1024, 3071):
        out = augmenter(np.full((8, 256, 256), value, np.int16), rng)
        assert out.dtype == np.int16
        assert out.min() >= -1024
        assert out.max() <= 3071


def test_contrast_turns_about_the_brain() -> None:
    strength = Strength(0, 0.0, 0.0, 0.0, 0.0, (1.2, 1.2), 30.0, 0.0, scanner=False)
    hu = np.full((1, 64, 64), 30, np.int16)
    hu[:, 10:20] = 80
    out = Changed(strength)(hu, np.random.default_rng(0))
    assert np.unique(out).tolist() == [30, 90]


def test_the_head_stays_in_view(augmenter: Changed) -> None:
    strength = augmenter.strength
    moved = augmenter(np.stack([frame()] * 64), np.random.default_rng(5))
    pixels = (moved > -500).sum(axis=(1, 2)) / (40 * 80)
    zoom = 1 + strength.zoom
    assert pixels.min() > 0.95 * (1 - strength.zoom) ** 2
    assert pixels.max() < 1.05 * zoom**2
    centre = np.array([np.mean(np.nonzero(m > -500), axis=1) for m in moved])
    distance = np.hypot(centre[:, 0] - 127.5, centre[:, 1] - 127.5)
    assert distance.max() < np.hypot(48, 48) * zoom + 1.5 * strength.shift_pixels
    # Flips: some blocks end up right of the middle.
    assert 10 < (centre[:, 1] > 127.5).sum() < 54


def test_a_move_turns_about_the_centre() -> None:
    hu = frame()
    down = Move(False, 1e-9, 1.0, 5.0, 0.0).slice(hu)
    np.testing.assert_array_equal(down, shift(hu, 5, 0))
    turned = Move(False, 90.0, 1.0, 0.0, 0.0).slice(hu).astype(int)
    assert min(np.abs(turned - np.rot90(hu, k)).max() for k in (1, -1)) <= 1


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("degrees", [0.0, -18.0])
@pytest.mark.parametrize("zoom", [0.85, 1.15])
def test_cells_move_with_their_slice(flip: bool, degrees: float, zoom: float) -> None:
    hu = frame()
    cells = np.zeros((32, 32), np.uint8)
    cells[8:12, 5:15] = 0b101
    move = Move(flip, degrees, zoom, 9.0, -6.0)
    moved = move.slice(hu) > -500
    found = move.cells(cells)
    assert set(np.unique(found)) == {0, 0b101}
    share = moved.reshape(32, 8, 32, 8).mean(axis=(1, 3))
    assert (found[share > 0.9] != 0).all()
    assert (found[share < 0.05] == 0).all()


def test_one_window_keeps_what_it_shows_and_fills_in_the_rest() -> None:
    hu = np.full((256, 256), -1000, np.int16)
    hu[40:200, 40:200] = 60
    hu[40:48, 40:200] = 700
    hu[100:120, 100:120] = -90  # fat, all round which is tissue
    seen = of_one_window(hu)
    assert seen[0, 0] == AIR_HU
    assert seen[44, 100] == BONE_HU
    assert seen[150, 150] == 60
    assert seen[110, 110] == -20


def test_cells_that_nobody_outlined_stay_empty() -> None:
    hu, cells = np.stack([frame()] * 4), np.zeros((4, 32, 32), np.uint8)
    assert not Augmenter(SCANNERS)(hu, cells, np.random.default_rng(0))[1].any()
