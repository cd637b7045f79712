"""Write the results of some studies as Parquet files, whole or not at all.

A part's name comes from the studies in it, so a part that is written twice is there once. The file
in `studies` is written last: a study is done when it is in one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from msgspec import convert

from ichlite.atomic_files import remove_parts, replacing
from ichlite.cluster.ray_archive import Study
from ichlite.contracts.codec import Document
from ichlite.infer.results import ReadResult, ScanResult
from ichlite.labels import CLASSES
from ichlite.records import SkippedFile
from ichlite.write.escaping import unicode_document

SLICES = "slices"
STUDIES = "studies"
WHOLE = "[!.]*.parquet"
"""Pattern of finished part files; one that another process is still writing begins with a dot."""
SKIPPED = "skipped"
"""Name of the part that lists files of no study, and the status of a file that was not read."""
_PROBABILITIES = [(name, pa.float64()) for name in CLASSES]
SLICE_SCHEMA = pa.schema(
    [("file", pa.string()), ("study", pa.string()), ("series", pa.string()),
     ("position_mm", pa.float64()), *_PROBABILITIES, ("frame", pa.int64())]
)  # fmt: skip
STUDY_SCHEMA = pa.schema(
    [("study", pa.string()), ("series", pa.string()), ("status", pa.string()),
     ("urgent", pa.bool_()), ("reasons", pa.list_(pa.string())), ("notes", pa.list_(pa.string())),
     ("complete", pa.bool_()), ("not_cleared", pa.list_(pa.string())),
     ("operating_point", pa.string()), ("threshold", pa.float64()),
     ("files", pa.int64()), ("slices", pa.int64()), *_PROBABILITIES,
     ("file", pa.string()), ("found_in", pa.string()), ("files_digest", pa.string()),
     ("may_be_ct", pa.bool_())]
)  # fmt: skip


Row = dict[str, object]
"""One row to be written: values by column name of the schema."""


class StudyRow(Document, frozen=True, kw_only=True):
    """One row read back from the data set `studies`; None where it has no value."""

    study: str | None
    series: str | None
    status: str
    reasons: tuple[str, ...]
    not_cleared: tuple[str, ...] | None = None  # absent in parts of earlier versions
    slices: int | None
    file: str | None
    found_in: str | None
    files_digest: str | None
    may_be_ct: bool | None = None  # absent in parts of earlier versions

    @property
    def counts(self) -> bool:
        """Whether this may be a head CT or a slice of one; true where it is unknown."""
        return self.may_be_ct is not False


@dataclass(frozen=True, slots=True)
class Read:
    """A study and the result of reading it."""

    study: Study
    result: ReadResult


def write_part(out: Path, reads: Sequence[Read]) -> None:
    """Write the results of some studies as Parquet files, the rows of `slices` before `studies`.

    Args:
        out: Output folder that `begin` has prepared.
        reads: At least one study with its result.
    """
    slices: list[Row] = []
    studies: list[Row] = []
    for read in reads:
        found = {"found_in": read.study.uid, "files_digest": read.study.digest}
        for scan in read.result.studies:
            slices += _slice_rows(scan)
            studies.append(_study_row(scan) | found)
        studies += [_skipped_row(file) | found for file in read.result.skipped]
    uids = "\n".join(read.study.uid for read in reads)
    name = hashlib.sha256(uids.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    _write(out / SLICES / f"{name}.parquet", slices, SLICE_SCHEMA)
    _write(out / STUDIES / f"{name}.parquet", studies, STUDY_SCHEMA)


def write_skipped(out: Path, skipped: Sequence[SkippedFile]) -> None:
    """Write a row of the data set `studies` for each skipped file that belongs to no study.

    Rows that an earlier call wrote are replaced; without files they are removed.

    Args:
        out: Output folder of the scores, as `begin` made it.
        skipped: Skipped files that belong to no study.
    """
    path = out / STUDIES / f"{SKIPPED}.parquet"
    if skipped:
        _write(path, [_skipped_row(file) for file in skipped], STUDY_SCHEMA)
    else:
        path.unlink(missing_ok=True)


def begin(out: Path) -> dict[str, str]:
    """Prepare an output folder and return the studies that are already done.

    Makes the folders, and removes what an interrupted run left: slices whose study is not done.

    Args:
        out: Output folder of the scores.

    Returns:
        StudyInstanceUID of each finished study, with the digest of its file names.
    """
    for name in (SLICES, STUDIES):
        (out / name).mkdir(parents=True, exist_ok=True)
        remove_parts(out / name)
    whole = {path.name for path in (out / STUDIES).glob(WHOLE)}
    for path in (out / SLICES).glob(WHOLE):
        if path.name not in whole:
            path.unlink()
    return {row.found_in: row.files_digest or "" for row in read_studies(out) if row.found_in}


def read_studies(out: Path) -> list[StudyRow]:
    """Read all rows of the data set `studies` in an output folder."""
    columns = list(StudyRow.__struct_fields__)
    return [
        convert(row, StudyRow)
        for path in sorted((out / STUDIES).glob(WHOLE))
        for row in pq.read_table(path, columns=columns, partitioning=None).to_pylist()
    ]


def _write(path: Path, rows: list[Row], schema: pa.Schema) -> None:
    with replacing(path) as part:
        pq.write_table(pa.Table.from_pylist(unicode_document(rows), schema=schema), part)


def _slice_rows(scan: ScanResult) -> list[Row]:
    ids = {"study": scan.study, "series": scan.series}
    return [
        dict(
            file=one.file, frame=one.frame, position_mm=one.position_mm, **ids, **one.probabilities
        )
        for one in scan.slices
    ]


def _study_row(scan: ScanResult) -> Row:
    return {
        "study": scan.study,
        "series": scan.series,
        "status": scan.status,
        "urgent": scan.urgent,
        "reasons": list(scan.reasons),
        "notes": list(scan.notes),
        "complete": scan.complete,
        "not_cleared": list(scan.not_cleared),
        "operating_point": scan.operating_point,
        "threshold": scan.threshold,
        "files": len(scan.files),
        "slices": len(scan.slices),
        "may_be_ct": scan.may_be_head,
        **({} if scan.scan is None else scan.scan),
    }


def _skipped_row(file: SkippedFile) -> Row:
    return {
        "status": SKIPPED,
        "reasons": [file.reason],
        "notes": [],
        "file": file.file,
        "may_be_ct": file.may_be_ct,
    }
