"""What was measured in; each sentence of the paper that states a result, with a verdict, out.

A claim is a short quotation, its place, the rule by which it is judged and the evidence.
Performance is judged over seeds (`noise.TEST`); counts, bytes and times are compared as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ichlite.data.store import Store
from ichlite.labels import NAMES
from ichlite.reproduce.cost_claims import cost_claims
from ichlite.reproduce.published import STATED
from ichlite.reproduce.score_claims import loss_claims, model_claims
from ichlite.reproduce.summary import Summary
from ichlite.reproduce.verdicts import FAILS, HOLDS, UNTOLD, Claim, Judgement, claim


@dataclass(frozen=True, slots=True)
class Ground:
    """What the claims are judged on.

    Attributes:
        summary: Measured runs.
        costs: From `costs.measured_costs`.
        kind: Of the store: `phantom`, `rsna`, …
        studies: In the store.
        positive_studies: Of these, with blood on a slice.
        rarest: Subtype with the fewest positive training slices.
        data: What performance was measured on, for the evidence.
    """

    summary: Summary
    costs: Mapping[str, Any]
    kind: str
    studies: int
    positive_studies: int
    rarest: str
    data: str

    @classmethod
    def of(cls, summary: Summary, costs: Mapping[str, Any], store: Store) -> Ground:
        """Summary, costs and the store that was trained on → the ground of the claims."""
        labels, study = np.asarray(store.labels), np.asarray(store.study)
        positives = labels[store.rows("train")].sum(axis=0)
        test = store.rows("test")
        return cls(
            summary,
            costs,
            str(store.meta.get("kind")),
            len(np.unique(study)),
            len(np.unique(study[np.asarray(store.any) == 1])),
            NAMES[int(np.argmin(positives))],
            f"data: {store.path.name} of kind {store.meta.get('kind')}, test split of "
            f"{len(test):,} slices of {len(np.unique(np.asarray(store.patient)[test])):,} patients",
        )


def judge(ground: Ground) -> tuple[Claim, ...]:
    """What was measured → every claim with its verdict, in the order of the paper's sections."""
    performance = [
        *model_claims(ground.summary.models, ground.rarest),
        *loss_claims(ground.summary.losses),
    ]
    found = (
        *cost_claims(ground.costs),
        *_data_claims(ground),
        *(replace(one, evidence=(*one.evidence, ground.data)) for one in performance),
    )
    return tuple(sorted(found, key=lambda one: (one.section != "abstract", one.section)))


def _data_claims(ground: Ground) -> tuple[Claim, ...]:
    scans, positive = STATED["scans"], STATED["positive_scans"]
    rule = "the studies of a store of RSNA 2019 are counted; any other store cannot tell"

    def counted(stated: float, found: int, what: str) -> Judgement:
        if ground.kind != "rsna":
            return Judgement(
                UNTOLD,
                (
                    f"the store is of kind {ground.kind}, not RSNA 2019; it has {found:,} {what}. "
                    "A store made by `ichlite prepare rsna` from all studies can tell.",
                ),
            )
        if ground.studies < scans.value:
            return Judgement(
                UNTOLD,
                (f"the store holds {ground.studies:,} studies, a part of RSNA 2019 only",),
            )
        line = f"{found:,} {what} in the store, stated {stated:,.0f}"
        return Judgement(HOLDS if found == stated else FAILS, (line,))

    return (
        claim(
            "scans_21744",
            "3.1",
            f"“{scans.words}”.",
            rule,
            counted(scans.value, ground.studies, "studies"),
        ),
        claim(
            "positive_scans_7652",
            "3.1",
            f"Of these “{positive.words}”.",
            rule,
            counted(positive.value, ground.positive_studies, "studies with blood"),
        ),
    )
