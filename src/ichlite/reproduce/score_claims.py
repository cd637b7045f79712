"""Judge the paper's claims on how well models and losses perform."""

from __future__ import annotations

from collections.abc import Mapping

from ichlite.labels import NAMES
from ichlite.reproduce.campaign_plan import PAPER_LOSSES
from ichlite.reproduce.campaign_summary import GroupResults
from ichlite.reproduce.verdicts import (
    LIGHT,
    MARGIN,
    SMALL,
    STATE_OF_THE_ART,
    UNTOLD,
    Claim,
    Judgement,
    above,
    above_number,
    all_of,
    claim,
    name_of,
    not_worse,
    percent,
    subtype_above,
    subtype_below_mean,
    with_line,
)

_SEEDS_RULE = (
    "the 95 % interval over seeds of each difference is above zero (it does not hold where one is "
    f"below {SMALL * 100:g} point: an advantage that is certainly less is none)"
)
_MARGIN_RULE = (
    f"in ROC AUC and in balanced accuracy the 95 % interval over seeds of the difference is above "
    f"-{MARGIN * 100:g} points (it does not hold where one is below)"
)


def model_claims(models: Mapping[str, GroupResults], rarest: str) -> tuple[Claim, ...]:
    """Groups by model, and the rarest subtype in training → the claims on architectures."""
    low = all_of([
        subtype_below_mean(models, name, rarest, [one for one in NAMES if one != rarest])
        for name in (*STATE_OF_THE_ART, LIGHT)
    ])  # fmt: skip
    rare = f"subtype with the fewest positive training slices here: {rarest}"
    most = [name for name in NAMES if name != "intraventricular"]
    return (
        claim(
            "no_compromise",
            "abstract",
            "LightFCN is cheaper “without compromising on performance”.",
            f"against MobileNetV2 and SFCN, {_MARGIN_RULE}",
            not_worse(models, LIGHT, STATE_OF_THE_ART),
        ),
        claim(
            "residual_improves",
            "2.1",
            "Residual connections “improved performance without the need for deeper networks”.",
            "LightFCN above SFCN_depthwise in ROC AUC and balanced accuracy: "
            f"{_SEEDS_RULE}; the two differ in more than the connections",
            all_of([
                above(models, LIGHT, ("sfcn_depthwise",), metric)
                for metric in ("roc_auc", "balanced_accuracy")
            ]),
        ),
        claim(
            "not_degraded",
            "3.3",
            "The modifications have not “degraded the performance by a lot”.",
            f"SFCN_depthwise and LightFCN against SFCN: {_MARGIN_RULE}",
            all_of([not_worse(models, name, ("sfcn",)) for name in ("sfcn_depthwise", LIGHT)]),
        ),
        claim(
            "similar_to_sfcn",
            "3.4",
            "LightFCN “achieved performance similar to the SFCN”.",
            _MARGIN_RULE,
            not_worse(models, LIGHT, ("sfcn",)),
        ),
        claim(
            "epidural_low",
            "3.4",
            "The sensitivity for epidural haemorrhage is low for all models, for want of samples.",
            "with MobileNetV2, SFCN and LightFCN the sensitivity for the subtype with the fewest "
            "training samples, in the paper's data epidural, is below the mean of those for the "
            "others, within each run and beyond the noise of the seeds",
            with_line(low, rare),
        ),
        claim(
            "ivh_highest",
            "3.4",
            "“The highest sensitivity for SFCN and Light-FCN” is that for intraventricular "
            "haemorrhage.",
            "for both models it is above that for each other subtype, within each run and beyond "
            "the noise of the seeds; it does not hold where it is certainly not a point above one",
            all_of([
                subtype_above(models, name, "intraventricular", most)
                for name in ("sfcn", LIGHT)
            ]),
        ),
        claim(
            "above_baseline",
            "4",
            "LightFCN is “performing well in the task of ICH identification”.",
            "its accuracy, which the paper reports, is above that of answering no to everything, "
            "beyond the noise of the seeds",
            _baseline(models),
        ),
    )  # fmt: skip


def loss_claims(losses: Mapping[str, GroupResults]) -> tuple[Claim, ...]:
    """Groups by loss → the claims on losses."""
    rest = tuple(name for name in PAPER_LOSSES if name != "ldam")
    claims = [
        claim(
            f"ldam_highest_{metric}",
            "3.5",
            f"“LDAM loss had the highest {words}” on the test set.",
            f"LDAM against BCE and focal: {_SEEDS_RULE}",
            above(losses, "ldam", rest, metric),
        )
        for metric, words in (("sensitivity", "sensitivity"), ("roc_auc", "… AUC"))
    ]
    claims += [
        claim(
            f"bce_above_focal_{metric}",
            "3.5",
            f"BCE “gave better experimental results than the Focal Loss in” {words}.",
            _SEEDS_RULE,
            above(losses, "bce", ("focal",), metric),
        )
        for metric, words in (
            ("accuracy", "accuracy"),
            ("sensitivity", "sensitivity"),
            ("roc_auc", "AUC"),
        )
    ]
    trade_off = above(losses, "ldam", rest, "balanced_accuracy")
    return (
        *claims,
        claim(
            "ldam_trade_off",
            "3.5, 4",
            "LDAM strikes “a better trade-off between sensitivity and specificity”.",
            f"balanced accuracy, LDAM against BCE and focal: {_SEEDS_RULE}",
            trade_off,
        ),
        claim(
            "ldam_best_overall",
            "3.5",
            "LDAM “seems to perform the best overall”.",
            f"ROC AUC and balanced accuracy, LDAM against BCE and focal: {_SEEDS_RULE}",
            all_of([above(losses, "ldam", rest, "roc_auc"), trade_off]),
        ),
    )


def _baseline(models: Mapping[str, GroupResults]) -> Judgement:
    group = models.get(LIGHT)
    if group is None or not group.results:
        return Judgement(UNTOLD, (f"{name_of(LIGHT)}: not run",))
    share = float(group.results[0].document["test"]["all_negative_accuracy"])
    found = above_number(models, LIGHT, "accuracy", share, "answering no to everything")
    auc = group.statistic("mean", "roc_auc").mean
    return with_line(found, f"ROC AUC {percent(auc)}; that of any constant answer is 50 %")
