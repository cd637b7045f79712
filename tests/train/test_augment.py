"""Augmentation: moves and HU changes of the promised size, and nothing else."""

from __future__ import annotations

import numpy as np
import pytest

from ichlite.ct.tensor import HU_MIN
from ichlite.train import augment
from ichlite.train.augment import Augmenter, shift


@pytest.fixture(scope="module")
def augmenter() -> Augmenter:
    return Augmenter()


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


def test_seed_makes_the_change(augmenter: Augmenter) -> None:
    hu = np.stack([frame()] * 3)
    one, again = (augmenter(hu, np.random.default_rng(1)) for _ in range(2))
    np.testing.assert_array_equal(one, again)
    assert not np.array_equal(one[0], one[1])
    assert not np.array_equal(one, augmenter(hu, np.random.default_rng(2)))
    np.testing.assert_array_equal(hu[0], frame())


def test_hu_stay_near_and_in_range(augmenter: Augmenter) -> None:
    rng = np.random.default_rng(0)
    flat = np.full((64, 256, 256), 40, np.int16)
    inside = augmenter(flat, rng)[:, 80:176, 80:176].astype(float)
    means, noise = inside.mean(axis=(1, 2)), inside.std(axis=(1, 2))
    assert np.abs(means - 40).max() < augment.HU_OFFSET + 0.2
    assert means.std() > augment.HU_OFFSET / 4
    assert noise.max() < augment.MAX_NOISE_HU + 0.5
    assert noise.max() > augment.MAX_NOISE_HU / 2
    for level in (-1024, 3071):
        out = augmenter(np.full((8, 256, 256), level, np.int16), rng)
        assert out.dtype == np.int16
        assert out.min() >= -1024
        assert out.max() <= 3071


def test_the_head_stays_in_view(augmenter: Augmenter) -> None:
    moved = augmenter(np.stack([frame()] * 64), np.random.default_rng(5))
    pixels = (moved > -500).sum(axis=(1, 2)) / (40 * 80)
    zoom = (1 + augment.MAX_ZOOM) ** 2
    assert pixels.min() > 0.95 / zoom
    assert pixels.max() < 1.05 * zoom
    centre = np.array([np.mean(np.nonzero(m > -500), axis=1) for m in moved])
    distance = np.hypot(centre[:, 0] - 127.5, centre[:, 1] - 127.5)
    assert (
        distance.max() < np.hypot(48, 48) * (1 + augment.MAX_ZOOM) + 1.5 * augment.MAX_SHIFT_PIXELS
    )
    # Flips: some blocks end up right of the middle.
    assert 10 < (centre[:, 1] > 127.5).sum() < 54


def test_affine_turns_about_the_centre(monkeypatch: pytest.MonkeyPatch) -> None:
    class Fixed:
        def __init__(self, *values: object) -> None:
            self.values = list(values)

        def uniform(self, *_: object, **__: object) -> object:
            return self.values.pop(0)

    hu = frame()
    same = augment._affine(hu, Fixed(0.0, 0.0, (0.0, 0.0)))  # type: ignore[arg-type]
    np.testing.assert_array_equal(same, hu)
    down = augment._affine(hu, Fixed(0.0, 0.0, (5.0, 0.0)))  # type: ignore[arg-type]
    np.testing.assert_array_equal(down, shift(hu, 5, 0))
    turned = augment._affine(hu, Fixed(90.0, 0.0, (0.0, 0.0)))  # type: ignore[arg-type]
    assert np.abs(turned.astype(int) - np.rot90(hu, 1)).max() <= 1 or (
        np.abs(turned.astype(int) - np.rot90(hu, -1)).max() <= 1
    )
