import json

from ichlite.infer.bundle import load_bundle
from ichlite.samples import GE_HEAD, SAMPLES


def test_info_for_machines(ichlite):
    outcome = ichlite("info", "--json")
    assert (outcome.exit_code, outcome.err) == (0, "")
    facts = json.loads(outcome.out)
    bundle = load_bundle()
    assert facts["bundle"]["name"] == bundle.name
    assert facts["bundle"]["bytes"] == len(bundle.model)
    assert facts["bundle"]["sha256"] == bundle.manifest.files["model.tflite"]
    assert facts["model_card"].startswith("#")
    assert facts["versions"]["ai-edge-litert"]


def test_info_for_people(ichlite):
    outcome = ichlite("info")
    assert outcome.exit_code == 0
    assert load_bundle().name in outcome.out
    assert "40/80 HU" in outcome.out


def test_info_on_no_bundle(ichlite, tmp_path):
    outcome = ichlite("info", "--bundle", tmp_path)
    assert outcome.exit_code == 1
    assert outcome.out == ""
    assert outcome.err.startswith("ichlite: error: no bundle at")


def test_demo_reads_every_sample_and_writes_a_report(ichlite, tmp_path):
    outcome = ichlite("demo", "--out", tmp_path / "out", "--json")
    document = json.loads(outcome.out)
    assert outcome.exit_code == 0
    assert [s["status"] for s in document["studies"]] == ["analysed"] * len(document["studies"])
    assert len(document["studies"]) == len([s for s in SAMPLES if s.files])
    report = tmp_path / "out" / "report.html"
    assert str(report) in outcome.err
    assert "Not a medical device" in report.read_text()
    assert report.stat().st_size < 3_000_000


def test_demo_where_no_folder_can_be_made(ichlite, tmp_path):
    (tmp_path / "file").write_text("")
    outcome = ichlite("demo", "--out", tmp_path / "file")
    assert outcome.exit_code == 1
    assert "cannot make the folder" in outcome.err
    assert outcome.err.count("\n") == 1


def test_the_sample_comes_with_its_licence():
    assert len(GE_HEAD.files) == 28
    assert "Redistribution" in GE_HEAD.folder.with_name("ge-head.LICENSE").read_text()
