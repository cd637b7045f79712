"""Score an archive of studies with a bundle on many machines, into Parquet files.

A pool of processes, each with the bundle loaded once, takes a few studies at a time. What Ray gives
to another process when one dies is written under the same name, and so appears once.
"""

from __future__ import annotations

import hashlib
import json
import pickle
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from ichlite.atomic_files import check_empty, check_place, write_json
from ichlite.cluster import score_parts
from ichlite.cluster.ray_archive import Archive, Study, check_archive, find_studies
from ichlite.cluster.score_parts import Read, StudyRow
from ichlite.cluster.session import Cluster
from ichlite.contracts.reading import SkippedEntry
from ichlite.contracts.score import SCHEMA, NamedSeries, ScoreSummary, SeriesCounts
from ichlite.errors import IchliteError, StoreError, UsageError
from ichlite.infer.bundle import Bundle, load_bundle
from ichlite.infer.pipeline import read_with
from ichlite.infer.reader import Reader
from ichlite.infer.results import NotAnalysed, ReadResult
from ichlite.write.escaping import unicode_text

ORDER_FILE = "score.json"
TRIES = "tries"
MOST_TRIES = 3
"""Processes that may die while reading one study before the study counts as unreadable."""
MOST_STUDIES_A_PART = 32
PARTS_A_PROCESS = 4


def score_archive(
    archive: Path,
    out: Path,
    cluster: Cluster,
    *,
    bundle: Path | None = None,
    force: bool = False,
    on_found: Callable[[int], None] = lambda _: None,
    on_studies: Callable[[int], None] = lambda _: None,
) -> ScoreSummary:
    """Read with a bundle every study of an archive that was not read before, on a Ray cluster.

    Args:
        archive: Folder of studies; every machine sees it, and `out`, under the same path.
        out: Output folder, made when missing; it receives the Parquet data sets `slices` and
            `studies`.
        cluster: Cluster that `session` is connected to.
        bundle: Bundle folder; None for the embedded bundle.
        force: Whether to judge series that the input check refuses.
        on_found: Called with the number of studies to read.
        on_studies: Called with the number of studies read since the last call.

    Returns:
        The summary: counts, what went wrong, speed.

    Raises:
        UsageError: `out` was made with another bundle, or lies inside the archive.
        InputError: There is no archive.
        BundleError: The bundle cannot be used.
        IchliteError: Results cannot be written: the disk is full, say.
    """
    import ray

    check_archive(archive)
    check_place(archive, out)
    loaded = load_bundle(bundle)
    _same_order(out, loaded, force=force)
    started = time.monotonic()
    found = find_studies(archive)
    done = score_parts.begin(out)
    score_parts.write_skipped(out, found.skipped)
    left = [study for study in found.studies if unicode_text(study.uid) not in done]
    on_found(len(left))
    processes = max(1, min(cluster.cpus, len(left)))
    rows = [{"studies": pickle.dumps(some)} for some in _shares(left, processes)]
    if rows:
        made = ray.data.from_items(rows, override_num_blocks=len(rows)).map(
            Scorer,
            fn_constructor_args=(None if bundle is None else str(bundle.resolve()),
                                 str(out.resolve()), force),
            compute=ray.data.ActorPoolStrategy(size=processes),
            num_cpus=1,
        )  # fmt: skip
        for row in made.iter_rows():
            if row["fault"]:
                raise IchliteError(
                    f"results cannot be written to {out}: {row['fault']}",
                    remedy="mend that; the same command then resumes",
                )
            on_studies(int(row["count"]))
        _check_here(out, left)
    seconds = time.monotonic() - started
    _forget_tries(out)
    return _summary(out, archive, loaded, found, done, len(left), seconds, cluster)


class Scorer:
    """Callable that reads a few studies at a time; each Ray process makes one and keeps its model.

    Args:
        bundle: Bundle folder; None for the embedded bundle.
        out: Folder that parts are written to.
        force: Whether to judge series that the input check refuses.
    """

    def __init__(self, bundle: str | None, out: str, force: bool) -> None:
        self.reader = Reader(bundle)
        self.out = Path(out)
        self.force = force

    def __call__(self, row: Mapping[str, bytes]) -> dict[str, int | str]:
        """Read pickled studies, write their rows, and return how many, or why they cannot be."""
        studies: list[Study] = pickle.loads(row["studies"])  # noqa: S301  our own driver's
        try:
            score_parts.write_part(self.out, [Read(study, self._read(study)) for study in studies])
        except OSError as fault:  # raised, it would come as Ray's own error, with a long trace
            return {"count": 0, "fault": str(fault)}
        return {"count": len(studies), "fault": ""}

    def _read(self, study: Study) -> ReadResult:
        if begin_try(self.out, study) > MOST_TRIES:
            reason = f"the process that read it died {MOST_TRIES} times; please report it"
            return _unread(self.reader.bundle, study, reason)
        try:
            return read_with(self.reader, study.files, force=self.force)
        except IchliteError as failure:  # its files went away meanwhile, say
            return _unread(self.reader.bundle, study, str(failure))


def _unread(bundle: Bundle, study: Study, reason: str) -> ReadResult:
    scan = NotAnalysed(study=study.uid, series="", files=study.files, reasons=(reason,))
    return ReadResult(bundle.label, (scan,), ())


def begin_try(out: Path, study: Study) -> int:
    """Record that a process starts to read a study, and return how many have started so far.

    Args:
        out: Output folder of the scores.
        study: Study that is about to be read.

    Returns:
        Number of this attempt, from 1; earlier ones died if the study is not done.
    """
    name = hashlib.sha256(study.uid.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    note = out / TRIES / name
    note.parent.mkdir(exist_ok=True)
    with note.open("ab") as file:
        file.write(b"x")
        return file.tell()


def _forget_tries(out: Path) -> None:
    for note in (out / TRIES).glob("*"):
        note.unlink()


def _shares(studies: Sequence[Study], processes: int) -> list[list[Study]]:
    """Part the studies so that every process gets several parts and a death costs little."""
    size = max(1, min(MOST_STUDIES_A_PART, len(studies) // (processes * PARTS_A_PROCESS)))
    return [list(studies[first : first + size]) for first in range(0, len(studies), size)]


def _check_here(out: Path, read: Sequence[Study]) -> None:
    there = {row.found_in for row in score_parts.read_studies(out)}
    lost = [study.uid for study in read if unicode_text(study.uid) not in there]
    if lost:
        raise StoreError(
            f"results of {len(lost)} studies are not where they were written",
            found=f"no rows of study {lost[0]} on this machine",
            expected="storage that all machines share under one path",
        )


def _same_order(out: Path, bundle: Bundle, *, force: bool) -> None:
    order = {
        "schema": SCHEMA,
        "bundle": bundle.label,
        "model_sha256": hashlib.sha256(bundle.model).hexdigest(),
        "force": force,
    }
    path = out / ORDER_FILE
    if path.exists():
        begun = json.loads(path.read_text())
        if begun != order:
            raise UsageError(
                f"{out} holds results of another bundle or of other options",
                found=f"bundle {begun.get('bundle')}",
                expected=bundle.label,
                remedy="name a new folder for OUT",
            )
        return
    check_empty(out)
    out.mkdir(parents=True, exist_ok=True)
    write_json(path, order)


def _summary(
    out: Path,
    archive: Path,
    bundle: Bundle,
    found: Archive,
    done: dict[str, str],
    scored: int,
    seconds: float,
    cluster: Cluster,
) -> ScoreSummary:
    rows = score_parts.read_studies(out)
    count = Counter(row.status for row in rows)
    return ScoreSummary(
        schema=SCHEMA,
        bundle=bundle.label,
        archive=str(archive),
        out=str(out),
        studies=len(found.studies),
        scored=scored,
        scored_before=len(found.studies) - scored,
        series=SeriesCounts(**{status: count[status] for status in SeriesCounts.__struct_fields__}),
        slices=sum(row.slices or 0 for row in rows),
        not_analysed=tuple(
            _named(row, row.reasons) for row in rows if row.status == "not_analysed"
        ),
        not_cleared=tuple(_named(row, row.not_cleared) for row in rows if row.not_cleared),
        skipped_files=tuple(
            SkippedEntry(file=row.file or "", reason=row.reasons[0], may_be_ct=row.counts)
            for row in rows
            if row.status == score_parts.SKIPPED
        ),
        warnings=found.warnings,
        changed=tuple(
            s.uid for s in found.studies if done.get(unicode_text(s.uid), s.digest) != s.digest
        ),
        seconds=round(seconds, 3),
        studies_per_s=round(scored / seconds, 3),
        nodes=cluster.nodes,
        cpus=cluster.cpus,
    )


def _named(row: StudyRow, reasons: tuple[str, ...]) -> NamedSeries:
    return NamedSeries(
        study=row.study or "", series=row.series or "", reasons=reasons, may_be_head=row.counts
    )
