"""The skull of a head that is only pixels: where its cavity is, and how the template lies there."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import ndimage

from ichlite.errors import SeriesError
from ichlite.phantom.real_head import RealHead
from ichlite.phantom.real_skull import BONE_HU, find_skull
from ichlite.phantom.subject import Subject


def test_the_cavity_holds_brain_and_no_air(quiet_head: RealHead) -> None:
    cavity, hu = quiet_head.skull.cavity, quiet_head.hu
    assert cavity.any((1, 2)).sum() >= 12
    assert 15 < np.median(hu[cavity]) < 45
    assert (hu[cavity] > BONE_HU).mean() < 0.02
    assert (hu[cavity] < -200).mean() < 0.001
    assert quiet_head.skull.fit_mm < 3
    assert ((quiet_head.skull.edge_mm < 0) == cavity).all()


def test_a_turned_head_is_laid_over_turned(phantom_with: Callable[..., Subject]) -> None:
    subject = phantom_with()
    straight = find_skull(subject.hu, subject.position_mm)
    turned_hu = ndimage.rotate(
        subject.hu, 20, axes=(1, 2), reshape=False, order=1, cval=-1000, mode="constant"
    )
    turned = find_skull(turned_hu, subject.position_mm)
    assert turned.fit_mm < 3

    def angle_deg(turn: np.ndarray) -> float:
        return float(np.degrees(np.arctan2(turn[2, 1] - turn[1, 2], turn[1, 1] + turn[2, 2])))

    change = abs(angle_deg(turned.view.turn) - angle_deg(straight.view.turn))
    assert change == pytest.approx(20, abs=5)


def test_without_a_skull_there_is_one_line() -> None:
    with pytest.raises(SeriesError, match="no closed skull"):
        find_skull(np.full((12, 256, 256), 30, np.int16), 5.0 * np.arange(12))


def test_a_box_of_bone_is_no_skull() -> None:
    box = np.full((30, 256, 256), -1000, np.int16)
    box[4:26, 30:226, 90:166] = 900
    box[5:25, 34:222, 94:162] = 30
    with pytest.raises(SeriesError, match="template head does not fit"):
        find_skull(box, 5.0 * np.arange(30))
