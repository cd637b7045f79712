from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ichlite.ct.stack import slice_normal, stack_slices, without_slices
from ichlite.records import PixelLayout, SliceHeader

LAYOUT = PixelLayout("1.2.840.10008.1.2", 0, 512, 16, 16, 15, 1)
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)
TILTED = (1.0, 0.0, 0.0, 0.0, 0.9483237, -0.3173047)


def slices_at(positions, orientation=AXIAL, **values):
    normal = slice_normal(orientation)
    return [
        SliceHeader(
            f"{index}",
            "p",
            "1",
            "1.1",
            f"1.1.{index:03d}",
            16,
            16,
            LAYOUT,
            (0.5, 0.5),
            tuple(float(x) for x in normal * position),
            orientation,
            **values,
        )
        for index, position in enumerate(positions)
    ]


def stack(headers):
    return stack_slices(headers, lambda header: header.path)


def regular(count, step=5.0, start=0.0):
    return [start + step * index for index in range(count)]


SAID = {
    "patient_name": "ROE",
    "patient_birth_date": "19000101",
    "patient_sex": "F",
    "study_date": "19990101",
    "frame_of_reference_uid": "1.8",
    "kvp": 120.0,
    "convolution_kernel": "H31s",
    "rescale_slope": 1.0,
    "rescale_intercept": -1024.0,
}

GE_LIKE = [*regular(14, 4.0, -33.7), *regular(14, 7.0, 19.4)]
"""Two zones, thin below and thick above, with a short step between them, as the GE sample has."""


@pytest.mark.parametrize(
    "positions",
    [
        regular(30),
        regular(300, 0.625),
        GE_LIKE,
        GE_LIKE[::-1],
        [*regular(10, 2.5), *regular(20, 5.0, 27.5)],
        sorted([*regular(20), *regular(8, 5.0, 40.3)]),
        sorted([*regular(20), *regular(8, 5.0, 40.3), *regular(6, 5.0, 40.5)]),
        regular(2),
        [0.0],
    ],
)
@pytest.mark.parametrize("orientation", [AXIAL, TILTED])
def test_whole_scans_have_no_fault(positions, orientation):
    series = stack(slices_at(positions, orientation))
    assert (series.faults, series.defects) == ((), ())
    assert series.positions_mm == pytest.approx(sorted(positions), abs=1e-5)


@given(
    st.sampled_from([regular(30), GE_LIKE, regular(120, 1.25)]),
    st.data(),
)
def test_any_slice_missing_inside_a_zone_is_a_defect_and_a_break(positions, data):
    inside = [
        index
        for index in range(1, len(positions) - 1)
        if np.isclose(
            positions[index + 1] - positions[index], positions[index] - positions[index - 1]
        )
    ]
    lost = data.draw(st.sampled_from(inside))
    series = stack(slices_at(positions[:lost] + positions[lost + 1 :]))
    (defect,) = (one for one in series.defects if "too far" not in one)
    assert f"slices are missing after {positions[lost - 1]:.1f} mm" in defect
    assert lost - 1 in series.breaks
    assert series.faults == ()


def test_two_and_three_missing_slices_near_each_other_are_found():
    for lost in ({5, 7}, {5, 6}, {5, 7, 9}, {5, 9, 12}):
        positions = [one for index, one in enumerate(regular(30)) if index not in lost]
        assert stack(slices_at(positions)).defects


@given(st.permutations(range(12)))
def test_order_comes_from_positions_alone(order):
    headers = slices_at(regular(12), TILTED)
    shuffled = [replace(headers[index], path=f"other-{index}") for index in order]
    series = stack(shuffled)
    assert [one.instance_uid for one in series.slices] == [one.instance_uid for one in headers]
    assert series.positions_mm == stack(headers).positions_mm


def test_feet_come_first_whichever_way_the_columns_run():
    upside_down = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)
    series = stack(slices_at([10.0, 0.0, 5.0], upside_down))
    assert [one.image_position_mm[2] for one in series.slices] == [0.0, 5.0, 10.0]


def test_equal_positions_are_ordered_by_uid_then_content():
    first, second = slices_at([0.0, 0.0])
    assert stack([second, first]).slices == (first, second)
    twin = replace(first, path="0-twin")
    assert stack([twin, first]).slices == stack([first, twin]).slices == (first, twin)


def test_repeats_are_a_defect_and_no_neighbours():
    some = stack(slices_at([*regular(20), *regular(2)]))
    assert some.faults == ()
    assert some.defects == (
        "different images share a position, and all are judged; "
        "found 22 slices at 20 positions; expected one slice a position",
    )
    assert some.breaks == (0, 2)
    whole = stack(slices_at([*regular(20), *regular(18)]))
    assert whole.defects == (
        "the series holds two scans; found 38 slices at 20 positions; "
        "expected one slice a position",
    )


def test_slices_too_far_apart_are_a_defect_and_no_neighbours():
    far = stack(slices_at(regular(14, 10.0)))
    assert far.defects == ("the slices are too far apart; found 10 mm; expected at most 8",)
    assert far.breaks == tuple(range(13))
    near = stack(slices_at(regular(14, 8.0)))
    assert (near.defects, near.breaks) == ((), ())


def test_tissue_left_out_between_slices_is_a_defect():
    thin = stack(slices_at(regular(20), slice_thickness_mm=2.5))
    (defect,) = thin.defects
    assert "found a distance of 5.0 mm, more than the slices are thick" in defect
    assert thin.breaks == tuple(range(19))


@given(st.data())
def test_slices_that_are_taken_out_leave_gaps_and_no_new_neighbours(data):
    positions = sorted([*regular(20), *regular(3, 5.0, 40.0)])
    whole = stack(slices_at(positions))
    dropped = data.draw(st.sets(st.integers(0, len(positions) - 1), max_size=len(positions) - 1))
    left = without_slices(whole, dropped)
    kept = [index for index in range(len(positions)) if index not in dropped]
    assert left.positions_mm == tuple(whole.positions_mm[index] for index in kept)
    for index, (below, above) in enumerate(pairwise(kept)):
        are_neighbours = positions[above] - positions[below] == 5.0
        assert (index in left.breaks) != are_neighbours


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"patient_id": "q"}, "mixed patients in one series; found 2; expected 1"),
        ({"study_uid": "2"}, "mixed studies in one series; found 2; expected 1"),
        ({"patient_name": "DOE"}, "found 2 values of PatientName"),
        ({"patient_birth_date": "19010101"}, "found 2 values of PatientBirthDate"),
        ({"patient_sex": "M"}, "found 2 values of PatientSex"),
        ({"study_date": "20000101"}, "mixed study dates"),
        ({"frame_of_reference_uid": "1.9"}, "mixed frames of reference in one series; found 2"),
        ({"kvp": 100.0}, "mixed tube voltages in one series; found 2 (100 kV, 120 kV)"),
        ({"convolution_kernel": "H60s"}, "found 2 (H31s, H60s); expected 1"),
        ({"rescale_intercept": 0.0}, "mixed rescale values"),
        ({"rows": 32}, "mixed matrices in one series; found 2 (16x16, 32x16); expected 1"),
        ({"pixel_spacing_mm": (0.4, 0.4)}, "mixed pixel spacings"),
        ({"pixel_spacing_mm": None}, "mixed pixel spacings"),
        ({"image_orientation": TILTED}, "mixed orientations"),
        ({"image_orientation": None}, "mixed orientations"),
    ],
)
def test_each_mixture_is_a_fault_in_one_line(change, says):
    headers = slices_at(regular(20), **SAID)
    assert stack(headers).faults == ()
    headers[7] = replace(headers[7], **change)
    faults = stack(headers).faults
    assert any(says in fault for fault in faults)
    shown = "; ".join(faults)
    hidden = ("p, q", "DOE", "ROE", "1901", "1900", "20000101")
    assert not any(one in shown for one in hidden), "identities stay out of messages"


def test_without_positions_the_instance_number_orders():
    headers = [
        replace(header, image_position_mm=None, instance_number=9 - index)
        for index, header in enumerate(slices_at(regular(5)))
    ]
    series = stack(headers)
    assert series.slices == tuple(reversed(headers))
    assert series.positions_mm == ()
    assert series.slice_spacing_mm is None
    assert series.breaks == (0, 1, 2, 3)
    assert "the order of the slices is not known" in series.defects[0]
