"""Mixes and plans."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ichlite.errors import UnknownName
from ichlite.labels import NAMES
from ichlite.phantom.bleed_plan import BleedPlan
from ichlite.phantom.plans import BALANCES, draw_plan, mix_named, plan_of


def painted(plan: BleedPlan) -> set[str]:
    names = {surface.subtype for surface in plan.surfaces}
    names |= {"subdural"} if plan.sheets else set()
    names |= {"intraparenchymal"} if plan.blobs else set()
    names |= {"subarachnoid"} if plan.sulcal else set()
    return names | ({"intraventricular"} if plan.ventricular else set())


@settings(max_examples=60, deadline=None)
@given(st.sets(st.sampled_from(NAMES)), st.integers(0, 10_000))
def test_a_plan_has_exactly_the_bleeds_asked_for(names: set[str], seed: int) -> None:
    plan = plan_of(np.random.default_rng(seed), tuple(sorted(names)))
    assert painted(plan) == names


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000))
def test_sizes_and_values_are_those_of_blood(seed: int) -> None:
    plan = plan_of(np.random.default_rng(seed), NAMES)
    for surface in plan.surfaces:
        assert 2 <= surface.thickness_mm <= 28
        assert 12 <= surface.hu <= 82
        np.testing.assert_allclose(np.linalg.norm(surface.direction), 1, rtol=1e-6)
        if surface.subtype == "epidural":
            assert surface.hu >= 48
            assert max(surface.widths) < 0.75  # a lens ends at the sutures
    for blob in plan.blobs:
        assert 46 <= blob.hu <= 85
        assert max(blob.radii) < 50


@pytest.mark.parametrize("name", sorted(BALANCES))
def test_a_mix_sums_to_one(name: str) -> None:
    mix = mix_named(name)
    assert sum(share for _, share in mix) == pytest.approx(1, abs=1e-9)
    assert all(set(names) <= set(NAMES) for names, _ in mix)


def test_the_paper_has_no_patient_without_blood_and_few_epidurals() -> None:
    mix = mix_named("paper")
    assert all(names for names, _ in mix)
    assert sum(share for names, share in mix if "epidural" in names) < 0.06


def test_training_has_patients_without_blood() -> None:
    rng = np.random.default_rng(0)
    plans = [draw_plan(rng, mix_named("training")) for _ in range(400)]
    free = sum(not plan.names for plan in plans) / 400
    assert 0.18 < free < 0.34


def test_an_unknown_mix_lists_the_choices() -> None:
    with pytest.raises(UnknownName, match="paper, training"):
        mix_named("even")
