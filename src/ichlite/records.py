"""The frozen records that stages pass on: from Series by HeadVolume to ScanResult."""

from __future__ import annotations

from collections.abc import Mapping
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
from ichlite.labels import ANY, CLASSES

if TYPE_CHECKING:
    from pandas import DataFrame

Vector3 = tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class PixelLayout:
    """Where and how a file's pixels are stored (DICOM PS3.5 section 8, PS3.3 C.7.6.3).

    Attributes:
        transfer_syntax_uid: As in the file meta information.
        offset: Byte offset of the PixelData value in the file, or in the data set deflated in it.
        length: Bytes of that value; None when it is encapsulated (compressed).
        bits_allocated, bits_stored, high_bit, pixel_representation: As in the file.
    """

    transfer_syntax_uid: str
    offset: int
    length: int | None
    bits_allocated: int
    bits_stored: int
    high_bit: int
    pixel_representation: int


@dataclass(frozen=True, slots=True)
class SliceHeader:
    """One CT image's header, as far as reading and judging need it; absent values are None.

    Attributes:
        path: The file as the caller named it (a file in a named folder: folder joined with name).
        rows, columns: Pixels.
        pixel_spacing_mm: (between rows, between columns).
        image_position_mm: ImagePositionPatient, of the first voxel's centre.
        image_orientation: ImageOrientationPatient, row then column direction cosines.
        rescale_slope, rescale_intercept: To HU; None when the file does not say.
        pixel_padding_value: Stored value of pixels outside the scan circle.
        lossy_compressed: The pixels went through lossy compression at some time.
        patient_age_years: By PatientAge; None when it is absent or no age.
        patient_age_readable: Whether PatientAge is absent or an age.
        examination_date: The first that is there of study, series, acquisition and content date.
        patient_name, patient_birth_date, patient_sex, study_date, frame_of_reference_uid: As in the
            file; only compared among slices or counted with, never shown.
    """

    path: str
    patient_id: str
    study_uid: str
    series_uid: str
    instance_uid: str
    rows: int
    columns: int
    layout: PixelLayout
    pixel_spacing_mm: tuple[float, float] | None = None
    image_position_mm: Vector3 | None = None
    image_orientation: tuple[float, float, float, float, float, float] | None = None
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str | None = None
    pixel_padding_value: int | None = None
    image_type: tuple[str, ...] = ()
    body_part_examined: str | None = None
    study_description: str | None = None
    series_description: str | None = None
    contrast_agent: str | None = None
    convolution_kernel: str | None = None
    kvp: float | None = None
    slice_thickness_mm: float | None = None
    instance_number: int | None = None
    lossy_compressed: bool = False
    patient_age_years: float | None = None
    patient_age_readable: bool = True
    patient_name: str | None = None
    patient_birth_date: str | None = None
    patient_sex: str | None = None
    study_date: str | None = None
    examination_date: str | None = None
    frame_of_reference_uid: str | None = None


@dataclass(frozen=True, slots=True)
class Series:
    """The slices of one CT series, sorted along the slice normal, feet to head.

    Attributes:
        slices: Sorted headers.
        positions_mm: Each slice's position along the slice normal; empty when unknown.
        slice_spacing_mm: Median distance between neighbours; None with fewer than two positions.
        faults: One line for each thing that keeps the slices from being one scan (two patients,
            mixed matrices …); empty when they are one.
        defects: One line for each thing that keeps the scan from being whole (slices that are
            missing, repeated, damaged or without a place); empty when it is whole.
        breaks: Indices of the slices whose successor is not the next slice of the head: another
            lies between them, or both lie at one place.
    """

    study_uid: str
    series_uid: str
    patient_id: str
    slices: tuple[SliceHeader, ...]
    positions_mm: tuple[float, ...]
    slice_spacing_mm: float | None
    faults: tuple[str, ...] = ()
    defects: tuple[str, ...] = ()
    breaks: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class SkippedFile:
    """A file that is in no result, with the reason in one line.

    Attributes:
        file: The path as given.
        reason: One line.
        may_be_ct: Whether it may be, or hold, a slice of a head CT that could not be read; False
            for other kinds of files, copies and scouts.
    """

    file: str
    reason: str
    may_be_ct: bool = False


@dataclass(frozen=True, slots=True)
class HeadVolume:
    """A series in Hounsfield units on the model's grid.

    Attributes:
        series: The series that it came from.
        hu: (slice, row, column) int16, HU in [-1024, 3071], slice order of `series.slices`.
        notes: Repairs made on the way (12-bit offset …), one line each.
        left_out: Files of the series whose pixels cannot be judged; `series` is without them.
    """

    series: Series
    hu: NDArray[np.int16]
    notes: tuple[str, ...] = ()
    left_out: tuple[SkippedFile, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceScores:
    """Calibrated probabilities of one slice.

    Attributes:
        file: The path as given.
        position_mm: Along the slice normal; None when the file does not say.
        probabilities: In [0, 1], of `any` and each subtype name.
    """

    file: str
    position_mm: float | None
    probabilities: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Analysed:
    """The result of a series that was analysed.

    Attributes:
        study, series: UIDs.
        files: The files that the result is about; those left out of it are in `left_out`.
        reasons: Why it is not cleared, after what the input check objected to when it was forced.
        scan: The scan's probability of `any` and each subtype name.
        slices: Feet to head.
        urgent: True when `any` reaches the threshold; False when it does not and the scan can be
            cleared; None when it does not and the scan cannot be cleared.
        notes: Repairs and remarks, one line each.
        complete: Whether the whole head was judged.
        not_cleared: Why the scan is never "not flagged", one line a reason: `incomplete: …`,
            `child: …`. Empty when a low probability clears it.
        operating_point, threshold: What `urgent` was decided by.
        left_out: Files of the series that were not judged, each with its reason.
        breaks: Indices of the slices whose successor is not the next slice of the head.
        logits: (slice, subtype) float32, of the model, before calibration.
        hu: The volume that was judged, (slice, row, column) int16 HU; None unless asked for.
        activation_maps: (slice, map row, map column, subtype) float32, logits of the model's
            second output, which is an activation or a lesion map (`contracts.bundle.OutputSpec`);
            None unless asked for.
        affine: (4, 4), where the voxels of `hu` lie: index (slice, row, column, 1) → mm to the
            right, front and head of the patient; None where the files do not say.
        has_lesion_map: Whether `activation_maps` are a lesion map's.
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

    status: ClassVar[Literal["analysed"]] = "analysed"
    may_be_head: ClassVar[Literal[True]] = True

    def __repr__(self) -> str:
        call = {True: "urgent", False: "not flagged", None: "not cleared"}[self.urgent]
        return (
            f"<Analysed: {call}, any {self.scan[ANY]:.2f} (threshold {self.threshold:.2f}), "
            f"{len(self.slices)} slices, series {self.series}>"
        )

    @property
    def spacing_mm(self) -> tuple[float, float, float] | None:
        """Distances of voxels of `hu` along slice, row and column; None where not known."""
        if self.affine is None:
            return None
        along_slices, down, right = np.linalg.norm(self.affine[:3, :3], axis=0).tolist()
        return along_slices, down, right

    @property
    def lesion_map(self) -> NDArray[np.float32] | None:
        """Probability of blood in each cell, (slice, map row, map column, subtype) in [0, 1].

        Not calibrated. None unless pixels were kept, and for a bundle without a lesion map.
        """
        if self.activation_maps is None or not self.has_lesion_map:
            return None
        with np.errstate(over="ignore"):
            return np.asarray(1 / (1 + np.exp(-self.activation_maps)), np.float32)

    def to_dict(self) -> dict[str, Any]:
        """Return the series' entry of the document that `ichlite read --json` prints."""
        return _json_value(entry_of(self))


@dataclass(frozen=True, slots=True, kw_only=True)
class NotAnalysed:
    """The result of a series that was not analysed: the reasons why.

    Attributes:
        study, series: UIDs; no series where a whole study could not be read.
        files: Its files.
        reasons: Why, one line each; at least one.
        notes: Repairs and remarks, one line each.
        read_instead: UID of the series that was read for the study in its place; None where the
            study has no answer.
        may_be_head: Whether it may be a head CT; False for a scout, and for another body part.
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

    @property
    def status(self) -> Literal["not_analysed", "not_chosen"]:
        """Whether another series was read in its place."""
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
    """

    bundle: str
    studies: tuple[ScanResult, ...]
    skipped: tuple[SkippedFile, ...]
    warnings: tuple[str, ...] = ()

    def __repr__(self) -> str:
        analysed = [one for one in self.studies if isinstance(one, Analysed)]
        urgent = sum(one.urgent is True for one in analysed)
        rest = len({one.study for one in self.studies} - {one.study for one in analysed})
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

    def _repr_html_(self) -> str:
        """Return the series as a table, most urgent first, for notebooks."""
        lines = []
        for scan in sorted(
            self.studies, key=lambda one: (one.scan is None, -(one.scan or {}).get(ANY, 0.0))
        ):
            call = "" if scan.urgent is None else ("urgent" if scan.urgent else "not flagged")
            numbers = [f"{scan.scan[name]:.2f}" if scan.scan else "" for name in CLASSES]
            reason = "; ".join(scan.reasons)
            cells = (scan.study, scan.series, scan.status, call, *numbers, reason)
            lines.append("".join(f"<td>{escape(cell)}</td>" for cell in cells))
        titles = ("study", "series", "status", "call", *CLASSES, "why")
        head = "".join(f"<th>{title}</th>" for title in titles)
        body = "".join(f"<tr>{line}</tr>" for line in lines)
        note = f"{escape(self.bundle)}. Research use only. Not a medical device."
        return f"<table><tr>{head}</tr>{body}</table><p>{note}</p>"


def reading_of(result: ReadResult) -> Reading:
    """Return the document of a result: keys may be added to it, never renamed.

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
            SkippedEntry(file=one.file, reason=one.reason, may_be_ct=one.may_be_ct)
            for one in result.skipped
        ),
        warnings=result.warnings,
    )


_WITHOUT_ANSWER = ("urgent", "complete", "operating_point", "threshold", "scan")


def entry_of(scan: ScanResult) -> AnalysedEntry | NotAnalysedEntry | NotChosenEntry:
    """Return the entry of a series in the document of a reading."""
    if isinstance(scan, NotAnalysed):
        nothing: dict[str, Any] = dict.fromkeys(_WITHOUT_ANSWER)
        said: dict[str, Any] = {
            "study": scan.study,
            "series": scan.series,
            "files": scan.files,
            "reasons": scan.reasons,
            "not_cleared": (),
            "slices": (),
            "notes": scan.notes,
        }
        if scan.read_instead is None:
            return NotAnalysedEntry(**nothing, **said)
        return NotChosenEntry(**nothing, **said, read_instead=scan.read_instead)
    return AnalysedEntry(
        study=scan.study,
        series=scan.series,
        files=scan.files,
        reasons=scan.reasons,
        urgent=scan.urgent,
        complete=scan.complete,
        not_cleared=scan.not_cleared,
        operating_point=scan.operating_point,
        threshold=scan.threshold,
        scan=Probabilities(**scan.scan),
        slices=tuple(
            SliceEntry(file=one.file, position_mm=one.position_mm, **one.probabilities)
            for one in scan.slices
        ),
        notes=scan.notes,
    )


def _json_value(document: object) -> dict[str, Any]:
    """Return a document as JSON has it."""
    value: dict[str, Any] = to_json_value(document)
    return value
