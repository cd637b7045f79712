"""Groups and costs in; a verdict with its evidence, by a rule that says how much is enough, out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ichlite.reproduce.cells import Unit, number_text
from ichlite.reproduce.noise import Comparison, compare, compare_to
from ichlite.reproduce.published import PAPER_NAMES
from ichlite.reproduce.summary import MEAN, Difference, GroupResults, difference

Verdict = Literal["holds", "does not hold", "cannot be told here"]
HOLDS: Verdict = "holds"
FAILS: Verdict = "does not hold"
UNTOLD: Verdict = "cannot be told here"
VERDICTS: tuple[Verdict, ...] = (HOLDS, FAILS, UNTOLD)

MARGIN = 0.02
"""Two percentage points: a model that loses less performs "similarly"."""
LIGHT = "light_fcn"
STATE_OF_THE_ART: tuple[str, ...] = ("mobilenet_v2", "sfcn")
"""What the paper compares LightFCN with."""
PERFORMANCE: tuple[str, ...] = ("roc_auc", "balanced_accuracy")
WORDS: Mapping[str, str] = {
    "roc_auc": "ROC AUC",
    "sensitivity": "sensitivity",
    "specificity": "specificity",
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """A verdict and the numbers that it comes from."""

    verdict: Verdict
    evidence: tuple[str, ...]


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
    """

    key: str
    section: str
    sentence: str
    rule: str
    verdict: Verdict
    evidence: tuple[str, ...]


def claim(key: str, section: str, sentence: str, rule: str, found: Judgement) -> Claim:
    """Sentence, rule and what was found → the claim."""
    return Claim(key, section, sentence, rule, found.verdict, found.evidence)


def with_line(found: Judgement, line: str) -> Judgement:
    """A judgement and a further line of evidence → both."""
    return Judgement(found.verdict, (*found.evidence, line))


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


def above(
    groups: Mapping[str, GroupResults],
    first: str,
    others: Sequence[str],
    metric: str,
    *,
    margin: float = 0.0,
) -> Judgement:
    """One group above all others in a metric of the mean, beyond the noise of the seeds.

    Args:
        groups: By name.
        first: Said to be above.
        others: Said to be below.
        metric: Of the mean over subtypes.
        margin: The first may be this much below and still pass.

    Returns:
        Holds: the interval over seeds of each difference (plus the margin) is above zero. Does not
        hold: one is below zero. Else it cannot be told.
    """
    parts: list[bool | None] = []
    evidence = []
    for other in others:
        one = difference(groups, first, other, metric)
        if one is None:
            parts.append(None)
            evidence.append(f"{_missing(groups, first, other)}: not run")
            continue
        parts.append(one.seeds.shifted(margin).above)
        evidence.append(difference_line(groups, one))
    return Judgement(together(parts), tuple(evidence))


def not_worse(groups: Mapping[str, GroupResults], first: str, others: Sequence[str]) -> Judgement:
    """One group at most `MARGIN` below all others, in every metric of `PERFORMANCE`."""
    found = [above(groups, first, others, metric, margin=MARGIN) for metric in PERFORMANCE]
    return all_of(found)


def all_of(found: Sequence[Judgement]) -> Judgement:
    """Judgements → the judgement that all of them hold.

    Example:
        >>> all_of([Judgement(HOLDS, ("a",)), Judgement(UNTOLD, ("b",))]).verdict
        'cannot be told here'
    """
    truth: Mapping[Verdict, bool | None] = {HOLDS: True, FAILS: False, UNTOLD: None}
    return Judgement(
        together([truth[one.verdict] for one in found]),
        tuple(dict.fromkeys(line for one in found for line in one.evidence)),
    )


def subtype_extreme(
    groups: Mapping[str, GroupResults], name: str, subtype: str, others: Sequence[str], sign: int
) -> Judgement:
    """A model's sensitivity of one subtype above (sign 1) or below (-1) that of all others."""
    if name not in groups or not groups[name].results:
        return Judgement(UNTOLD, (f"{name_of(name)}: not run",))
    group = groups[name]
    own = group.statistic(subtype, "sensitivity").by_seed
    parts: list[bool | None] = []
    shown = []
    for other in others:
        found = compare(own, group.statistic(other, "sensitivity").by_seed)
        is_above = None if found is None else found.above
        parts.append(is_above if sign > 0 or is_above is None else not is_above)
    for row in (subtype, *others):
        statistic = group.statistic(row, "sensitivity")
        shown.append(f"{row} {percent(statistic.mean)}")
    line = f"{name_of(name)}, sensitivity: {', '.join(shown)} ({seeds_words(group)})"
    return Judgement(together(parts), (line,))


def above_number(group: GroupResults | None, metric: str, fixed: float, what: str) -> Judgement:
    """A group's mean above a fixed number, beyond the noise of the seeds."""
    if group is None or not group.results:
        return Judgement(UNTOLD, ("not run",))
    statistic = group.statistic(MEAN, metric)
    found = compare_to(statistic.by_seed, fixed)
    if found is None:
        return Judgement(UNTOLD, (f"{WORDS[metric]} undefined",))
    line = (
        f"{WORDS[metric]} {percent(statistic.mean)} against {percent(fixed)} of {what}: "
        f"{comparison_words(found)} ({seeds_words(group)})"
    )
    return Judgement(together([found.above]), (line,))


def smaller(
    costs: Mapping[str, Any], first: str, others: Sequence[str], key: str, unit: Unit, what: str
) -> Judgement:
    """One model's cost below that of all others: a count, not a sample, so no noise."""
    own = cost_value(costs, first, key)
    rest = {name: cost_value(costs, name, key) for name in others}
    parts = [None if own is None or one is None else own < one for one in rest.values()]
    shown = [f"{name_of(first)} {_amount(own, unit)}"]
    shown += [f"{name_of(name)} {_amount(one, unit)}" for name, one in rest.items()]
    return Judgement(together(parts), (f"{what}: {', '.join(shown)}",))


def factor(
    costs: Mapping[str, Any],
    larger: str,
    lesser: str,
    key: str,
    unit: Unit,
    what: str,
    stated: float,
) -> Judgement:
    """Two models' costs: their ratio, rounded to a whole number, at least as stated."""
    top, bottom = cost_value(costs, larger, key), cost_value(costs, lesser, key)
    if top is None or not bottom:
        return Judgement(UNTOLD, (f"{what}: not measured",))
    ratio = top / bottom
    line = (
        f"{what}: {name_of(larger)} {_amount(top, unit)}, {name_of(lesser)} "
        f"{_amount(bottom, unit)}: a factor of {ratio:.2f}, stated {stated:g}"
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


def _amount(value: float | None, unit: Unit) -> str:
    return "not measured" if value is None else number_text(value, unit)


def _missing(groups: Mapping[str, GroupResults], *names: str) -> str:
    absent = [n for n in names if n not in groups or not groups[n].results]
    return " and ".join(map(name_of, absent))


def _list(seeds: Sequence[int]) -> str:
    return ", ".join(map(str, seeds))
