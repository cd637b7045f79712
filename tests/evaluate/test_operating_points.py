"""Thresholds: by Youden's rule, between two cases, 0.5 where there is nothing to choose by."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichlite.evaluate.metrics import score_class
from ichlite.evaluate.operating_points import (
    FALLBACK,
    LEAST,
    operating_thresholds,
    thresholds,
    youden_threshold,
)

few = st.sampled_from([0.0, 0.05, 0.3, 0.5, 0.7, 1.0])


@given(arrays(np.uint8, 20, elements=st.integers(0, 1)), arrays(np.float64, 20, elements=few))
def test_no_other_threshold_is_better(labels: np.ndarray, scores: np.ndarray) -> None:
    assume(0 < labels.sum() < len(labels))
    chosen = youden_threshold(labels, scores)
    assert 0 <= chosen <= 1

    def worth(threshold: float) -> float:
        found = score_class(labels, scores, threshold=threshold)
        return found.sensitivity + found.specificity

    best = max(worth(t) for t in [*np.unique(scores), 1.1])
    assert worth(chosen) >= best - 1e-9


def test_of_equals_the_most_sensitive() -> None:
    # Called at 0.9: 1/2 + 1; at 0.5: 1 + 1/2.
    assert youden_threshold([1, 0, 1, 0], [0.9, 0.7, 0.5, 0.1]) == 0.3


def test_one_class_alone_falls_back() -> None:
    assert youden_threshold([1, 1], [0.2, 0.3]) is None
    found = thresholds({"any": [1, 1], "subdural": [0, 1]}, {"any": [0.2, 0.3], "subdural": [0, 1]})
    assert found == {"any": FALLBACK, "subdural": 0.5}


unit = st.floats(0, 1) | few


@given(st.lists(st.tuples(st.integers(0, 1), unit), min_size=2, max_size=40))
def test_operating_points_keep_what_they_promise(cases: list[tuple[int, float]]) -> None:
    labels, scores = (np.array(column) for column in zip(*cases, strict=True))
    found = operating_thresholds(labels, scores)
    if labels.min() == labels.max():
        assert found is None
        return
    ordered = (found.high_sensitivity, found.balanced, found.high_specificity)
    assert 0 <= ordered[0] <= ordered[1] <= ordered[2] <= 1
    assert found.balanced == youden_threshold(labels, scores)
    at = [score_class(labels, scores, threshold=threshold) for threshold in ordered]
    assert at[0].sensitivity >= LEAST - 1e-9
    assert at[0].sensitivity >= at[1].sensitivity >= at[2].sensitivity
    assert at[0].specificity <= at[1].specificity <= at[2].specificity
    if scores.max() < 1:
        assert at[2].specificity >= LEAST - 1e-9
    # None that is as sensitive is more specific, unless Youden's is more sensitive still.
    every = [score_class(labels, scores, threshold=t) for t in [*np.unique(scores), 1.1]]
    fit = max(one.specificity for one in every if one.sensitivity >= LEAST - 1e-9)
    assert at[0].specificity == min(fit, at[1].specificity)
    if scores.max() < 1:
        fit = max(one.sensitivity for one in every if one.specificity >= LEAST - 1e-9)
        assert at[2].sensitivity == min(fit, at[1].sensitivity)


def test_neighbouring_floats_have_no_middle() -> None:
    low = 0.3
    high = float(np.nextafter(low, 1))
    threshold = youden_threshold([0, 1], [low, high])
    assert low < threshold <= high


def test_a_negative_of_probability_1_leaves_no_specific_point() -> None:
    found = operating_thresholds([0, 1, 0], [1.0, 0.5, 0.1])
    assert found.high_specificity == 1.0
