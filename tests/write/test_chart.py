import re
from dataclasses import replace

import pytest

from ichlite.infer.pipeline import read_paths
from ichlite.labels import ANY, CLASSES, SUBTYPES
from ichlite.write.chart import places, probability_chart, slice_ticks


@pytest.fixture(scope="module")
def scan(head_series):
    return read_paths([head_series]).studies[0]


def lines_of(chart, name):
    """The points of each line of a class."""
    paths = re.findall(f'class="line {name}" style="[^"]*" d="M([^"]*)"', chart)
    return [
        [tuple(map(float, point.removesuffix("h0").split())) for point in path.split("L")]
        for path in paths
    ]


def test_each_subtype_is_a_line_in_its_colour_inside_the_chart(scan):
    chart = probability_chart(scan, 0.5)
    for name in CLASSES:
        (points,) = lines_of(chart, name)
        assert [x for x, _ in points] == places(scan)
        expected = [100 * (1 - s.probabilities[name]) for s in scan.slices]
        assert [y for _, y in points] == pytest.approx(expected, abs=0.05)
    for subtype in SUBTYPES:
        assert f'class="line {subtype.name}" style="stroke:{subtype.colour}"' in chart
    assert chart.count('class="threshold"') == 1
    assert 'class="threshold"' not in probability_chart(scan, None)


def test_marked_slices_have_a_tick(scan):
    chart = probability_chart(scan, 0.5, [3, 9])
    ticks = re.findall('class="marked" d="M([^ ]*) ', chart)
    assert [float(x) for x in ticks] == [places(scan)[3], places(scan)[9]]
    assert "marked" not in probability_chart(scan, 0.5)


def test_places_ascend_inside_the_chart(scan):
    at = places(scan)
    assert len(at) == len(scan.slices)
    assert at == sorted(set(at))
    assert at[0] > 0
    assert at[-1] < 100


def test_a_gap_is_tinted_and_no_line_is_drawn_across_it(scan):
    chart = probability_chart(replace(scan, breaks=(0, 9)), 0.5)
    assert [len(run) for run in lines_of(chart, ANY)] == [1, 9, 18]
    gaps = re.findall('<rect class="gap" x="([^"]*)" width="([^"]*)"', chart)
    assert [float(x) for x, _ in gaps] == [places(scan)[0], places(scan)[9]]
    assert all(float(width) > 0 for _, width in gaps)


def test_a_scan_without_positions_or_with_one_slice_has_a_chart(scan):
    one = replace(scan, slices=scan.slices[:1], breaks=())
    assert places(one) == [50.0]
    nowhere = replace(
        scan, slices=tuple(replace(s, position_mm=None) for s in scan.slices), breaks=(3,)
    )
    for odd in (one, nowhere):
        chart = probability_chart(odd, 0.5)
        assert ">slice</span>" in chart
        assert "gap" not in chart
        assert "head" not in chart.partition("<svg")[2]  # nothing says which end is which
    assert "feet ← slice → head" in probability_chart(scan, 0.5)


def test_ticks_are_round_numbers_of_slices():
    for count in (1, 2, 7, 8, 9, 28, 36, 40, 41, 100, 333, 2000):
        ticks = slice_ticks(count)
        assert 1 <= len(ticks) <= 8
        assert ticks[0] == 1
        assert ticks == sorted(set(ticks))
        assert ticks[-1] <= count


def test_numbers_of_slices_stand_at_their_places(scan):
    chart = probability_chart(scan, 0.5)
    at = places(scan)
    shown = re.findall('<span class="x" style="left:([^%]*)%">([^<]*)<', chart)
    assert [int(number) for _, number in shown] == slice_ticks(len(at))
    assert [float(place) for place, _ in shown] == [at[int(n) - 1] for _, n in shown]
