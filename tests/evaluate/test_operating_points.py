"""Thresholds: by Youden's rule, between two cases, 0.5 where there is nothing to choose by."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ichlite.evaluate.metrics import score_class
from ichlite.evaluate.operating_points import FALLBACK, thresholds, youden_threshold

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
