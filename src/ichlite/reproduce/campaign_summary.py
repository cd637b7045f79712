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
"""What each metric is called in a sentence."""


def title_of(metric: str) -> str:
    """Return what a metric is called where a title begins.

    Example:
        >>> title_of("roc_auc"), title_of("balanced_accuracy")
        ('ROC AUC', 'Balanced accuracy')
    """
    return WORDS[metric][0].upper() + WORDS[metric][1:]


@dataclass(frozen=True, slots=True)
class Statistic:
    """One metric of one group.

    Attributes:
        mean: Over seeds; None where undefined or not run.
        interval: 95 % over redrawn patients, of the mean over seeds.
        by_seed: One number a seed where it is defined.
    """

    mean: float | None
    interval: Interval | None
    by_seed: tuple[float, ...]


NOT_RUN = Statistic(None, None, ())


@dataclass(frozen=True, slots=True)
class GroupResults:
    """The finished runs of one group.

    Attributes:
        group: Model, loss and epochs.
        results: By ascending seed; empty when none was run.
    """

    group: Group
    results: tuple[Result, ...]

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds of the finished runs."""
        return tuple(result.seed for result in self.results)

    def statistic(self, row: str, metric: str) -> Statistic:
        """Return a metric of a subtype, or of `mean`, over the seeds."""
        values = [result.value(row, metric) for result in self.results]
        defined = tuple(value for value in values if value is not None)
        if not defined:
            return NOT_RUN
        draws = self.draws(row, metric)
        return Statistic(
            float(np.mean(defined)), None if draws is None else interval(draws), defined
        )

    def draws(self, row: str, metric: str) -> NDArray[np.float64] | None:
        """Return the mean over seeds in each redraw of patients (draw,); None without redraws."""
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
        first, second: Names of what is compared: models or losses.
        metric: Key.
        seeds: What the seeds say.
        patients: 95 % interval of the difference over redrawn patients, both groups on the same.
    """

    first: str
    second: str
    metric: str
    seeds: Comparison
    patients: Interval | None


@dataclass(frozen=True, slots=True)
class Summary:
    """Everything that was measured, group by group.

    Attributes:
        models: Groups of Tables 2 and 3 by name of the model.
        losses: Groups of Table 5 by name of the loss.
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
    """Of a group in `results/summary.json`, what tells its runs: the epochs."""

    epochs: int


class KeptGroups(Document, frozen=True, kw_only=True):
    """The groups of `results/summary.json`: models and losses, by name."""

    models: Mapping[str, KeptGroup]
    losses: Mapping[str, KeptGroup]


@dataclass(frozen=True, slots=True)
class Measured:
    """Everything that the tables and claims are made of.

    Attributes:
        pieces: What is kept of each run, by its name.
        summary: The groups.
        costs: Of the paper's four models and of others in the grid, from `costs.measured_costs`.
        rsna: Studies of RSNA 2019; None where neither the store nor tables tell.
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
    """Measure a reproduction; `results/` gets the costs, the counts of RSNA 2019 and a summary.

    Args:
        outcomes: Those that are finished are measured.
        grid: They belong to.
        store: That was trained on.
        out: With `results/`.
        draws: Redraws of patients.
        rsna_tables: Folder of tables with RSNA 2019's studies.
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
    """Group results by the grid that they belong to; groups that were not run are empty."""
    by_seed = sorted(results, key=lambda one: one.seed)

    def gathered(group: Group) -> GroupResults:
        return GroupResults(group, tuple(one for one in by_seed if one.group == group))

    return Summary(
        models={group.model: gathered(group) for group in grid.models},
        losses={group.loss: gathered(group) for group in grid.losses},
    )


def grid_of(kept: KeptGroups) -> Grid:
    """Return the groups of another reproduction, without their runs."""
    return Grid(
        tuple(Group(name, MODEL_LOSS, one.epochs) for name, one in kept.models.items()),
        tuple(Group(LOSS_MODEL, name, one.epochs) for name, one in kept.losses.items()),
        (),
        (),
    )


def differences(
    groups: Mapping[str, GroupResults], metrics: Sequence[str] = METRICS
) -> tuple[Difference, ...]:
    """Compare every pair of groups in every metric of the mean; pairs without runs are left out."""
    pairs = ((metric, pair) for metric in metrics for pair in combinations(groups, 2))
    found = (difference(groups, *pair, metric) for metric, pair in pairs)
    return tuple(one for one in found if one is not None)


def difference(
    groups: Mapping[str, GroupResults], first: str, second: str, metric: str
) -> Difference | None:
    """Compare two groups by name in a metric of the mean; None when one was not run.

    Args:
        groups: By name; how much seeds differ is taken from all of them.
        first: Name of one.
        second: Name of the one that is taken from it.
        metric: Key.
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
    """Return a summary as JSON has it: mean over seeds, interval and each seed's number."""
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
