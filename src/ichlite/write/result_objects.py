"""Write the DICOM objects of results into a folder: of each a report (SR) and a picture (SC).

One pair for each scan that was analysed, and one for each study that has no answer, which says that
it was not analysed, and why. A series that was not chosen has none: another answers for its study.

Names of files come from the objects' UIDs, and those from what was read: writing a result again
replaces its files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from ichlite.atomic_files import replacing, unwritable
from ichlite.errors import IchliteError
from ichlite.infer.bundle import Bundle
from ichlite.infer.results import (
    Analysed,
    ReadResult,
    ScanResult,
    not_analysed,
    objections,
    study_of,
)
from ichlite.write.dicom_object import file_bytes
from ichlite.write.result_uid import result_uids
from ichlite.write.secondary_capture import secondary_capture
from ichlite.write.source_study import read_source
from ichlite.write.structured_report import need_highdicom, structured_report
from ichlite.write.summary_picture import summary_picture


def write_result_objects(
    scans: Sequence[ScanResult], folder: Path, *, bundle: Bundle, at: datetime
) -> tuple[Path, ...]:
    """Write the results of one study as DICOM objects: structured reports and secondary captures.

    Args:
        scans: Results of one study, read by `read_paths` with `keep_pixels` or as given to its
            `visit`. Their files must still be there: patient, study and SOP instances are read
            from the headers again.
        folder: Folder to write to, made if it is missing.
        bundle: Bundle that judged, at the operating point that it judged by.
        at: Time at which the result was made. The same result and time give the same bytes; the
            UIDs do not depend on the time.

    Returns:
        Paths of a report `HASH.sr.dcm` and a picture `HASH.sc.dcm` for each scan that was analysed;
        for the study as a whole if none was. Series that were not chosen have none.

    Raises:
        MissingExtra: highdicom is not installed; it comes with `ichlite[node]`.
        UsageError: An analysed scan has no pixels.
        UnreadableFile: The files of a result can no longer be read.
        IchliteError: The folder cannot be written.
    """
    need_highdicom()
    answered: list[Sequence[ScanResult]] = [[one] for one in scans if isinstance(one, Analysed)]
    rest = sorted(not_analysed(scans), key=lambda one: (not one.may_be_head, one.series))
    written: list[Path] = []
    for result in answered or [rest] * bool(rest):
        written += _write(result, folder, bundle, at)
    return tuple(written)


def _write(
    scans: Sequence[ScanResult], folder: Path, bundle: Bundle, at: datetime
) -> tuple[Path, Path]:
    source = read_source(scans)
    uids = result_uids(scans, (image.key for image in source.images), bundle)
    report = structured_report(scans, source, bundle=bundle, uids=uids, at=at)
    picture = summary_picture(scans, bundle)
    first = scans[0]
    is_head = isinstance(first, Analysed) and not objections(first)
    capture = secondary_capture(picture, source, uids=uids, at=at, is_head=is_head)
    # Both are made before either is written; names tell nothing of whose they are.
    files = {
        folder / f"{_name(uids.report)}.sr.dcm": file_bytes(report),
        folder / f"{_name(uids.report)}.sc.dcm": file_bytes(capture),
    }
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, data in files.items():
            with replacing(path) as part:
                part.write_bytes(data)
    except OSError as error:
        raise unwritable(folder, error) from error
    made, shown = files
    return made, shown


def _name(uid: str) -> str:
    return hashlib.sha256(uid.encode("ascii")).hexdigest()[:32]


class ResultFolder:
    """A writer of DICOM result objects into a folder, scan by scan; a failure does not stop others.

    Args:
        folder: Folder to write to, made if it is missing.
        bundle: Bundle that judges the scans.
        at: Time of the reading, for the dates in the objects.

    Attributes:
        written: Paths of the files that were written, in the order of the results.
        problems: Why the objects of other results could not be written.
    """

    def __init__(self, folder: Path, bundle: Bundle, at: datetime) -> None:
        self._folder, self._bundle, self._at = folder, bundle, at
        self.written: list[Path] = []
        self.problems: list[IchliteError] = []

    def add(self, scan: ScanResult) -> None:
        """Write the DICOM objects of a scan that was analysed; others are left to `finish`."""
        if isinstance(scan, Analysed):
            self._write([scan])

    def finish(self, result: ReadResult) -> None:
        """Write the DICOM objects of each study of which no series was analysed.

        Args:
            result: Result of the whole reading.
        """
        studies: dict[tuple[str, int], list[ScanResult]] = {}
        for one in not_analysed(result.studies):
            studies.setdefault(study_of(one), []).append(one)
        answered = {study_of(one) for one in result.studies if isinstance(one, Analysed)}
        for study, scans in studies.items():
            if study not in answered:
                self._write(scans)

    def _write(self, scans: Sequence[ScanResult]) -> None:
        try:
            self.written += write_result_objects(
                scans, self._folder, bundle=self._bundle, at=self._at
            )
        except IchliteError as error:
            self.problems.append(error)
