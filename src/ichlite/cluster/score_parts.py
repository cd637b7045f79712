"""Write the results of some studies as Parquet files, whole or not at all.

A part's name comes from the studies in it, so a part that is written twice is there once. The file
in `studies` is written last: a study is done when it is in one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from ichlite.atomic_files import remove_parts, replacing
from ichlite.cluster.ray_archive import Study
from ichlite.labels import CLASSES
from ichlite.records import ReadResult, ScanResult, SkippedFile
from ichlite.write.escaping import unicode_document

SLICES = "slices"
STUDIES = "studies"
WHOLE = "[!.]*.parquet"
"""Files that are not being written: a part that Ray gave to two processes may still be, by one."""
SKIPPED = "skipped"
"""Name of the part with the files of no study, and the status of a file that was not read."""
_PROBABILITIES = [(name, pa.float64()) for name in CLASSES]
SLICE_SCHEMA = pa.schema(
    [("file", pa.string()), ("study", pa.string()), ("series", pa.string()),
     ("position_mm", pa.float64()), *_PROBABILITIES]
)  # fmt: skip
STUDY_SCHEMA = pa.schema(
    [("study", pa.string()), ("series", pa.string()), ("status", pa.string()),
     ("urgent", pa.bool_()), ("reasons", pa.list_(pa.string())), ("notes", pa.list_(pa.string())),
     ("complete", pa.bool_()), ("not_cleared", pa.list_(pa.string())),
     ("operating_point", pa.string()), ("threshold", pa.float64()),
     ("files", pa.int64()), ("slices", pa.int64()), *_PROBABILITIES,
     ("file", pa.string()), ("found_in", pa.string()), ("files_digest", pa.string())]
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Read:
    """A study and what was said of it."""

    study: Study
    result: ReadResult


def write_part(out: Path, reads: Sequence[Read]) -> None:
    """Write the rows of some studies' results, `slices` first.

    Args:
        out: Folder that `begin` has prepared.
        reads: At least one.
    """
    slices: list[dict[str, Any]] = []
    studies: list[dict[str, Any]] = []
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
    """Write the files of no study to `studies`, in place of an earlier run's."""
    path = out / STUDIES / f"{SKIPPED}.parquet"
    if skipped:
        _write(path, [_skipped_row(file) for file in skipped], STUDY_SCHEMA)
    else:
        path.unlink(missing_ok=True)


def begin(out: Path) -> dict[str, str]:
    """Return the studies that are done, each with the digest of its files' names.

    Makes the folders, and removes what a killed run left half: slices whose study is not done.
    """
    for name in (SLICES, STUDIES):
        (out / name).mkdir(parents=True, exist_ok=True)
        remove_parts(out / name)
    whole = {path.name for path in (out / STUDIES).glob(WHOLE)}
    for path in (out / SLICES).glob(WHOLE):
        if path.name not in whole:
            path.unlink()
    rows = read_studies(out, ["found_in", "files_digest"])
    return {row["found_in"]: row["files_digest"] for row in rows if row["found_in"] is not None}


def read_studies(out: Path, columns: Sequence[str]) -> list[dict[str, Any]]:
    """Read some columns of the rows of `studies`."""
    rows: list[dict[str, Any]] = []
    for path in sorted((out / STUDIES).glob(WHOLE)):
        rows += pq.read_table(path, columns=list(columns), partitioning=None).to_pylist()
    return rows


def _write(path: Path, rows: list[dict[str, Any]], schema: pa.Schema) -> None:
    with replacing(path) as part:
        pq.write_table(pa.Table.from_pylist(unicode_document(rows), schema=schema), part)


def _slice_rows(scan: ScanResult) -> list[dict[str, Any]]:
    ids = {"study": scan.study, "series": scan.series}
    return [
        {"file": one.file, "position_mm": one.position_mm, **ids, **one.probabilities}
        for one in scan.slices
    ]


def _study_row(scan: ScanResult) -> dict[str, Any]:
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
        **({} if scan.scan is None else scan.scan),
    }


def _skipped_row(file: SkippedFile) -> dict[str, Any]:
    return {"status": SKIPPED, "reasons": [file.reason], "notes": [], "file": file.file}
