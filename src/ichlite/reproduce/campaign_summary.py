"""Each group's mean over seeds with its intervals, and differences of groups."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.evaluate.intervals import METRICS, Interval, interval
from ichlite.reproduce.campaign_plan import LOSS_MODEL, MODEL_LOSS, Grid, Group
from ichlite.reproduce.noise import Comparison, compare
from ichlite.reproduce.results import ROWS, Result

MEAN = "mean"


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
        """Of the finished runs."""
        return tuple(result.seed for result in self.results)

    def statistic(self, row: str, metric: str) -> Statistic:
        """Subtype or `mean`, and a metric of a result → its statistic over the seeds."""
        values = [result.value(row, metric) for result in self.results]
        defined = tuple(value for value in values if value is not None)
        if not defined:
            return NOT_RUN
        draws = self.draws(row, metric)
        return Statistic(
            float(np.mean(defined)), None if draws is None else interval(draws), defined
        )

    def draws(self, row: str, metric: str) -> NDArray[np.float64] | None:
        """The mean over seeds in each redraw of patients (draw,); None without redraws."""
        arrays = [result.draws for result in self.results]
        if metric not in METRICS or not arrays:
            return None
        columns = [
            array[:, ROWS.index(row), METRICS.index(metric)]
            for array in arrays
            if array is not None
        ]
        if len(columns) < len(arrays) or len({len(column) for column in columns}) > 1:
            return None
        return np.asarray(np.mean(np.stack(columns).astype(np.float64), axis=0))


@dataclass(frozen=True, slots=True)
class Difference:
    """Two groups compared in one metric of the mean over subtypes.

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

    @property
    def beyond_patients(self) -> bool | None:
        """Whether the patients' interval leaves out zero; None when there is none."""
        if self.patients is None:
            return None
        return self.patients[0] > 0 or self.patients[1] < 0


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
        """Every result, each once."""
        found = {
            result.document["run"]: result
            for group in [*self.losses.values(), *self.models.values()]
            for result in group.results
        }
        return tuple(found.values())


def summarise_runs(results: Iterable[Result], grid: Grid) -> Summary:
    """Results and the grid they belong to → the groups, those not run being empty."""
    of_group: dict[tuple[str, str, int], list[Result]] = {}
    for result in sorted(results, key=lambda one: one.seed):
        of_group.setdefault(result.group, []).append(result)

    def gathered(group: Group) -> GroupResults:
        return GroupResults(group, tuple(of_group.get((group.model, group.loss, group.epochs), ())))

    return Summary(
        models={group.model: gathered(group) for group in grid.models},
        losses={group.loss: gathered(group) for group in grid.losses},
    )


def grid_of(document: Mapping[str, Any]) -> Grid:
    """Return the groups that `as_document` describes, without their runs."""
    return Grid(
        tuple(Group(name, MODEL_LOSS, one["epochs"]) for name, one in document["models"].items()),
        tuple(Group(LOSS_MODEL, name, one["epochs"]) for name, one in document["losses"].items()),
        (),
        (),
    )


def differences(
    groups: Mapping[str, GroupResults], metrics: Sequence[str] = METRICS
) -> tuple[Difference, ...]:
    """Groups by name → every pair in every metric of the mean; pairs without runs are left out."""
    found = []
    for metric in metrics:
        for first, second in combinations(groups, 2):
            one = difference(groups, first, second, metric)
            if one is not None:
                found.append(one)
    return tuple(found)


def difference(
    groups: Mapping[str, GroupResults], first: str, second: str, metric: str, row: str = MEAN
) -> Difference | None:
    """Compare two groups by name in a metric; None when one was not run.

    Args:
        groups: By name; how much seeds differ is taken from all of them.
        first: Name of one.
        second: Name of the one that is taken from it.
        metric: Key.
        row: Subtype or `mean`.
    """
    if first not in groups or second not in groups:
        return None
    a, b = groups[first], groups[second]
    by_seed = {name: group.statistic(row, metric).by_seed for name, group in groups.items()}
    rest = [scores for name, scores in by_seed.items() if name not in (first, second)]
    seeds = compare(by_seed[first], by_seed[second], rest)
    if seeds is None:
        return None
    draws = a.draws(row, metric), b.draws(row, metric)
    over_patients = None
    if draws[0] is not None and draws[1] is not None and len(draws[0]) == len(draws[1]):
        over_patients = interval(draws[0] - draws[1])
    return Difference(first, second, metric, seeds, over_patients)


def as_document(summary: Summary) -> dict[str, Any]:
    """Summary → the same as JSON: mean over seeds, interval and each seed's number."""
    return {
        kind: {
            name: {
                "epochs": group.group.epochs,
                "seeds": list(group.seeds),
                **{
                    row: {metric: _plain(group.statistic(row, metric)) for metric in METRICS}
                    for row in ROWS
                },
            }
            for name, group in groups.items()
        }
        for kind, groups in (("models", summary.models), ("losses", summary.losses))
    }


def _plain(statistic: Statistic) -> dict[str, Any]:
    return {
        "mean": statistic.mean,
        "interval": statistic.interval,
        "by_seed": list(statistic.by_seed),
    }
