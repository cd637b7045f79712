"""Compare bundles of one store by cost and accuracy, and say which one to ship.

A bundle is on the front when no other is both at least as good and at least as cheap. Which one is
shipped is a rule, not a taste: among those that lose no more than the gate allows against the
reference, the fastest; of those within `TIE` of it, the smallest file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ichlite.bench.contender import bundle_contender
from ichlite.bench.interleaved_timing import Advance, measure, sample_windows
from ichlite.bench.model_facts import Facts, facts_of
from ichlite.bench.runtimes import LITERT
from ichlite.compress.gate import MEAN, Drops, Gate, lost_too_much
from ichlite.errors import UsageError
from ichlite.infer.bundle import MANIFEST_FILE, Bundle

TIE = 0.05
"""Share of the time below which two bundles are equally fast: one model in two files differs by
nearly as much, by where its memory happens to lie."""
COSTS = ("min_ms", "bytes", "zstd_bytes", "flops")
RULE = (
    "among bundles whose test ROC AUC is within the gate of the reference, the one with the "
    f"quickest inference on one thread; of those within {TIE:.0%} of its time, the smallest file"
)


@dataclass(frozen=True, slots=True)
class Point:
    """One bundle.

    Attributes:
        name: Of the bundle.
        facts: From its manifest.
        min_ms, p50_ms: Quickest and median time of a slice, one thread.
    """

    name: str
    facts: Facts
    min_ms: float
    p50_ms: float

    @property
    def auc(self) -> Mapping[str, float | None]:
        """Test ROC AUC of each subtype and `mean`; None where undefined."""
        return self.facts.auc

    def listed(self) -> dict[str, Any]:
        """Return name, facts and times, side by side."""
        facts = asdict(self.facts)
        del facts["store_hash"]  # the same in all
        return {"name": self.name, **facts, "min_ms": self.min_ms, "p50_ms": self.p50_ms}


def bundles_in(paths: Sequence[Path]) -> list[Path]:
    """Return bundles, and for folders the bundles in them at any depth, sorted in each folder.

    Hidden folders are passed over: a bundle that is being written is in one.
    """
    found: list[Path] = []
    for path in paths:
        inside = sorted(
            file.parent
            for file in path.rglob(MANIFEST_FILE)
            if not any(name.startswith(".") for name in file.relative_to(path).parts)
        )
        found += inside if inside and not (path / MANIFEST_FILE).exists() else [path]
    return found


def measure_bundles(
    bundles: Sequence[Bundle], *, runs: int, advance: Advance = lambda _: None
) -> list[Point]:
    """Time bundles turn by turn, and put beside it what their manifests say of the test split.

    Args:
        bundles: Made from one store by `ichlite compress`.
        runs: Inferences timed of each.
        advance: Called with 1 whenever the work is a step further on.

    Raises:
        BundleError: A manifest that does not say what is compared.
        UsageError: Fewer than two bundles, one name twice, or bundles of different stores.
        IchliteError: A model cannot be run.
    """
    names = [bundle.name for bundle in bundles]
    if len(bundles) < 2 or len(set(names)) < len(names):
        raise UsageError("bundles", found=", ".join(names), expected="two or more, each name once")
    facts = [facts_of(bundle) for bundle in bundles]
    stores = {one.store_hash for one in facts}
    if len(stores) > 1:
        raise UsageError(
            "bundles that were judged on different data cannot be compared",
            found=f"{len(stores)} stores",
            expected="one",
        )
    contenders = [bundle_contender(bundle, bundle.name, LITERT) for bundle in bundles]
    timings = measure(contenders, sample_windows(), runs=runs, advance=advance)
    return [
        Point(name, of, float(timing.times_ms.min()), timing.percentile_ms(50))
        for name, of, timing in zip(names, facts, timings, strict=True)
    ]


def on_front(points: Sequence[Point], cost: str) -> set[str]:
    """Return the names of the points that no other beats in AUC and one of `COSTS`."""
    rated = [(one.name, one.auc[MEAN] or 0.0, one.listed()[cost]) for one in points]
    return {
        name
        for name, auc, price in rated
        if not any(
            better >= auc and cheaper <= price and (better, cheaper) != (auc, price)
            for _, better, cheaper in rated
        )
    }


def passing(points: Sequence[Point], reference: Point, gate: Gate) -> list[Point]:
    """Return the points that lose no more ROC AUC against the reference than the gate allows."""
    return [one for one in points if not lost_too_much(Drops(reference.auc, one.auc), gate)]


def ship(points: Sequence[Point], reference: Point, gate: Gate) -> Point:
    """Return the point that `RULE` picks; at worst the reference, which is one of them."""
    good = passing(points, reference, gate)
    fastest = min(one.min_ms for one in good)
    tied = [one for one in good if one.min_ms <= fastest * (1 + TIE)]
    return min(tied, key=lambda one: (one.facts.bytes, one.facts.zstd_bytes, one.min_ms))


def pareto_document(points: Sequence[Point], reference: Point, gate: Gate) -> dict[str, Any]:
    """Return the document of `ichlite pareto --json`, but for machine and date.

    Args:
        points: What was measured; the reference is one of them.
        reference: What none may fall behind.
        gate: How far.
    """
    good = passing(points, reference, gate)
    fronts = {cost: on_front(points, cost) for cost in COSTS}
    return {
        "reference": reference.name,
        "gate": asdict(gate),
        "rule": RULE,
        "shipped": ship(points, reference, gate).name,
        # No positives on the test split, or nothing else: the gate says nothing of these.
        "undefined": Drops(reference.auc, reference.auc).undefined,
        "bundles": [
            {
                **one.listed(),
                "speedup": reference.min_ms / one.min_ms,
                "mean_drop": Drops(reference.auc, one.auc).drops[MEAN],
                "passes": one in good,
                "fronts": [cost for cost in COSTS if one.name in fronts[cost]],
            }
            for one in points
        ],
    }
