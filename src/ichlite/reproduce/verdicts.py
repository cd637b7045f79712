"""Judge groups and costs by rules that say how much is enough: a verdict with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal, NamedTuple

import numpy as np

from ichlite.evaluate.intervals import Interval, interval
from ichlite.reproduce.campaign_summary import WORDS, Difference, GroupResults, difference
from ichlite.reproduce.cells import Unit, number_text
from ichlite.reproduce.costs import Costs
from ichlite.reproduce.noise import TEST, Comparison, compare, points, told
from ichlite.reproduce.published import name_of
from ichlite.reproduce.results import MEAN

Verdict = Literal["holds", "does not hold", "cannot be told here"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
UNTOLD: Verdict = "cannot be told here"
VERDICTS: tuple[Verdict, ...] = (HOLDS, FAILS, UNTOLD)

HOW = (
    f"Performance is compared over seeds, on the patients tested on: {TEST}. With fewer than two "
    "seeds on a side nothing is told. The same rule applied to the 95 % interval over redrawn "
    "patients says what holds for other patients, too. Counts, bytes and times are compared as "
    "they are."
)
"""Rule, in words, that applies to all claims on performance."""
MARGIN = 0.02
"""Two percentage points: a model that loses less performs "similarly"."""
SMALL = 0.01
"""A percentage point: an advantage that is certainly less is none."""
PERFORMANCE: tuple[str, ...] = ("roc_auc", "balanced_accuracy")
COSTS: Mapping[str, tuple[Unit, str]] = {
    "params": ("count", "parameters"),
    "flops_256": ("flops", "FLOPs at 256x256"),
    "tflite_float32_bytes": ("bytes", ".tflite float32"),
    "h5_adam_bytes": ("bytes", ".h5 with Adam's state"),
    "saved_model_bytes": ("bytes", "SavedModel folder with Adam's state"),
    "latency_float32_ms": ("ms", "time a slice, float32"),
}
"""Unit and words for each cost that claims are about, by key."""


class Judgement(NamedTuple):
    """Verdict on a statement, with the numbers it is based on.

    Attributes:
        verdict: Verdict over the seeds, on the test patients.
        evidence: Lines of text with the numbers.
        patients: Verdict over resampled patients, which says whether it extends to others; None
            where patients play no part, or were not resampled.
    """

    verdict: Verdict
    evidence: tuple[str, ...]
    patients: Verdict | None = None

    def with_line(self, line: str) -> Judgement:
        """Return the judgement with one more line of evidence."""
        return self._replace(evidence=(*self.evidence, line))


def together(parts: Sequence[bool | None]) -> Verdict:
    """Combine the truth of several conditions into the verdict on all of them.

    Args:
        parts: True, False, or None where it is unknown, for each condition.

    Example:
        >>> together([True, None, False]), together([True, None]), together([True])
        ('does not hold', 'cannot be told here', 'holds')
    """
    if any(part is False for part in parts):
        return FAILS
    return HOLDS if parts and all(parts) else UNTOLD


def above(
    groups: Mapping[str, GroupResults],
    first: str,
    others: Sequence[str],
    metric: str,
    *,
    least: float = 0.0,
    most: float = SMALL,
) -> Judgement:
    """Judge whether one group scores higher than all others in a metric.

    Args:
        groups: Results of each group, by name.
        first: Name of the group claimed to be higher.
        others: Names of the groups claimed to be lower.
        metric: Key of a metric, averaged over the subtypes.
        least: Difference above which the claim holds, as in `noise.told`.
        most: Difference below which the claim fails, as in `noise.told`.
    """
    intervals, evidence = [], []
    for other in others:
        one = difference(groups, first, other, metric)
        intervals.append((one.seeds.interval, one.patients) if one else (None, None))
        missing = _not_run(groups, first, other) or f"{WORDS[metric]} undefined"
        evidence.append(_difference(groups, one) if one else missing)
    return _by_intervals(intervals, evidence, least=least, most=most)


def not_worse(groups: Mapping[str, GroupResults], first: str, others: Sequence[str]) -> Judgement:
    """Judge whether one group is at most `MARGIN` below all others in every performance metric.

    Args:
        groups: Results of each group, by name.
        first: Name of the group.
        others: Names of the groups it is compared with.
    """
    return all_of([
        above(groups, first, others, metric, least=-MARGIN, most=-MARGIN) for metric in PERFORMANCE
    ])  # fmt: skip


def all_of(found: Sequence[Judgement]) -> Judgement:
    """Combine several judgements into one on whether all of them hold.

    Example:
        >>> all_of([Judgement(HOLDS, ("a",)), Judgement(UNTOLD, ("b",))]).verdict
        'cannot be told here'
    """
    truth: Mapping[Verdict, bool | None] = {HOLDS: True, FAILS: False, UNTOLD: None}
    patients = [truth[one.patients] for one in found if one.patients is not None]
    return Judgement(
        together([truth[one.verdict] for one in found]),
        tuple(dict.fromkeys(line for one in found for line in one.evidence)),
        together(patients) if patients and len(patients) == len(found) else None,
    )


def sensitivity_above(
    groups: Mapping[str, GroupResults],
    name: str,
    subtype: str,
    rivals: Sequence[Sequence[str]],
    *,
    sign: int = 1,
) -> Judgement:
    """Judge whether a model's sensitivity for one subtype is higher than for other subtypes.

    Args:
        groups: Results of each model, by name.
        name: Name of the model.
        subtype: Subtype claimed to have the higher sensitivity.
        rivals: Lists of other subtypes; the claim must hold against the mean of each list.
        sign: 1 if it is claimed to be higher; -1 if lower.
    """
    if absent := _not_run(groups, name):
        return Judgement(UNTOLD, (absent,))
    group, metric = groups[name], "sensitivity"
    intervals = []
    for rival in rivals:
        by_seed = {one: _gaps(groups[one], subtype, rival, sign) for one in groups}
        seeds = compare(by_seed.pop(name), 0.0, list(by_seed.values()))
        own, *rest = (group.draws(row, metric) for row in (subtype, *rival))
        redrawn = [one for one in rest if one is not None]
        gap = None if own is None else interval(sign * (own - np.mean(redrawn, axis=0)))
        intervals.append((seeds.interval if seeds else None, gap))
    order = dict.fromkeys([subtype, *(row for rival in rivals for row in rival)])
    shown = [f"{row} {percent(group.statistic(row, metric).mean)}" for row in order]
    line = f"{name_of(name)}, {metric}: {', '.join(shown)} (seeds {_list(group.seeds)})"
    return _by_intervals(intervals, [line])


def _gaps(group: GroupResults, subtype: str, rival: Sequence[str], sign: int) -> list[float]:
    """Return each seed's sensitivity for a subtype less the mean of those for others."""
    found = []
    for result in group.results:
        own, *rest = (result.value(row, "sensitivity") for row in (subtype, *rival))
        known = [value for value in rest if value is not None]
        if own is not None and known:
            found.append(sign * (own - float(np.mean(known))))
    return found


def above_number(
    groups: Mapping[str, GroupResults], name: str, metric: str, fixed: float, what: str
) -> Judgement:
    """Judge whether a group's mean score is above a fixed number.

    Args:
        groups: Results of each group, by name.
        name: Name of the group.
        metric: Key of a metric, averaged over the subtypes.
        fixed: Number to exceed.
        what: What the number is of, for the evidence.
    """
    statistic = groups[name].statistic(MEAN, metric)
    rest = [groups[one].statistic(MEAN, metric).by_seed for one in groups if one != name]
    found = compare(statistic.by_seed, fixed, rest)
    if found is None:
        return Judgement(UNTOLD, (f"{WORDS[metric]} undefined",))
    line = (
        f"{WORDS[metric]} {percent(statistic.mean)} against {percent(fixed)} of {what}: "
        f"{_comparison(found)} (seeds {_list(groups[name].seeds)})"
    )
    return Judgement(together([told(found.interval)]), (line,))


def smaller(costs: Costs, key: str, first: str, others: Sequence[str]) -> Judgement:
    """Judge whether one cost of a model, measured without noise, is below that of all others.

    Args:
        costs: Costs of the models.
        key: Name of the cost.
        first: Model claimed to be cheaper.
        others: Models that it is compared with.
    """
    own, *rest = (costs.value(name, key) for name in (first, *others))
    parts = [None if own is None or one is None else own < one for one in rest]
    shown = ", ".join(
        f"{name_of(name)} {_amount(value, key)}"
        for name, value in zip((first, *others), (own, *rest), strict=True)
    )
    return Judgement(together(parts), (f"{COSTS[key][1]}: {shown}",))


def factor(costs: Costs, key: str, larger: str, lesser: str, stated: float) -> Judgement:
    """Judge whether the rounded ratio of two models' costs is at least as large as stated.

    Args:
        costs: Costs of the models.
        key: Name of the cost.
        larger: Model claimed to cost more.
        lesser: Model claimed to cost less.
        stated: Ratio that the paper states.
    """
    top, bottom = costs.value(larger, key), costs.value(lesser, key)
    if top is None or not bottom:
        return Judgement(UNTOLD, (f"{COSTS[key][1]}: not measured",))
    ratio = top / bottom
    line = (
        f"{COSTS[key][1]}: {name_of(larger)} {_amount(top, key)}, {name_of(lesser)} "
        f"{_amount(bottom, key)}: a factor of {ratio:.2f}, stated {stated:g}"
    )
    return Judgement(together([round(ratio) >= stated]), (line,))


def percent(value: float | None) -> str:
    """Return a share, 0 to 1, as text in per cent.

    Example:
        >>> percent(0.6534), percent(None)
        ('65.34 %', 'undefined')
    """
    return "undefined" if value is None else f"{value * 100:.2f} %"


def _by_intervals(
    found: Sequence[tuple[Interval | None, Interval | None]],
    evidence: Sequence[str],
    *,
    least: float = 0.0,
    most: float = SMALL,
) -> Judgement:
    """Judge differences by their intervals over seeds, and over patients where all have one."""
    seeds = [told(one, least=least, most=most) for one, _ in found]
    patients = [told(one, least=least, most=most) for _, one in found]
    redrawn = all(one is not None for _, one in found)
    return Judgement(together(seeds), tuple(evidence), together(patients) if redrawn else None)


def _difference(groups: Mapping[str, GroupResults], one: Difference) -> str:
    """Return a difference of two groups in one line with means, intervals and seeds."""
    first, second = groups[one.first], groups[one.second]
    means = [percent(group.statistic(MEAN, one.metric).mean) for group in (first, second)]
    patients = "" if one.patients is None else f"; over patients {points(one.patients)}"
    return (
        f"{WORDS[one.metric]}: {name_of(one.first)} {means[0]}, {name_of(one.second)} {means[1]}: "
        f"{_comparison(one.seeds)}{patients} "
        f"(seeds {_list(first.seeds)} and {_list(second.seeds)})"
    )


def _comparison(found: Comparison) -> str:
    seeds = found.interval
    words = "too few seeds for an interval" if seeds is None else f"95 % over seeds {points(seeds)}"
    return f"{found.difference * 100:+.2f} points, {words}"


def _amount(value: float | None, key: str) -> str:
    return number_text(value, COSTS[key][0], "not measured")


def _not_run(groups: Mapping[str, GroupResults], *names: str) -> str:
    absent = [name_of(one) for one in names if one not in groups or not groups[one].results]
    return f"{' and '.join(absent)}: not run" if absent else ""


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
