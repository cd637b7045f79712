"""Costs of the models in; the paper's claims on parameters, FLOPs, sizes and times, judged, out.

These are counts and medians, not samples: they are compared as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ichlite.reproduce.published import STATED
from ichlite.reproduce.verdicts import (
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
    slower = factor(
        costs, "mobilenet_v2", LIGHT, "latency_float32_ms", "ms", "time a slice", time.value
    )
    quicker = smaller(
        costs, LIGHT, STATE_OF_THE_ART, "latency_float32_ms", "ms", "time a slice, float32"
    )
    return (
        claim(
            "params_26x",
            "abstract",
            f"LightFCN has fewer parameters than MobileNetV2 “{params.words}”.",
            f"the ratio, rounded, is at least {params.value:g}",
            factor(costs, "mobilenet_v2", LIGHT, "params", "count", "parameters", params.value),
        ),
        claim(
            "time_3x",
            "abstract",
            f"LightFCN's inference time is less than MobileNetV2's “{time.words}”.",
            f"the ratio of the medians, rounded, is at least {time.value:g}",
            with_line(slower, _TIME_WARNING),
        ),
        claim(
            "smaller_footprint",
            "abstract",
            "“a smaller memory footprint” than the state of the art.",
            f"float32 .tflite bytes, {_COUNT_RULE}",
            smaller(
                costs, LIGHT, STATE_OF_THE_ART, "tflite_float32_bytes", "bytes", ".tflite float32"
            ),
        ),
        claim(
            "fewer_params",
            "abstract",
            "“a smaller number of parameters” than the state of the art.",
            f"parameters, {_COUNT_RULE}",
            smaller(costs, LIGHT, STATE_OF_THE_ART, "params", "count", "parameters"),
        ),
        claim(
            "less_time",
            "abstract",
            "“lesser inference time” than the state of the art.",
            "medians of one interleaved run, lower than each of the others",
            with_line(quicker, _TIME_WARNING),
        ),
        claim(
            "fewer_flops",
            "abstract",
            "“fewer Floating Point Operations” than the state of the art.",
            f"FLOPs of one 256x256 slice, {_COUNT_RULE}",
            smaller(costs, LIGHT, STATE_OF_THE_ART, "flops_256", "flops", "FLOPs at 256x256"),
        ),
        claim(
            "depthwise_reduces_params",
            "2.1",
            "Depthwise separable convolutions have “significantly reduced the total number of "
            "parameters”.",
            f"SFCN_depthwise's parameters, {_COUNT_RULE}",
            smaller(costs, "sfcn_depthwise", ("sfcn",), "params", "count", "parameters"),
        ),
        claim(
            "expansions_reduce_flops",
            "2.1",
            "Expansions and projections significantly reduce the floating point operations.",
            "of two models that differ in expansions and projections alone, the one with them "
            "needs fewer FLOPs; the paper has no such two models",
            _expansions(costs),
        ),
        *_size_claims(costs),
        claim(
            "params_10x_sfcn",
            "3.4",
            f"LightFCN has fewer parameters than SFCN “{STATED['params_factor_sfcn'].words}”.",
            f"the ratio, rounded, is at least {STATED['params_factor_sfcn'].value:g}",
            factor(
                costs,
                "sfcn",
                LIGHT,
                "params",
                "count",
                "parameters",
                STATED["params_factor_sfcn"].value,
            ),
        ),
    )


def _expansions(costs: Mapping[str, Any]) -> Judgement:
    counted = smaller(costs, LIGHT, ("sfcn_depthwise",), "flops_256", "flops", "FLOPs at 256x256")
    line = (
        "no model of the paper differs from another in expansions and projections alone: "
        "SFCN_depthwise has none, but its details here are a reconstruction, and its stem has "
        "stride 2, too"
    )
    return Judgement(UNTOLD, (*counted.evidence, line))


def _size_claims(costs: Mapping[str, Any]) -> tuple[Claim, ...]:
    before, after = STATED["size_before_mb"], STATED["size_after_mb"]
    sizes = [cost_value(costs, name, "h5_adam_bytes") for name in ("sfcn", LIGHT)]
    shrunk = factor(
        costs,
        "sfcn",
        LIGHT,
        "h5_adam_bytes",
        "bytes",
        ".h5 with Adam's state",
        float(int(before.value / after.value)),
    )
    close = [
        None if size is None else abs(size / 1e6 / stated.value - 1) <= CLOSE
        for size, stated in zip(sizes, (before, after), strict=True)
    ]
    exact = Judgement(
        HOLDS if all(close) else UNTOLD,
        (
            *shrunk.evidence,
            f"stated {before.value:g} and {after.value:g} MB; the paper does not name the kind of "
            "file, so a size that differs may be of another kind",
        ),
    )
    return (
        claim(
            "size_reduced",
            "3.3",
            f"The modifications bring the size down “{before.words}”.",
            "the .h5 file with Adam's state shrinks at least by the whole part of the stated ratio",
            shrunk,
        ),
        claim(
            "size_exact",
            "3.3",
            f"The sizes themselves: “{before.words}”.",
            f"both .h5 files with Adam's state are within {CLOSE:.0%} of the stated sizes",
            exact,
        ),
    )
