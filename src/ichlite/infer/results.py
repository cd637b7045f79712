"""Hold what reading gives: of each slice, each series, and all of the input; and say it in words.

The document that `ichlite read --json` prints is made of these, and so is every report. Words stand
beside the records, although both are long, because what a record prints of itself is made of them.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from ichlite.contracts import VERSION
from ichlite.contracts.codec import to_json_value
from ichlite.contracts.reading import (
    SCHEMA,
    AnalysedEntry,
    NotAnalysedEntry,
    NotChosenEntry,
    Probabilities,
    Reading,
    SkippedEntry,
    SliceEntry,
)
from ichlite.errors import MissingExtra
from ichlite.infer.decision import sigmoid
from ichlite.infer.heatmap import holds_tissue
from ichlite.labels import ANY, CLASSES, NAMES
from ichlite.records import SkippedFile

if TYPE_CHECKING:
    from pandas import DataFrame

    from ichlite.infer.bundle import Bundle


@dataclass(frozen=True, slots=True)
class SliceScores:
    """Calibrated probabilities of one slice.

    Attributes:
        file: Path of the file as the caller gave it.
        position_mm: Position along the slice normal in mm; None when the file does not state it.
        probabilities: Class (`any` and each subtype) → probability in [0, 1].
        frame: Number of the frame, from 1, in a multi-frame file; None in a file of one slice.
    """

    file: str
    position_mm: float | None
    probabilities: Mapping[str, float]
    frame: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The result of a series that was analysed.

    Attributes:
        study, series: StudyInstanceUID and SeriesInstanceUID.
        files: Paths of the files that were judged; those left out are in `left_out`.
        reasons: Lines for people: what the input check objected to, where it was overruled by
            `force`, then the lines of `not_cleared`; empty for a whole adult head.
        scan: Class (`any` and each subtype) → probability of the whole scan, in [0, 1].
        slices: Probabilities of each slice, feet to head.
        urgent: True when `any` reaches the threshold; False when it does not and the scan can be
            cleared; None when it does not and the scan cannot be cleared.
        notes: Repairs and remarks, one line each.
        complete: Whether the whole head was judged.
        not_cleared: Why the scan is never "not flagged", one line a reason: `incomplete: …`,
            `child: …`. Empty when a low probability clears it.
        operating_point, threshold: Name of the operating point and its threshold of `any`, in
            [0, 1], by which `urgent` was decided.
        left_out: Files of the series that were not judged, each with its reason.
        breaks: Gaps, as indices into `slices`: i stands for one between slices i and i + 1, where
            another slice is missing or both lie at one place.
        logits: (slice, subtype) float32, output of the model before calibration.
        hu: The volume that was judged, (slice, row, column) int16 HU; None unless asked for.
        activation_maps: (slice, map row, map column, subtype) float32, logits of the model's
            second output, which is an activation or a lesion map (`contracts.bundle.OutputSpec`);
            None unless asked for.
        affine: (4, 4), where the voxels of `hu` lie: index (slice, row, column, 1) → mm to the
            right, front and head of the patient; None where the files do not say.
        has_lesion_map: Whether `activation_maps` are a lesion map's.
        model: The bundle that judged, at the operating point of the result; None where not known.
        patient: Number, from 1, of the patient among those whose images share the UID of the study,
            as those of a careless anonymiser do; 1 where there is one.
    """

    study: str
    series: str
    files: tuple[str, ...]
    reasons: tuple[str, ...] = ()
    scan: Mapping[str, float]
    slices: tuple[SliceScores, ...]
    urgent: bool | None
    notes: tuple[str, ...] = ()
    complete: bool = True
    not_cleared: tuple[str, ...] = ()
    operating_point: str
    threshold: float
    left_out: tuple[SkippedFile, ...] = ()
    breaks: tuple[int, ...] = ()
    logits: NDArray[np.float32] = field(repr=False, compare=False)
    hu: NDArray[np.int16] | None = field(default=None, repr=False, compare=False)
    activation_maps: NDArray[np.float32] | None = field(default=None, repr=False, compare=False)
    affine: NDArray[np.float64] | None = field(default=None, repr=False, compare=False)
    has_lesion_map: bool = field(default=False, repr=False, compare=False)
    model: Bundle | None = field(default=None, repr=False, compare=False)
    patient: int = 1

    status: ClassVar[Literal["analysed"]] = "analysed"
    may_be_head: ClassVar[Literal[True]] = True

    def __repr__(self) -> str:
        any_of_scan = shown_any(self.scan[ANY], self.threshold)
        return (
            f"<Analysed: {verdict(self)}, any {any_of_scan} "
            f"(threshold {shown_threshold(self.threshold)}), {len(self.slices)} slices, "
            f"series {self.series}>"
        )

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """Voxel spacing of `hu` in mm: between slices, rows and columns; None where not known."""
        if self.affine is None:
            return None
        along_slices, down, right = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return along_slices, down, right

    @property
    def lesion_map(self) -> NDArray[np.float32] | None:
        """Probability of blood in each cell, (slice, map row, map column, subtype) in [0, 1].

        Not calibrated; 0 where there is bone or air alone. None unless pixels were kept, and for a
        bundle without a lesion map.
        """
        if self.activation_maps is None or not self.has_lesion_map:
            return None
        probabilities = sigmoid(self.activation_maps).astype(np.float32)
        if self.hu is None:
            return probabilities
        tissue = holds_tissue(self.hu, *probabilities.shape[1:3])
        return np.where(tissue[..., None], probabilities, np.float32(0))

    def save_html(self, path: str | os.PathLike[str], *, identifiers: bool = False) -> None:
        """Write an HTML report with a viewer of this scan alone.

        Args:
            path: See `ReadResult.save_html`.
            identifiers: See `ReadResult.save_html`.

        Raises:
            UsageError: See `ReadResult.save_html`.
            IchliteError: The page cannot be written.
        """
        label = "" if self.model is None else self.model.label
        alone = ReadResult(label, (self,), self.left_out, model=self.model)
        alone.save_html(path, identifiers=identifiers)

    def save_lesion_map(self, path: str | os.PathLike[str], subtype: str | None = None) -> None:
        """Write the lesion map as a NIfTI volume in the scan's space (needs `ichlite[nifti]`).

        Args:
            path: A .nii or .nii.gz file.
            subtype: Name of a subtype, for a volume of three axes; None for all five along a
                fourth, in the order of `ichlite.labels.SUBTYPES`.

        Raises:
            MissingExtra: nibabel is not installed.
            UsageError: There is no lesion map (see `lesion_map`), the subtype or the kind of file
                is not known, or the path may not be written, as in `ReadResult.save_html`.
            InputError: The files do not say where the scan lies.
            IchliteError: The file cannot be written.
        """
        from ichlite.write.save import save_lesion_map

        save_lesion_map(self, path, subtype)

    def to_dict(self) -> dict[str, Any]:
        """Return the series' entry of the document that `ichlite read --json` prints."""
        return _json_value(entry_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnalysed:
    """The result of a series that was not analysed: the reasons why.

    Attributes:
        study, series: StudyInstanceUID and SeriesInstanceUID; `series` is empty where a whole study
            could not be read.
        files: Paths of the files of the series.
        reasons: Why it was not analysed, one line each; at least one.
        notes: Repairs and remarks, one line each.
        read_instead: UID of the series that was read for the study in its place; None where the
            study has no answer.
        may_be_head: Whether it may be a head CT; False for a scout, and for another body part.
        patient: As in `Analysed`.
        scan, urgent, complete, operating_point, threshold: None: there is no answer.
        slices, not_cleared, left_out: Empty.
    """

    study: str
    series: str
    files: tuple[str, ...]
    reasons: tuple[str, ...]
    notes: tuple[str, ...] = ()
    read_instead: str | None = None
    may_be_head: bool = True
    patient: int = 1

    @property
    def status(self) -> Literal["not_analysed", "not_chosen"]:
        """`not_chosen` where another series of the study was read instead, else `not_analysed`."""
        return "not_analysed" if self.read_instead is None else "not_chosen"

    scan: ClassVar[None] = None
    slices: ClassVar[tuple[()]] = ()
    urgent: ClassVar[None] = None
    complete: ClassVar[None] = None
    not_cleared: ClassVar[tuple[()]] = ()
    operating_point: ClassVar[None] = None
    threshold: ClassVar[None] = None
    left_out: ClassVar[tuple[()]] = ()

    def __repr__(self) -> str:
        return f"<NotAnalysed: {self.status}, {self.reasons[0]}, series {self.series}>"

    def to_dict(self) -> dict[str, Any]:
        """Return the series' entry of the document that `ichlite read --json` prints."""
        return _json_value(entry_of(self))


ScanResult = Analysed | NotAnalysed
"""The result of one series; `isinstance(result, Analysed)`, or its `status`, tells which."""


@dataclass(frozen=True, slots=True)
class ReadResult:
    """The results of reading a set of paths; every input file is in exactly one place.

    Attributes:
        bundle: Name and version of the bundle that judged.
        studies: One result a series, in a stable order (study, then series UID).
        skipped: Files that belong to no series, or were left out of the one that they belong to.
        warnings: One line for each thing about the input as a whole that a person must look at,
            such as two patients in one folder.
        model: The bundle that judged; None where not known.
    """

    bundle: str
    studies: tuple[ScanResult, ...]
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...] = ()
    model: Bundle | None = field(default=None, repr=False, compare=False)

    def __repr__(self) -> str:
        analysed = [one for one in self.studies if isinstance(one, Analysed)]
        urgent = sum(one.urgent is True for one in analysed)
        rest = len({study_of(one) for one in self.studies} - {study_of(one) for one in analysed})
        return (
            f"<ReadResult by {self.bundle}: {len(analysed)} analysed, {urgent} urgent; "
            f"{rest} studies without an answer, {len(self.skipped)} files skipped>"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the document that `ichlite read --json` prints.

        Example:
            >>> ReadResult("b 1", (), ()).to_dict()["studies"]
            []
        """
        return _json_value(reading_of(self))

    def to_dataframe(self, *, slices: bool = False) -> DataFrame:
        """Return a pandas table: a row for each series, or for each analysed slice.

        Args:
            slices: Whether rows are slices.

        Returns:
            Columns as the keys of `to_dict`, and for the series `any` and the subtypes; NaN where
            there is no answer.

        Raises:
            MissingExtra: pandas is not installed; it comes with `ichlite[train]`.
        """
        try:
            import pandas as pd
        except ModuleNotFoundError:
            raise MissingExtra("train", "pandas") from None

        rows = []
        for scan in self.studies:
            entry = scan.to_dict()
            of_slices, of_scan = entry.pop("slices"), entry.pop("scan")
            about = {key: entry[key] for key in ("study", "series", "status", "urgent")}
            if slices:
                rows += [about | one for one in of_slices]
            else:
                rows.append(entry | (of_scan or dict.fromkeys(CLASSES)))
        return pd.DataFrame(rows)

    def save_html(self, path: str | os.PathLike[str], *, identifiers: bool = False) -> None:
        """Write an HTML report with a viewer, as `ichlite read --html` does, whole or not at all.

        Args:
            path: File to write; an earlier report of ichlite there is replaced.
            identifiers: Whether the page names patients, dates and UIDs.

        Raises:
            UsageError: The scans were read without `keep_pixels`, the result does not know its
                bundle, or the path is a folder, an input, or a file among the inputs that is no
                report.
            IchliteError: The page cannot be written.
        """
        from ichlite.write.save import save_page

        save_page(self, path, identifiers=identifiers)

    def _repr_html_(self) -> str:
        """Return the series as a table, most urgent first, for notebooks."""
        lines = []
        ordered: list[ScanResult] = [*by_urgency(self.studies)]
        ordered += [one for one in self.studies if isinstance(one, NotAnalysed)]
        for scan in ordered:
            numbers = [""] * len(CLASSES)
            if isinstance(scan, Analysed):
                first = shown_any(scan.scan[ANY], scan.threshold)
                numbers = [first, *(f"{scan.scan[name]:.2f}" for name in NAMES)]
            cells = (scan.study, scan.series, verdict(scan), *numbers, "; ".join(scan.reasons))
            lines.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
        titles = ("study", "series", "call", *CLASSES, "why")
        head = "".join(f"<th>{title}</th>" for title in titles)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        note = f"{escape(self.bundle)}. Research use only. Not a medical device."
        return f"<table><tr>{head}</tr>{body}</table><p>{note}</p>"


def study_of(result: ScanResult) -> tuple[str, int]:
    """Return what tells the study of a result from others: its UID, and whose it is."""
    return result.study, result.patient


def by_urgency(studies: Iterable[ScanResult]) -> list[Analysed]:
    """Return the analysed results, most urgent first.

    Urgent before not cleared before not flagged; within these by the scan's probability of `any`,
    highest first, then by study and series UID.

    Args:
        studies: Results of any kind; those that were not analysed are left out.
    """
    analysed = [scan for scan in studies if isinstance(scan, Analysed)]
    return sorted(
        analysed,
        key=lambda s: (not s.urgent, s.urgent is False, -s.scan[ANY], s.study, s.series),
    )


def not_analysed(studies: Iterable[ScanResult]) -> list[NotAnalysed]:
    """Return the results of series that were not analysed and have no substitute, in order."""
    return [one for one in studies if isinstance(one, NotAnalysed) and not one.read_instead]


def not_chosen(studies: Iterable[ScanResult]) -> list[NotAnalysed]:
    """Return the results of series in whose place another of the study was read, in order."""
    return [one for one in studies if isinstance(one, NotAnalysed) and one.read_instead]


def verdict(scan: ScanResult) -> str:
    """Return the triage category of a result in words, such as `urgent` or `not flagged`.

    A scan that was judged by force, although the input check refused it, has `, forced` appended.

    Example:
        >>> verdict(NotAnalysed(study="1", series="2", files=(), reasons=("a chest",)))
        'no result'
    """
    if isinstance(scan, NotAnalysed):
        return "not chosen" if scan.read_instead else "no result"
    kind = scan.not_cleared[0].partition(":")[0] if scan.not_cleared else ""
    if scan.urgent:
        place = f"urgent ({kind})" if kind else "urgent"
    elif scan.urgent is None:
        place = f"{kind}: not cleared" if kind else "not cleared"
    else:
        place = "not flagged"
    return place + (", forced" if objections(scan) else "")


def objections(scan: Analysed) -> list[str]:
    """Return the objections of the input check to a scan that was judged by force; else none."""
    return [reason for reason in scan.reasons if reason not in scan.not_cleared]


def shown_threshold(threshold: float) -> str:
    """Format a threshold with two decimals, rounded up (see `shown_any` for why).

    Example:
        >>> shown_threshold(0.4212), shown_threshold(0.25)
        ('0.43', '0.25')
    """
    return f"{math.ceil(round(100 * threshold, 6)) / 100:.2f}"


def shown_any(value: float, threshold: float) -> str:
    """Format a scan's probability of `any` with two decimals that never contradict its call.

    A value that reaches the threshold is rounded up, as the threshold is, others down: else 0.418
    would be shown as 0.42 beside "urgent from 0.42 on", and not be flagged.

    Args:
        value: Probability of `any`, in [0, 1].
        threshold: Threshold of `any`, in [0, 1].

    Example:
        >>> shown_any(0.418, 0.42), shown_any(0.423, 0.42)
        ('0.41', '0.43')
    """
    if value >= threshold:
        return shown_threshold(value)
    return f"{math.floor(round(100 * value, 6)) / 100:.2f}"


def reading_of(result: ReadResult) -> Reading:
    """Convert a result to the document that `ichlite read --json` prints.

    Keys may be added to the document in later versions, never renamed.

    Example:
        >>> reading_of(ReadResult("b 1", (), ())).studies
        ()
    """
    return Reading(
        schema=SCHEMA,
        ichlite=VERSION,
        research_use_only=True,
        bundle=result.bundle,
        studies=tuple(entry_of(scan) for scan in result.studies),
        skipped=tuple(
            SkippedEntry(file=one.file, reason=one.reason, may_be_ct=one.may_be_ct, frame=one.frame)
            for one in result.skipped
        ),
        warnings=result.warnings,
    )


def entry_of(scan: ScanResult) -> AnalysedEntry | NotAnalysedEntry | NotChosenEntry:
    """Convert the result of a series to its entry in the document of `ichlite read --json`."""
    if isinstance(scan, NotAnalysed):
        kind = NotChosenEntry if scan.read_instead else NotAnalysedEntry
        return kind(**{name: getattr(scan, name) for name in kind.__struct_fields__})
    same = {name: getattr(scan, name) for name in AnalysedEntry.__struct_fields__}
    slices = tuple(
        SliceEntry(file=one.file, frame=one.frame, position_mm=one.position_mm, **one.probabilities)
        for one in scan.slices
    )
    return AnalysedEntry(**{**same, "scan": Probabilities(**scan.scan), "slices": slices})


def _json_value(document: object) -> dict[str, Any]:
    """Return a document as JSON has it."""
    value: dict[str, Any] = to_json_value(document)
    return value
