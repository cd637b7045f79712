import json

import jsonschema
import pytest
from tests.dicom_files import write_head_series
from tests.made_results import analysed

from ichlite.contracts.codec import ContractError, convert_document
from ichlite.contracts.documents import schema
from ichlite.contracts.reading import Reading
from ichlite.infer.pipeline import read_paths
from ichlite.infer.results import ReadResult, reading_of
from ichlite.write.result_files import to_json

SCHEMA = schema("read-1")


@pytest.fixture
def validate():
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    return jsonschema.Draft202012Validator(SCHEMA).validate


def test_everything_that_can_be_read_fits_the_schema(validate, head_series, tmp_path):
    write_head_series(tmp_path, 3, study="9", BodyPartExamined="CHEST")
    (tmp_path / "notes.txt").write_text("hello")
    document = json.loads(to_json(read_paths([head_series, tmp_path])))
    validate(document)
    assert [s["status"] for s in document["studies"]] == ["analysed", "not_analysed"]
    assert document["schema"] == "ichlite-read/1"
    assert document["research_use_only"] is True
    assert document["studies"][1]["scan"] is None
    assert len(document["skipped"]) == 1


def test_nothing_fits_the_schema_too(validate):
    validate(json.loads(to_json(ReadResult("b 1", (), ()))))


@pytest.mark.parametrize(
    "break_it",
    [
        lambda d: d.pop("bundle"),
        lambda d: d.update(schema="ichlite-read/2"),
        lambda d: d["studies"][0].pop("series"),
        lambda d: d["studies"][0]["scan"].update(any=1.2),
        lambda d: d["studies"][0]["scan"].pop("epidural"),
        lambda d: d["studies"][0].update(scan=None),
        lambda d: d["studies"][0].update(urgent=None),
        lambda d: d["studies"][0].update(status="fine"),
        lambda d: d["studies"][0].update(complete=False),
        lambda d: d["studies"][0].update(complete=None),
        lambda d: d["studies"][0].update(not_cleared=["incomplete: a gap"], urgent=False),
        lambda d: d["studies"][0].update(operating_point=None),
        lambda d: d["studies"][0].update(threshold=1.5),
        lambda d: d["studies"][1].update(complete=True),
        lambda d: d["studies"][1].update(urgent=False),
        lambda d: d["studies"][0]["slices"][0].pop("file"),
        lambda d: d["studies"][0]["slices"].clear(),
        lambda d: d["studies"][0].update(status="not_analysed"),
        lambda d: d["studies"][1].update(reasons=[]),
        lambda d: d["studies"][1].update(reasons=["two\nlines"]),
        lambda d: d["studies"][1].update(scan=d["studies"][0]["scan"]),
    ],
)
def test_the_schema_bites(validate, head_series, tmp_path, break_it):
    write_head_series(tmp_path, 3, study="9", BodyPartExamined="CHEST")
    result = read_paths([head_series, tmp_path])
    document = json.loads(to_json(result))
    assert convert_document(Reading, document) == reading_of(result)
    validate(document)
    break_it(document)
    with pytest.raises(jsonschema.ValidationError):
        validate(document)
    with pytest.raises(ContractError):
        convert_document(Reading, document)


def test_a_number_that_is_none_is_not_written():
    scan = analysed(scan={**analysed().scan, "any": float("nan")})
    with pytest.raises(ValueError, match="not JSON compliant"):
        to_json(ReadResult("b 1", (scan,), ()))
