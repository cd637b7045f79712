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

from ichlite.atomic_files import replacing
from ichlite.errors import IchliteError
from ichlite.infer.bundle import Bundle
from ichlite.infer.results import Analysed, ReadResult, ScanResult, not_analysed, objections
from ichlite.write.dicom_object import file_bytes
from ichlite.write.result_uid import result_uids
from ichlite.write.secondary_capture import secondary_capture
from ichlite.write.source_study import read_source
from ichlite.write.structured_report import need_highdicom, structured_report
from ichlite.write.summary_picture import summary_picture


def write_result_objects(
    scans: Sequence[ScanResult], folder: Path, *, bundle: Bundle, at: datetime
) -> tuple[Path, ...]:
    """Write the objects of the results of one study; return their paths, reports first.

    Args:
        scans: As `read_paths` gives them with `keep_pixels`, or gives them to its `visit`: a scan
            without pixels has no picture. The files that they name must still be there: SOP
            instances, patient and study are read from their headers again.
        folder: Made if it is missing.
        bundle: The bundle that judged, at the operating point that it judged by.
        at: When the result was made. The same result and time give the same bytes; the UIDs do
            not depend on the time.

    Returns:
        `HASH.sr.dcm` and `HASH.sc.dcm` of each scan that was analysed; of the study, if none was.
        Nothing of series that were not chosen.

    Raises:
        MissingExtra: highdicom is not installed; it comes with `ichlite[node]`.
        UsageError: A scan without pixels.
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
        raise IchliteError(f"cannot write into {folder}: {error.strerror}") from error
    made, shown = files
    return made, shown


def _name(uid: str) -> str:
    return hashlib.sha256(uid.encode("ascii")).hexdigest()[:32]


class ResultFolder:
    """The objects of a reading, written scan by scan; what fails does not keep the rest back.

    Args:
        folder: Made if it is missing.
        bundle: The bundle that judges.
        at: When the reading is made.

    Attributes:
        written: Paths, in the order of the results.
        problems: Results whose objects could not be written, and why.
    """

    def __init__(self, folder: Path, bundle: Bundle, at: datetime) -> None:
        self._folder, self._bundle, self._at = folder, bundle, at
        self.written: list[Path] = []
        self.problems: list[IchliteError] = []

    def add(self, scan: ScanResult) -> None:
        """Write the objects of a scan that was analysed; others wait for `finish`."""
        if isinstance(scan, Analysed):
            self._write([scan])

    def finish(self, result: ReadResult) -> None:
        """Write the objects of each study that has no answer."""
        studies: dict[str, list[ScanResult]] = {}
        for one in not_analysed(result.studies):
            studies.setdefault(one.study, []).append(one)
        answered = {one.study for one in result.studies if isinstance(one, Analysed)}
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
