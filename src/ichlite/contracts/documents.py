"""The documents that have a JSON Schema in this package, and where it lies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ichlite.contracts.bench import BenchDocument
from ichlite.contracts.bundle import BundleManifest
from ichlite.contracts.codec import schema_of
from ichlite.contracts.evaluation import Evaluation
from ichlite.contracts.reading import CALLED, Reading
from ichlite.contracts.run import RunManifest
from ichlite.contracts.score import ScoreSummary

SCHEMAS = Path(__file__).resolve().parent / "schemas"
"""Folder of the files that `scripts/make_schemas.py` writes."""

DOCUMENTS: Mapping[str, type[Any]] = {
    "bundle-1": BundleManifest,
    "train-1": RunManifest,
    "evaluation-1": Evaluation,
    "read-1": Reading,
    "bench-1": BenchDocument,
    "score-1": ScoreSummary,
}
"""Name of a schema → type of its documents."""

_RULES: Mapping[str, Mapping[str, Any]] = {"read-1": {"AnalysedEntry": CALLED}}
"""Name of a schema → part → rules between its keys, which types cannot say."""


def schema(name: str) -> dict[str, Any]:
    """Return the JSON Schema of a document, made from its type.

    Example:
        >>> schema("bundle-1")["$id"]
        'urn:ichlite:schema:bundle-1'
    """
    found = schema_of(DOCUMENTS[name], f"urn:ichlite:schema:{name}")
    for part, rules in _RULES.get(name, {}).items():
        found["$defs"][part] |= rules
    return found
