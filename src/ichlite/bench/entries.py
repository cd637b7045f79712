"""Turn timings into the `runs` and `comparisons` entries of `ichlite bench --json`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import numpy as np

from ichlite.bench.contender import Contender
from ichlite.bench.interleaved_timing import REFERENCE, Times, Timing
from ichlite.bench.runtimes import LITERT
from ichlite.bench.tflite_layers import arena_bytes
from ichlite.compress.sizes import sizes


def run_entries(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Return `runs`, one entry a timing; what cannot be told is None."""
    files = {one: _file_facts(one) for one in {timing.contender for timing in timings}}
    return [
        {
            **timing.contender.listed(),
            "threads": timing.threads,
            "min_ms": float(timing.times_ms.min()),
            "p50_ms": timing.percentile_ms(50),
            "p95_ms": timing.percentile_ms(95),
            "p99_ms": timing.percentile_ms(99),
            "inferences": timing.times_ms.size,
            **asdict(timing.start),
            **ratio_of(timing.times_ms, timing.reference_ms),
            **files[timing.contender],
            "params": timing.contender.params,
            "flops": timing.contender.flops,
            "max_probability_difference": timing.difference,
        }
        for timing in timings
    ]


def comparisons(timings: Sequence[Timing], bundle: str | None = None) -> dict[str, Any]:
    """Return ratios of medians of the same rounds on one thread, with quartiles of the rounds.

    Args:
        timings: Of one run.
        bundle: The name of the bundle among them.

    Returns:
        `litert_to_fastest_runtime`: LightFCN float32, LiteRT over the quickest of the runtimes
        (1 where it is LiteRT); `mobilenet_v2_to_light_fcn`: float32, LiteRT;
        `mobilenet_v2_to_bundle`: the same over the bundle as it is. None where not measured.
    """
    one_thread = {one.contender.key: one for one in timings if one.threads == 1}
    light = one_thread.get(REFERENCE)
    mobile = one_thread.get(("mobilenet_v2", "float32", LITERT))
    own = [one for (model, _, by), one in one_thread.items() if (model, by) == (bundle, LITERT)]
    lights = [one for key, one in one_thread.items() if key[:2] == REFERENCE[:2]]
    fastest = min(lights, key=lambda one: one.percentile_ms(50)) if len(lights) > 1 else None
    to_fastest = _ratio(light, fastest)
    if fastest is not None and to_fastest is not None:
        to_fastest = {"fastest": fastest.contender.runtime, **to_fastest}
    return {
        "litert_to_fastest_runtime": to_fastest,
        "mobilenet_v2_to_light_fcn": _ratio(mobile, light),
        "mobilenet_v2_to_bundle": _ratio(mobile, own[0] if own else None),
    }


def ratio_of(times_ms: Times, of_ms: Times) -> dict[str, Any]:
    """Return the ratio of the medians of two (round, inference) times of the same rounds.

    Returns:
        `ratio`; `ratio_quartiles`, the three of the rounds' own ratios, which drift leaves alone;
        and `ratio_of_quickest`, of the quickest inferences, which another job's load leaves alone.

    Example:
        >>> ratio_of(np.array([[2.0, 2.0], [7.0, 7.0]]), np.array([[1.0, 1.0], [2.0, 2.0]]))
        {'ratio': 3.0, 'ratio_quartiles': [2.375, 2.75, 3.125], 'ratio_of_quickest': 2.0}
    """
    of_rounds = np.median(times_ms, axis=1) / np.median(of_ms, axis=1)
    return {
        "ratio": float(np.median(times_ms) / np.median(of_ms)),
        "ratio_quartiles": np.percentile(of_rounds, (25, 50, 75)).tolist(),
        "ratio_of_quickest": float(times_ms.min() / of_ms.min()),
    }


def _ratio(one: Timing | None, of: Timing | None) -> dict[str, Any] | None:
    return None if one is None or of is None else ratio_of(one.times_ms, of.times_ms)


def _file_facts(one: Contender) -> dict[str, int | None]:
    content = one.path.read_bytes()
    arena = arena_bytes(content) if one.runtime == LITERT else None
    return {**sizes(content), "arena_bytes": arena}
