"""Read the one series that answers for a study; say of the others why they do not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial

from ichlite.ct.input_check import Judgement, judge_series
from ichlite.ct.study_choice import SeriesFacts, facts_of
from ichlite.infer.reader import Reader, guarded
from ichlite.infer.results import Analysed, NotAnalysed, ScanResult
from ichlite.records import Series


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A series of the study, by its headers."""

    series: Series
    check: Judgement
    facts: SeriesFacts

    @property
    def refused(self) -> bool:
        return bool(self.check.refusals)


def read_study(
    reader: Reader, members: Sequence[Series], *, force: bool = False, keep_pixels: bool = False
) -> list[ScanResult]:
    """Read the series of one study, most suitable first, until one is urgent or complete.

    An incomplete scan that is not urgent is kept as the study's result only until a better one is
    found. Series that the input check refuses come last: with `force` they are judged where no
    other series was.

    Args:
        reader: Reader with its bundle.
        members: All series of the study.
        force: See `Reader.read`.
        keep_pixels: See `Reader.read`.

    Returns:
        One result for each series: first that of the series that stands for the study, then the
        others as not chosen. Where no series was analysed, why for each.
    """
    results: list[ScanResult] = []
    candidates: list[_Candidate] = []
    for series in members:
        check = guarded(series, partial(judge_series, series))
        if isinstance(check, NotAnalysed):
            results.append(check)
        else:
            facts = facts_of(series, whole=not check.defects)
            candidates.append(_Candidate(series, check, facts))
    candidates.sort(key=lambda one: (one.refused, one.facts.rank))
    answer: Analysed | None = None
    answering: _Candidate | None = None
    unread: list[_Candidate] = []
    for one in candidates:
        settled = answer is not None and (one.refused or answer.urgent or answer.complete)
        if settled:
            unread.append(one)
            continue
        result = reader.read(one.series, force=force, keep_pixels=keep_pixels)
        if isinstance(result, Analysed) and (answer is None or result.urgent or result.complete):
            results += [answer] if answer is not None else []
            answer, answering = result, one
        else:
            results.append(result)
    if answer is None or answering is None:
        return results
    return [
        answer,
        *(_passed_over(result, answer.series) for result in results),
        *(_unread(one, answering) for one in unread),
    ]


def _passed_over(result: ScanResult, answer: str) -> NotAnalysed:
    """Return the result of a series that was read and does not answer for its study."""
    reasons = result.reasons
    if isinstance(result, Analysed):
        reasons = (*reasons, "another series of the study was read, which is whole or urgent")
    return NotAnalysed(
        study=result.study,
        series=result.series,
        files=tuple(dict.fromkeys([*result.files, *(one.file for one in result.left_out)])),
        reasons=reasons,
        notes=result.notes,
        read_instead=answer,
        may_be_head=result.may_be_head,
    )


def _unread(one: _Candidate, answer: _Candidate) -> NotAnalysed:
    """Return the result of a series that was not read, for another one answers for its study."""
    why = f"another series of the study was read: {one.facts.why_after(answer.facts)}"
    return NotAnalysed(
        study=one.series.study_uid,
        series=one.series.series_uid,
        files=one.series.files,
        reasons=one.check.refusals or (why,),
        read_instead=answer.series.series_uid,
        may_be_head=one.check.may_be_head,
    )
