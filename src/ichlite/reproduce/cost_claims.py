"""Judge the paper's claims on parameters, FLOPs, sizes and times.

These are counts and medians, not samples: they are compared as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ichlite.reproduce.cells import number_text
from ichlite.reproduce.published import STATED
from ichlite.reproduce.verdicts import (
    COSTS,
    FAILS,
    HOLDS,
    LIGHT,
    STATE_OF_THE_ART,
    UNTOLD,
    Claim,
    Judgement,
    claim,
    cost_value,
    factor,
    smaller,
    with_line,
)

CLOSE = 0.1
"""A tenth: a file size that is nearer than this to the stated one is that size."""
_COUNT_RULE = "counted here; lower than each of the others"
_TIME_WARNING = (
    "Measured on the machine named in Table 4, on one thread, not on the paper's Raspberry Pi 4B."
)


def cost_claims(costs: Mapping[str, Any]) -> tuple[Claim, ...]:
    """Costs as of `costs.measured_costs` → the claims on parameters, FLOPs, sizes and times."""
    params, time = STATED["params_factor_mobilenet"], STATED["time_factor_mobilenet"]
    tenth, ms = STATED["params_factor_sfcn"], "latency_float32_ms"
    return (
        claim(
            "params_26x",
            "abstract",
            f"LightFCN has fewer parameters than MobileNetV2 “{params.words}”.",
            f"the ratio, rounded, is at least {params.value:g}",
            factor(costs, "params", "mobilenet_v2", LIGHT, params.value),
        ),
        claim(
            "time_3x",
            "abstract",
            f"LightFCN's inference time is less than MobileNetV2's “{time.words}”.",
            f"the ratio of the medians, rounded, is at least {time.value:g}",
            with_line(factor(costs, ms, "mobilenet_v2", LIGHT, time.value), _TIME_WARNING),
        ),
        claim(
            "smaller_footprint",
            "abstract",
            "“a smaller memory footprint” than the state of the art.",
            f"float32 .tflite bytes, {_COUNT_RULE}",
            smaller(costs, "tflite_float32_bytes", LIGHT, STATE_OF_THE_ART),
        ),
        claim(
            "fewer_params",
            "abstract",
            "“a smaller number of parameters” than the state of the art.",
            f"parameters, {_COUNT_RULE}",
            smaller(costs, "params", LIGHT, STATE_OF_THE_ART),
        ),
        claim(
            "less_time",
            "abstract",
            "“lesser inference time” than the state of the art.",
            "medians of one interleaved run, lower than each of the others",
            with_line(smaller(costs, ms, LIGHT, STATE_OF_THE_ART), _TIME_WARNING),
        ),
        claim(
            "fewer_flops",
            "abstract",
            "“fewer Floating Point Operations” than the state of the art.",
            f"FLOPs of one 256x256 slice, {_COUNT_RULE}",
            smaller(costs, "flops_256", LIGHT, STATE_OF_THE_ART),
        ),
        claim(
            "depthwise_reduces_params",
            "2.1",
            "Depthwise separable convolutions have “significantly reduced the total number of "
            "parameters”.",
            f"SFCN_depthwise's parameters, {_COUNT_RULE}",
            smaller(costs, "params", "sfcn_depthwise", ("sfcn",)),
        ),
        claim(
            "expansions_reduce_flops",
            "2.1",
            "Expansions and projections significantly reduce the floating point operations.",
            "LightFCN needs fewer FLOPs than the network with the same depthwise convolutions but "
            "none of its projections, in which each block keeps its E channels",
            _expansions(costs),
        ),
        *_size_claims(costs),
        claim(
            "params_10x_sfcn",
            "3.4",
            f"LightFCN has fewer parameters than SFCN “{tenth.words}”.",
            f"the ratio, rounded, is at least {tenth.value:g}",
            factor(costs, "params", "sfcn", LIGHT, tenth.value),
        ),
    )


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


FILES = ("h5_adam_bytes", "saved_model_bytes")
"""Kinds of file whose size the paper may mean."""


def _size_claims(costs: Mapping[str, Any]) -> tuple[Claim, ...]:
    before, after = STATED["size_before_mb"], STATED["size_after_mb"]
    least = float(int(before.value / after.value))
    shrunk = {key: factor(costs, key, "sfcn", LIGHT, least) for key in FILES}
    close: list[bool | None] = []
    for key in FILES:
        sizes = [cost_value(costs, name, key) for name in ("sfcn", LIGHT)]
        pairs = zip(sizes, (before, after), strict=True)
        near = [None if n is None else abs(n / 1e6 / one.value - 1) <= CLOSE for n, one in pairs]
        close.append(None if None in near else all(near))
    exact = Judgement(
        HOLDS if any(close) else UNTOLD if None in close else FAILS,
        (
            *(line for one in shrunk.values() for line in one.evidence),
            f"stated {before.value:g} and {after.value:g} MB; the paper names neither the kind of "
            "file nor the version of TensorFlow, which writes the graph into a SavedModel",
        ),
    )
    return (
        claim(
            "size_reduced",
            "3.3",
            f"The modifications bring the size down “{before.words}”.",
            "the .h5 file with Adam's state shrinks at least by the whole part of the stated ratio",
            shrunk["h5_adam_bytes"],
        ),
        claim(
            "size_exact",
            "3.3",
            f"The sizes themselves: “{before.words}”.",
            f"of one kind of file ({' or '.join(COSTS[key][1] for key in FILES)}) both are within "
            f"{CLOSE:.0%} of the stated sizes",
            exact,
        ),
    )
