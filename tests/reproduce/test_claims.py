"""Each claim's rule, on results with numbers of one's choice, both ways and undecided."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from msgspec import UNSET, structs
from tests.reproduce.synthetic import costs, grid, result, summary

from ichlite.contracts.run import LeftOutFold, TrainedStore
from ichlite.labels import NAMES
from ichlite.reproduce.campaign_summary import Summary, summarise_runs
from ichlite.reproduce.claims import Claim, judge
from ichlite.reproduce.costs import Latency
from ichlite.reproduce.rsna_counts import RsnaCounts
from ichlite.reproduce.verdicts import FAILS, HOLDS, UNTOLD, VERDICTS
from ichlite.train.recipe import Recipe

FLAT = dict.fromkeys(NAMES, 0.5)


def claims(
    found: Summary | None = None, rsna: RsnaCounts | None = None, **changes: Any
) -> dict[str, Claim]:
    judged = judge(found or summary(), costs(**changes), rsna).claims
    assert len({one.key for one in judged}) == len(judged)
    assert all(one.verdict in VERDICTS and one.evidence and one.rule for one in judged)
    return {one.key: one for one in judged}


def numbers(line: str) -> list[str]:
    """Every number of a line, its sign included where it has one."""
    return re.findall(r"[+-]?\d+(?:[.,]\d+)*", line)


def with_losses(**changes: dict[str, float]) -> Summary:
    return summary(losses={loss: changes.get(loss, {}) for loss in ("bce", "focal", "ldam")})


def test_without_runs_only_costs_are_told() -> None:
    told = {key for key, one in claims().items() if one.verdict != UNTOLD}
    assert told == {
        "params_26x", "time_3x", "smaller_footprint", "fewer_params", "less_time", "fewer_flops",
        "depthwise_reduces_params", "size_reduced", "params_10x_sfcn", "size_exact",
        "expansions_reduce_flops",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("key", "model", "change", "verdict"),
    [
        ("params_26x", "light_fcn", {}, HOLDS),
        ("params_26x", "light_fcn", {"params": 100_000}, FAILS),
        ("time_3x", "light_fcn", {}, HOLDS),
        ("time_3x", "light_fcn", {"latency_float32_ms": Latency(2.0, 2.0)}, FAILS),
        ("less_time", "sfcn", {"latency_float32_ms": Latency(1.0, 1.0)}, FAILS),
        ("smaller_footprint", "sfcn", {"tflite_float32_bytes": 1000}, FAILS),
        ("fewer_params", "sfcn", {"params": 1000}, FAILS),
        ("fewer_flops", "mobilenet_v2", {"flops_256": 1e6}, FAILS),
        ("fewer_flops", "mobilenet_v2", {"flops_256": None}, UNTOLD),
        ("depthwise_reduces_params", "sfcn_depthwise", {"params": 2e6}, FAILS),
        ("expansions_reduce_flops", "light_fcn", {}, FAILS),
        ("expansions_reduce_flops", "light_fcn", {"flops_256": 1e6}, HOLDS),
        ("expansions_reduce_flops", "light_fcn", {"flops_256": None}, UNTOLD),
        ("size_reduced", "light_fcn", {}, HOLDS),
        ("size_reduced", "light_fcn", {"h5_adam_bytes": 8e6}, FAILS),
        ("size_exact", "light_fcn", {}, FAILS),
        ("size_exact", "light_fcn", {"h5_adam_bytes": 1.72e6}, HOLDS),
        ("size_exact", "light_fcn", {"saved_model_bytes": None}, UNTOLD),
        ("params_10x_sfcn", "light_fcn", {}, HOLDS),
        ("params_10x_sfcn", "light_fcn", {"params": 200_000}, FAILS),
    ],
)
def test_costs(key: str, model: str, change: dict[str, Any], verdict: str) -> None:
    assert claims(**{model: change})[key].verdict == verdict


def test_expansions_are_judged_by_the_network_without_projections() -> None:
    lines = claims()["expansions_reduce_flops"].evidence
    assert numbers(lines[0])[-2:] == ["187.9", "157.0"]
    assert "328.0" in numbers(lines[1])
    only = structs.replace(costs(), counterparts=UNSET)
    found = {one.key: one for one in judge(summary(), only, None).claims}
    assert found["expansions_reduce_flops"].verdict == UNTOLD


def test_times_say_that_they_are_not_of_a_pi() -> None:
    found = claims()
    for key in ("time_3x", "less_time"):
        assert "Raspberry Pi" in found[key].evidence[-1]
    assert "Raspberry Pi" not in " ".join(found["fewer_params"].evidence)


@pytest.mark.parametrize("metric", ["sensitivity", "roc_auc"])
def test_ldam_highest(metric: str) -> None:
    key = f"ldam_highest_{metric}"
    assert claims(with_losses(ldam={metric: 0.9}))[key].verdict == HOLDS
    assert claims(with_losses(ldam={metric: 0.7}))[key].verdict == FAILS
    assert claims(with_losses(ldam={metric: 0.9}, focal={metric: 0.95}))[key].verdict == FAILS
    assert claims(with_losses(ldam={metric: 0.8005}))[key].verdict == FAILS
    assert claims(with_losses(ldam={metric: 0.809}))[key].verdict == HOLDS
    no_advantage = claims(with_losses(ldam={metric: 0.9}, bce={metric: 0.9}))[key]
    assert no_advantage.verdict == FAILS
    loud = summary(losses={loss: {} for loss in ("bce", "focal", "ldam")}, noise=0.05)
    assert claims(loud)[key].verdict == UNTOLD


@pytest.mark.parametrize("metric", ["accuracy", "sensitivity", "roc_auc"])
def test_bce_above_focal(metric: str) -> None:
    key = f"bce_above_focal_{metric}"
    assert claims(with_losses(bce={metric: 0.9}))[key].verdict == HOLDS
    assert claims(with_losses(bce={metric: 0.7}))[key].verdict == FAILS
    assert claims(with_losses())[key].verdict == FAILS


def test_ldam_trade_off_and_best_overall() -> None:
    both = claims(with_losses(ldam={"balanced_accuracy": 0.9, "roc_auc": 0.9}))
    assert both["ldam_trade_off"].verdict == both["ldam_best_overall"].verdict == HOLDS
    one = claims(with_losses(ldam={"balanced_accuracy": 0.9, "roc_auc": 0.7}))
    assert (one["ldam_trade_off"].verdict, one["ldam_best_overall"].verdict) == (HOLDS, FAILS)


def test_one_seed_or_a_missing_loss_tells_nothing() -> None:
    values = {"bce": {}, "focal": {}, "ldam": {"sensitivity": 0.99}}
    key = "ldam_highest_sensitivity"
    single, several = claims(summary(losses=values, seeds=(1,))), claims(summary(losses=values))
    assert (single[key].verdict, several[key].verdict) == (UNTOLD, HOLDS)
    signed = [
        sum(number[0] in "+-" for number in numbers(found[key].evidence[0]))
        for found in (single, several)
    ]
    assert signed == [1, 3]  # the difference; and its interval over seeds
    del values["focal"]
    missing = claims(summary(losses=values))[key]
    assert missing.verdict == UNTOLD
    assert any("Focal" in line and not numbers(line) for line in missing.evidence)


def test_evidence_names_numbers_seeds_patients_and_data() -> None:
    values = {"bce": {}, "focal": {}, "ldam": {"sensitivity": 0.9}}
    first, *_, last = claims(summary(losses=values, draws=50))["ldam_highest_sensitivity"].evidence
    assert "LDAM" in first
    assert "BCE" in first
    means, differences, seeds = numbers(first)[:3], numbers(first)[4:8], numbers(first)[-6:]
    assert means == ["90.00", "80.00", "+10.00"]
    assert differences[0].startswith("+9.")
    assert differences[2:] == ["+10.00", "+10.00"]  # redrawn patients shift both alike
    assert seeds == ["1", "2", "3"] * 2
    assert "toys" in last
    assert numbers(last) == ["100", "10"]  # slices, patients


def test_what_holds_here_may_not_be_told_for_other_patients() -> None:
    values = {"bce": {}, "focal": {}, "ldam": {"sensitivity": 0.82}}
    key = "ldam_highest_sensitivity"
    alike = claims(summary(losses=values, draws=200))[key]
    assert (alike.verdict, alike.patients) == (HOLDS, HOLDS)
    found = summary(losses=values, draws=200)
    rng = np.random.default_rng(0)
    for one in found.losses["ldam"].results:
        assert one.draws is not None
        one.draws[...] += rng.normal(0, 0.05, (200, 1, 1))
    scattered = claims(found)[key]
    assert (scattered.verdict, scattered.patients) == (HOLDS, UNTOLD)
    assert UNTOLD in scattered.others_words
    assert claims(summary(losses=values))[key].patients is None


def test_folds_are_named_and_what_is_rare_is_taken_from_training() -> None:
    one = result(Recipe(epochs=6), rarest="subdural")
    stores = [TrainedStore(name=kind, kind=kind, hash="0") for kind in ("ct-ich", "phantom")]
    data = structs.replace(
        one.train.data,
        fold=LeftOutFold(number=1, of=5),
        store="heads made",
        stores=tuple(stores),
    )
    one = replace(one, train=structs.replace(one.train, data=data))
    found = judge(summarise_runs([one], grid()), costs(), None)
    assert "heads made" in found.name
    assert numbers(found.name) == ["5"]
    *_, rare, data = next(one for one in found.claims if one.key == "epidural_low").evidence
    assert "subdural" in rare
    assert "epidural" not in rare
    assert "ct-ich and phantom" in data
    assert numbers(data) == ["5", "100", "10"]  # folds, slices, patients


@pytest.mark.parametrize(
    ("light", "verdict"),
    [
        ({}, HOLDS),
        ({"roc_auc": 0.79}, HOLDS),
        ({"roc_auc": 0.75}, FAILS),
        ({"balanced_accuracy": 0.75}, FAILS),
        ({"roc_auc": 0.78}, UNTOLD),
    ],
)
@pytest.mark.parametrize("key", ["similar_to_sfcn", "no_compromise", "not_degraded"])
def test_similar_performance(key: str, light: dict[str, float], verdict: str) -> None:
    models = {"mobilenet_v2": {}, "sfcn": {}, "sfcn_depthwise": {}, "light_fcn": light}
    assert claims(summary(models=models))[key].verdict == verdict


def test_residual_improves() -> None:
    better = {"roc_auc": 0.9, "balanced_accuracy": 0.9}
    for values, verdict in ((better, HOLDS), ({}, FAILS), ({**better, "roc_auc": 0.7}, FAILS)):
        found = summary(models={"sfcn_depthwise": {}, "light_fcn": values})
        assert claims(found)["residual_improves"].verdict == verdict


def test_the_rarest_subtype_is_low() -> None:
    models = {"mobilenet_v2": {}, "sfcn": {}, "light_fcn": {}}
    low = {name: {**FLAT, "epidural": 0.1} for name in models}

    def verdict(sensitivities: dict[str, dict[str, float]], rarest: str = "epidural") -> str:
        found = summary(models=models, sensitivities=sensitivities, rarest=rarest)
        return claims(found)["epidural_low"].verdict

    assert verdict(low) == HOLDS
    assert verdict(low, rarest="subdural") == FAILS
    # Lower than the mean of the others, though not lower than each of them.
    assert verdict({**low, "sfcn": {**low["sfcn"], "subdural": 0.05}}) == HOLDS
    assert verdict({**low, "sfcn": FLAT}) == FAILS
    two = summary(models={"sfcn": {}, "light_fcn": {}}, sensitivities=low)
    assert claims(two)["epidural_low"].verdict == UNTOLD


def test_ivh_highest() -> None:
    models = {"sfcn": {}, "light_fcn": {}}
    high = {name: {**FLAT, "intraventricular": 0.9} for name in models}
    for own, verdict in (
        (high, HOLDS),
        ({**high, "sfcn": FLAT}, FAILS),
        ({**high, "light_fcn": {**FLAT, "subdural": 0.9}}, FAILS),
    ):
        found = summary(models=models, sensitivities=own)
        assert claims(found)["ivh_highest"].verdict == verdict


def test_subtypes_are_compared_within_runs() -> None:
    # Seeds scatter by 10 points, but alike for all subtypes.
    models = {"sfcn": {}, "light_fcn": {}}
    high = {name: {**FLAT, "intraventricular": 0.52} for name in models}
    found = summary(models=models, sensitivities=high, noise=0.1)
    assert claims(found)["ivh_highest"].verdict == HOLDS


@pytest.mark.parametrize(
    ("accuracy", "verdict"), [(0.95, HOLDS), (0.9, UNTOLD), (0.85, FAILS), (None, UNTOLD)]
)
def test_above_the_baseline(accuracy: float | None, verdict: str) -> None:
    found = summary(models={"light_fcn": {"accuracy": accuracy}})
    assert claims(found)["above_baseline"].verdict == verdict


@pytest.mark.parametrize(
    ("studies", "positive", "unlabelled", "verdicts"),
    [
        (21744, 8882, 0, (HOLDS, FAILS)),
        (21744, 7652, 0, (HOLDS, HOLDS)),
        (21744, 7652, 9, (HOLDS, UNTOLD)),
        (21744, 8003, 2214, (HOLDS, FAILS)),
        (21744, 7000, 0, (HOLDS, FAILS)),
        (12, 4, 0, (UNTOLD, UNTOLD)),
        (25000, 8882, 0, (FAILS, FAILS)),
    ],
)
def test_scans(studies: int, positive: int, unlabelled: int, verdicts: tuple[str, str]) -> None:
    found = claims(rsna=RsnaCounts("tables", studies, 10, positive, 5, unlabelled))
    assert (found["scans_21744"].verdict, found["positive_scans_7652"].verdict) == verdicts
    assert {claims()[key].verdict for key in ("scans_21744", "positive_scans_7652")} == {UNTOLD}


def test_order_is_that_of_the_paper() -> None:
    sections = [one.section for one in claims().values()]
    assert sections == sorted(sections, key=lambda s: (s != "abstract", s))
    assert {"abstract", "2.1", "3.1", "3.3", "3.4", "3.5", "4"} <= set(sections)
