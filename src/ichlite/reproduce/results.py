"""Measure each seed from what its runs left: metrics with their redraws.

The folds of one seed are pooled: together they score every slice once, by a model that never saw
its patient.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from msgspec import UNSET, structs
from numpy.typing import NDArray
from scipy.special import expit

from ichlite.contracts.run import RunManifest
from ichlite.evaluate.intervals import redraw, with_mean
from ichlite.evaluate.metrics import all_negative_accuracy, mean_scores, score_class
from ichlite.labels import NAMES
from ichlite.reproduce.campaign_plan import Group
from ichlite.reproduce.kept_runs import Metrics, Piece, identity_of

MEAN = "mean"
ROWS: tuple[str, ...] = (*NAMES, MEAN)
"""Rows of the resampled metrics, in order."""
THRESHOLD = 0.5
"""Probability from which a slice is called positive, as in the paper."""
DRAWS_SEED = 0
"""Random seed for resampling patients, the same for all runs so that they can be compared."""


@dataclass(frozen=True, slots=True)
class Result:
    """Metrics of one seed, pooled over its folds.

    Attributes:
        run: Name of the run, without a fold.
        train: Manifest of the run; with folds, the positives of all.
        test: Metrics on the slices tested on.
        draws: Resampled metrics (draw, row, metric) of `evaluate.intervals.redraw`, rows as `ROWS`;
            None without resampling.
    """

    run: str
    train: RunManifest
    test: Metrics
    draws: NDArray[np.float32] | None = None

    @property
    def group(self) -> Group:
        """Model, loss and epochs of the run."""
        return identity_of(self.train)[0]

    @property
    def seed(self) -> int:
        """Random seed of the training runs."""
        return identity_of(self.train)[1]

    def value(self, row: str, metric: str) -> float | None:
        """Return one metric on the slices tested on; None where undefined.

        Args:
            row: Name of a subtype, or `mean`.
            metric: Key of the metric.
        """
        part = self.test.mean if row == MEAN else self.test.per_class[row]
        found: float | None = getattr(part, metric)
        return found


def results_of(pieces: Iterable[Piece], *, draws: int) -> tuple[Result, ...]:
    """Pool the folds of each seed and compute metrics; a seed that lacks a fold is left out.

    Args:
        pieces: Stored results of runs, of any seeds and groups.
        draws: Resamplings of the test patients for intervals; 0 for none.
    """
    of_seed: dict[tuple[Group, int], list[Piece]] = {}
    for piece in pieces:
        of_seed.setdefault(identity_of(piece.document.train), []).append(piece)
    return tuple(
        _result(found, draws)
        for found in of_seed.values()
        if len(found) == (found[0].fold_count or 1)
    )


def _result(pieces: Sequence[Piece], draws: int) -> Result:
    first = pieces[0].document
    if first.test is not UNSET:
        return Result(first.run, first.train, first.test, pieces[0].draws)
    scores = [piece.scores for piece in pieces if piece.scores is not None]
    labels = np.concatenate([one.labels for one in scores])
    probabilities = expit(np.concatenate([one.logits for one in scores]).astype(np.float64))
    patients = np.concatenate([one.patient for one in scores])
    per_class = {
        name: score_class(labels[:, i], probabilities[:, i], threshold=THRESHOLD)
        for i, name in enumerate(NAMES)
    }
    test = Metrics(
        slices=len(labels),
        patients=len(np.unique(patients)),
        all_negative_accuracy=all_negative_accuracy(labels),
        mean=mean_scores(per_class),
        per_class=per_class,
    )
    redrawn = None
    if draws:
        by_subtype = redraw(
            labels, probabilities, patients, draws=draws, seed=DRAWS_SEED, threshold=THRESHOLD
        )
        redrawn = with_mean(by_subtype)
    trained = [piece.document.train.data.train_positives for piece in pieces]
    positives = {name: sum(one[name] for one in trained) for name in NAMES}
    data = structs.replace(first.train.data, train_positives=positives)
    run = first.run.rsplit("-f", 1)[0] if pieces[0].fold_count else first.run
    return Result(run, structs.replace(first.train, data=data), test, redrawn)
