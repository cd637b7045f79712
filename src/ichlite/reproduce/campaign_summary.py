"""Measure what the runs of a grid have left: means over seeds with intervals, and differences."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.atomic_files import write_json
from ichlite.contracts.codec import Document
from ichlite.data.store import Store
from ichlite.evaluate.intervals import METRICS, Interval, interval
from ichlite.reproduce.campaign import Outcome
from ichlite.reproduce.campaign_plan import LOSS_MODEL, MODEL_LOSS, PAPER_MODELS, Grid, Group
from ichlite.reproduce.costs import Costs, measured_costs
from ichlite.reproduce.kept_runs import RESULTS, Piece, read_piece, result_path
from ichlite.reproduce.noise import Comparison, compare
from ichlite.reproduce.results import MEAN, ROWS, Result, results_of
from ichlite.reproduce.rsna_counts import RsnaCounts, rsna_counts

WORDS: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}
"""Name of each metric within a sentence, by key."""


def title_of(metric: str) -> str:
    """Return the name of a metric, capitalised for the start of a title.

    Example:
        >>> title_of("roc_auc"), title_of("balanced_accuracy")
        ('ROC AUC', 'Balanced accuracy')
    """
    return WORDS[metric][0].upper() + WORDS[metric][1:]


@dataclass(frozen=True, slots=True)
class Statistic:
    """One metric of one group of runs, over its seeds.

    Attributes:
        mean: Mean over seeds; None where undefined or not run.
        interval: 95 % interval of that mean over resampled patients; None without resampling.
        by_seed: Value of each seed for which it is defined.
    """

    mean: float | None
    interval: Interval | None
    by_seed: tuple[float, ...]


NOT_RUN = Statistic(None, None, ())


@dataclass(frozen=True, slots=True)
class GroupResults:
    """Results of the finished runs of one group.

    Attributes:
        group: Model, loss and epochs.
        results: Results by ascending seed; empty if none was run.
    """

    group: Group
    results: tuple[Result, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(result.seed for result in self.results)

    def statistic(self, row: str, metric: str) -> Statistic:
        """Return one metric of the group, over its seeds.

        Args:
            row: Name of a subtype, or `mean`.
            metric: Key of the metric.
        """
        values = [result.value(row, metric) for result in self.results]
        defined = tuple(value for value in values if value is not None)
        if not defined:
            return NOT_RUN
        draws = self.draws(row, metric)
        return Statistic(
            float(np.mean(defined)), None if draws is None else interval(draws), defined
        )

    def draws(self, row: str, metric: str) -> NDArray[np.float64] | None:
        """Return a metric's mean over seeds in each resampling of patients; None without any.

        Args:
            row: Name of a subtype, or `mean`.
            metric: Key of the metric.

        Returns:
            (draw,) float64.
        """
        drawn = [result.draws for result in self.results if result.draws is not None]
        if metric not in METRICS or not drawn or len(drawn) < len(self.results):
            return None
        if len({len(draws) for draws in drawn}) > 1:
            return None
        columns = [draws[:, ROWS.index(row), METRICS.index(metric)] for draws in drawn]
        return np.asarray(np.mean(np.stack(columns).astype(np.float64), axis=0))


@dataclass(frozen=True, slots=True)
class Difference:
    """Difference between two groups of runs in one metric, averaged over the subtypes.

    Attributes:
        first, second: Names of the two models or losses; the second is subtracted.
        metric: Key of the metric.
        seeds: Difference of the means, with an interval over seeds.
        patients: 95 % interval of the difference over resampled patients, the same for both groups.
    """

    first: str
    second: str
    metric: str
    seeds: Comparison
    patients: Interval | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Results of a reproduction, by group.

    Attributes:
        models: Groups of Tables 2 and 3, by name of the model.
        losses: Groups of Table 5, by name of the loss.
    """

    models: Mapping[str, GroupResults]
    losses: Mapping[str, GroupResults]

    def results(self) -> tuple[Result, ...]:
        """Return every result once."""
        found = {
            result.run: result
            for group in [*self.losses.values(), *self.models.values()]
            for result in group.results
        }
        return tuple(found.values())


class KeptGroup(Document, frozen=True, kw_only=True):
    """Entry of a group in `results/summary.json`, of which only the epochs are read."""

    epochs: int


class KeptGroups(Document, frozen=True, kw_only=True):
    """The groups of `results/summary.json`: models and losses, by name."""

    models: Mapping[str, KeptGroup]
    losses: Mapping[str, KeptGroup]


@dataclass(frozen=True, slots=True)
class Measured:
    """All results that tables and claims are made from.

    Attributes:
        pieces: Stored results of each run, by its name.
        summary: Results by group of runs.
        costs: Costs of the paper's four models, and of others in the grid.
        rsna: Counts of the studies of RSNA 2019; None if they are unknown.
    """

    pieces: Mapping[str, Piece]
    summary: Summary
    costs: Costs
    rsna: RsnaCounts | None


def measure_all(
    outcomes: Sequence[Outcome],
    grid: Grid,
    store: Store,
    out: Path,
    *,
    draws: int,
    rsna_tables: Path | None = None,
) -> Measured:
    """Evaluate the finished runs of a reproduction, and write costs and summary to `results/`.

    Args:
        outcomes: States of all planned runs; finished ones are evaluated.
        grid: Grid that the runs belong to.
        store: Store that was trained on.
        out: Folder of the reproduction.
        draws: Resamplings of patients for intervals.
        rsna_tables: Folder of tables of the studies of RSNA 2019; None for none.
    """
    results = out / RESULTS
    results.mkdir(parents=True, exist_ok=True)
    kept = {one.run.name: read_piece(result_path(out, one.run)) for one in outcomes if one.finished}
    pieces = {name: piece for name, piece in kept.items() if piece is not None}
    names = dict.fromkeys([*PAPER_MODELS, *(group.model for group in grid.models)])
    costs = measured_costs(list(names), results / "costs.json")
    rsna = rsna_counts(store, rsna_tables, results / "rsna.json")
    summary = summarise_runs(results_of(pieces.values(), draws=draws), grid)
    write_json(results / "summary.json", as_document(summary))
    return Measured(pieces, summary, costs, rsna)


def summarise_runs(results: Iterable[Result], grid: Grid) -> Summary:
    """Group results by the planned groups; a group that was not run is empty."""
    by_seed = sorted(results, key=lambda one: one.seed)

    def gathered(group: Group) -> GroupResults:
        return GroupResults(group, tuple(one for one in by_seed if one.group == group))

    return Summary(
        models={group.model: gathered(group) for group in grid.models},
        losses={group.loss: gathered(group) for group in grid.losses},
    )


def grid_of(kept: KeptGroups) -> Grid:
    """Return the groups of a stored reproduction as a grid, to compare it with another.

    Args:
        kept: Groups that were read from its `results/summary.json`.

    Returns:
        The groups alone; seeds and runs are empty.
    """
    return Grid(
        tuple(Group(name, MODEL_LOSS, one.epochs) for name, one in kept.models.items()),
        tuple(Group(LOSS_MODEL, name, one.epochs) for name, one in kept.losses.items()),
        (),
        (),
    )


def differences(
    groups: Mapping[str, GroupResults], metrics: Sequence[str] = METRICS
) -> tuple[Difference, ...]:
    """Return the difference of each pair of groups in each metric, averaged over the subtypes.

    Pairs of which one was not run are left out.

    Args:
        groups: Results of each group, by name.
        metrics: Keys of the metrics.
    """
    pairs = ((metric, pair) for metric in metrics for pair in combinations(groups, 2))
    found = (difference(groups, *pair, metric) for metric, pair in pairs)
    return tuple(one for one in found if one is not None)


def difference(
    groups: Mapping[str, GroupResults], first: str, second: str, metric: str
) -> Difference | None:
    """Return the difference of two groups in a metric, averaged over the subtypes.

    Args:
        groups: Results of each group, by name; the variance between seeds is pooled over all of
            them.
        first: Name of the one group.
        second: Name of the group that is subtracted.
        metric: Key of the metric.

    Returns:
        The difference; None if one of the groups was not run.
    """
    if first not in groups or second not in groups:
        return None
    by_seed = {name: group.statistic(MEAN, metric).by_seed for name, group in groups.items()}
    rest = [scores for name, scores in by_seed.items() if name not in (first, second)]
    seeds = compare(by_seed[first], by_seed[second], rest)
    if seeds is None:
        return None
    own, rival = groups[first].draws(MEAN, metric), groups[second].draws(MEAN, metric)
    over_patients = None
    if own is not None and rival is not None and len(own) == len(rival):
        over_patients = interval(own - rival)
    return Difference(first, second, metric, seeds, over_patients)


def as_document(summary: Summary) -> dict[str, object]:
    """Return a summary for JSON: each metric's mean over seeds, interval and values by seed."""
    return {
        kind: {
            name: {
                "epochs": group.group.epochs,
                "seeds": list(group.seeds),
                **{
                    row: {metric: group.statistic(row, metric) for metric in METRICS}
                    for row in ROWS
                },
            }
            for name, group in groups.items()
        }
        for kind, groups in (("models", summary.models), ("losses", summary.losses))
    }
