"""Write results as the JSON document of `ichlite read --json` (schema/read-1.json)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ichlite import __version__
from ichlite.records import ReadResult, ScanResult, SliceScores
from ichlite.write.escaping import unicode_document

SCHEMA = "ichlite-read/1"
SCHEMA_FILE = Path(__file__).resolve().parent / "schema" / "read-1.json"


def read_document(result: ReadResult) -> dict[str, Any]:
    """Return the document of a result; keys may be added to it, never renamed.

    Example:
        >>> read_document(ReadResult("b 1", (), ()))["studies"]
        []
    """
    return {
        "schema": SCHEMA,
        "ichlite": __version__,
        "research_use_only": True,
        "bundle": result.bundle,
        "studies": [_scan(scan) for scan in result.studies],
        "skipped": [{"file": file.file, "reason": file.reason} for file in result.skipped],
        "warnings": list(result.warnings),
    }


def to_json(result: ReadResult) -> str:
    r"""Return the document of a result as text, in ASCII alone.

    File names may be any bytes; those that are no UTF-8 come out as the text `\xe9`.

    Raises:
        ValueError: A number is NaN or infinite, which JSON cannot say.
    """
    return json.dumps(unicode_document(read_document(result)), indent=2, allow_nan=False) + "\n"


def _scan(scan: ScanResult) -> dict[str, Any]:
    return {
        "study": scan.study,
        "series": scan.series,
        "files": list(scan.files),
        "status": scan.status,
        "reasons": list(scan.reasons),
        "urgent": scan.urgent,
        "complete": scan.complete,
        "not_cleared": list(scan.not_cleared),
        "operating_point": scan.operating_point,
        "threshold": scan.threshold,
        "scan": None if scan.scan is None else dict(scan.scan),
        "slices": [_slice(scores) for scores in scan.slices],
        "notes": list(scan.notes),
    }


def _slice(scores: SliceScores) -> dict[str, Any]:
    return {"file": scores.file, "position_mm": scores.position_mm, **scores.probabilities}
