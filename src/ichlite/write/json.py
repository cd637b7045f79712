"""Write results as the JSON document of `ichlite read --json` (`contracts.reading.Reading`)."""

from __future__ import annotations

import json
from typing import Any

from ichlite import __version__
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
from ichlite.records import NotAnalysed, ReadResult, ScanResult
from ichlite.write.escaping import unicode_document


def reading_of(result: ReadResult) -> Reading:
    """Return the document of a result: keys may be added to it, never renamed.

    Example:
        >>> reading_of(ReadResult("b 1", (), ())).studies
        ()
    """
    return Reading(
        schema=SCHEMA,
        ichlite=__version__,
        research_use_only=True,
        bundle=result.bundle,
        studies=tuple(_entry(scan) for scan in result.studies),
        skipped=tuple(
            SkippedEntry(file=one.file, reason=one.reason, may_be_ct=one.may_be_ct)
            for one in result.skipped
        ),
        warnings=result.warnings,
    )


def to_json(result: ReadResult) -> str:
    r"""Return the document of a result as text, in ASCII alone.

    File names may be any bytes; those that are no UTF-8 come out as the text `\xe9`.

    Raises:
        ValueError: A number is NaN or infinite, which JSON cannot say.
    """
    document = unicode_document(to_json_value(reading_of(result)))
    return json.dumps(document, indent=2, allow_nan=False) + "\n"


_WITHOUT_ANSWER = ("urgent", "complete", "operating_point", "threshold", "scan")


def _entry(scan: ScanResult) -> AnalysedEntry | NotAnalysedEntry | NotChosenEntry:
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
