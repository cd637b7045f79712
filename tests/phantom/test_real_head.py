"""What is measured of a head without blood: fluid, ventricles, level, noise."""

from __future__ import annotations

import numpy as np
import pytest

from ichlite.phantom.real_head import RealHead
from ichlite.phantom.scanner import grain_of, noise_like


def test_fluid_is_dark_and_ventricles_are_fluid(quiet_head: RealHead) -> None:
    head = quiet_head
    assert 15 < head.level < 45
    wet, dry = head.soft[head.fluid > 0.9], head.soft[(head.fluid == 0) & head.skull.cavity]
    assert wet.mean() < head.level - 12 < dry.mean()
    assert (head.ventricle <= head.fluid + 1e-6).all()
    assert (head.ventricle > 0.5).sum() > 100
    deep = head.skull.edge_mm[head.ventricle > 0.5]
    assert np.median(deep) < -25


def test_nothing_is_measured_outside_the_cavity(quiet_head: RealHead) -> None:
    outside = ~quiet_head.skull.cavity
    assert not quiet_head.fluid[outside].any()
    assert (quiet_head.noise > 0).all()
    assert np.isfinite(quiet_head.local).all()


@pytest.mark.parametrize("grain", [0.18, 0.25, 0.35])
def test_grain_is_read_off_noise(grain: float) -> None:
    from scipy import ndimage

    noise = noise_like(np.random.default_rng(7), 256, grain)
    rough = noise - ndimage.gaussian_filter(noise, 2.0)
    alike = float((rough[:, 1:] * rough[:, :-1]).mean() / (rough**2).mean())
    assert grain_of(alike) == pytest.approx(grain, abs=0.03)
