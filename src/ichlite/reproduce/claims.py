"""Judge each sentence of the paper that states a result.

A claim is a short quotation, its place, the rule by which it is judged and the evidence.
Performance is judged over seeds (`noise.TEST`); counts, bytes and times are compared as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ichlite.labels import NAMES
from ichlite.reproduce.campaign_summary import Summary
from ichlite.reproduce.cost_claims import cost_claims
from ichlite.reproduce.published import STATED
from ichlite.reproduce.rsna_prediction import RsnaCounts
from ichlite.reproduce.score_claims import loss_claims, model_claims
from ichlite.reproduce.verdicts import FAILS, HOLDS, UNTOLD, Claim, Judgement, claim


@dataclass(frozen=True, slots=True)
class Ground:
    """What the claims are judged on.

    Attributes:
        summary: Measured runs.
        costs: From `costs.measured_costs`.
        rsna: Studies of RSNA 2019; None where they were not counted.
        name: Of the data, in a few words; None before any run.
        rarest: Subtype with the fewest positive training slices.
        data: What performance was measured on, for the evidence.
    """

    summary: Summary
    costs: Mapping[str, Any]
    rsna: RsnaCounts | None
    name: str
    rarest: str
    data: str

    @classmethod
    def of(cls, summary: Summary, costs: Mapping[str, Any], rsna: RsnaCounts | None) -> Ground:
        """Summary, costs and counts → the ground of the claims, from what the results say."""
        results = summary.results()
        if not results:
            return cls(summary, costs, rsna, "no runs", NAMES[0], "data: no run is finished")
        document = results[0].document
        data, test = document["train"]["data"], document["test"]
        kinds = [one["kind"] for one in data.get("stores") or [data]]
        fold = data.get("fold")
        tested = f"{fold['of']} folds" if fold else "test split"
        positives = data["train_positives"]
        return cls(
            summary,
            costs,
            rsna,
            f"{data['store']}, {tested}",
            min(NAMES, key=lambda name: int(positives[name])),
            f"data: {data['store']} of kind {' and '.join(kinds)}, {tested}"
            f"{', pooled:' if fold else ' of'} {test['slices']:,} slices of "
            f"{test['patients']:,} patients",
        )


def judge(ground: Ground) -> tuple[Claim, ...]:
    """What was measured → every claim with its verdict, in the order of the paper's sections."""
    performance = [
        *model_claims(ground.summary.models, ground.rarest),
        *loss_claims(ground.summary.losses),
    ]
    found = (
        *cost_claims(ground.costs),
        *_data_claims(ground.rsna),
        *(replace(one, evidence=(*one.evidence, ground.data)) for one in performance),
    )
    return tuple(sorted(found, key=lambda one: (one.section != "abstract", one.section)))


def _data_claims(rsna: RsnaCounts | None) -> tuple[Claim, ...]:
    scans, positive = STATED["scans"], STATED["positive_scans"]
    return (
        claim(
            "scans_21744",
            "3.1",
            f"“{scans.words}”.",
            "RSNA 2019, counted by study in a store of it or in tables, has as many",
            _all_scans(rsna, scans.value),
        ),
        claim(
            "positive_scans_7652",
            "3.1",
            f"Of these “{positive.words}”.",
            "of these studies as many have blood; it does not hold where those whose labels are "
            "known are more already",
            _positive_scans(rsna, scans.value, positive.value),
        ),
    )


_NOT_COUNTED = Judgement(
    UNTOLD,
    ("RSNA 2019 was not counted: a store of it, or --rsna-tables with its tables, can tell",),
)


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
