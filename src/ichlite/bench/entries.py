"""Turn timings into the `runs` and `comparisons` entries of `ichlite bench --json`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ichlite.bench.arena import arena_bytes
from ichlite.bench.contender import Contender
from ichlite.bench.interleaved_timing import REFERENCE, Timing
from ichlite.bench.runtimes import LITERT
from ichlite.compress.model_cost import sizes
from ichlite.errors import IchliteError

AGREEMENT = 1e-4
"""Largest difference of a probability between runtimes that are given the same weights."""
Logits = NDArray[np.float64]


def check_agreement(found: Sequence[tuple[Contender, Logits]]) -> None:
    """Contenders with their logits → nothing; a runtime must say what LiteRT says.

    Raises:
        IchliteError: Probabilities differ, so times would be of different networks.
    """
    for one, logits in found:
        difference = _difference(one, logits, found)
        if difference is not None and not difference <= AGREEMENT:
            raise IchliteError(
                f"{one.model} under {one.runtime} does not say what it says under LiteRT",
                found=f"probabilities {difference:.2g} apart",
                expected=f"{AGREEMENT:g} at most",
            )


def run_entries(timings: Sequence[Timing]) -> list[dict[str, Any]]:
    """Timings → `runs`, one entry each; what cannot be told is None."""
    found = [(timing.contender, timing.logits) for timing in timings]
    files: dict[tuple[str, str, str], dict[str, int | None]] = {}
    for one, _ in found:
        if one.key not in files:
            files[one.key] = _file_facts(one)
    return [
        {
            "model": timing.contender.model,
            "precision": timing.contender.precision,
            "runtime": timing.contender.runtime,
            "threads": timing.threads,
            "init_ms": timing.start.init_ms,
            "first_ms": timing.start.first_ms,
            "min_ms": float(timing.times_ms.min()),
            "p50_ms": timing.percentile_ms(50),
            "p95_ms": timing.percentile_ms(95),
            "p99_ms": timing.percentile_ms(99),
            "inferences": timing.times_ms.size,
            **ratio_of(timing.times_ms, timing.reference_ms),
            **files[timing.contender.key],
            "params": timing.contender.params,
            "flops": timing.contender.flops,
            "rss_growth_mb": timing.start.rss_growth_mb,
            "peak_rss_mb": timing.start.peak_rss_mb,
            "max_probability_difference": _difference(timing.contender, timing.logits, found),
        }
        for timing in timings
    ]


def comparisons(timings: Sequence[Timing], bundle: str | None = None) -> dict[str, Any]:
    """Timings → ratios of medians of the same rounds on one thread, with quartiles of the rounds.

    Args:
        timings: Of one run.
        bundle: The name of the bundle among them.

    Returns:
        `litert_to_fastest_runtime`: LightFCN float32, LiteRT over the quickest of the runtimes
        (1 where it is LiteRT); `mobilenet_v2_to_light_fcn`: float32, LiteRT;
        `mobilenet_v2_to_bundle`: the same over the bundle as it is. None where not measured.
    """
    here = {one.contender.key: one for one in timings if one.threads == 1}
    light = here.get(REFERENCE)
    others = [
        one for (model, precision, _), one in here.items() if (model, precision) == REFERENCE[:2]
    ]
    mobile = here.get(("mobilenet_v2", "float32", LITERT))
    own = next(
        (one for (model, _, by), one in here.items() if (model, by) == (bundle, LITERT)), None
    )
    found: dict[str, Any] = {
        "litert_to_fastest_runtime": None,
        "mobilenet_v2_to_light_fcn": None,
        "mobilenet_v2_to_bundle": None,
    }
    if light is not None and len(others) > 1:
        fastest = min(others, key=lambda one: one.percentile_ms(50))
        found["litert_to_fastest_runtime"] = {
            "fastest": fastest.contender.runtime,
            **ratio_of(light.times_ms, fastest.times_ms),
        }
    if light is not None and mobile is not None:
        found["mobilenet_v2_to_light_fcn"] = ratio_of(mobile.times_ms, light.times_ms)
    if own is not None and mobile is not None:
        found["mobilenet_v2_to_bundle"] = ratio_of(mobile.times_ms, own.times_ms)
    return found


def ratio_of(times_ms: Logits, of_ms: Logits) -> dict[str, Any]:
    """Two (round, inference) times of the same rounds → the ratio of their medians.

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
        "ratio_quartiles": [float(one) for one in np.percentile(of_rounds, (25, 50, 75))],
        "ratio_of_quickest": float(times_ms.min() / of_ms.min()),
    }


def _difference(
    one: Contender, logits: Logits, found: Sequence[tuple[Contender, Logits]]
) -> float | None:
    """Largest difference of a probability to LiteRT's with the same model; None of LiteRT's own."""
    if one.runtime == LITERT:
        return None
    wanted = (one.model, one.precision, LITERT)
    theirs = next((other for candidate, other in found if candidate.key == wanted), None)
    if theirs is None:
        return None
    return float(np.abs(_sigmoid(logits) - _sigmoid(theirs)).max())


def _sigmoid(logits: Logits) -> Logits:
    return np.asarray(1 / (1 + np.exp(-logits)))


def _file_facts(one: Contender) -> dict[str, int | None]:
    content = one.path.read_bytes()
    return {
        **sizes(content),
        "arena_bytes": arena_bytes(content) if one.runtime == LITERT else None,
    }
