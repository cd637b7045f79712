"""Where a lesion map marks blood, in words: slices, side and kind."""

from dataclasses import replace

import numpy as np
import pytest

from ichlite.infer.pipeline import read_paths
from ichlite.labels import CLASSES
from ichlite.write.marked import (
    MOST_TOLD,
    MarkedPlace,
    marked_cells,
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


def test_places_are_runs_of_slices_the_largest_first_and_end_at_gaps(scan):
    marked = np.zeros((28, 32, 32), bool)
    marked[3:6] = marked_at(slice(8, 10))
    marked[12:20] = marked_at(slice(22, 25))
    slices = [
        replace(one, probabilities={**dict.fromkeys(CLASSES, 0.1), "subdural": 0.9})
        if 12 <= at < 20
        else replace(one, probabilities={**dict.fromkeys(CLASSES, 0.1), "epidural": 0.2})
        for at, one in enumerate(scan.slices)
    ]
    scan = replace(scan, slices=tuple(slices))
    assert marked_places(scan, marked, HEAD, MARKS) == (
        MarkedPlace(12, 19, 96, "left", "subdural"),
        MarkedPlace(3, 5, 24, "right", "epidural"),
    )
    split = marked_places(replace(scan, breaks=(14,)), marked, HEAD, MARKS)
    assert [(one.first, one.last) for one in split] == [(15, 19), (12, 14), (3, 5)]


def test_more_places_than_are_told_are_counted():
    places = [MarkedPlace(n, n, 9 - n, "left", "epidural") for n in range(MOST_TOLD + 2)]
    assert marked_words(places).endswith("; 2 smaller places.")
    assert marked_words(places[: MOST_TOLD + 1]).endswith("; 1 smaller place.")
    assert "smaller" not in marked_words(places[:MOST_TOLD])


def test_bone_and_air_are_never_marked(scan):
    maps = np.full((28, 32, 32, 5), 9.0, np.float32)
    hu = np.full_like(scan.hu, 1000)
    hu[:, :128] = -1000
    hu[:, 128:136, :8] = 50
    found = marked_cells(replace(scan, activation_maps=maps, hu=hu))
    assert found.sum() == 28
    assert found[:, 16, 0].all()
    assert marked_cells(replace(scan, has_lesion_map=False)) is None
