import math
from typing import get_args

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichlite.errors import InputError, UnknownName
from ichlite.infer.decision import (
    AnyRule,
    Calibration,
    Rule,
    ScanRule,
    any_probability,
    calibrate,
    decide,
    scan_probability,
    slice_extents_mm,
    smooth,
)
from ichlite.labels import ANY, CLASSES, NAMES

LOGITS = arrays(
    np.float32,
    st.tuples(st.integers(1, 12), st.just(5)),
    elements=st.floats(-1000, 1000, width=32),
)
RULES = st.builds(
    Rule,
    neighbour_weights=st.sampled_from([(1.0,), (0.25, 0.5, 0.25), (0.1, 0.2, 0.4, 0.2, 0.1)]),
    any_rule=st.sampled_from(get_args(AnyRule)),
    scan_rule=st.sampled_from(get_args(ScanRule)),
)


def test_calibration_by_hand():
    calibration = Calibration(temperature=(2.0,) * 5, bias=(1.0,) * 5)
    p = calibrate(np.array([[3.0, 0.0, -2.0, 100.0, -4000.0]]), calibration)[0]
    assert p[0] == pytest.approx(1 / (1 + math.exp(-2.5)), abs=1e-15)
    assert p[1] == pytest.approx(1 / (1 + math.exp(-1)), abs=1e-15)
    assert p[2] == 0.5
    assert p[3] == pytest.approx(1.0, abs=1e-20)
    assert p[4] == 0.0


@given(LOGITS, RULES)
def test_probabilities_are_probabilities_and_any_is_never_below_a_subtype(logits, rule):
    decision = decide(logits, Calibration(), rule)
    for scores in (*decision.slices, decision.scan):
        assert set(scores) == set(CLASSES)
        assert all(0.0 <= scores[name] <= 1.0 for name in scores)
        assert scores[ANY] >= max(scores[name] for name in NAMES)
    assert decision.urgent == (decision.scan[ANY] >= rule.threshold(ANY))


@given(LOGITS, RULES)
def test_more_evidence_never_lowers_the_scan(logits, rule):
    before = decide(logits, Calibration(), rule).scan
    more = logits.copy()
    more[len(more) // 2] += 5.0
    after = decide(more, Calibration(), rule).scan
    assert all(after[name] >= before[name] - 1e-12 for name in before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_logit_that_is_no_number_is_an_error_and_never_a_negative(bad):
    logits = np.zeros((12, 5), np.float32)
    logits[7, 3] = bad
    with pytest.raises(InputError, match="no number"):
        decide(logits, Calibration(), Rule())


@pytest.mark.parametrize("shape", [(0, 5), (3, 4), (5,)])
def test_wrong_shapes_are_refused(shape):
    with pytest.raises(InputError, match="no decision"):
        decide(np.zeros(shape, np.float32), Calibration(), Rule())


def test_smoothing_by_hand():
    column = np.array([[1.0], [0.0], [0.0], [0.4]])
    smoothed = smooth(column, (0.25, 0.5, 0.25)).ravel()
    assert smoothed == pytest.approx([0.5 / 0.75, 0.25, 0.1, 0.2 / 0.75], abs=1e-15)


def test_smoothing_stops_at_a_break():
    column = np.array([[1.0], [0.0], [0.0], [0.4]])
    smoothed = smooth(column, (0.25, 0.5, 0.25), breaks=(0,)).ravel()
    assert smoothed == pytest.approx([1.0, 0.0, 0.1, 0.2 / 0.75], abs=1e-15)
    assert smooth(column, (0.25, 0.5, 0.25), breaks=(0, 1, 2)).tolist() == column.tolist()


@given(LOGITS, RULES, st.data())
def test_nothing_beyond_a_break_matters_to_a_slice(logits, rule, data):
    at = data.draw(st.integers(0, max(0, len(logits) - 2)))
    breaks = (at,) if len(logits) > 1 else ()
    parts = [logits[: at + 1], logits[at + 1 :]]
    alone = [row for part in parts if len(part) for row in decide(part, Calibration(), rule).slices]
    assert list(decide(logits, Calibration(), rule, breaks).slices) == alone


def test_smoothing_leaves_a_constant_and_a_single_slice_as_they_are():
    assert smooth(np.full((6, 5), 0.3), (0.25, 0.5, 0.25)) == pytest.approx(np.full((6, 5), 0.3))
    assert smooth(np.array([[0.7]]), (0.25, 0.5, 0.25)).tolist() == [[0.7]]


def test_weights_wider_than_the_scan():
    two = smooth(np.array([[0.0], [1.0]]), (0.1, 0.2, 0.4, 0.2, 0.1)).ravel()
    assert two == pytest.approx([0.2 / 0.6, 0.4 / 0.6])


def test_any_rules_by_hand():
    p = np.array([[0.2, 0.5, 0.0, 0.0, 0.0]])
    assert any_probability(p, "max").tolist() == [0.5]
    assert any_probability(p, "noisy_or") == pytest.approx([0.6])


def test_scan_rules_by_hand():
    column = np.array([[0.1], [0.9], [0.5], [0.4]])
    assert scan_probability(column, Rule(scan_rule="max")).tolist() == [0.9]
    top3 = Rule(scan_rule="top3_mean")
    assert scan_probability(column, top3) == pytest.approx([0.6])
    assert scan_probability(column[:2], top3) == pytest.approx([0.5])
    peak = Rule(scan_rule="peak", evidence_mm=10.0)
    assert scan_probability(column, peak) == pytest.approx([0.7])
    assert scan_probability(column, peak, np.array([5.0, 4.0, 3.0, 9.0])) == pytest.approx(
        [(0.9 * 4 + 0.5 * 3 + 0.4 * 3) / 10]
    )
    assert scan_probability(column, peak, np.full(4, 2.0)) == pytest.approx([column.mean()])
    together = Rule(scan_rule="noisy_or", evidence_mm=60.0)
    by_hand = 1 - (0.9 * 0.1 * 0.5 * 0.6) ** 0.5
    assert scan_probability(column, together, np.full(4, 30.0)) == pytest.approx([by_hand])
    assert scan_probability(column, together, np.full(4, 3.0)) == pytest.approx([by_hand])
    assert scan_probability(np.array([[1.0], [0.0]]), together).tolist() == [1.0]


def test_the_millimetres_that_a_slice_stands_for():
    assert slice_extents_mm([0, 2, 10], breaks=(1,)).tolist() == [2, 2, 2]
    assert slice_extents_mm([7.0]).tolist() == [5.0]
    assert slice_extents_mm([0, 0, 4], breaks=(0,)).tolist() == [4, 4, 4]


@pytest.mark.parametrize("name", ["peak", "noisy_or"])
@given(column=st.lists(st.floats(0, 1), min_size=2, max_size=20), parts=st.integers(2, 6))
def test_a_rule_by_length_says_the_same_of_a_head_in_thinner_slices(name, column, parts):
    thick = np.array(column)[:, None]
    thin = np.repeat(thick, parts, axis=0)
    places = np.arange(len(column)) * 5.0
    between = (np.arange(len(thin)) * 5.0) / parts
    one, other = (
        scan_probability(p, Rule(scan_rule=name, evidence_mm=15.0), slice_extents_mm(at))
        for p, at in ((thick, places), (thin, between))
    )
    assert one == pytest.approx(other, abs=1e-9)


def test_urgent_at_the_threshold_itself():
    rule = Rule(neighbour_weights=(1.0,), any_rule="max", scan_rule="max", thresholds={ANY: 0.5})
    assert decide(np.zeros((3, 5)), Calibration(), rule).urgent
    assert not decide(np.full((3, 5), -1e-6), Calibration(), rule).urgent


def test_unknown_rules_list_the_choices():
    with pytest.raises(UnknownName, match="max, noisy_or"):
        Rule(any_rule="sum")
    with pytest.raises(UnknownName, match="max, top3_mean, peak, noisy_or"):
        Rule(scan_rule="median")
