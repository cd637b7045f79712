"""What is special to each loss; the laws that all keep are in tests/test_contracts.py."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ichlite.errors import UnknownName, UsageError
from ichlite.train.losses import Focal, Ldam, bce, build_loss, focal, ldam, ldam_margins

LABELS = [[1, 0, 0, 1, 0], [0, 0, 0, 0, 1]]
LOGITS = [[2.0, -1.0, 0.0, 1.0, -3.0], [-0.5, 4.0, -2.0, 0.3, 0.1]]
PAPER_COUNTS = (2_709, 29_860, 21_586, 29_299, 38_864)


def test_margin_zero_is_bce() -> None:
    np.testing.assert_array_equal(ldam(LABELS, LOGITS, margins=[0.0] * 5), bce(LABELS, LOGITS))


def test_gamma_zero_is_bce() -> None:
    np.testing.assert_allclose(focal(LABELS, LOGITS, gamma=0.0), bce(LABELS, LOGITS), rtol=1e-7)


def test_alpha_half_is_half() -> None:
    half = focal(LABELS, LOGITS, alpha=0.5)
    np.testing.assert_allclose(half, np.asarray(focal(LABELS, LOGITS)) / 2, rtol=1e-6)


def test_alpha_weighs_each_subtype() -> None:
    # alpha 1: positives count whole, negatives not at all.
    loss = focal([[1, 0]], [[0.0, 0.0]], gamma=0.0, alpha=[1.0, 1.0])
    assert float(loss[0]) == pytest.approx(math.log(2) / 2, rel=1e-6)


def test_equation_1_worked_by_hand() -> None:
    # z = (2, -1), p = (1, 0), margins (0.5, 0.25):
    #   positive: -log sigmoid(2 - 0.5)      = log(1 + e^-1.5)  = 0.201413
    #   negative: -log sigmoid(-(-1 + 0.25)) = log(1 + e^-0.75) = 0.386871
    #   mean over the k = 2 subtypes         = 0.294142
    by_hand = (math.log1p(math.exp(-1.5)) + math.log1p(math.exp(-0.75))) / 2
    assert by_hand == pytest.approx(0.294142, abs=1e-6)
    assert float(ldam([[1, 0]], [[2.0, -1.0]], margins=[0.5, 0.25])[0]) == pytest.approx(by_hand)


def test_focal_worked_by_hand() -> None:
    # p = sigmoid(1) = 0.731059: (1 - p)^2 * -log p = 0.072329 * 0.313262 = 0.022658
    assert float(focal([[1]], [[1.0]], gamma=2.0)[0]) == pytest.approx(0.022658, abs=1e-6)


def test_margins_of_the_paper() -> None:
    margins = ldam_margins(PAPER_COUNTS)
    np.testing.assert_allclose(margins, [0.5, 0.2744, 0.2976, 0.2757, 0.2569], atol=5e-5)
    # C = max_margin * min(n)^(1/4), whatever the class.
    np.testing.assert_allclose(margins * np.power(PAPER_COUNTS, 0.25), 0.5 * 2_709**0.25)


def test_margin_is_larger_the_rarer() -> None:
    margins = ldam_margins([1, 16, 81, 256, 10_000], max_margin=1.0)
    np.testing.assert_allclose(margins, [1, 1 / 2, 1 / 3, 1 / 4, 1 / 10])


@pytest.mark.parametrize("counts", [[0, 1, 1, 1, 1], [[1, 2]], [-3, 1, 1, 1, 1]])
def test_no_margin_without_positives(counts: list[int]) -> None:
    with pytest.raises(UsageError, match="no margin"):
        ldam_margins(counts)


@pytest.mark.parametrize("function", [bce, focal, lambda y, z: ldam(y, z, margins=[0.1] * 5)])
def test_shapes_that_would_broadcast_are_refused(function) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(UsageError, match="do not fit"):
        function([1, 0], LOGITS)
    with pytest.raises(UsageError, match="do not fit"):
        function([[1, 0, 0, 1, 0]], LOGITS)


def test_margins_that_do_not_fit_are_refused() -> None:
    with pytest.raises(UsageError, match="margins"):
        ldam(LABELS, LOGITS, margins=[0.1, 0.2])
    with pytest.raises(UsageError, match="at least 0"):
        Ldam(margins=[-0.1] * 5)
    with pytest.raises(UsageError, match="gamma"):
        Focal(gamma=-1.0)


def test_build_loss_knows_its_names_only() -> None:
    assert build_loss("focal", positives=PAPER_COUNTS, gamma=1.5).gamma == 1.5
    np.testing.assert_allclose(
        build_loss("ldam", positives=PAPER_COUNTS).margins, ldam_margins(PAPER_COUNTS)
    )
    with pytest.raises(UnknownName, match="bce, focal, ldam"):
        build_loss("mse", positives=PAPER_COUNTS)
