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
"""Relative time difference below which two bundles count as equally fast: the same model in two
files differs by nearly as much, depending on where its memory lies."""
COSTS = ("min_ms", "bytes", "zstd_bytes", "flops")
RULE = (
    "among bundles whose test ROC AUC is within the gate of the reference, the one with the "
    f"quickest inference on one thread; of those within {TIE:.0%} of its time, the smallest file"
)


class Facts(Document, frozen=True, kw_only=True):
    """Name, test accuracy and cost of a bundle, as stated in its manifest.

    Attributes:
        name, architecture, precision: Name of the bundle, of its model and of its number format.
        store_hash: Hash of the store that the bundle was evaluated on.
        auc: ROC AUC on the test split for each subtype and for `mean`; None where undefined.
        bytes, zstd_bytes, flops, params: Bytes of the model file, plain and packed with zstd;
            floating-point operations of a 256x256 slice; parameters.
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
        """Mean test ROC AUC over the subtypes."""
        return self.auc[MEAN] or 0.0


class Point(Facts, frozen=True, kw_only=True):
    """Stated accuracy and cost of a bundle, with its measured time for a slice on one thread.

    Attributes:
        min_ms, p50_ms: Quickest and median inference, milliseconds.
    """

    min_ms: float
    p50_ms: float

    def cost(self, name: str) -> float:
        """Return one cost of the bundle.

        Args:
            name: One of `COSTS`.

        Returns:
            Milliseconds, bytes or floating-point operations, as the name says.
        """
        return float(structs.asdict(self)[name])


class ParetoEntry(Point, frozen=True, kw_only=True):
    """One bundle compared with the reference and with all other bundles.

    Attributes:
        speedup: Quickest time of the reference divided by that of this bundle.
        mean_drop: Mean ROC AUC of the reference minus that of this bundle.
        passes: Whether the accuracy loss is within the gate.
        fronts: Those of `COSTS` for which no other bundle is both cheaper and at least as accurate.
    """

    speedup: float
    mean_drop: float | None
    passes: bool
    fronts: tuple[str, ...]


class ParetoDocument(Document, frozen=True, kw_only=True):
    """Document that `ichlite pareto --json` prints.

    Attributes:
        date, machine: When (ISO 8601, UTC) and on which machine the times were measured.
        reference: Name of the bundle whose accuracy the others are held to.
        gate: Largest loss of ROC AUC against the reference that is allowed.
        rule: Rule, in words, by which the bundle to ship is chosen.
        shipped: Name of the bundle that the rule chooses.
        undefined: Subtypes whose ROC AUC is undefined, so that the gate cannot check them.
        bundles: All bundles, in the order given.
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
    """Return the folders of all bundles named by paths, each a bundle or a folder that holds some.

    Hidden folders are passed over: a bundle that is being written is in one.

    Args:
        paths: Bundle folders, or folders that are searched for bundles at any depth.

    Returns:
        Bundle folders in the order of `paths`, sorted within each.
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
    """Time bundles in alternation, and combine the times with the accuracy their manifests state.

    Args:
        bundles: Made from one store by `ichlite compress`.
        runs: Inferences timed for each bundle.
        advance: Progress callback, called with 1 after each unit of work.

    Raises:
        BundleError: A manifest lacks a value that is compared.
        UsageError: Fewer than two bundles, one name twice, or bundles of different stores.
        IchliteError: A model cannot be run.
    """
    names = [bundle.name for bundle in bundles]
    if len(bundles) < 2 or len(set(names)) < len(names):
        raise UsageError(
            "only bundles of different names can be compared",
            found=", ".join(names),
            expected="two or more, each name once",
        )
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
    """Return the accuracy and costs that a bundle's manifest states.

    Reading needs none of it, so `load_bundle` does not ask; a bundle from elsewhere, or of an older
    ichlite, may lack it.

    Raises:
        BundleError: A value that is compared is missing or undefined.
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
    """Return the names of the bundles on the Pareto front of mean ROC AUC against one cost.

    Args:
        points: Bundles to compare.
        cost: One of `COSTS`.
    """
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
    """Return the bundle to ship by `RULE`: the fastest that passes the gate, the smallest of ties.

    Args:
        points: Bundles to choose from, the reference among them.
        reference: Bundle whose accuracy the others are held to; chosen if no other passes.
        gate: Largest loss of ROC AUC against the reference that is allowed.
    """
    good = passing(points, reference, gate)
    fastest = min(one.min_ms for one in good)
    tied = [one for one in good if one.min_ms <= fastest * (1 + TIE)]
    return min(tied, key=lambda one: (one.bytes, one.zstd_bytes, one.min_ms))


def pareto_document(points: Sequence[Point], reference: Point, gate: Gate) -> ParetoDocument:
    """Return the document of `ichlite pareto --json`.

    Args:
        points: Measured bundles, the reference among them.
        reference: Bundle whose accuracy the others are held to.
        gate: Largest loss of ROC AUC against the reference that is allowed.
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
