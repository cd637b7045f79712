import json
import shutil

import pytest

from ichlite.commands.demo import LOOK
from ichlite.contracts.codec import to_json_value
from ichlite.evaluate.pointing import hits_of
from ichlite.infer.bundle import EMBEDDED, load_bundle
from ichlite.labels import CLASSES, NAMES
from ichlite.samples import GE_HEAD, SAMPLES


def facts_of(outcome):
    """Return what `ichlite info` prints before the model card."""
    return outcome.out.partition("\n# ")[0]


@pytest.fixture
def changed_bundle(tmp_path):
    """A function that copies the embedded bundle with a changed manifest."""

    def changed(change):
        folder = shutil.copytree(EMBEDDED, tmp_path / "bundle")
        manifest = json.loads((folder / "manifest.json").read_text())
        manifest.pop("manifest_sha256", None)
        change(manifest)
        (folder / "manifest.json").write_text(json.dumps(manifest))
        return folder

    return changed


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
    assert not set("{}[]") & set(facts_of(outcome))


def test_info_shows_thresholds_and_metrics_one_row_per_class(ichlite):
    bundle = load_bundle()
    facts = facts_of(ichlite("info"))
    tables = {
        "thresholds of a scan": ["any", *NAMES],
        "metrics by slice": [*NAMES, "mean", "any"],
        "metrics by scan": [*NAMES, "mean", "any"],
    }
    for title, classes in tables.items():
        _head, *rows = facts.split(f"\n{title}\n")[1].split("\n\n")[0].splitlines()
        assert [row.split()[0] for row in rows[: len(classes)]] == classes
    any_row = facts.split("\nthresholds of a scan\n")[1].splitlines()[1].split()
    assert any_row[1:] == [f"{point['any']:.3f}" for point in bundle.operating_points.values()]
    subdural = bundle.manifest.metrics.per_class["subdural"]
    assert f"subdural {subdural.positives} {subdural.roc_auc:.3f}" in " ".join(facts.split())


def test_info_on_undefined_metrics_says_why(ichlite, changed_bundle):
    def undefine(manifest):
        row = manifest["metrics"]["per_class"]["epidural"]
        row["roc_auc"], row["undefined"] = None, {"roc_auc": "no positives\x1b"}

    outcome = ichlite("info", "--bundle", changed_bundle(undefine))
    assert outcome.exit_code == 0
    assert "\n  no AUC of epidural: no positives \n" in outcome.out
    table = outcome.out.split("\nmetrics by slice\n")[1].splitlines()
    name, positives, auc = table[1].split()[:3]
    assert (name, auc) == ("epidural", "-")
    assert int(positives) > 0


def test_info_shows_documents_inside_the_metrics_line_by_line(ichlite, changed_bundle):
    def add(manifest):
        metrics = manifest["metrics"]
        hits = to_json_value(hits_of(1234, 411, 617))
        metrics["pointing"] = {"least_ml": 1 / 3, **dict.fromkeys(CLASSES, hits)}
        table = {key: metrics[key] for key in ("per_class", "mean", "any", "all_negative_accuracy")}
        seed = {**table, "rsna_log_loss": None, "scan": {**table, "scans": 3}}
        metrics["seeds"] = [{**seed, "scores": "seed-1", "thresholds_by_fold": {}}]

    facts = facts_of(ichlite("info", "--bundle", changed_bundle(add)))
    lines = {" ".join(line.split()) for line in facts.splitlines()}
    assert {"pointing: any: slices 1,234", "pointing: least_ml 0.3333"} <= lines
    assert {"seeds: 1: scores seed-1", "seeds: 1: scan: scans 3"} <= lines


def test_info_on_a_bundle_that_was_never_measured(ichlite, changed_bundle):
    outcome = ichlite("info", "--bundle", changed_bundle(lambda manifest: manifest.pop("metrics")))
    assert outcome.exit_code == 0
    assert "thresholds of a scan" in outcome.out
    assert "metrics by" not in facts_of(outcome)


def test_info_on_no_bundle(ichlite, tmp_path):
    outcome = ichlite("info", "--bundle", tmp_path)
    assert outcome.exit_code == 1
    assert outcome.out == ""
    line = f"{tmp_path} is not a bundle; found a folder without manifest.json; expected"
    assert outcome.err.startswith(f"ichlite: error: {line}")


def test_demo_for_machines(ichlite, tmp_path, monkeypatch):
    monkeypatch.setattr("ichlite.samples.SAMPLES", (GE_HEAD,))
    outcome = ichlite("demo", "--out", tmp_path / "out", "--json")
    (study,) = json.loads(outcome.out)["studies"]
    assert (outcome.exit_code, study["status"]) == (0, "analysed")
    assert str(tmp_path / "out" / "report.html") in outcome.err


def test_demo_reads_every_sample_and_ends_with_the_place_of_the_page(ichlite, tmp_path):
    outcome = ichlite("demo", "--out", tmp_path / "out")
    assert (outcome.exit_code, outcome.err) == (0, "")
    written, look = outcome.out.splitlines()[-2:]
    report = tmp_path / "out" / "report.html"
    assert written == f"Written: {report}"
    assert look == LOOK
    assert outcome.out.count(str(report)) == 1
    assert all(sample.folder.name in outcome.out for sample in SAMPLES)
    assert "Not a medical device" in report.read_text()
    assert report.stat().st_size < 6_000_000


def test_the_sample_comes_with_its_licence():
    assert len(GE_HEAD.files) == 28
    assert "Redistribution" in GE_HEAD.folder.with_name("ge-head.LICENSE").read_text()
