"""Read one study in a process of its own: `python -m ichlite.node.study_child`, a task on stdin.

The process confines itself before it opens a file. It writes the `read` document, the page and the
DICOM objects into the one folder that it may write to, and last the outcome: without it, the
reading failed.
"""

from __future__ import annotations

import os
import re
import sys
from contextlib import suppress
from datetime import UTC
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from ichlite.node.sandbox import confine

if TYPE_CHECKING:
    from ichlite.infer.results import ScanResult

NICENESS = 10
"""Niceness of a reading process, so that receiving instances has priority."""

_STORED_FILE = re.compile(r"instances/[0-9a-f]{2}/([0-9a-f]{8})[0-9a-f]{56}\.dcm")
"""Path of an instance in the store, of which people need no more than eight digits."""

OUTCOME, DOCUMENT, PAGE = "outcome.json", "reading.json", "report.html"


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """Task for a reading process: a study to read, a folder to write to, and limits.

    Attributes:
        folder: Folder for the results, the only one the process may write to.
        store: Folder that `files` are relative to, so that documents name no path of this machine.
        files: DICOM files of one study, relative to `store`.
        bundle, operating_point: As in `[read]` of the node's settings.
        memory_mb, seconds: Limits of address space (MiB) and processor time (seconds).
        at: Time that the DICOM objects state, s since 1970.
        inputs: SHA-256 over the files, from which UIDs of the DICOM objects are derived.
    """

    folder: str
    store: str
    files: tuple[str, ...]
    bundle: str | None
    operating_point: str
    memory_mb: int
    seconds: float
    at: float
    inputs: str


class ChildOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """Result that a reading process writes for the node; fields as in `studies.Outcome`.

    Attributes:
        unprotected: One line for each protection that the kernel does not support.
        brain_level_hu, noise_hu: Brain level and noise of the scan that was judged, HU; None if not
            measured.
    """

    status: str
    urgent: bool | None
    complete: bool | None
    any_probability: float | None
    reasons: tuple[str, ...]
    bundle: str
    settings: str
    objects: tuple[str, ...]
    unprotected: tuple[str, ...]
    brain_level_hu: float | None = None
    noise_hu: float | None = None


def main() -> None:
    """Read the study that a `Task` on stdin describes, and write the outcome to its folder."""
    with suppress(OSError):  # a filter of system calls may forbid it, and it is no protection
        os.nice(NICENESS)
    task = msgspec.json.decode(sys.stdin.buffer.read(), type=Task)
    unprotected = confine(Path(task.folder), task.memory_mb, task.seconds)
    os.chdir(task.store)
    outcome = _read(task, unprotected)
    (Path(task.folder) / OUTCOME).write_bytes(msgspec.json.encode(outcome))


def _read(task: Task, unprotected: tuple[str, ...]) -> ChildOutcome:
    # After the confinement: numpy and LiteRT start threads, which it would not reach.
    import hashlib
    from datetime import datetime

    from ichlite import __version__
    from ichlite.ct.brain_level import brain_level_hu, brain_noise_hu
    from ichlite.infer.bundle import load_bundle
    from ichlite.infer.pipeline import read_paths
    from ichlite.infer.results import Analysed
    from ichlite.labels import ANY
    from ichlite.write.report_page import Report
    from ichlite.write.result_files import to_json
    from ichlite.write.result_objects import ResultFolder
    from ichlite.write.result_uid import bundle_sha256

    bundle = load_bundle(task.bundle).at(task.operating_point)
    report = Report(bundle, identifiers=True)
    levels: list[tuple[float | None, float | None]] = []
    folder = Path(task.folder)
    objects = ResultFolder(folder, bundle, datetime.fromtimestamp(task.at, UTC))

    def visit(scan: ScanResult) -> None:
        report.add(scan)
        objects.add(scan)
        if isinstance(scan, Analysed) and scan.hu is not None:
            levels.append((brain_level_hu(scan.hu), brain_noise_hu(scan.hu)))

    result = read_paths(list(task.files), bundle=bundle, visit=visit, pixels_for_visit=True)
    level_hu, noise_hu = levels[0] if levels else (None, None)
    objects.finish(result)
    (folder / DOCUMENT).write_text(to_json(result), encoding="utf-8")
    (folder / PAGE).write_text(report.page(result), encoding="utf-8")
    decided_by = "\n".join((__version__, bundle_sha256(bundle), task.operating_point))
    answer = next((one for one in result.studies if one.status == "analysed"), None)
    unsaid = tuple(f"no DICOM report: {problem}" for problem in objects.problems)
    unread = tuple(f"{one.file}: {one.reason}" for one in result.skipped if one.may_be_ct)
    if answer is None:
        reasons = tuple(line for one in result.studies for line in one.reasons) + unread
        urgent = complete = probability = None
    else:
        reasons = tuple(dict.fromkeys((*answer.reasons, *answer.not_cleared, *unread)))
        urgent = None if answer.urgent is False and unread else answer.urgent
        complete = answer.complete and not unread
        probability = answer.scan[ANY] if answer.scan is not None else None
    return ChildOutcome(
        status="analysed" if answer is not None else "not_analysed",
        urgent=urgent,
        complete=complete,
        any_probability=probability,
        reasons=tuple(
            _STORED_FILE.sub(r"image \1", line)
            for line in (reasons or ("no image of a head CT came",) * (answer is None)) + unsaid
        ),
        bundle=bundle.label,
        settings=hashlib.sha256(decided_by.encode()).hexdigest(),
        objects=tuple(path.name for path in objects.written),
        unprotected=unprotected,
        brain_level_hu=level_hu,
        noise_hu=noise_hu,
    )


if __name__ == "__main__":
    main()
