"""Read one series with a bundle: what the model says of it, or why it says nothing."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from threading import Lock
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from ichlite.ct.brain_level import at_level, brain_level_hu
from ichlite.ct.child import age_notes, child_signs
from ichlite.ct.geometry import grid_affine
from ichlite.ct.input_check import judge_series, judge_volume, without_lost_slices
from ichlite.ct.tensor import GRID, read_volume
from ichlite.errors import IchliteError, InputError, UsageError
from ichlite.infer.bundle import Bundle, load_bundle
from ichlite.infer.decision import decide
from ichlite.infer.results import Analysed, NotAnalysed, ScanResult, SliceScores
from ichlite.infer.runtime import Runtime
from ichlite.infer.thread_map import Spread
from ichlite.labels import ANY, NAMES
from ichlite.records import HeadVolume, Series

_T = TypeVar("_T")

NOT_FORCED = "force does not apply: one result cannot stand for two patients or studies"


class Reader:
    """A reader of CT series: a bundle with its model loaded, on one thread or more.

    The result does not depend on the number of threads: each slice is read and judged by itself,
    and each thread has a model of its own. Callers in several threads take turns.

    Args:
        bundle: Checked bundle, or the folder of one; None for the embedded one.
        threads: Threads that read files and run the model; never more than there are cores.
        operating_point: Name of the bundle's operating point to decide by; None for the one that
            the bundle is set to.

    Raises:
        UsageError: `threads` is less than 1, or the bundle has no such operating point.
        BundleError: The bundle cannot be used.

    Example:
        >>> with Reader() as reader:
        ...     reader.bundle.manifest.schema
        'ichlite-bundle/1'
    """

    def __init__(
        self,
        bundle: Bundle | str | Path | None = None,
        threads: int = 1,
        *,
        operating_point: str | None = None,
    ) -> None:
        if threads < 1:
            raise UsageError(
                "nothing can be read", found=f"{threads} threads", expected="1 or more"
            )
        # Each thread holds a model of its own: more than cores costs memory and gains nothing.
        threads = min(threads, usable_cores())
        loaded = bundle if isinstance(bundle, Bundle) else load_bundle(bundle)
        self.bundle = loaded if operating_point is None else loaded.at(operating_point)
        self._runtimes = [Runtime(self.bundle) for _ in range(threads)]
        self._spread = Spread(threads)
        self._one_at_a_time = Lock()

    def __enter__(self) -> Reader:
        """Return itself; the threads end with the `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """End the threads."""
        self._spread.close()

    def read(
        self,
        series: Series,
        *,
        force: bool = False,
        keep_pixels: bool = False,
        volume: HeadVolume | None = None,
    ) -> ScanResult:
        """Read and judge one CT series; bad input raises nothing.

        A scan that does not show the whole head, or is a child's, can be urgent and is never
        cleared: where it is not urgent, `urgent` is None. `not_cleared` says why.

        Args:
            series: Series from `find_series`.
            force: Judge the series although the input check refuses it; the objections stay in
                `reasons`. Slices of two patients or studies are never judged as one scan.
            keep_pixels: Keep HU and maps in the result, for a report.
            volume: HU of the series where it has no DICOM files; None to read the files.

        Returns:
            The result; `NotAnalysed` with the reasons where the series could not be judged.
        """
        with self._one_at_a_time, self._spread.turns():
            return guarded(
                series,
                lambda: self._read(series, force=force, keep_pixels=keep_pixels, volume=volume),
            )

    def _read(
        self, series: Series, *, force: bool, keep_pixels: bool, volume: HeadVolume | None
    ) -> ScanResult:
        by_headers = judge_series(series)
        refusals = by_headers.refusals
        if refusals and not force:
            return _not_analysed(series, refusals, may_be_head=by_headers.may_be_head)
        if _mixes_people(series):
            return _not_analysed(series, (*refusals, NOT_FORCED))
        volume = without_lost_slices(volume or read_volume(series, self._spread.map))
        by_pixels = judge_volume(volume)
        refusals += by_pixels.refusals
        if refusals and not force:
            return _not_analysed(series, refusals, volume.notes)
        defects = by_headers.defects + by_pixels.defects
        not_cleared = (
            *(f"incomplete: {defect}" for defect in defects),
            *child_signs(volume, whole=not defects),
        )
        logits, maps = self._infer(self._levelled(volume.hu))
        judged = volume.series
        decision = decide(
            logits,
            self.bundle.calibration,
            self.bundle.rule,
            judged.breaks,
            judged.positions_mm or None,
        )
        positions_mm = judged.positions_mm or (None,) * len(judged.slices)
        return Analysed(
            study=series.study_uid,
            series=series.series_uid,
            files=judged.files,
            reasons=refusals + not_cleared,
            scan=decision.scan,
            slices=tuple(
                SliceScores(header.path, position_mm, probabilities, header.frame_number)
                for header, position_mm, probabilities in zip(
                    judged.slices, positions_mm, decision.slices, strict=True
                )
            ),
            urgent=decision.urgent or (None if not_cleared else False),
            notes=(*volume.notes, *age_notes(judged)),
            complete=not defects,
            not_cleared=not_cleared,
            operating_point=self.bundle.operating_point,
            threshold=self.bundle.rule.threshold(ANY),
            left_out=volume.left_out,
            breaks=judged.breaks,
            hu=volume.hu if keep_pixels else None,
            activation_maps=maps if keep_pixels else None,
            affine=grid_affine(judged, GRID),
            has_lesion_map=self.bundle.map.kind == "lesion",
            model=self.bundle,
            logits=logits,
        )

    def _levelled(self, hu: NDArray[np.int16]) -> NDArray[np.int16]:
        """Return HU with the brain at the level that the bundle asks for."""
        wanted_hu = self.bundle.brain_level_hu
        if wanted_hu is None:
            return hu
        level_hu = brain_level_hu(hu)
        if level_hu is None:
            raise InputError("no brain level can be measured", found="no slice with enough brain")
        return at_level(hu, level_hu, wanted_hu)

    def _infer(self, hu: NDArray[np.int16]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return (slice, 5) logits and (slice, rows, columns, 5) maps of (slice, 256, 256) HU."""
        logits = np.empty((len(hu), len(NAMES)), np.float32)
        maps = np.empty((len(hu), *self._runtimes[0].map_shape, len(NAMES)), np.float32)

        def run(first: int) -> None:
            for index in range(first, len(hu), len(self._runtimes)):
                logits[index], maps[index] = self._runtimes[first].run_hu(hu[index])

        for _ in self._spread.map(run, range(len(self._runtimes))):
            pass
        return logits, maps


def usable_cores() -> int:
    """Return the number of CPU cores that this process may use, by its affinity where known."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _mixes_people(series: Series) -> bool:
    """Return whether the slices are of several patients or studies, whatever else is wrong."""
    return (
        len({header.patient_id for header in series.slices}) > 1
        or len({header.study_uid for header in series.slices}) > 1
    )


def guarded(series: Series, work: Callable[[], _T]) -> _T | NotAnalysed:
    """Call a function on a series and turn any exception into a `NotAnalysed` result.

    Args:
        series: Series that the work is on, for the result.
        work: Function without arguments.

    Returns:
        What `work` returns; the series as not analysed, with the reason, where it raises.
    """
    try:
        return work()
    except IchliteError as error:
        return _not_analysed(series, (_reason(error, series),))
    except MemoryError:
        return _not_analysed(series, ("its pixels do not fit into memory",))
    except Exception as error:  # noqa: BLE001
        # A trust boundary: headers and pixels come from unknown devices, and a fault that they
        # provoke in one series must not take the results of the others with it.
        line = f"internal error {type(error).__name__}: {error}; please report it"
        return _not_analysed(series, (str(IchliteError(line)),))


def _reason(error: IchliteError, series: Series) -> str:
    """Return why a series cannot be read, without the file that was the first not to be."""
    line = str(error)
    for header in series.slices:
        if line.startswith(header.path):
            return f"no slice can be read: {line.removeprefix(header.path).lstrip(': ')}"
    return line


def _not_analysed(
    series: Series,
    reasons: tuple[str, ...],
    notes: tuple[str, ...] = (),
    *,
    may_be_head: bool = True,
) -> NotAnalysed:
    return NotAnalysed(
        study=series.study_uid,
        series=series.series_uid,
        files=series.files,
        reasons=reasons,
        notes=notes,
        may_be_head=may_be_head,
    )
