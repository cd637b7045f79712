"""Make a store of real heads with implanted bleeds; the order of work changes no byte."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ichlite.data.rows import SPLITS, StoreRow
from ichlite.data.store import Store
from ichlite.data.workers import in_processes
from ichlite.data.writer import StoreWriter
from ichlite.errors import SeriesError, StoreError, UnknownName
from ichlite.phantom.generate import Made, Progress, Tally, check_counts
from ichlite.phantom.implant_bleeds import Implanted, implant, settle
from ichlite.phantom.plans import Mix, draw_plan, mix_named
from ichlite.phantom.real_head import RealHead, measure_head

IMPLANT_VERSION = 1
"""Version of the implanting, raised whenever the same seed would give other images."""

ALL = "all"
_TRIES = 8


@dataclass(frozen=True, slots=True)
class ImplantOrder:
    """Specification of the scans with implanted bleeds to make.

    Attributes:
        source: Folder of the store that the heads come from.
        scans: Number of scans with blood to make.
        seed: Random seed for the choice of heads, of bleeds and of their places.
        split: Split whose heads are taken: `train`, `validation`, `test` or `all`.
        balance: Mix of bleeds, `paper` or `training`; see `plans.BALANCES`.
    """

    source: Path
    scans: int
    seed: int
    split: str = ALL
    balance: str = "training"

    def mix(self) -> Mix:
        """Return the mix of bleeds without its entry for patients without blood."""
        return tuple(entry for entry in mix_named(self.balance) if entry[0])


@dataclass(frozen=True, slots=True)
class LeftOut:
    """A series that no blood can be implanted in, and why."""

    series: str
    reason: str


@dataclass(frozen=True, slots=True)
class _Job:
    """Scans to make in the head of one series, by their numbers within it."""

    order: ImplantOrder
    series: int
    rows: tuple[int, ...]
    numbers: range


@lru_cache(maxsize=1)
def _opened(path: Path) -> Store:
    return Store.open(path)


def quiet_series(store: Store, split: str = ALL) -> list[NDArray[np.int64]]:
    """Return the rows of each series without any haemorrhage, feet to head, sorted by name.

    Args:
        store: Store of real scans or phantoms, with labels of slices.
        split: Split to take series from; `all` for every split but `unused`.

    Raises:
        UnknownName: There is no such split.
        StoreError: The store's labels do not tell which slices are free of blood, or no series is.
    """
    if split not in (ALL, *SPLITS):
        raise UnknownName("split", split, [ALL, *SPLITS])
    if store.label_level != "slice" or store.meta.get("kind") == "implant":
        raise StoreError(
            f"{store.path} cannot give heads without blood",
            found=f"a store of kind {store.meta.get('kind')} with labels of {store.label_level}s",
            expected="scans with labels of slices, without implants",
        )
    wanted = np.isin(store.split, SPLITS) if split == ALL else store.split == split
    found = []
    for name in np.unique(store.series[wanted]):
        rows = np.flatnonzero(store.series == name)
        if not store.any[rows].any() and np.isfinite(store.position_mm[rows]).all():
            found.append(rows[np.argsort(store.position_mm[rows], kind="stable")])
    if not found:
        raise StoreError(
            f"{store.path} has no series without blood",
            found=f"{len(np.unique(store.series[wanted]))} series in split {split}",
            expected="one with positions in which no slice bleeds",
            remedy="prepare the data set with --split all",
        )
    return found


def implant_series(
    store: Store, rows: NDArray[np.int64], order: ImplantOrder, series: int, numbers: range
) -> list[Implanted]:
    """Implant bleeds into one series, once for each number.

    Args:
        store: Store that holds the series.
        rows: Row numbers of the series, feet to head.
        order: Specification of the scans, for seed and mix.
        series: Number of the series within the store.
        numbers: Numbers of the scans to make of this series; each has its own plan of bleeds.

    Raises:
        StoreError: The series shows blood already.
        SeriesError: Its skull cannot be found.
    """
    if store.any[rows].any():
        raise StoreError(
            f"series {store.series[rows[0]]} has blood of its own, which would have no mask",
            found=f"{int(store.any[rows].sum())} slices with blood",
            expected="a scan without blood",
        )
    head = measure_head(store.hu[rows], store.position_mm[rows])
    return [_bleeding(head, order, (series, number), store) for number in numbers]


def _bleeding(
    head: RealHead, order: ImplantOrder, place: tuple[int, int], store: Store
) -> Implanted:
    """Return the head with the first drawn plan that shows in a slice."""
    seed = np.random.SeedSequence([order.seed, *place])
    for child in seed.spawn(_TRIES):
        rng = np.random.default_rng(child)
        plan = settle(draw_plan(rng, order.mix()), head)
        if not plan.empty:
            made = implant(head, plan, rng, store.hu_range)
            if made.labels.any():
                return made
    raise SeriesError(f"none of {_TRIES} plans of bleeds shows in the head")


def _make(job: _Job) -> list[Implanted] | str:
    """Return the scans of a job, or why there are none."""
    try:
        store = _opened(job.order.source)
        rows = np.array(job.rows, np.int64)
        return implant_series(store, rows, job.order, job.series, job.numbers)
    except SeriesError as fault:
        return str(fault)


def implant_rows(
    store: Store, rows: NDArray[np.int64], made: Implanted, tag: str
) -> list[StoreRow]:
    """Return the store rows of an implanted scan; patient and split stay those of the head.

    Args:
        store: Store that the head is from.
        rows: Row numbers of the head's series, feet to head.
        made: Implanted scan.
        tag: Suffix for the names of images, study and series.
    """
    return [
        StoreRow(
            image=f"{store.image[row]}-{tag}",
            patient=str(store.patient[row]),
            study=f"{store.study[row]}-{tag}",
            series=f"{store.series[row]}-{tag}",
            position_mm=float(store.position_mm[row]),
            labels=tuple(int(v) for v in labels),
            lesion=None if np.isnan(spot[0]) else (float(spot[0]), float(spot[1])),
            split=str(store.split[row]),
            source=str(store.image[row]),
            source_sha256=str(store.pixel_sha256[row]),
        )
        for row, labels, spot in zip(rows, made.labels, made.lesion, strict=True)
    ]


def write_implants(
    path: Path, order: ImplantOrder, *, processes: int = 1, progress: Progress | None = None
) -> tuple[Made, tuple[LeftOut, ...]]:
    """Make a store of real scans with implanted bleeds.

    Args:
        path: Folder to make.
        order: What to make.
        processes: Number of processes; it does not change the store.
        progress: Called with (scans done, scans in all).

    Returns:
        Counts and the store's hash, and the series that were left out.

    Raises:
        StoreError: `path` holds something already, or no head can be used.
        UsageError: Counts below one, a negative seed, an unknown split or balance.
    """
    check_counts("scans", order.scans, processes, order.seed)
    order.mix()
    store = Store.open(order.source)
    series = quiet_series(store, order.split)
    turn = [int(k) for k in np.random.default_rng([order.seed, 0]).permutation(len(series))]
    left_out: list[LeftOut] = []
    tally, patients, given = Tally(), set[str](), dict.fromkeys(turn, 0)
    generator = {
        "version": IMPLANT_VERSION,
        "source": store.hash,
        "source_kind": store.meta.get("kind"),
        "split": order.split,
        "scans": order.scans,
        "balance": order.balance,
    }
    done = 0
    with StoreWriter(
        path, kind="implant", seed=order.seed, generator=generator, hu_range=store.hu_range
    ) as writer:
        while done < order.scans:
            each = -(-(order.scans - done) // len(turn))
            jobs = [
                _Job(order, k, tuple(series[k].tolist()), range(given[k], given[k] + each))
                for k in turn
            ]
            for job, made in zip(jobs, in_processes(_make, jobs, processes), strict=True):
                if isinstance(made, str):
                    left_out.append(LeftOut(str(store.series[job.rows[0]]), made))
                    turn.remove(job.series)
                    continue
                given[job.series] += each
                for number, scan in zip(job.numbers, made, strict=True):
                    if done == order.scans:
                        break
                    rows = series[job.series]
                    tag = f"I{order.seed}-{number}"
                    writer.add(scan.hu, implant_rows(store, rows, scan, tag), scan.lesion_cells)
                    tally.add(scan.labels)
                    patients.add(str(store.patient[rows[0]]))
                    done += 1
                    if progress is not None:
                        progress(done, order.scans)
                if done == order.scans:
                    break
            if not turn:
                raise StoreError(
                    f"no head of {order.source} can take a bleed", found=left_out[0].reason
                )
    return replace(tally.made(writer.hash), patients=len(patients)), tuple(left_out)
