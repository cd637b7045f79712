import csv
import io

from tests.dicom_files import write_head_series

from ichlite.infer.pipeline import read_paths
from ichlite.infer.results import NotAnalysed, ReadResult
from ichlite.labels import ANY, CLASSES
from ichlite.records import SkippedFile
from ichlite.write.result_files import to_csv


def rows(result):
    return list(csv.DictReader(io.StringIO(to_csv(result))))


def test_one_row_a_slice_and_one_a_thing_without_result(head_series, tmp_path):
    write_head_series(tmp_path, 3, study="9", BodyPartExamined="CHEST")
    (tmp_path / "notes.txt").write_text("hello")
    result = read_paths([head_series, tmp_path])
    table = rows(result)
    assert [row["status"] for row in table] == ["analysed"] * 28 + ["not_analysed", "skipped"]
    scores = result.studies[0].slices[5]
    assert table[5]["file"] == scores.file
    assert float(table[5]["position_mm"]) == scores.position_mm
    for name in CLASSES:
        assert abs(float(table[5][name]) - scores.probabilities[name]) <= 5e-7
    for row in table[28:]:
        assert row["reason"]
        assert row[ANY] == row["subdural"] == row["urgent"] == ""


def test_a_spreadsheet_sees_no_formula():
    scan = NotAnalysed(study="=1+1", series="@x", files=("a",), reasons=("-2+3", "b"))
    result = ReadResult("b 1", (scan,), (SkippedFile('=cmd|"x"', "+1"),))
    for row in rows(result):
        assert not any(str(cell).startswith(("=", "+", "-", "@")) for cell in row.values())
    assert rows(result)[0]["study"] == "'=1+1"
