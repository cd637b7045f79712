"""The template head."""

from __future__ import annotations

import numpy as np
import pytest

from ichlite.phantom.atlas import BRAIN_BOX, HEAD_GRID, load_atlas


@pytest.mark.long
def test_the_brain_lies_in_the_cavity() -> None:
    atlas = load_atlas()
    depth = -atlas.cavity_mm[BRAIN_BOX]
    tissue = atlas.grey + atlas.white > 0.6
    assert tissue.sum() * 2 / 1000 > 1200  # cm³: the MNI brain is large
    assert (depth[tissue] > -1).mean() > 0.999


def test_the_head_is_wider_in_y_than_in_x_and_symmetric() -> None:
    atlas = load_atlas()
    inside = atlas.cavity_mm < 0
    y, x = (np.flatnonzero(inside.any(axes)).size for axes in ((0, 2), (0, 1)))
    assert 150 < y < 200
    assert 125 < x < 165
    right = inside[:, :, ::-1]
    assert (inside != right).mean() < 0.006  # voxels are 2 mm there


def test_the_ventricles_are_deep_and_near_the_middle() -> None:
    atlas = load_atlas()
    mask = atlas.ventricle > 0.5
    volume_ml = mask.sum() * 2 / 1000
    assert 12 < volume_ml < 45
    _, _, x = atlas.brain_grid.axes_mm()
    assert np.abs(x[np.flatnonzero(mask.any((0, 1)))]).max() < 45
    assert (atlas.grey + atlas.white)[atlas.ventricle == 1].max() == 0


def test_there_is_room_for_neck_and_scalp() -> None:
    z, y, x = HEAD_GRID.axes_mm()
    assert z[0] < -150
    assert z[-1] > 95
    assert y[-1] > 105
    assert x[-1] == -x[0] == 98
