"""Compare bundles of one store by cost and accuracy, and say which one to ship.

A bundle is on the front when no other is both at least as good and at least as cheap. Which one is
shipped is a rule, not a taste: among those that lose no more than the gate allows against the
reference, the fastest; of those within `TIE` of it, the smallest file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

from msgspec import UNSET, structs

from ichlite.bench.interleaved_timing import Advance, measure, sample_windows
from ichlite.bench.machine import describe_machine
from ichlite.bench.runtimes import LITERT, bundle_contender
from ichlite.compress.gate import Drops, lost_too_much
from ichlite.compress.settings import MEAN, Gate
from ichlite.contracts.bench import Machine
from ichlite.contracts.codec import Document
from ichlite.errors import BundleError, UsageError
from ichlite.infer.bundle import MANIFEST_FILE, Bundle, bundle_folder
from ichlite.labels import NAMES

TIE = 0.05
"""Share of the time below which two bundles are equally fast: one model in two files differs by
nearly as much, by where its memory happens to lie."""
COSTS = ("min_ms", "bytes", "zstd_bytes", "flops")
RULE = (
    "among bundles whose test ROC AUC is within the gate of the reference, the one with the "
    f"quickest inference on one thread; of those within {TIE:.0%} of its time, the smallest file"
)


class Facts(Document, frozen=True, kw_only=True):
    """What a bundle's manifest says of it.

    Attributes:
        name, architecture, precision: Texts.
        store_hash: Of the store that it was judged on.
        auc: Test ROC AUC of each subtype and `mean`; a subtype's is None where undefined.
        bytes, zstd_bytes, flops, params: Of the model.
    """

    name: str
    architecture: str
    precision: str
    store_hash: str
    auc: Mapping[str, float | None]
    bytes: int
    zstd_bytes: int
    flops: int
    params: int

    @property
    def mean_auc(self) -> float:
        """The mean over subtypes, which is always defined."""
        return self.auc[MEAN] or 0.0


class Point(Facts, frozen=True, kw_only=True):
    """A bundle, with the quickest and the median time of a slice on one thread."""

    min_ms: float
    p50_ms: float

    def cost(self, name: str) -> float:
        """Return one of `COSTS`."""
        return float(structs.asdict(self)[name])


class ParetoEntry(Point, frozen=True, kw_only=True):
    """A bundle beside the others.

    Attributes:
        speedup: Time of the reference over its own.
        mean_drop: Mean ROC AUC that it lost against the reference.
        passes: Whether the gate lets it.
        fronts: Of `COSTS`, those by which no other beats it.
    """

    speedup: float
    mean_drop: float | None
    passes: bool
    fronts: tuple[str, ...]


class ParetoDocument(Document, frozen=True, kw_only=True):
    """What `ichlite pareto --json` prints.

    Attributes:
        date, machine: Of the measurement.
        reference: Name of the bundle that none may fall behind.
        gate: How far.
        rule: By which one is shipped.
        shipped: Its name.
        undefined: Subtypes of which the gate says nothing.
        bundles: As given.
    """

    date: str
    machine: Machine
    reference: str
    gate: Gate
    rule: str = RULE
    shipped: str
    undefined: tuple[str, ...]
    bundles: tuple[ParetoEntry, ...]


def bundles_in(paths: Sequence[Path]) -> list[Path]:
    """Return bundles, and for folders the bundles in them at any depth, sorted in each folder.

    Hidden folders are passed over: a bundle that is being written is in one.
    """
    found: list[Path] = []
    for path in map(bundle_folder, paths):
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
        Point(
            **structs.asdict(of),
            min_ms=float(timing.times_ms.min()),
            p50_ms=timing.percentile_ms(50),
        )
        for of, timing in zip(facts, timings, strict=True)
    ]


def facts_of(bundle: Bundle) -> Facts:
    """Return what a bundle's manifest says of what is compared.

    Reading needs none of it, so `load_bundle` does not ask; a bundle from elsewhere, or of an older
    ichlite, may lack it.

    Raises:
        BundleError: Something is missing or undefined.
    """
    manifest = bundle.manifest
    cost, metrics, training = manifest.cost, manifest.metrics, manifest.training
    if cost is UNSET or cost.zstd_bytes is None:
        missing = "no cost, or no zstd_bytes in it"
    elif metrics is UNSET or metrics.mean.roc_auc is None:
        missing = "no metrics, or no mean test ROC AUC among them"
    elif training is UNSET:
        missing = "no training"
    else:
        auc = {name: metrics.per_class[name].roc_auc for name in NAMES}
        return Facts(
            name=bundle.name,
            architecture=manifest.model,
            precision=manifest.precision,
            store_hash=training.data.store_hash,
            auc={**auc, MEAN: metrics.mean.roc_auc},
            bytes=cost.bytes,
            zstd_bytes=cost.zstd_bytes,
            flops=cost.flops_256,
            params=cost.params,
        )
    raise BundleError(
        f"bundle {bundle.path} cannot be compared",
        found=f"{missing} in its manifest",
        remedy="make it again with `ichlite compress`",
    )


def on_front(points: Sequence[Point], cost: str) -> set[str]:
    """Return the names of the points that no other beats in AUC and one of `COSTS`."""
    rated = [(one.name, one.mean_auc, one.cost(cost)) for one in points]
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
    """Return the point to ship by `RULE`: the reference, one of the points, if no other passes."""
    good = passing(points, reference, gate)
    fastest = min(one.min_ms for one in good)
    tied = [one for one in good if one.min_ms <= fastest * (1 + TIE)]
    return min(tied, key=lambda one: (one.bytes, one.zstd_bytes, one.min_ms))


def pareto_document(points: Sequence[Point], reference: Point, gate: Gate) -> ParetoDocument:
    """Return the document of `ichlite pareto --json`.

    Args:
        points: What was measured; the reference is one of them.
        reference: What none may fall behind.
        gate: How far.
    """
    good = passing(points, reference, gate)
    fronts = {cost: on_front(points, cost) for cost in COSTS}
    return ParetoDocument(
        date=datetime.now(UTC).isoformat(timespec="seconds"),
        machine=describe_machine(),
        reference=reference.name,
        gate=gate,
        shipped=ship(points, reference, gate).name,
        # No positives on the test split, or nothing else: the gate says nothing of these.
        undefined=tuple(Drops(reference.auc, reference.auc).undefined),
        bundles=tuple(
            ParetoEntry(
                **structs.asdict(one),
                speedup=reference.min_ms / one.min_ms,
                mean_drop=Drops(reference.auc, one.auc).drops[MEAN],
                passes=one in good,
                fronts=tuple(cost for cost in COSTS if one.name in fronts[cost]),
            )
            for one in points
        ),
    )
