"""Judge each sentence of the paper that states a result.

A claim is a short quotation, its place, the rule by which it is judged and the evidence.
Performance is judged over seeds (`noise.TEST`); counts, bytes and times are not samples: they are
compared as they are.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ichlite.labels import NAMES
from ichlite.reproduce.campaign_plan import LOSS_MODEL, PAPER_LOSSES
from ichlite.reproduce.campaign_summary import MEAN, GroupResults, Summary
from ichlite.reproduce.cells import number_text
from ichlite.reproduce.costs import cost_value
from ichlite.reproduce.published import STATED, name_of
from ichlite.reproduce.rsna_counts import RsnaCounts
from ichlite.reproduce.verdicts import (
    COSTS,
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
"""What the paper compares LightFCN with."""
FILES = ("h5_adam_bytes", "saved_model_bytes")
"""Kinds of file whose size the paper may mean."""
CLOSE = 0.1
"""A tenth: a file size that is nearer than this to the stated one is that size."""
_COUNT_RULE = "counted here; lower than each of the others"
_SEEDS_RULE = (
    "the 95 % interval over seeds of each difference is above zero (it does not hold where one is "
    f"below {SMALL * 100:g} point: an advantage that is certainly less is none)"
)
_MARGIN_RULE = (
    f"in ROC AUC and in balanced accuracy the 95 % interval over seeds of the difference is above "
    f"-{MARGIN * 100:g} points (it does not hold where one is below)"
)
_TIME_WARNING = (
    "Measured on the machine named in Table 4, on one thread, not on the paper's Raspberry Pi 4B."
)
_NOT_COUNTED = Judgement(
    UNTOLD,
    ("RSNA 2019 was not counted: a store of it, or --rsna-tables with its tables, can tell",),
)


@dataclass(frozen=True, slots=True)
class Claim:
    """One statement of a result, judged.

    Attributes:
        key: Stable name.
        section: Of the paper.
        sentence: Quoted as short as needed, or paraphrased.
        rule: When it holds.
        verdict, evidence, patients: As of a `Judgement`.
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
        """What a told verdict is for other patients; empty where they play no part."""
        if self.patients is None or self.verdict == UNTOLD:
            return ""
        same = self.patients == self.verdict
        return "other patients, too" if same else f"other patients: {self.patients}"


@dataclass(frozen=True, slots=True)
class Judged:
    """The claims on one set of data.

    Attributes:
        name: Of the data, in a few words.
        claims: In the order of the paper's sections.
    """

    name: str
    claims: tuple[Claim, ...]

    @property
    def counts(self) -> Mapping[Verdict, int]:
        """How many claims have each verdict."""
        found = Counter(claim.verdict for claim in self.claims)
        return {verdict: found[verdict] for verdict in VERDICTS}

    @property
    def counts_words(self) -> str:
        """The same in words.

        Example:
            >>> Judged("nothing", ()).counts_words
            'Holds: 0, does not hold: 0, cannot be told here: 0'
        """
        words = (f"{verdict}: {count}" for verdict, count in self.counts.items())
        return ", ".join(words).capitalize()


def judge(summary: Summary, costs: Mapping[str, Any], rsna: RsnaCounts | None) -> Judged:
    """Judge every claim.

    Args:
        summary: Measured runs.
        costs: From `costs.measured_costs`.
        rsna: Studies of RSNA 2019; None where they were not counted.
    """
    name, rarest, data = _measured_on(summary)
    performance = (*_model_claims(summary.models, rarest), *_loss_claims(summary.losses))
    found = (
        *_cost_claims(costs),
        *_data_claims(rsna),
        *(replace(one, evidence=(*one.evidence, data)) for one in performance),
    )
    in_order = sorted(found, key=lambda one: (one.section != "abstract", one.section))
    return Judged(name, tuple(in_order))


def _measured_on(summary: Summary) -> tuple[str, str, str]:
    """Return the data's name, the subtype with the fewest training slices, a line of evidence."""
    results = summary.results()
    if not results:
        return "no runs", NAMES[0], "data: no run is finished"
    document = results[0].document
    data, test = document["train"]["data"], document["test"]
    kinds = " and ".join(one["kind"] for one in data.get("stores") or [data])
    fold = data.get("fold")
    tested = f"{fold['of']} folds" if fold else "test split"
    return (
        f"{data['store']}, {tested}",
        min(NAMES, key=lambda name: int(data["train_positives"][name])),
        f"data: {data['store']} of kind {kinds}, {tested}{', pooled:' if fold else ' of'} "
        f"{test['slices']:,} slices of {test['patients']:,} patients",
    )


# fmt: off
def _cost_claims(costs: Mapping[str, Any]) -> tuple[Claim, ...]:
    params, time = STATED["params_factor_mobilenet"], STATED["time_factor_mobilenet"]
    tenth, size, ms = STATED["params_factor_sfcn"], STATED["size_before_mb"], "latency_float32_ms"
    shrunk, exact = _sizes(costs)
    return (
        Claim("params_26x", "abstract",
              f"LightFCN has fewer parameters than MobileNetV2 “{params.words}”.",
              f"the ratio, rounded, is at least {params.value:g}",
              *factor(costs, "params", "mobilenet_v2", LIGHT, params.value)),
        Claim("time_3x", "abstract",
              f"LightFCN's inference time is less than MobileNetV2's “{time.words}”.",
              f"the ratio of the medians, rounded, is at least {time.value:g}",
              *factor(costs, ms, "mobilenet_v2", LIGHT, time.value).with_line(_TIME_WARNING)),
        Claim("smaller_footprint", "abstract",
              "“a smaller memory footprint” than the state of the art.",
              f"float32 .tflite bytes, {_COUNT_RULE}",
              *smaller(costs, "tflite_float32_bytes", LIGHT, STATE_OF_THE_ART)),
        Claim("fewer_params", "abstract",
              "“a smaller number of parameters” than the state of the art.",
              f"parameters, {_COUNT_RULE}",
              *smaller(costs, "params", LIGHT, STATE_OF_THE_ART)),
        Claim("less_time", "abstract",
              "“lesser inference time” than the state of the art.",
              "medians of one interleaved run, lower than each of the others",
              *smaller(costs, ms, LIGHT, STATE_OF_THE_ART).with_line(_TIME_WARNING)),
        Claim("fewer_flops", "abstract",
              "“fewer Floating Point Operations” than the state of the art.",
              f"FLOPs of one 256x256 slice, {_COUNT_RULE}",
              *smaller(costs, "flops_256", LIGHT, STATE_OF_THE_ART)),
        Claim("depthwise_reduces_params", "2.1",
              "Depthwise separable convolutions have “significantly reduced the total number of "
              "parameters”.",
              f"SFCN_depthwise's parameters, {_COUNT_RULE}",
              *smaller(costs, "params", "sfcn_depthwise", ("sfcn",))),
        Claim("expansions_reduce_flops", "2.1",
              "Expansions and projections significantly reduce the floating point operations.",
              "LightFCN needs fewer FLOPs than the network with the same depthwise convolutions "
              "but none of its projections, in which each block keeps its E channels",
              *_expansions(costs)),
        Claim("size_reduced", "3.3",
              f"The modifications bring the size down “{size.words}”.",
              "the .h5 file with Adam's state shrinks at least by the whole part of the stated "
              "ratio",
              *shrunk),
        Claim("size_exact", "3.3",
              f"The sizes themselves: “{size.words}”.",
              f"of one kind of file ({' or '.join(COSTS[key][1] for key in FILES)}) both are "
              f"within {CLOSE:.0%} of the stated sizes",
              *exact),
        Claim("params_10x_sfcn", "3.4",
              f"LightFCN has fewer parameters than SFCN “{tenth.words}”.",
              f"the ratio, rounded, is at least {tenth.value:g}",
              *factor(costs, "params", "sfcn", LIGHT, tenth.value)),
    )


def _data_claims(rsna: RsnaCounts | None) -> tuple[Claim, ...]:
    scans, positive = STATED["scans"], STATED["positive_scans"]
    return (
        Claim("scans_21744", "3.1", f"“{scans.words}”.",
              "RSNA 2019, counted by study in a store of it or in tables, has as many",
              *_all_scans(rsna, scans.value)),
        Claim("positive_scans_7652", "3.1", f"Of these “{positive.words}”.",
              "of these studies as many have blood; it does not hold where those whose labels are "
              "known are more already",
              *_positive_scans(rsna, scans.value, positive.value)),
    )


def _model_claims(models: Mapping[str, GroupResults], rarest: str) -> tuple[Claim, ...]:
    rest = [one for one in NAMES if one != rarest]
    low = [sensitivity_above(models, name, rarest, [rest], sign=-1)
           for name in (*STATE_OF_THE_ART, LIGHT)]
    each = [[name] for name in NAMES if name != "intraventricular"]
    highest = [sensitivity_above(models, name, "intraventricular", each)
               for name in ("sfcn", LIGHT)]
    return (
        Claim("no_compromise", "abstract",
              "LightFCN is cheaper “without compromising on performance”.",
              f"against MobileNetV2 and SFCN, {_MARGIN_RULE}",
              *not_worse(models, LIGHT, STATE_OF_THE_ART)),
        Claim("residual_improves", "2.1",
              "Residual connections “improved performance without the need for deeper networks”.",
              "LightFCN above SFCN_depthwise in ROC AUC and balanced accuracy: "
              f"{_SEEDS_RULE}; the two differ in more than the connections",
              *all_of([above(models, LIGHT, ("sfcn_depthwise",), one) for one in PERFORMANCE])),
        Claim("not_degraded", "3.3",
              "The modifications have not “degraded the performance by a lot”.",
              f"SFCN_depthwise and LightFCN against SFCN: {_MARGIN_RULE}",
              *all_of([not_worse(models, name, ("sfcn",)) for name in ("sfcn_depthwise", LIGHT)])),
        Claim("similar_to_sfcn", "3.4",
              "LightFCN “achieved performance similar to the SFCN”.",
              _MARGIN_RULE,
              *not_worse(models, LIGHT, ("sfcn",))),
        Claim("epidural_low", "3.4",
              "The sensitivity for epidural haemorrhage is low for all models, for want of "
              "samples.",
              "with MobileNetV2, SFCN and LightFCN the sensitivity for the subtype with the fewest "
              "training samples, in the paper's data epidural, is below the mean of those for the "
              "others, within each run and beyond the noise of the seeds",
              *all_of(low).with_line(
                  f"subtype with the fewest positive training slices here: {rarest}")),
        Claim("ivh_highest", "3.4",
              "“The highest sensitivity for SFCN and Light-FCN” is that for intraventricular "
              "haemorrhage.",
              "for both models it is above that for each other subtype, within each run and beyond "
              "the noise of the seeds; it does not hold where it is certainly not a point above "
              "one",
              *all_of(highest)),
        Claim("above_baseline", "4",
              "LightFCN is “performing well in the task of ICH identification”.",
              "its accuracy, which the paper reports, is above that of answering no to everything, "
              "beyond the noise of the seeds",
              *_baseline(models)),
    )


def _loss_claims(losses: Mapping[str, GroupResults]) -> tuple[Claim, ...]:
    rest = tuple(name for name in PAPER_LOSSES if name != "ldam")
    highest = {metric: above(losses, "ldam", rest, metric)
               for metric in ("sensitivity", "roc_auc", "balanced_accuracy")}
    return (
        *(
            Claim(f"ldam_highest_{metric}", "3.5",
                  f"“LDAM loss had the highest {words}” on the test set.",
                  f"LDAM against BCE and focal: {_SEEDS_RULE}",
                  *highest[metric])
            for metric, words in (("sensitivity", "sensitivity"), ("roc_auc", "… AUC"))
        ),
        *(
            Claim(f"bce_above_focal_{metric}", "3.5",
                  f"BCE “gave better experimental results than the Focal Loss in” {words}.",
                  _SEEDS_RULE,
                  *above(losses, "bce", ("focal",), metric))
            for metric, words in (("accuracy", "accuracy"), ("sensitivity", "sensitivity"),
                                  ("roc_auc", "AUC"))
        ),
        Claim("ldam_trade_off", "3.5, 4",
              "LDAM strikes “a better trade-off between sensitivity and specificity”.",
              f"balanced accuracy, LDAM against BCE and focal: {_SEEDS_RULE}",
              *highest["balanced_accuracy"]),
        Claim("ldam_best_overall", "3.5",
              "LDAM “seems to perform the best overall”.",
              f"ROC AUC and balanced accuracy, LDAM against BCE and focal: {_SEEDS_RULE}",
              *all_of([highest[metric] for metric in PERFORMANCE])),
    )
# fmt: on


def _expansions(costs: Mapping[str, Any]) -> Judgement:
    own = cost_value(costs, LIGHT, "flops_256")
    others = costs.get("counterparts")
    if own is None or not others:
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


def _sizes(costs: Mapping[str, Any]) -> tuple[Judgement, Judgement]:
    """Judge whether the file shrinks as much as stated, and whether the sizes are the stated ones.

    The paper says not of which kind of file they are.
    """
    before, after = STATED["size_before_mb"].value, STATED["size_after_mb"].value
    shrunk = {key: factor(costs, key, "sfcn", LIGHT, float(int(before / after))) for key in FILES}
    close: list[bool | None] = []
    for key in FILES:
        pairs = [(cost_value(costs, "sfcn", key), before), (cost_value(costs, LIGHT, key), after)]
        near = [None if n is None else abs(n / 1e6 / stated - 1) <= CLOSE for n, stated in pairs]
        close.append(None if None in near else all(near))
    evidence = (
        *(line for one in shrunk.values() for line in one.evidence),
        f"stated {before:g} and {after:g} MB; the paper names neither the kind of "
        "file nor the version of TensorFlow, which writes the graph into a SavedModel",
    )
    verdict = HOLDS if any(close) else UNTOLD if None in close else FAILS
    return shrunk["h5_adam_bytes"], Judgement(verdict, evidence)


def _all_scans(rsna: RsnaCounts | None, stated: float) -> Judgement:
    if rsna is None:
        return _NOT_COUNTED
    line = f"{rsna.studies:,} studies of {rsna.patients:,} patients in {rsna.source}"
    if rsna.studies < stated:
        return Judgement(UNTOLD, (f"{line}: a part of RSNA 2019 only",))
    return Judgement(HOLDS if rsna.studies == stated else FAILS, (line,))


def _positive_scans(rsna: RsnaCounts | None, scans: float, stated: float) -> Judgement:
    if rsna is None:
        return _NOT_COUNTED
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
    share = float(group.results[0].document["test"]["all_negative_accuracy"])
    found = above_number(models, LIGHT, "accuracy", share, "answering no to everything")
    auc = group.statistic(MEAN, "roc_auc").mean
    return found.with_line(f"ROC AUC {percent(auc)}; that of any constant answer is 50 %")
