"""Metrics against scikit-learn, by hand, and where they do not exist."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics as sk

from ichlite.evaluate import metrics
from ichlite.evaluate.metrics import (
    NO_NEGATIVES,
    NO_POSITIVES,
    all_negative_accuracy,
    average_precision,
    mean_scores,
    precision_recall_curve,
    roc_auc,
    roc_curve,
    rsna_log_loss,
    score_class,
    validation_auc,
)
from ichlite.labels import NAMES

labels_of = arrays(np.uint8, 30, elements=st.integers(0, 1))
# Few distinct values, so that ties are the rule.
scores_of = arrays(np.float64, 30, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.9, 1.0]))


@given(labels_of, scores_of)
def test_curves_are_those_of_scikit_learn(labels: np.ndarray, scores: np.ndarray) -> None:
    assume(0 < labels.sum() < len(labels))
    assert roc_auc(labels, scores) == pytest.approx(sk.roc_auc_score(labels, scores))
    assert average_precision(labels, scores) == pytest.approx(
        sk.average_precision_score(labels, scores)
    )
    false, true, _ = sk.roc_curve(labels, scores, drop_intermediate=False)
    np.testing.assert_allclose(roc_curve(labels, scores), (false, true))
    precision, recall, _ = sk.precision_recall_curve(labels, scores)
    ours = precision_recall_curve(labels, scores)
    np.testing.assert_allclose(ours[0][::-1], recall[:-1])
    np.testing.assert_allclose(ours[1][::-1], precision[:-1])


@given(labels_of, scores_of)
def test_auc_turns_round_with_the_scores(labels: np.ndarray, scores: np.ndarray) -> None:
    assume(0 < labels.sum() < len(labels))
    assert roc_auc(labels, scores) == pytest.approx(1 - roc_auc(labels, -scores))
    assert roc_auc(labels, scores) == pytest.approx(roc_auc(labels, 3 * scores + 1))


def test_undefined_is_none_with_a_reason_and_never_a_half() -> None:
    none = score_class([0, 0, 0], [0.1, 0.5, 0.9])
    assert (none.roc_auc, none.average_precision, none.sensitivity) == (None, None, None)
    assert none.balanced_accuracy is None
    assert none.specificity == pytest.approx(1 / 3)
    assert set(none.undefined) == {
        "roc_auc", "average_precision", "sensitivity", "balanced_accuracy",
    }  # fmt: skip
    assert set(none.undefined.values()) == {NO_POSITIVES}
    every = score_class([1, 1], [0.1, 0.9])
    assert every.undefined["specificity"] == NO_NEGATIVES
    assert every.average_precision == 1.0
    assert roc_curve([1, 1], [0.1, 0.9]) is None
    assert precision_recall_curve([0, 0], [0.1, 0.9]) is None


@given(labels_of, scores_of, st.sampled_from([0.1, 0.3, 0.5]))
def test_confusion_at_the_threshold(
    labels: np.ndarray, scores: np.ndarray, threshold: float
) -> None:
    assume(0 < labels.sum() < len(labels))
    found = score_class(labels, scores, threshold=threshold)
    called = scores >= threshold
    assert found.sensitivity == pytest.approx(sk.recall_score(labels, called))
    assert found.specificity == pytest.approx(sk.recall_score(1 - labels, ~called))
    assert found.accuracy == pytest.approx(sk.accuracy_score(labels, called))
    assert found.balanced_accuracy == pytest.approx(sk.balanced_accuracy_score(labels, called))
    assert found.positives == labels.sum()


def test_mean_is_over_the_defined_and_says_so() -> None:
    good, bad = score_class([0, 1], [0.1, 0.9]), score_class([0, 0], [0.1, 0.9])
    both = mean_scores({"epidural": good, "subdural": bad})
    assert both.roc_auc == 1.0
    assert both.specificity == 0.75
    assert both.positives == 1
    assert both.undefined["roc_auc"] == "undefined for subdural"
    assert "specificity" not in both.undefined
    assert mean_scores({"subdural": bad}).roc_auc is None


def test_validation_auc_is_the_mean_of_the_defined() -> None:
    labels = np.zeros((4, 5), np.uint8)
    labels[:2, 0] = 1
    labels[0, 1] = 1
    logits = np.tile(np.array([3.0, 1.0, 2.0, 0.0])[:, None], (1, 5))
    found = validation_auc(labels, logits)
    assert found["epidural"] == 0.75
    assert found["intraparenchymal"] == 1.0
    assert found["subdural"] is None
    assert found["mean"] == pytest.approx(0.875)
    assert validation_auc(np.zeros((4, 5), np.uint8), logits)["mean"] is None


def test_all_negative_accuracy_of_the_papers_test_split() -> None:
    # Table 1: 24,636 slices; the paper's accuracies read against 89.90 %.
    positives = np.array([170, 2_957, 2_211, 2_969, 4_136])
    labels = np.zeros((24_636, 5), np.uint8)
    for column, count in enumerate(positives):
        labels[:count, column] = 1
    assert all_negative_accuracy(labels) == pytest.approx(0.8990, abs=5e-5)
    assert all_negative_accuracy(np.zeros((0, 5))) is None


def test_rsna_log_loss_weighs_any_twice_and_clips() -> None:
    sure_and_wrong = -np.log(1e-5)
    only_any = rsna_log_loss([[1, 0, 0, 0, 0, 0]], [[0.0, 0, 0, 0, 0, 0]])
    only_sub = rsna_log_loss([[0, 1, 0, 0, 0, 0]], [[0.0, 0, 0, 0, 0, 0]])
    assert only_any == pytest.approx(2 / 7 * sure_and_wrong, abs=1e-4)
    assert only_sub == pytest.approx(1 / 7 * sure_and_wrong, abs=1e-4)
    assert sum(metrics.RSNA_WEIGHTS.values()) == pytest.approx(1.0)
    assert list(metrics.RSNA_WEIGHTS) == ["any", *NAMES]


@pytest.mark.parametrize(
    ("labels", "scores"), [([0, 1], [0.1]), ([[0, 1]], [[0.1, 0.2]]), ([0, 1], [0.1, np.nan])]
)
def test_what_cannot_be_scored_is_refused(labels: list[int], scores: list[float]) -> None:
    with pytest.raises(ValueError, match=r"must be|not a number"):
        roc_auc(labels, scores)
