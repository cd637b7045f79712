"""Pointing game: hits counted by hand, volumes, and what is not asked."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.toy import make_store

from ichlite.evaluate.pointing import bleed_ml, maps_of, point, pointing, pointing_lines
from ichlite.labels import NAMES
from ichlite.models import lesion_fcn, light_fcn

SUBDURAL = 4


def maps_hot_at(*spots: tuple[int, int], side: int = 32) -> np.ndarray:
    maps = np.full((len(spots), side, side, 5), -9.0, np.float32)
    for number, (row, column) in enumerate(spots):
        maps[number, row, column, SUBDURAL] = 3.0
    return maps


def cells_at(*spots: tuple[int, int]) -> np.ndarray:
    cells = np.zeros((len(spots), 32, 32), np.uint8)
    for number, (row, column) in enumerate(spots):
        cells[number, row, column] = 1 << SUBDURAL
    return cells


@pytest.mark.parametrize(
    ("lesion", "on", "near"),
    [((10, 20), True, True), ((9, 21), False, True), ((12, 20), False, False)],
)
def test_on_the_bleed_beside_it_and_off_it(lesion: tuple[int, int], on: bool, near: bool) -> None:
    hit, close, shown = point(maps_hot_at((10, 20)), cells_at(lesion))
    assert (hit[0, 0], close[0, 0]) == (on, near)
    assert (hit[0, 1 + SUBDURAL], close[0, 1 + SUBDURAL]) == (on, near)
    assert shown[0].tolist() == [True, False, False, False, False, True]


@pytest.mark.parametrize("corner", [(0, 0), (0, 31), (31, 0), (31, 31)])
def test_the_edge_of_the_slice_does_not_wrap(corner: tuple[int, int]) -> None:
    opposite = (31 - corner[0], 31 - corner[1])
    hit, close, _ = point(maps_hot_at(corner), cells_at(opposite))
    assert not hit[0, 0]
    assert not close[0, 0]
    assert point(maps_hot_at(corner), cells_at(corner))[0][0, 0]


def test_a_map_of_another_subtype_may_point_for_any_only() -> None:
    maps = maps_hot_at((10, 20))
    maps[0, 5, 5, 0] = 9.0
    hit, _, _ = point(maps, cells_at((10, 20)))
    assert not hit[0, 0]
    assert hit[0, 1 + SUBDURAL]


def test_a_coarse_map_points_with_its_places_centre() -> None:
    hit, _, _ = point(maps_hot_at((1, 2), side=4), cells_at((12, 20)))
    assert hit[0, 0]
    assert not point(maps_hot_at((1, 2), side=4), cells_at((8, 16)))[1][0, 0]


def test_volume_adds_up_over_a_scan_and_not_over_two() -> None:
    cells = cells_at((1, 1), (2, 2), (3, 3))
    ml = bleed_ml(cells, np.array(["a", "a", "b"]), np.array([0.0, 10.0, 0.0]))
    cell_ml = 7.5**2 / 1000
    np.testing.assert_allclose(ml[:, 0], [2 * cell_ml * 10, 2 * cell_ml * 10, cell_ml * 5])
    np.testing.assert_allclose(ml[:, 1 + SUBDURAL], ml[:, 0])
    assert not ml[:, 1:5].any()


def test_only_known_bleeds_that_are_large_enough_are_asked_about(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=6)
    rows = np.arange(len(store))
    model = lesion_fcn(expansions=(8, 8, 8), width=8, head_width=8)
    found = pointing(model, store, rows, least_ml=0.0)
    assert found is not None
    assert found.any.slices == int((store.any > 0).sum())
    for k, name in enumerate(NAMES):
        hits = found.by_class[name]
        assert hits.slices == int(store.labels[:, k].sum())
        assert hits.strict <= hits.tolerant <= hits.slices
    none = pointing(model, store, rows, least_ml=1e6)
    assert none is not None
    assert none.any.slices == 0
    assert none.any.strict_share is None
    assert "| any | 0 | undefined | undefined |" in pointing_lines(none)
    assert pointing(model, store, rows[store.any == 0]) is None
    assert pointing(light_fcn(expansions=(8,), width=8), store, rows) is None


def test_a_perfect_map_hits_every_time(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=6)
    rows = np.flatnonzero(store.any > 0)
    cells = store.lesion_cells[rows]
    perfect = np.where(cells[..., None] >> np.arange(5) & 1, 5.0, -5.0).astype(np.float32)
    on, _, shown = point(perfect, cells)
    assert (on == shown).all()


def test_maps_come_in_the_order_of_the_rows(tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", patients=3)
    model = lesion_fcn(expansions=(8, 8, 8), width=8, head_width=8)
    both = maps_of(model, store, np.array([5, 0]))
    np.testing.assert_allclose(both[1], maps_of(model, store, np.array([0]))[0], atol=1e-5)
    assert both.shape == (2, 32, 32, 5)
