"""Where a lesion map marks blood, in words: slices, side and kind."""

from dataclasses import replace

import numpy as np
import pytest

from ichlite.infer.pipeline import read_paths
from ichlite.labels import CLASSES
from ichlite.write.marked import (
    MOST_TOLD,
    MarkedPlace,
    marked_places,
    marked_words,
    side_of,
)

HEAD = (0.1, 0.9, 0.2, 0.8)
MARKS = ("R", "L", "A", "P")


@pytest.fixture(scope="module")
def scan(head_series):
    (found,) = read_paths([head_series], keep_pixels=True).studies
    return replace(found, has_lesion_map=True)


def marked_at(columns, rows=slice(10, 14)):
    marked = np.zeros((32, 32), bool)
    marked[rows, columns] = True
    return marked


@pytest.mark.parametrize(
    ("columns", "side"),
    [
        (slice(8, 11), "right"),
        (slice(22, 25), "left"),
        (slice(15, 17), "middle"),
        ([9, 10, 22, 23], "both sides"),
        ([9, 10, 11, 12, 13, 22], "right"),
        (slice(0, 0), None),
    ],
)
def test_a_side_is_that_of_the_patient(columns, side):
    marked = marked_at(columns)
    assert side_of(marked, HEAD, MARKS) == side
    swapped = {"left": "right", "right": "left"}
    assert side_of(marked, HEAD, ("L", "R", "A", "P")) == swapped.get(side, side)
    assert side_of(marked, HEAD, None) is None
    assert side_of(marked, HEAD, ("A", "P", "L", "R")) is None


def test_a_head_that_lies_aside_has_its_own_middle():
    assert side_of(marked_at(slice(15, 17)), (0.1, 0.9, 0.4, 1.0), MARKS) == "right"


def places_of(scan, marked):
    maps = np.where(marked[..., None], 0.9, 0.1).astype(np.float32)
    return marked_places(scan, maps, HEAD, MARKS)


def certain(scan, kinds):
    """The scan with slices of these subtypes, by index: each is sure of its own."""
    slices = [
        replace(one, probabilities={**dict.fromkeys(CLASSES, 0.1), **kinds.get(at, {})})
        for at, one in enumerate(scan.slices)
    ]
    return replace(scan, slices=tuple(slices))


def test_places_are_cells_that_touch_the_largest_first_and_end_at_gaps(scan):
    marked = np.zeros((28, 32, 32), bool)
    marked[3:6] = marked_at(slice(8, 10))
    marked[12:20] = marked_at(slice(22, 25))
    marked[13] |= marked_at(slice(8, 10), slice(20, 22))  # another, in the same slice
    scan = certain(scan, {**{at: {"subdural": 0.9} for at in range(12, 20)}, 3: {"epidural": 0.6}})
    found = places_of(scan, marked)
    assert [(one.first, one.last, one.cells, one.side, one.subtype) for one in found] == [
        (12, 19, (12,) * 8, "left", "subdural"),
        (3, 5, (8,) * 3, "right", "epidural"),
        (13, 13, (4,), "right", "subdural"),
    ]
    assert found[0].centres == ((12.0, 23.5),) * 8
    split = places_of(replace(scan, breaks=(14,)), marked)
    assert [(one.first, one.last) for one in split] == [(15, 19), (12, 14), (3, 5), (13, 13)]


def test_cells_touch_by_a_corner_and_from_slice_to_slice(scan):
    marked = np.zeros((28, 32, 32), bool)
    marked[4, 10, 10] = marked[4, 11, 11] = marked[5, 12, 12] = marked[7, 12, 12] = True
    found = places_of(scan, marked)
    assert [(one.first, one.cells) for one in found] == [(4, (2, 1)), (7, (1,))]


def test_a_kind_is_that_of_the_slices_with_the_largest_marks_or_not_clear(scan):
    marked = np.zeros((28, 32, 32), bool)
    marked[3] = marked_at(slice(8, 9), slice(10, 11))
    marked[4] = marked_at(slice(6, 12))
    kinds = {3: {"epidural": 0.9}, 4: {"intraparenchymal": 0.5}}
    (found,) = places_of(certain(scan, kinds), marked)
    assert found.subtype == "intraparenchymal"
    (unclear,) = places_of(certain(scan, {}), marked)
    assert unclear.subtype is None
    assert unclear.words().endswith("of no clear kind")


def test_more_places_than_are_told_are_counted():
    places = [MarkedPlace(n, (9 - n,), ((1.0, 1.0),), "left", None) for n in range(MOST_TOLD + 2)]
    assert marked_words(places).endswith("; 2 smaller places.")
    assert marked_words(places[: MOST_TOLD + 1]).endswith("; 1 smaller place.")
    assert "smaller" not in marked_words(places[:MOST_TOLD])


def test_bone_and_air_are_never_marked(scan):
    maps = np.full((28, 32, 32, 5), 9.0, np.float32)
    hu = np.full_like(scan.hu, 1000)
    hu[:, :128] = -1000
    hu[:, 128:136, :8] = 50
    shown = replace(scan, activation_maps=maps, hu=hu).lesion_map
    assert (shown[:, 16, 0] > 0.99).all()
    (found,) = marked_places(scan, shown, HEAD, MARKS)
    assert found.cells == (1,) * 28
    assert replace(scan, has_lesion_map=False).lesion_map is None
