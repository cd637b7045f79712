"""Judge each sentence of the paper that states a result.

The sentences stand with their rules in paper.toml; here is what is judged by them.
Performance is judged over seeds (`noise.TEST`); counts, bytes and times are not samples: they are
compared as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from msgspec import UNSET

from ichlite.labels import NAMES
from ichlite.reproduce.campaign_plan import LOSS_MODEL, PAPER_LOSSES
from ichlite.reproduce.campaign_summary import GroupResults, Summary
from ichlite.reproduce.cells import number_text
from ichlite.reproduce.costs import Costs
from ichlite.reproduce.published import RULES, SENTENCES, name_of
from ichlite.reproduce.results import MEAN
from ichlite.reproduce.rsna_counts import RsnaCounts
from ichlite.reproduce.verdicts import (
    FAILS,
    HOLDS,
    MARGIN,
    PERFORMANCE,
    SMALL,
    UNTOLD,
    VERDICTS,
    Judgement,
    Verdict,
    above,
    above_number,
    all_of,
    factor,
    not_worse,
    percent,
    sensitivity_above,
    smaller,
)

LIGHT = LOSS_MODEL
STATE_OF_THE_ART: tuple[str, ...] = ("mobilenet_v2", "sfcn")
"""Models that the paper compares LightFCN with."""
FILES = ("h5_adam_bytes", "saved_model_bytes")
"""Kinds of model file whose size the paper may state."""
CLOSE = 0.1
"""Largest relative difference from a stated file size at which a size counts as equal."""
_NUMBERS = {"small": f"{SMALL * 100:g}", "margin": f"{MARGIN * 100:g}", "close": f"{CLOSE:.0%}"}
_TIME_WARNING = (
    "Measured on the machine named in Table 4, on one thread, not on the paper's Raspberry Pi 4B."
)
_NOT_COUNTED = Judgement(
    UNTOLD,
    ("RSNA 2019 was not counted: a store of it, or --rsna-tables with its tables, can tell",),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim of the paper, with the verdict on it.

    Attributes:
        key: Stable name.
        section: Section of the paper.
        sentence: Quoted as short as needed, or paraphrased.
        rule: Rule, in words, that decides whether it holds.
        verdict, evidence, patients: As in a `verdicts.Judgement`.
    """

    key: str
    section: str
    sentence: str
    rule: str
    verdict: Verdict
    evidence: tuple[str, ...]
    patients: Verdict | None = None

    @property
    def others_words(self) -> str:
        """Words on whether a clear verdict extends to other patients; empty if not applicable."""
        if self.patients is None or self.verdict == UNTOLD:
            return ""
        same = self.patients == self.verdict
        return "other patients, too" if same else f"other patients: {self.patients}"


@dataclass(frozen=True, slots=True)
class Judged:
    """All claims of the paper, judged on one set of data.

    Attributes:
        name: Short name of the data.
        claims: In the order of the paper's sections.
    """

    name: str
    claims: tuple[Claim, ...]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """Number of claims with each verdict."""
        found = Counter(claim.verdict for claim in self.claims)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def counts_words(self) -> str:
        """Number of claims with each verdict, in words.

        Example:
            >>> Judged("nothing", ()).counts_words
            'Holds: 0, does not hold: 0, cannot be told here: 0'
        """
        words = (f"{verdict}: {count}" for verdict, count in self.counts.items())
        return ", ".join(words).capitalize()


def judge(summary: Summary, costs: Costs, rsna: RsnaCounts | None) -> Judged:
    """Judge every claim of the paper by the measured results.

    Args:
        summary: Results by group of runs.
        costs: Costs of the models, from `costs.measured_costs`.
        rsna: Counts of the studies of RSNA 2019; None if unknown.
    """
    name, rarest, data = _measured_on(summary)
    performance = {**_of_models(summary.models, rarest), **_of_losses(summary.losses)}
    found = {
        **_of_costs(costs),
        "scans_21744": _all_scans(rsna),
        "positive_scans_7652": _positive_scans(rsna),
        **{key: one.with_line(data) for key, one in performance.items()},
    }
    shared = {f"{key}_rule": rule.format(**_NUMBERS) for key, rule in RULES.items()}
    return Judged(
        name,
        tuple(
            Claim(
                key, one.section, one.sentence, one.rule.format(**shared, **_NUMBERS), *found[key]
            )
            for key, one in SENTENCES.items()
        ),
    )


def _measured_on(summary: Summary) -> tuple[str, str, str]:
    """Return the data's name, the subtype with the fewest training slices, a line of evidence."""
    results = summary.results()
    if not results:
        return "no runs", NAMES[0], "data: no run is finished"
    data, test = results[0].train.data, results[0].test
    tested = f"{data.fold.of} folds" if data.fold else "test split"
    return (
        f"{data.store}, {tested}",
        min(NAMES, key=lambda name: data.train_positives[name]),
        f"data: {data.store} of kind {' and '.join(data.kinds)}, "
        f"{tested}{', pooled:' if data.fold else ' of'} "
        f"{test.slices:,} slices of {test.patients:,} patients",
    )


def _of_costs(costs: Costs) -> dict[str, Judgement]:
    def lower(key: str, first: str = LIGHT, others: Sequence[str] = STATE_OF_THE_ART) -> Judgement:
        return smaller(costs, key, first, others)

    def fewer(claim: str, key: str, larger: str) -> Judgement:
        return factor(costs, key, larger, LIGHT, SENTENCES[claim].stated[0])

    ms = "latency_float32_ms"
    shrunk, exact = _sizes(costs)
    return {
        "params_26x": fewer("params_26x", "params", "mobilenet_v2"),
        "time_3x": fewer("time_3x", ms, "mobilenet_v2").with_line(_TIME_WARNING),
        "smaller_footprint": lower("tflite_float32_bytes"),
        "fewer_params": lower("params"),
        "less_time": lower(ms).with_line(_TIME_WARNING),
        "fewer_flops": lower("flops_256"),
        "depthwise_reduces_params": lower("params", "sfcn_depthwise", ("sfcn",)),
        "expansions_reduce_flops": _expansions(costs),
        "size_reduced": shrunk,
        "size_exact": exact,
        "params_10x_sfcn": fewer("params_10x_sfcn", "params", "sfcn"),
    }


def _of_models(models: Mapping[str, GroupResults], rarest: str) -> dict[str, Judgement]:
    rest = [name for name in NAMES if name != rarest]
    low = [
        sensitivity_above(models, name, rarest, [rest], sign=-1)
        for name in (*STATE_OF_THE_ART, LIGHT)
    ]
    highest, each = "intraventricular", [[name] for name in NAMES if name != "intraventricular"]
    return {
        "no_compromise": not_worse(models, LIGHT, STATE_OF_THE_ART),
        "residual_improves": all_of(
            [above(models, LIGHT, ("sfcn_depthwise",), metric) for metric in PERFORMANCE]
        ),
        "not_degraded": all_of(
            [not_worse(models, name, ("sfcn",)) for name in ("sfcn_depthwise", LIGHT)]
        ),
        "similar_to_sfcn": not_worse(models, LIGHT, ("sfcn",)),
        "epidural_low": all_of(low).with_line(
            f"subtype with the fewest positive training slices here: {rarest}"
        ),
        "ivh_highest": all_of(
            [sensitivity_above(models, name, highest, each) for name in ("sfcn", LIGHT)]
        ),
        "above_baseline": _baseline(models),
    }


def _of_losses(losses: Mapping[str, GroupResults]) -> dict[str, Judgement]:
    rest = tuple(name for name in PAPER_LOSSES if name != "ldam")
    ldam = {metric: above(losses, "ldam", rest, metric) for metric in ("sensitivity", *PERFORMANCE)}
    return {
        **{f"ldam_highest_{metric}": ldam[metric] for metric in ("sensitivity", "roc_auc")},
        **{
            f"bce_above_focal_{metric}": above(losses, "bce", ("focal",), metric)
            for metric in ("accuracy", "sensitivity", "roc_auc")
        },
        "ldam_trade_off": ldam["balanced_accuracy"],
        "ldam_best_overall": all_of([ldam[metric] for metric in PERFORMANCE]),
    }


def _expansions(costs: Costs) -> Judgement:
    own = costs.value(LIGHT, "flops_256")
    others = costs.counterparts
    if own is None or others is UNSET:
        return Judgement(UNTOLD, ("FLOPs at 256x256: not counted",))
    plain, wide = (others[key]["flops_256"] for key in ("no_projection", "wide_projection"))
    return Judgement(
        HOLDS if own < plain else FAILS,
        (
            f"FLOPs at 256x256: LightFCN {number_text(own, 'flops')}; without projections "
            f"{number_text(plain, 'flops')}",
            f"with projections to E channels in the place of 32, {number_text(wide, 'flops')}: the "
            "narrow width saves, but having the projections costs more",
            "in the paper's own ablation the step from SFCN_depthwise to LightFCN adds FLOPs, too: "
            + smaller(costs, "flops_256", LIGHT, ("sfcn_depthwise",)).evidence[0],
        ),
    )


def _sizes(costs: Costs) -> tuple[Judgement, Judgement]:
    """Judge whether the file shrinks as much as stated, and whether the sizes are the stated ones.

    The paper says not of which kind of file they are.
    """
    before, after = SENTENCES["size_exact"].stated
    shrunk = {key: factor(costs, key, "sfcn", LIGHT, float(int(before / after))) for key in FILES}
    close: list[bool | None] = []
    for key in FILES:
        pairs = [(costs.value("sfcn", key), before), (costs.value(LIGHT, key), after)]
        near = [None if n is None else abs(n / 1e6 / stated - 1) <= CLOSE for n, stated in pairs]
        close.append(None if None in near else all(near))
    evidence = (
        *(line for one in shrunk.values() for line in one.evidence),
        f"stated {before:g} and {after:g} MB; the paper names neither the kind of "
        "file nor the version of TensorFlow, which writes the graph into a SavedModel",
    )
    verdict = HOLDS if any(close) else UNTOLD if None in close else FAILS
    return shrunk["h5_adam_bytes"], Judgement(verdict, evidence)


def _all_scans(rsna: RsnaCounts | None) -> Judgement:
    if rsna is None:
        return _NOT_COUNTED
    (stated,) = SENTENCES["scans_21744"].stated
    line = f"{rsna.studies:,} studies of {rsna.patients:,} patients in {rsna.source}"
    if rsna.studies < stated:
        return Judgement(UNTOLD, (f"{line}: a part of RSNA 2019 only",))
    return Judgement(HOLDS if rsna.studies == stated else FAILS, (line,))


def _positive_scans(rsna: RsnaCounts | None) -> Judgement:
    if rsna is None:
        return _NOT_COUNTED
    (scans,), (stated,) = (SENTENCES[key].stated for key in ("scans_21744", "positive_scans_7652"))
    lines = (
        f"at least {rsna.positive_studies:,} studies with blood in {rsna.source}, stated "
        f"{stated:,.0f}; of {rsna.unlabelled_studies:,} studies the labels are not known",
        f"they are of {rsna.positive_patients:,} patients, and it is patients that Table 1 counts",
    )
    if rsna.positive_studies > stated:
        return Judgement(FAILS, lines)
    known = rsna.studies >= scans and not rsna.unlabelled_studies
    holds = HOLDS if rsna.positive_studies == stated else FAILS
    return Judgement(holds if known else UNTOLD, lines[:1])


def _baseline(models: Mapping[str, GroupResults]) -> Judgement:
    group = models.get(LIGHT)
    if group is None or not group.results:
        return Judgement(UNTOLD, (f"{name_of(LIGHT)}: not run",))
    share = group.results[0].test.all_negative_accuracy or 0.0
    found = above_number(models, LIGHT, "accuracy", share, "answering no to everything")
    auc = group.statistic(MEAN, "roc_auc").mean
    return found.with_line(f"ROC AUC {percent(auc)}; that of any constant answer is 50 %")
