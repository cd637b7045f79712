"""Compare two models on the same patients: differences, intervals, and whether it is chance."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ichlite.contracts.evaluation import Comparison, Difference
from ichlite.errors import InputError
from ichlite.evaluate.intervals import DRAWS, FEW_DRAWS, METRICS, interval, why_no_interval
from ichlite.evaluate.metrics import mean_defined, roc_auc
from ichlite.evaluate.predictions import Cases, Judged
from ichlite.evaluate.summary import MEAN, ROWS, redraw_cases
from ichlite.labels import CLASSES, NAMES

UNDEFINED = "undefined on these cases"


def compare(
    ours: Sequence[Judged],
    theirs: Sequence[Judged],
    *,
    model: str = "the other model",
    draws: int = DRAWS,
    seed: int = 0,
) -> Comparison:
    """Compare the ROC AUCs of two models on the same patients by a paired bootstrap.

    Args:
        ours: Judged cases of the first model, for each of its seeds.
        theirs: Judged cases of the other model; the numbers of seeds may differ.
        model: Name of the other model, for the report.
        draws: Number of bootstrap draws of patients, the same for both models.
        seed: Random seed of the draws.

    Returns:
        The differences, with intervals and p, by slice and by scan for each of `summary.ROWS`.

    Raises:
        InputError: The models were judged on different cases.

    Source:
        Two-sided p as in Efron and Tibshirani, An Introduction to the Bootstrap (1993), section
        16.4, with one draw added so that it is never 0.
    """
    everyone = [*ours, *theirs]
    for part in ("slices", "scans"):
        _check_same([getattr(judged, part) for judged in everyone], part)
    slices, scans = (
        _differences(
            [getattr(judged, part) for judged in ours],
            [getattr(judged, part) for judged in theirs],
            draws,
            seed,
        )
        for part in ("slices", "scans")
    )
    return Comparison(
        model=model, slices=slices, scans=scans, patients=ours[0].patients, draws=draws
    )


def _check_same(cases: Sequence[Cases], part: str) -> None:
    """Refuse models that judged different cases."""
    first = cases[0]
    for other in cases[1:]:
        if not (
            np.array_equal(first.labels, other.labels)
            and np.array_equal(first.patients, other.patients)
        ):
            raise InputError(
                f"the {part} of the two models are not the same",
                found=f"{len(first.labels)} and {len(other.labels)} {part}",
                expected="the same cases with the same labels and patients",
            )


def _differences(
    ours: Sequence[Cases], theirs: Sequence[Cases], draws: int, seed: int
) -> dict[str, Difference]:
    """Return the difference of each row, for slices or for scans."""
    one, other = (_aucs(cases) for cases in (ours, theirs))
    change = _redrawn(ours, draws, seed) - _redrawn(theirs, draws, seed)
    labels = ours[0].labels_of()
    found = {}
    for place, name in enumerate(ROWS):
        a, b = one[name], other[name]
        if a is None or b is None:
            found[name] = Difference(roc_auc=a, other_roc_auc=b, reason=UNDEFINED)
            continue
        truth = labels[name] if name in labels else labels[CLASSES[0]]
        reason = why_no_interval(truth, ours[0].patients).get("roc_auc")
        ends = None if reason else interval(change[:, place])
        found[name] = Difference(
            roc_auc=a,
            other_roc_auc=b,
            difference=a - b,
            interval=ends,
            p=None if ends is None else _two_sided(change[:, place]),
            reason=reason if ends or reason else FEW_DRAWS,
        )
    return found


def _aucs(seeds: Sequence[Cases]) -> dict[str, float | None]:
    """Return the ROC AUC of each row, the mean over seeds."""
    found: dict[str, float | None] = {}
    for name in CLASSES:
        values = [roc_auc(one.labels_of()[name], one.probabilities_of()[name]) for one in seeds]
        found[name] = mean_defined(values)
    return {**found, MEAN: mean_defined(found[name] for name in NAMES)}


def _redrawn(seeds: Sequence[Cases], draws: int, seed: int) -> NDArray[np.float64]:
    """Return the ROC AUC (draw, row) in each redraw, the mean over seeds."""
    half = dict.fromkeys(CLASSES, 0.5)
    aucs = [redraw_cases(one, half, draws, seed)[:, :, METRICS.index("roc_auc")] for one in seeds]
    return np.asarray(np.mean(np.stack(aucs), axis=0, dtype=np.float64))


def _two_sided(change: NDArray[np.float64]) -> float:
    """Return twice the share of redraws in which the difference is gone or turned round."""
    defined = change[~np.isnan(change)]
    rarer = min(int((defined <= 0).sum()), int((defined >= 0).sum()))
    return min(1.0, 2 * (rarer + 1) / (len(defined) + 1))
