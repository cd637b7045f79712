"""The brain level of a scan: what it is of, and how slices are brought to one."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from ichlite.ct.brain_level import at_level, brain_level_hu, brain_noise_hu


def head(brain_hu: int) -> NDArray[np.int16]:
    hu = np.full((256, 256), -1000, np.int16)
    hu[40:216, 40:216] = 900
    hu[48:208, 48:208] = brain_hu
    return hu


@given(st.integers(0, 80), st.floats(0, 80))
def test_a_scan_at_a_level_has_that_level(brain_hu: int, wanted_hu: float) -> None:
    scan = np.stack([head(brain_hu)] * 3)
    level = brain_level_hu(scan)
    assert level == brain_hu
    moved = brain_level_hu(at_level(scan, level, wanted_hu))
    assert moved is not None
    assert abs(moved - wanted_hu) <= 0.5


def test_a_bleed_hardly_moves_the_level() -> None:
    scan = np.stack([head(30)] * 4)
    scan[:, 60:120, 60:120] = 70
    assert brain_level_hu(scan) == 30


def test_without_brain_inside_bone_there_is_no_level() -> None:
    assert brain_level_hu(np.full((2, 256, 256), 30, np.int16)) is None
    assert brain_level_hu(np.full((1, 256, 256), -1000, np.int16)) is None


def test_levelled_hu_stay_in_range() -> None:
    hu = np.array([[-1024, 3071, 0]], np.int16)
    assert at_level(hu, 0.0, 80.0).tolist() == [[-944, 3071, 80]]
    assert at_level(hu, 80.0, 0.0).tolist() == [[-1024, 2991, -80]]


@given(st.floats(1, 8))
def test_noise_is_measured_and_a_bleed_hardly_changes_it(spread_hu: float) -> None:
    scan = np.stack([head(40)] * 4)
    grain = np.random.default_rng(1).normal(0, spread_hu, scan.shape)
    scan[:, 48:208, 48:208] += np.rint(grain[:, 48:208, 48:208]).astype(np.int16)
    noise = brain_noise_hu(scan)
    assert noise is not None
    assert abs(noise - spread_hu) < 0.05 + 0.05 * spread_hu
    scan[0, 60:120, 60:120] += 30
    moved = brain_noise_hu(scan)
    assert moved is not None
    assert abs(moved - noise) < 0.1
    assert brain_noise_hu(np.full((2, 256, 256), 30, np.int16)) is None
