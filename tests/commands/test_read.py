import json
import os
import shutil
from csv import DictReader
from pathlib import Path

import jsonschema
import pytest
from tests.dicom_files import head_slice, write_ct_slice, write_head_series

from ichlite.contracts import documents


@pytest.fixture(scope="session")
def schema():
    return documents.schema("read-1")


@pytest.fixture
def quiet_bundle(tmp_path):
    """A bundle that calls nothing urgent, or everything when it is put to high sensitivity."""
    from ichlite.infer.bundle import EMBEDDED

    shutil.copytree(EMBEDDED, tmp_path / "quiet-bundle")
    path = tmp_path / "quiet-bundle" / "manifest.json"
    manifest = json.loads(path.read_text())
    del manifest["manifest_sha256"]
    thresholds = {**manifest["decision"]["thresholds"], "any": 1.0}
    manifest["decision"]["thresholds"] = thresholds
    manifest["decision"]["operating_points"] = {
        "balanced": thresholds,
        "high_sensitivity": {**thresholds, "any": 0.0},
    }
    path.write_text(json.dumps(manifest))
    return path.parent


def read_json(ichlite, *words):
    outcome = ichlite("read", "--json", *words)
    assert "Traceback" not in outcome.err
    return outcome.exit_code, json.loads(outcome.out)


def test_a_head_is_0_with_one_document_and_a_silent_stderr(ichlite, head_series, schema):
    outcome = ichlite("read", head_series, "--json")
    assert (outcome.exit_code, outcome.err) == (0, "")
    document = json.loads(outcome.out)
    jsonschema.validate(document, schema)
    assert document["studies"][0]["status"] == "analysed"


def test_the_list_for_people(ichlite, head_series):
    outcome = ichlite("read", head_series)
    assert (outcome.exit_code, outcome.err) == (0, "")
    assert str(head_series) in outcome.out
    assert "Not a medical device" in outcome.out


def empty(folder):
    (folder / "bad").mkdir()


def missing(folder):
    pass


def text_file(folder):
    (folder / "bad").write_text("hello")


def archive(folder):
    write_head_series(folder / "inside", 2)
    shutil.make_archive(str(folder / "bad"), "zip", folder / "inside")
    (folder / "bad.zip").rename(folder / "bad")
    shutil.rmtree(folder / "inside")


def not_ct(folder):
    write_ct_slice(
        folder / "bad", head_slice(0.5), Modality="MR", SOPClassUID="1.2.840.10008.5.1.4.1.1.4"
    )


def scout(folder):
    write_ct_slice(folder / "bad", head_slice(0.5), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"])


def chest(folder):
    write_head_series(folder / "bad", 20, BodyPartExamined="CHEST")


def plastic_head(folder):
    empty_skull = head_slice(0.5, side=256)
    empty_skull[empty_skull < 100] = -1000
    for index in range(20):
        write_ct_slice(
            folder / "bad" / str(index),
            empty_skull,
            SOPInstanceUID=f"1.2.3.{index + 1}",
            ImagePositionPatient=[-120.0, -120.0, 5.0 * index],
        )


def truncated(folder):
    for file in write_head_series(folder / "bad", 20):
        file.write_bytes(file.read_bytes()[:-999])


def mixed_series(folder):
    write_head_series(folder / "bad", 20)
    tilted = [1.0, 0.0, 0.0, 0.0, 0.9, 0.43589]
    write_ct_slice(
        folder / "bad" / "other",
        head_slice(0.5),
        SeriesInstanceUID="1.2.826.0.1.3680043.8.498.1.1",
        SOPInstanceUID="1.2.3.4.5",
        ImageOrientationPatient=tilted,
    )


def two_patients_in_one_series(folder):
    for index, file in enumerate(write_head_series(folder / "bad", 20)):
        if index >= 10:
            write_ct_slice(
                file,
                head_slice(index / 19),
                PatientID="somebody else",
                SOPInstanceUID=f"1.2.3.{index}",
                ImagePositionPatient=[-120.0, -120.0, 5.0 * index],
            )


def huge_header(folder):
    write_ct_slice(folder / "bad", head_slice(0.5), Rows=20000, Columns=20000)


def no_rescale(folder):
    write_head_series(folder / "bad", 20, RescaleSlope=None)


NO_HEAD = [text_file, not_ct, scout, chest]
BAD = [
    *NO_HEAD,
    empty,
    missing,
    archive,
    plastic_head,
    truncated,
    mixed_series,
    two_patients_in_one_series,
    huge_header,
    no_rescale,
]


@pytest.mark.parametrize("make", BAD, ids=lambda make: make.__name__)
def test_bad_input_has_a_line_each_and_counts_where_it_may_be_a_head(
    ichlite, head_series, tmp_path, schema, make
):
    make(tmp_path)
    alone_code, alone = read_json(ichlite, tmp_path / "bad")
    both_code, both = read_json(ichlite, tmp_path / "bad", head_series)
    assert (alone_code, both_code) == (1, 0 if make in NO_HEAD else 1)
    for document in (alone, both):
        jsonschema.validate(document, schema)
    analysed = [s for s in both["studies"] if s["status"] == "analysed"]
    assert [f.startswith(str(head_series)) for s in analysed for f in s["files"]] == [True] * 28
    reasons = [r for s in alone["studies"] for r in s["reasons"]]
    reasons += [f["reason"] for f in alone["skipped"]]
    assert reasons
    assert all(s["status"] == "not_analysed" and s["scan"] is None for s in alone["studies"])


def test_two_patients_in_one_folder_are_two_studies_and_said(ichlite, tmp_path):
    write_head_series(tmp_path, 20, side=256, study="1", PatientID="A")
    for file in write_head_series(tmp_path / "b", 20, side=256, study="2", PatientID="B"):
        file.rename(tmp_path / f"b{file.name}")
    (tmp_path / "b").rmdir()
    code, document = read_json(ichlite, tmp_path)
    assert code == 0
    assert [one["status"] for one in document["studies"]] == ["analysed", "analysed"]
    assert "2 patients" in document["warnings"][0]
    assert "2 patients" in ichlite("read", tmp_path).out


def test_force_judges_a_single_slice_and_keeps_the_objection(ichlite, tmp_path):
    write_ct_slice(tmp_path / "one", head_slice(0.5), KVP="80")
    code, document = read_json(ichlite, tmp_path, "--force")
    assert code == 0
    (scan,) = document["studies"]
    assert (scan["status"], scan["complete"]) == ("analysed", False)
    assert set(scan["not_cleared"]) < set(scan["reasons"])
    assert "judged by force" in ichlite("read", tmp_path, "--force").out


def test_an_incomplete_scan_is_1_and_called_not_cleared_everywhere(
    ichlite, quiet_bundle, tmp_path, schema
):
    files = write_head_series(tmp_path / "scan", 28, side=256)
    html, csv = tmp_path / "r.html", tmp_path / "r.csv"
    words = (tmp_path / "scan", "--bundle", quiet_bundle, "--html", html, "--csv", csv)
    assert ichlite("read", *words).exit_code == 0
    files[12].unlink()
    code, document = read_json(ichlite, *words)
    assert code == 1
    jsonschema.validate(document, schema)
    (scan,) = document["studies"]
    assert (scan["status"], scan["complete"], scan["urgent"]) == ("analysed", False, None)
    assert "slices are missing after 55.0 mm" in scan["not_cleared"][0]
    assert scan["reasons"] == scan["not_cleared"]
    outcome = ichlite("read", *words)
    assert outcome.exit_code == 1
    for text in (outcome.out, html.read_text()):
        assert "incomplete: not cleared" in text
        assert "slices are missing after 55.0 mm" in text
        assert "not flagged" not in text.replace("is not flagged may still", "")
    rows = list(DictReader(csv.read_text().splitlines()))
    assert len(rows) == 27
    assert {(row["urgent"], row["complete"], row["operating_point"]) for row in rows} == {
        ("", "false", "balanced")
    }


def test_the_operating_point_is_chosen_by_name_and_said_everywhere(
    ichlite, quiet_bundle, head_series, tmp_path, schema
):
    html = tmp_path / "r.html"
    words = (head_series, "--bundle", quiet_bundle, "--operating-point", "high_sensitivity")
    code, document = read_json(ichlite, *words)
    assert code == 0
    jsonschema.validate(document, schema)
    (scan,) = document["studies"]
    assert scan["urgent"] is True
    assert (scan["operating_point"], scan["threshold"]) == ("high_sensitivity", 0.0)
    said = "operating point high sensitivity: urgent from 0.00 on"
    assert said in ichlite("read", *words, "--html", html).out
    assert said in html.read_text()
    balanced = "operating point balanced: urgent from 1.00 on"
    assert balanced in ichlite("read", head_series, "--bundle", quiet_bundle).out
    assert "high_sensitivity" in ichlite("info", "--bundle", quiet_bundle).out


def test_an_operating_point_that_the_bundle_lacks_is_2_with_the_choices(
    ichlite, quiet_bundle, head_series
):
    outcome = ichlite("read", head_series, "--bundle", quiet_bundle, "--operating-point", "best")
    assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "found best; expected one of high_sensitivity, balanced" in outcome.err


def test_files_are_written_whole(ichlite, head_series, tmp_path):
    html, csv = tmp_path / "r.html", tmp_path / "r.csv"
    outcome = ichlite("read", head_series, "--html", html, "--csv", csv, "--json", "--threads", 2)
    assert outcome.exit_code == 0
    assert json.loads(outcome.out)["studies"]
    assert html.read_text().rstrip().endswith("</html>")
    assert len(csv.read_text().splitlines()) == 29


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full on this machine")
def test_where_nothing_can_be_written_the_result_is_still_printed(ichlite, head_series):
    outcome = ichlite("read", head_series, "--json", "--html", "/dev/full")
    assert outcome.exit_code == 1
    line = "cannot write /dev/full: No space left on device; free disk space or name another disk"
    assert line in outcome.err
    assert outcome.err.count("\n") == 1
    assert json.loads(outcome.out)["studies"][0]["status"] == "analysed"


def test_yesterdays_reports_are_no_input_and_are_replaced(ichlite, head_series, tmp_path):
    folder = tmp_path / "scan"
    shutil.copytree(head_series, folder)
    words = (folder, "--html", folder / "r.html", "--csv", folder / "r.csv", "--json")
    first = ichlite("read", *words)
    (folder / "r.json").write_text(first.out)
    again = ichlite("read", *words)
    assert (first.exit_code, again.exit_code) == (0, 0)
    assert json.loads(first.out)["skipped"] == []
    skipped = json.loads(again.out)["skipped"]
    assert [one["reason"] for one in skipped] == ["a report of ichlite, no input"] * 3
    assert not any(one["may_be_ct"] for one in skipped)


def test_another_bundle(ichlite, head_series, tmp_path):
    from ichlite.infer.bundle import EMBEDDED

    shutil.copytree(EMBEDDED, tmp_path / "mine")
    assert ichlite("read", head_series, "--bundle", tmp_path / "mine").exit_code == 0
    with (tmp_path / "mine" / "model.tflite").open("ab") as model:
        model.write(b"x")
    outcome = ichlite("read", head_series, "--bundle", tmp_path / "mine")
    assert outcome.exit_code == 1
    assert outcome.out == ""
    assert "model.tflite was changed" in outcome.err
    assert outcome.err.count("\n") == 1


def test_a_file_name_that_is_no_text(ichlite, head_series, tmp_path):
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    folder = next(p for p in tmp_path.iterdir())
    for file in head_series.iterdir():
        shutil.copyfile(file, folder / file.name)
    (folder / "note.txt").write_text("hello")
    html, csv = tmp_path / "r.html", tmp_path / "r.csv"
    code, document = read_json(ichlite, folder, "--html", html, "--csv", csv)
    assert code == 0
    assert document["studies"][0]["files"][0] == str(tmp_path / r"caf\xe9" / "IM0000")
    assert html.read_text().count("caf") > 28
    assert csv.read_text().count("caf") == 29
    assert "caf" in ichlite("read", folder).out


def test_an_output_that_cannot_be_meant_is_2_before_any_reading(ichlite, head_series, tmp_path):
    image = head_series / "IM0000"
    before = image.read_bytes()
    (tmp_path / "link").symlink_to(image)
    same = tmp_path / "same"
    for words in (
        [image, "--html", image],
        [image, "--csv", tmp_path / "link"],
        [head_series, "--csv", same, "--html", tmp_path / "." / "same"],
        [head_series, "--csv", "-"],
        [head_series, "--html", "-"],
        [head_series, "--html", tmp_path / "nowhere" / "r.html"],
        [head_series, "--csv", tmp_path],
        [head_series, "--html", image],
    ):
        outcome = ichlite("read", *words)
        assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert image.read_bytes() == before
    assert not same.exists()


def test_dicom_objects_are_written_for_each_study_and_are_no_input(
    ichlite, head_series, tmp_path, schema
):
    write_head_series(tmp_path / "refused", 28, study="9", KVP="80")
    out = tmp_path / "objects"
    code, document = read_json(ichlite, head_series, tmp_path / "refused", "--sr", out)
    assert code == 1
    jsonschema.validate(document, schema)
    files = sorted(out.iterdir())
    assert [file.name.partition(".")[2] for file in files] == ["sc.dcm", "sr.dcm"] * 2
    outcome = ichlite("read", head_series, "--sr", out)
    assert outcome.exit_code == 0
    assert outcome.out.count("Written: ") == 2
    assert sorted(out.iterdir()) == files
    code, document = read_json(ichlite, head_series, out)
    assert code == 0
    reasons = [one["reason"] for one in document["skipped"]]
    assert len(reasons) == 4
    assert all("structured report" in why or "secondary capture" in why for why in reasons)


def test_a_folder_for_dicom_objects_that_cannot_be_meant_is_2_before_any_reading(
    ichlite, head_series, tmp_path, monkeypatch
):
    (tmp_path / "file").write_text("x")
    for place in (head_series, head_series / "out", tmp_path / "file"):
        outcome = ichlite("read", head_series, "--sr", place)
        assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert not (head_series / "out").exists()
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    outcome = ichlite("read", head_series, "--sr", tmp_path / "out")
    assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "'.[node]'" in outcome.err
    assert not (tmp_path / "out").exists()


def test_where_no_dicom_object_can_be_written_the_result_is_still_printed(
    ichlite, head_series, tmp_path, monkeypatch
):
    def full(path):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr("ichlite.write.result_objects.replacing", full)
    outcome = ichlite("read", head_series, "--json", "--sr", tmp_path / "out")
    assert outcome.exit_code == 1
    assert "No space left on device; free disk space or name another disk" in outcome.err
    assert outcome.err.count("\n") == 1
    assert json.loads(outcome.out)["studies"][0]["status"] == "analysed"


def test_force_never_judges_two_people_as_one_scan(ichlite, tmp_path):
    two_patients_in_one_series(tmp_path)
    code, document = read_json(ichlite, tmp_path / "bad", "--force")
    assert code == 1
    (scan,) = document["studies"]
    assert scan["scan"] is None
    assert "force does not apply" in scan["reasons"][-1]


def test_help_names_the_exit_codes(ichlite):
    text = " ".join(ichlite("read", "--help").out.split())
    for words in ("0 each study", "1 one was not", "2 wrong usage", "130 interrupted"):
        assert words in text
