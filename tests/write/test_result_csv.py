import csv
import io

import pytest
from tests.dicom_files import write_head_series
from tests.made_results import analysed

from ichlite.infer.pipeline import read_paths
from ichlite.infer.results import NotAnalysed, ReadResult, verdict
from ichlite.labels import ANY, CLASSES
from ichlite.records import SkippedFile
from ichlite.write.result_files import to_csv, to_studies_csv


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


def study_rows(result):
    return list(csv.DictReader(io.StringIO(to_studies_csv(result))))


def test_one_row_a_study(tmp_path):
    write_head_series(tmp_path / "a", 28, side=256, study="1")
    write_head_series(tmp_path / "bone", 28, study="1", series="2", ConvolutionKernel="BONE")
    write_head_series(tmp_path / "chest", 12, study="2", BodyPartExamined="CHEST")
    write_head_series(tmp_path / "dye", 12, study="2", series="2", ContrastBolusAgent="OMNI")
    write_head_series(tmp_path / "part", 12, side=256, study="3")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "heads.zip").write_bytes(b"PK\x03\x04")
    result = read_paths([tmp_path])
    whole, none, part, unread = study_rows(result)
    scan = next(one for one in result.studies if one.status == "analysed")
    assert (whole["study"], whole["series"]) == (scan.study, scan.series)
    assert (whole["status"], whole["call"]) == ("analysed", verdict(scan))
    assert (whole["complete"], whole["slices"], whole["all_series"]) == ("true", "28", "2")
    assert whole["file"] == str(tmp_path / "a")
    assert (whole["reason"], whole["operating_point"]) == ("", "balanced")
    assert float(whole["threshold"]) == pytest.approx(scan.threshold, abs=5e-7)
    for name in CLASSES:
        assert float(whole[name]) == pytest.approx(scan.scan[name], abs=5e-7)
    assert (none["status"], none["call"], none["urgent"]) == ("not_analysed", "no result", "")
    assert "CHEST" in none["reason"]
    assert "OMNI" in none["reason"]
    assert none[ANY] == none["threshold"] == none["complete"] == ""
    assert (part["urgent"], part["complete"]) == ("", "false")
    assert "incomplete" in part["reason"]
    assert (unread["status"], unread["file"]) == ("skipped", str(tmp_path / "heads.zip"))
    assert unread[ANY] == unread["urgent"] == ""


def test_of_several_read_series_the_most_urgent_stands_for_the_study():
    calm, urgent = (
        analysed(series=name, urgent=urgent, scan=dict.fromkeys(CLASSES, value), files=(name,))
        for name, urgent, value in (("a", False, 0.1), ("b", True, 0.9))
    )
    for order in ((calm, urgent), (urgent, calm)):
        (row,) = study_rows(ReadResult("b 1", order, ()))
        assert (row["series"], row["urgent"], row["all_series"]) == ("b", "true", "2")


def test_the_studies_are_known_as_a_report_and_hold_no_formula(ichlite, tmp_path):
    scan = NotAnalysed(study="=1+1", series="@x", files=("-a",), reasons=("+2", "b"))
    skipped = SkippedFile('=cmd|"x"', "+1", may_be_ct=True)
    for row in study_rows(ReadResult("b 1", (scan,), (skipped,))):
        assert not any(str(cell).startswith(("=", "+", "-", "@")) for cell in row.values())
    write_head_series(tmp_path, 20, side=256)
    words = ["read", tmp_path, "--studies-csv", tmp_path / "studies.csv"]
    assert ichlite(*words).exit_code == 0
    again = ichlite(*words)
    assert again.exit_code == 0
    assert "a report of ichlite, no input" in again.out
