"""Judge groups and costs by rules that say how much is enough: a verdict with its evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ichlite.evaluate.intervals import Interval, interval
from ichlite.reproduce.campaign_summary import MEAN, Difference, GroupResults, difference
from ichlite.reproduce.cells import Unit, number_text
from ichlite.reproduce.noise import TEST, Comparison, compare_to
from ichlite.reproduce.published import PAPER_NAMES

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
"""The rule of all claims on performance."""
MARGIN = 0.02
"""Two percentage points: a model that loses less performs "similarly"."""
SMALL = 0.01
"""A percentage point: an advantage that is certainly less is none."""
LIGHT = "light_fcn"
STATE_OF_THE_ART: tuple[str, ...] = ("mobilenet_v2", "sfcn")
"""What the paper compares LightFCN with."""
PERFORMANCE: tuple[str, ...] = ("roc_auc", "balanced_accuracy")
COSTS: Mapping[str, tuple[Unit, str]] = {
    "params": ("count", "parameters"),
    "flops_256": ("flops", "FLOPs at 256x256"),
    "tflite_float32_bytes": ("bytes", ".tflite float32"),
    "h5_adam_bytes": ("bytes", ".h5 with Adam's state"),
    "saved_model_bytes": ("bytes", "SavedModel folder with Adam's state"),
    "latency_float32_ms": ("ms", "time a slice, float32"),
}
"""What claims are made of: key of a model's costs → unit and words."""
WORDS: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the numbers that it comes from.

    Attributes:
        verdict: Over the seeds, on the patients that were tested on.
        evidence: Lines with the numbers.
        patients: The same over redrawn patients: what it is worth for others; None where patients
            play no part, or were not redrawn.
    """

    verdict: Verdict
    evidence: tuple[str, ...]
    patients: Verdict | None = None


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a result, judged.

    Attributes:
        key: Stable name.
        section: Of the paper.
        sentence: Quoted as short as needed, or paraphrased.
        rule: When it holds.
        verdict: `holds`, `does not hold` or `cannot be told here`.
        evidence: Lines with the numbers.
        patients: The verdict over redrawn patients, where they play a part.
    """

    key: str
    section: str
    sentence: str
    rule: str
    verdict: Verdict
    evidence: tuple[str, ...]
    patients: Verdict | None = None


def claim(key: str, section: str, sentence: str, rule: str, found: Judgement) -> Claim:
    """Sentence, rule and what was found → the claim."""
    return Claim(key, section, sentence, rule, found.verdict, found.evidence, found.patients)


def others_words(claim: Claim) -> str:
    """What a told verdict is for other patients; empty where they play no part."""
    if claim.patients is None or claim.verdict == UNTOLD:
        return ""
    same = claim.patients == claim.verdict
    return "other patients, too" if same else f"other patients: {claim.patients}"


def with_line(found: Judgement, line: str) -> Judgement:
    """A judgement and a further line of evidence → both."""
    return replace(found, evidence=(*found.evidence, line))


def name_of(key: str) -> str:
    """Our key → the paper's name of it.

    Example:
        >>> name_of("ldam")
        'LDAM'
    """
    return PAPER_NAMES.get(key, key)


def together(parts: Sequence[bool | None]) -> Verdict:
    """Whether each part is true, None where not told → the verdict on all of them.

    Example:
        >>> together([True, None, False]), together([True, None]), together([True])
        ('does not hold', 'cannot be told here', 'holds')
    """
    if any(part is False for part in parts):
        return FAILS
    return HOLDS if parts and all(parts) else UNTOLD


def told(ends: Interval | None, *, least: float = 0.0, most: float = SMALL) -> bool | None:
    """Tell from a 95 % interval whether something is above a number.

    Args:
        ends: Of the interval; None: unknown.
        least: All of it above this: yes.
        most: All of it below this: no.

    Example:
        >>> told((0.01, 0.03)), told((-0.02, 0.005)), told((-0.02, 0.03))
        (True, False, None)
    """
    if ends is None:
        return None
    return True if ends[0] > least else False if ends[1] < most else None


def above(
    groups: Mapping[str, GroupResults],
    first: str,
    others: Sequence[str],
    metric: str,
    *,
    least: float = 0.0,
    most: float = SMALL,
) -> Judgement:
    """Judge whether one group is above all others in a metric of the mean.

    Args:
        groups: By name.
        first: Said to be above.
        others: Said to be below.
        metric: Of the mean over subtypes.
        least: As of `told`, for each difference.
        most: Likewise.
    """
    seeds: list[bool | None] = []
    patients: list[bool | None] = []
    evidence = []
    for other in others:
        one = difference(groups, first, other, metric)
        if one is None:
            seeds.append(None)
            evidence.append(f"{_missing(groups, first, other)}: not run")
            continue
        seeds.append(told(_ends(one.seeds), least=least, most=most))
        if one.patients is not None:
            patients.append(told(one.patients, least=least, most=most))
        evidence.append(difference_line(groups, one))
    whole = len(patients) == len(others)
    return Judgement(together(seeds), tuple(evidence), together(patients) if whole else None)


def not_worse(groups: Mapping[str, GroupResults], first: str, others: Sequence[str]) -> Judgement:
    """Judge whether one group is at most `MARGIN` below all others, in all of `PERFORMANCE`."""
    return all_of([
        above(groups, first, others, metric, least=-MARGIN, most=-MARGIN) for metric in PERFORMANCE
    ])  # fmt: skip


def all_of(found: Sequence[Judgement]) -> Judgement:
    """Judgements → the judgement that all of them hold.

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


def subtype_above(
    groups: Mapping[str, GroupResults], name: str, subtype: str, others: Sequence[str]
) -> Judgement:
    """Judge whether a model's sensitivity for one subtype is above that for each of others."""
    return _of_sensitivities(groups, name, subtype, [[other] for other in others], sign=1)


def subtype_below_mean(
    groups: Mapping[str, GroupResults], name: str, subtype: str, others: Sequence[str]
) -> Judgement:
    """Judge whether a model's sensitivity for one subtype is below the mean of those for others."""
    return _of_sensitivities(groups, name, subtype, [others], sign=-1)


def _of_sensitivities(
    groups: Mapping[str, GroupResults],
    name: str,
    subtype: str,
    rivals: Sequence[Sequence[str]],
    *,
    sign: int,
) -> Judgement:
    """Compare, within each run, a subtype's sensitivity with the mean of each list of others."""
    if name not in groups or not groups[name].results:
        return Judgement(UNTOLD, (f"{name_of(name)}: not run",))
    group = groups[name]
    seeds: list[bool | None] = []
    patients: list[bool | None] = []
    for rival in rivals:
        by_seed = {one: _gaps(groups[one], subtype, rival, sign) for one in groups}
        own = by_seed.pop(name)
        found = compare_to(own, 0.0, list(by_seed.values()))
        seeds.append(None if found is None else told(_ends(found)))
        if (gap := _redrawn_gap(group, subtype, rival, sign)) is not None:
            patients.append(told(interval(gap)))
    order = dict.fromkeys([subtype, *(row for rival in rivals for row in rival)])
    shown = [f"{row} {percent(group.statistic(row, 'sensitivity').mean)}" for row in order]
    line = f"{name_of(name)}, sensitivity: {', '.join(shown)} ({seeds_words(group)})"
    whole = len(patients) == len(rivals)
    return Judgement(together(seeds), (line,), together(patients) if whole else None)


def _gaps(group: GroupResults, subtype: str, rival: Sequence[str], sign: int) -> list[float]:
    """Each seed's sensitivity for a subtype less the mean of those for others, where defined."""
    found = []
    for result in group.results:
        own = result.value(subtype, "sensitivity")
        rest = [result.value(row, "sensitivity") for row in rival]
        known = [value for value in rest if value is not None]
        if own is not None and known:
            found.append(sign * (own - float(np.mean(known))))
    return found


def _redrawn_gap(
    group: GroupResults, subtype: str, rival: Sequence[str], sign: int
) -> NDArray[np.float64] | None:
    own = group.draws(subtype, "sensitivity")
    rest = [drawn for row in rival if (drawn := group.draws(row, "sensitivity")) is not None]
    if own is None or len(rest) < len(rival):
        return None
    return np.asarray(sign * (own - np.mean(rest, axis=0)))


def above_number(
    groups: Mapping[str, GroupResults], name: str, metric: str, fixed: float, what: str
) -> Judgement:
    """Judge whether a group's mean is above a fixed number."""
    group = groups[name]
    statistic = group.statistic(MEAN, metric)
    rest = [groups[one].statistic(MEAN, metric).by_seed for one in groups if one != name]
    found = compare_to(statistic.by_seed, fixed, rest)
    if found is None:
        return Judgement(UNTOLD, (f"{WORDS[metric]} undefined",))
    line = (
        f"{WORDS[metric]} {percent(statistic.mean)} against {percent(fixed)} of {what}: "
        f"{comparison_words(found)} ({seeds_words(group)})"
    )
    return Judgement(together([told(_ends(found), most=0.0)]), (line,))


def smaller(costs: Mapping[str, Any], key: str, first: str, others: Sequence[str]) -> Judgement:
    """One model's cost below that of all others: a count, not a sample, so no noise."""
    found = {name: cost_value(costs, name, key) for name in (first, *others)}
    own = found[first]
    rest = [found[name] for name in others]
    parts = [None if own is None or one is None else own < one for one in rest]
    shown = ", ".join(f"{name_of(name)} {_amount(value, key)}" for name, value in found.items())
    return Judgement(together(parts), (f"{COSTS[key][1]}: {shown}",))


def factor(
    costs: Mapping[str, Any], key: str, larger: str, lesser: str, stated: float
) -> Judgement:
    """Two models' costs: their ratio, rounded to a whole number, at least as stated."""
    top, bottom = cost_value(costs, larger, key), cost_value(costs, lesser, key)
    if top is None or not bottom:
        return Judgement(UNTOLD, (f"{COSTS[key][1]}: not measured",))
    ratio = top / bottom
    line = (
        f"{COSTS[key][1]}: {name_of(larger)} {_amount(top, key)}, {name_of(lesser)} "
        f"{_amount(bottom, key)}: a factor of {ratio:.2f}, stated {stated:g}"
    )
    return Judgement(together([round(ratio) >= stated]), (line,))


def difference_line(groups: Mapping[str, GroupResults], one: Difference) -> str:
    """A difference of two groups → one line with means, intervals and seeds."""
    first, second = groups[one.first], groups[one.second]
    means = [g.statistic(MEAN, one.metric).mean for g in (first, second)]
    patients = ""
    if one.patients is not None:
        low, high = one.patients
        patients = f"; over patients {low * 100:+.2f} to {high * 100:+.2f}"
    return (
        f"{WORDS[one.metric]}: {name_of(one.first)} {percent(means[0])}, {name_of(one.second)} "
        f"{percent(means[1])}: {comparison_words(one.seeds)}{patients} "
        f"(seeds {_list(first.seeds)} and {_list(second.seeds)})"
    )


def comparison_words(found: Comparison) -> str:
    """A comparison → its difference and its interval over seeds, in percentage points."""
    words = f"{found.difference * 100:+.2f} points"
    if found.low is None or found.high is None:
        return f"{words}, too few seeds for an interval"
    return f"{words}, 95 % over seeds {found.low * 100:+.2f} to {found.high * 100:+.2f}"


def _ends(found: Comparison) -> Interval | None:
    return None if found.low is None or found.high is None else (found.low, found.high)


def percent(value: float | None) -> str:
    """A share → per cent with two decimals.

    Example:
        >>> percent(0.6534), percent(None)
        ('65.34 %', 'undefined')
    """
    return "undefined" if value is None else f"{value * 100:.2f} %"


def seeds_words(group: GroupResults) -> str:
    """A group → its seeds in words."""
    return f"seeds {_list(group.seeds)}"


def cost_value(costs: Mapping[str, Any], name: str, key: str) -> float | None:
    """A model's cost by key; of times, the median. None where it was not measured."""
    found = costs["models"].get(name, {}).get(key)
    if isinstance(found, Mapping):
        found = found["p50"]
    return None if found is None else float(found)


def _amount(value: float | None, key: str) -> str:
    return "not measured" if value is None else number_text(value, COSTS[key][0])


def _missing(groups: Mapping[str, GroupResults], *names: str) -> str:
    absent = [n for n in names if n not in groups or not groups[n].results]
    return " and ".join(map(name_of, absent))


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
