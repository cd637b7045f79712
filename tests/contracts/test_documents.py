"""Documents read back as they were written; schemas are those of the types, and bite."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from tests.made_runs import made_run

from ichlite.contracts.bench import BenchDocument
from ichlite.contracts.bundle import BundleManifest
from ichlite.contracts.codec import (
    ContractError,
    convert_document,
    document_text,
    read_document,
    to_json_value,
)
from ichlite.contracts.documents import DOCUMENTS, SCHEMAS, schema
from ichlite.contracts.run import RunManifest
from ichlite.infer.bundle import EMBEDDED

ROOT = Path(__file__).resolve().parents[2]
MANIFESTS = [EMBEDDED / "manifest.json", *sorted((ROOT / "models").glob("*/manifest.json"))]
RUNS = sorted((ROOT / "models").glob("*/train.json"))


def validate(name: str, document: object) -> None:
    jsonschema.Draft202012Validator(schema(name)).validate(document)


@pytest.mark.parametrize("name", DOCUMENTS)
def test_the_schema_in_the_package_is_the_types(name: str) -> None:
    jsonschema.Draft202012Validator.check_schema(schema(name))
    written = json.loads((SCHEMAS / f"{name}.json").read_text())
    assert written == json.loads(json.dumps(schema(name))), "run scripts/make_schemas.py"


@pytest.mark.parametrize("path", MANIFESTS, ids=lambda path: path.parent.name)
def test_every_manifest_fits_and_reads_back(path: Path) -> None:
    text = path.read_text()
    manifest = read_document(BundleManifest, text)
    validate("bundle-1", json.loads(text))
    validate("bundle-1", to_json_value(manifest))
    assert read_document(BundleManifest, document_text(manifest)) == manifest


@pytest.mark.parametrize("path", RUNS, ids=lambda path: path.parent.name)
def test_every_run_fits_and_reads_back(path: Path) -> None:
    text = path.read_text()
    validate("train-1", json.loads(text))
    manifest = read_document(RunManifest, text)
    assert read_document(RunManifest, document_text(manifest)) == manifest
    assert to_json_value(manifest)["recipe"] == json.loads(text)["recipe"]


def test_what_is_unset_is_not_written() -> None:
    written = to_json_value(made_run())
    assert not {"result", "stretches", "fingerprint"} & set(written)
    validate("train-1", written)


@pytest.mark.parametrize(
    ("change", "line"),
    [
        ({"data": None}, "data: expected `object`, got `null`"),
        ({"command": 7}, "command: expected `str`, got `int`"),
        ({"data": {}}, "no data.store"),
        ({"schema": "ichlite-train/2"}, "schema: invalid enum value 'ichlite-train/2'"),
        ({"versions": {"keras": 3}}, "versions: expected `str`, got `int`"),
    ],
)
def test_what_is_wrong_is_named_with_its_place(change: dict[str, Any], line: str) -> None:
    document = {**to_json_value(made_run()), **change}
    for read in (
        lambda: read_document(RunManifest, json.dumps(document)),
        lambda: convert_document(RunManifest, document),
    ):
        with pytest.raises(ContractError) as fault:
            read()
        assert line in str(fault.value)
    with pytest.raises(jsonschema.ValidationError):
        validate("train-1", document)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"NaN", b"[" * 100_000, b'{"a": 1e999}'])
def test_no_json_is_one_line(text: bytes) -> None:
    with pytest.raises(ContractError) as fault:
        read_document(dict[str, float], text)
    assert "\n" not in str(fault.value)


def test_a_number_that_is_none_is_not_written() -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        document_text({"a": float("nan")})


def test_a_key_of_a_later_version_is_passed_over() -> None:
    document = {**to_json_value(made_run()), "of_tomorrow": 1}
    assert convert_document(RunManifest, document) == made_run()


def test_the_benchmark_of_the_docs_fits() -> None:
    text = (ROOT / "benchmarks" / "results" / "bench.json").read_text()
    found = read_document(BenchDocument, text)
    assert to_json_value(found) == json.loads(text)
    validate("bench-1", json.loads(text))
