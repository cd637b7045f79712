"""Bleeds in a head that had none: where they are, where nothing changes, and what is said of it."""

from __future__ import annotations

import numpy as np
import pytest

from ichlite.data.windowed import BONE_HU
from ichlite.labels import NAMES
from ichlite.phantom.bleed_plan import BleedPlan, Blob, Sheet, Surface, Ventricular
from ichlite.phantom.implant_bleeds import FALX_MM, Implanted, implant, settle
from ichlite.phantom.real_head import RealHead
from ichlite.phantom.subject import SEEN

EPIDURAL = Surface("epidural", (1.0, 0.0, 0.0), (0.5, 0.4), 16.0, 1.0, 65.0, 0.0)
PLANS = {
    "epidural": BleedPlan(surfaces=(EPIDURAL,)),
    "subdural": BleedPlan(
        surfaces=(Surface("subdural", (-0.9, 0.1, 0.42), (1.5, 0.8), 9.0, 0.4, 62.0, 0.0),)
    ),
    "intraparenchymal": BleedPlan(
        blobs=(Blob((28.0, 0.0, 10.0), (14.0, 14.0, 14.0), 0.0, 0.2, 65.0, 6.0, 0.4),)
    ),
    "intraventricular": BleedPlan(
        ventricular=(Ventricular(("left", "right"), 0.0, cast=True, hu=65.0),)
    ),
}


@pytest.fixture(scope="module")
def made(quiet_head: RealHead) -> dict[str, Implanted]:
    return {name: implant(quiet_head, plan, _rng()) for name, plan in PLANS.items()}


def _rng() -> np.random.Generator:
    return np.random.default_rng(3)


@pytest.mark.parametrize("name", sorted(PLANS))
def test_labels_masks_and_pixels_agree(
    name: str, made: dict[str, Implanted], quiet_head: RealHead
) -> None:
    one, column = made[name], NAMES.index(name)
    assert one.labels[:, column].sum() >= 2
    assert not np.delete(one.labels, column, 1).any()
    blood = one.shares[name] > SEEN
    rise = one.hu.astype(int) - quiet_head.hu
    assert rise[blood].mean() > 8
    assert (rise[blood] != 0).mean() > 0.9
    bleeding = one.labels.any(1)
    assert (one.lesion_cells.any((1, 2)) == bleeding).all()
    assert (np.isfinite(one.lesion).all(1) == bleeding).all()
    assert set(np.unique(one.lesion_cells)) <= {0, 1 << column}
    for k in np.flatnonzero(bleeding):
        row, col = (int(v) for v in one.lesion[k])
        assert blood[k, row, col]
        covered = blood[k].reshape(32, 8, 32, 8).any((1, 3))
        assert covered[one.lesion_cells[k] > 0].all()


@pytest.mark.parametrize("name", sorted(PLANS))
def test_nothing_outside_the_skull_changes(
    name: str, made: dict[str, Implanted], quiet_head: RealHead
) -> None:
    changed = made[name].hu != quiet_head.hu
    assert not changed[~quiet_head.skull.cavity].any()
    far = ~changed.any((1, 2))
    assert far.any()
    assert not made[name].labels[far].any()


def test_an_epidural_touches_the_bone_and_pushes_the_brain(
    made: dict[str, Implanted], quiet_head: RealHead
) -> None:
    one, skull = made["epidural"], quiet_head.skull
    k = int(np.argmax((one.shares["epidural"] > SEEN).sum((1, 2))))
    blood = one.shares["epidural"][k] > SEEN
    touching = blood & (skull.edge_mm[k] > -2) & (skull.edge_mm[k] < 0)
    rim = skull.cavity[k] & (skull.edge_mm[k] > -2)
    rows = np.flatnonzero(touching.any(1))
    side = np.arange(256) < 128 if np.nonzero(blood)[1].mean() < 128 else np.arange(256) >= 128
    lens = rim[rows[0] + 3 : rows[-1] - 2] & side
    assert touching[rows[0] + 3 : rows[-1] - 2][lens].mean() > 0.85
    pushed = (one.hu[k] != quiet_head.hu[k]) & ~(one.shares["epidural"][k] > 0)
    assert pushed.sum() > 200


def test_blood_settles_at_the_back_of_the_ventricles(quiet_head: RealHead) -> None:
    plan = BleedPlan(ventricular=(Ventricular(("left", "right"), -40.0, cast=False, hu=65.0),))
    one = implant(quiet_head, plan, _rng())
    blood = np.nonzero(one.shares["intraventricular"] > SEEN)[1]
    free = np.nonzero((quiet_head.ventricle > 0.7) & (one.shares["intraventricular"] < 0.1))[1]
    assert len(blood) > 20
    assert blood.min() > np.median(free)


def test_subarachnoid_blood_is_where_fluid_was(quiet_head: RealHead) -> None:
    from ichlite.phantom.bleed_plan import Sulcal

    cistern = Sulcal((0.0, 0.0, -16.0), (60.0, 60.0, 40.0), 62.0, 1.1, 0.1)
    one = implant(quiet_head, BleedPlan(sulcal=(cistern,)), _rng())
    blood = one.shares["subarachnoid"] > SEEN
    assert one.labels[:, NAMES.index("subarachnoid")].any()
    assert quiet_head.sulcal[blood].min() > 0.2
    assert quiet_head.soft[blood].mean() < quiet_head.level - 8


def test_same_seed_same_bytes(quiet_head: RealHead, made: dict[str, Implanted]) -> None:
    plan = PLANS["subdural"]
    again = implant(quiet_head, plan, _rng())
    assert again.hu.tobytes() == made["subdural"].hu.tobytes()
    assert again.lesion_cells.tobytes() == made["subdural"].lesion_cells.tobytes()
    other = implant(quiet_head, plan, np.random.default_rng(4))
    assert other.hu.tobytes() != again.hu.tobytes()


def test_known_hu_stay_in_their_range(quiet_head: RealHead) -> None:
    one = implant(quiet_head, PLANS["epidural"], _rng(), (10, 70))
    changed = one.hu[one.hu != quiet_head.hu]
    assert changed.size
    assert set(np.unique(changed)) <= {*range(10, 71), BONE_HU}


def test_what_cannot_be_put_truly_is_left_out(quiet_head: RealHead) -> None:
    sheets = (
        Sheet("tentorium", 1.0, 4.0, (-80.0, 0.0), 60.0),
        Sheet("falx", 1.0, 8.0, (-80.0, 0.0), 60.0),
    )
    plan = settle(BleedPlan(sheets=sheets), quiet_head)
    assert [(s.place, s.thickness_mm) for s in plan.sheets] == [("falx", FALX_MM)]
    assert settle(BleedPlan(sheets=sheets[:1]), quiet_head).empty


def test_subdurals_end_above_the_skull_base(quiet_head: RealHead) -> None:
    low = Surface("subdural", (0.8, 0.0, -0.6), (1.0, 1.2), 12.0, 0.4, 60.0, 0.0)
    (raised,) = settle(BleedPlan(surfaces=(low,)), quiet_head).surfaces
    height_deg = float(np.degrees(np.arcsin(raised.direction[2])))
    assert height_deg - float(np.degrees(np.arctan(raised.widths[1]))) >= -20.01
    assert np.linalg.norm(raised.direction) == pytest.approx(1)
    assert raised.direction[0] > 0
    assert settle(BleedPlan(surfaces=(EPIDURAL,)), quiet_head).surfaces == (EPIDURAL,)
