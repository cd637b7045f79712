"""The gate: what may be lost, and that nothing known is no pass."""

from __future__ import annotations

import math

import pytest

from ichlite.compress.gate import FAILED, Drops, check
from ichlite.compress.settings import MEAN, Gate
from ichlite.errors import IchliteError, UsageError
from ichlite.labels import NAMES

BEFORE: dict[str, float | None] = dict.fromkeys((*NAMES, MEAN), 0.9)


@pytest.mark.parametrize(
    ("after", "passes"),
    [
        ({}, True),
        ({MEAN: 0.8951}, True),
        ({MEAN: 0.8949}, False),
        ({"epidural": 0.881}, True),
        ({"epidural": 0.879}, False),
        ({"epidural": 0.99, MEAN: 0.95}, True),
        ({"epidural": None}, True),
        ({MEAN: None}, False),
    ],
)
def test_what_may_be_lost(after: dict[str, float | None], passes: bool) -> None:
    drops = Drops(BEFORE, {**BEFORE, **after})
    if passes:
        check("small", drops, Gate())
        return
    with pytest.raises(IchliteError, match="the accuracy gate") as failure:
        check("small", drops, Gate())
    assert failure.value.code == FAILED
    assert failure.value.exit_code == 1


def test_a_gate_that_cannot_be_is_refused() -> None:
    for drop in (-0.1, 1.1, math.nan):
        with pytest.raises(UsageError):
            Gate(max_mean_drop=drop)
        with pytest.raises(UsageError):
            Gate(max_subtype_drop=drop)


def test_a_refusal_names_what_may_help() -> None:
    with pytest.raises(IchliteError) as failure:
        check("small", Drops(BEFORE, {**BEFORE, MEAN: 0.8}), Gate())
    for option in ("--steps", "--qat", "--max-auc-drop", "--max-subtype-drop"):
        assert option in str(failure.value)
