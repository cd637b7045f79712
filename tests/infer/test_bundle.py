import hashlib
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from msgspec import UNSET

from ichlite.errors import BundleError, UnknownName
from ichlite.infer.bundle import EMBEDDED, load_bundle
from ichlite.infer.runtime import Runtime

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def folder(tmp_path):
    shutil.copytree(EMBEDDED, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(folder, change):
    path = folder / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest.pop("manifest_sha256", None)  # as who means a change does
    change(manifest)
    path.write_text(json.dumps(manifest))


def with_points(manifest):
    """Give a manifest three operating points."""
    balanced = manifest["decision"]["thresholds"]
    points = {
        "high_specificity": {name: (1 + value) / 2 for name, value in balanced.items()},
        "balanced": dict(balanced),
        "high_sensitivity": {name: value / 2 for name, value in balanced.items()},
    }
    manifest["decision"]["operating_points"] = points
    return points


def test_a_bundle_decides_at_the_operating_point_that_it_is_put_to(folder):
    edit(folder, with_points)
    bundle = load_bundle(folder)
    assert list(bundle.operating_points) == ["high_sensitivity", "balanced", "high_specificity"]
    assert bundle.operating_point == "balanced"
    sensitive = bundle.at("high_sensitivity")
    assert sensitive.rule.threshold("any") == bundle.rule.threshold("any") / 2
    assert sensitive.operating_point == "high_sensitivity"
    assert sensitive.at("balanced") == bundle


def test_a_bundle_without_operating_points_is_balanced_alone(folder):
    edit(folder, lambda m: m["decision"].pop("operating_points", None))
    bundle = load_bundle(folder)
    assert bundle.operating_points == {"balanced": bundle.rule.thresholds}
    assert bundle.at("balanced") == bundle
    with pytest.raises(UnknownName, match="found high_sensitivity; expected one of balanced"):
        bundle.at("high_sensitivity")


def test_the_embedded_bundle_is_whole():
    bundle = load_bundle()
    assert bundle.manifest.schema == "ichlite-bundle/1"
    assert [w.name for w in bundle.windows] == ["brain", "subdural", "soft_tissue"]
    assert bundle.label == f"{bundle.name} {bundle.version}"
    assert len(bundle.model) == (EMBEDDED / "model.tflite").stat().st_size


def test_a_bundle_that_says_nothing_of_its_map_has_an_activation_map(folder):
    edit(folder, lambda m: m.pop("output", None))
    bundle = load_bundle(folder)
    assert (bundle.map.kind, bundle.map.cells) == ("activation", None)
    edit(folder, lambda m: m.update(output={"map": "lesion", "cells": [32, 32]}))
    assert load_bundle(folder).map.kind == "lesion"


def test_one_changed_byte_names_the_file_and_both_hashes(folder):
    model = folder / "model.tflite"
    expected = hashlib.sha256(model.read_bytes()).hexdigest()
    changed = bytearray(model.read_bytes())
    changed[len(changed) // 2] ^= 1
    model.write_bytes(changed)
    found = hashlib.sha256(changed).hexdigest()
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    line = str(caught.value)
    assert "model.tflite" in line
    assert found in line
    assert expected in line
    assert "\n" not in line


def test_a_changed_model_card_is_noticed_too(folder):
    with (folder / "model-card.md").open("a") as card:
        card.write("Cleared for clinical use.")
    with pytest.raises(BundleError, match=r"model-card\.md was changed"):
        load_bundle(folder)


BUNDLES = [EMBEDDED, *(ROOT / "models" / f"lesion_fcn-{name}" for name in ("int8", "phantoms"))]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_changed_manifest_is_noticed_whatever_changed(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    path = folder / "manifest.json"
    text = path.read_bytes()
    said = json.loads(text)["manifest_sha256"]
    blank = re.sub(rb'("manifest_sha256": ")[0-9a-f]{64}', rb"\g<1>" + b"0" * 64, text)
    assert hashlib.sha256(blank).hexdigest() == said
    for changed in (
        text.replace(b'"any": 0.', b'"any": 0.1', 1),
        text.replace(said.encode(), b"f" * 64),
        text + b" ",
        json.dumps(json.loads(text)).encode(),
    ):
        path.write_bytes(changed)
        with pytest.raises(BundleError) as caught:
            load_bundle(folder)
        line = str(caught.value)
        assert "manifest.json was changed; found SHA-256" in line
        assert "take the key manifest_sha256 out" in line
        assert "\n" not in line


def test_a_manifest_without_a_hash_of_its_own_is_read(folder):
    edit(folder, lambda m: m["decision"].update(threshold_rule="by hand"))
    assert load_bundle(folder).manifest.manifest_sha256 is UNSET


def old(manifest):
    """Take out what bundles of before did not say."""
    keys = ("name", "dtype", "layout", "channels", "quantization", "brain_level", "steps")
    for key in keys:
        del manifest["input"][key]
    for key in ("logits", "map_tensor", "signature", "steps"):
        del manifest["output"][key]


@pytest.mark.parametrize("bundle", BUNDLES, ids=lambda path: path.name)
def test_a_bundle_of_before_says_less_and_answers_the_same(bundle, tmp_path):
    folder = shutil.copytree(bundle, tmp_path / "bundle")
    edit(folder, old)
    before, now = Runtime(load_bundle(folder)), Runtime(load_bundle(bundle))
    assert before.tensors == now.tensors
    hu = np.random.default_rng(0).integers(-100, 200, (256, 256)).astype(np.int16)
    assert all(map(np.array_equal, before.run_hu(hu), now.run_hu(hu)))


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("input", "name", "image"),
        ("input", "dtype", "int8"),
        ("input", "channels", 4),
        ("input", "quantization", {"scale": 0.5, "zero_point": 0}),
        ("output", "logits", {"name": "x", "dtype": "int8", "shape": [1], "quantization": None}),
    ],
)
def test_a_description_that_the_file_does_not_keep_is_refused(folder, part, key, value):
    edit(folder, lambda m: m[part].update({key: value}))
    with pytest.raises(BundleError, match=rf"another {part} {key} than its manifest says; found"):
        Runtime(load_bundle(folder))


def test_a_missing_file(folder):
    (folder / "model.tflite").unlink()
    with pytest.raises(BundleError, match=r"model\.tflite cannot be read"):
        load_bundle(folder)


def test_no_bundle_there(tmp_path):
    with pytest.raises(BundleError, match=r"no bundle at .*or the word embedded for the embedded"):
        load_bundle(tmp_path / "nowhere")
    (tmp_path / "a.txt").touch()
    with pytest.raises(
        BundleError, match=r"a\.txt is not a bundle; found a file; expected a folder"
    ):
        load_bundle(tmp_path / "a.txt")


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", "[" * 100_000, '{"a": 1e999}', '{"schema": "ichlite-bundle/2"}']
)
def test_a_manifest_that_is_none(folder, text):
    (folder / "manifest.json").write_text(text)
    with pytest.raises(BundleError):
        load_bundle(folder)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda m: m["subtypes"].reverse(), "subtypes"),
        (lambda m: m["input"].update(rows=512), "rows"),
        (lambda m: m["input"].update(hu_min=0), "hu_min"),
        (lambda m: m["input"]["windows"].pop(), "windows"),
        (lambda m: m["input"]["windows"][0].update(width_hu=0), "width"),
        (lambda m: m["input"]["windows"][0].pop("centre_hu"), "centre_hu"),
        (lambda m: m.pop("calibration"), "calibration"),
        (lambda m: m.pop("files"), "files"),
        (lambda m: m["files"].pop("model.tflite"), "lists no model.tflite"),
        (lambda m: m["files"].update({"../x": "0"}), "outside its folder"),
        (lambda m: m["calibration"].update(temperature=[1.0] * 4), "temperature"),
        (lambda m: m["calibration"].update(temperature=[1, 1, 0, 1, 1]), "temperature"),
        (lambda m: m["calibration"].update(bias=[float("nan")] * 5), "is not the JSON of a bundle"),
        (lambda m: m["decision"].update(neighbour_weights=[0.5, 0.5]), "neighbour_weights"),
        (lambda m: m["decision"].update(neighbour_weights=[]), "neighbour_weights"),
        (lambda m: m["decision"].update(any_rule="sum"), "any_rule"),
        (lambda m: m["decision"].update(thresholds={}), "thresholds"),
        (lambda m: m["decision"]["thresholds"].update(any=1.5), "thresholds"),
        (lambda m: m.update(files=[]), "files: expected `object`, got `array`"),
        (lambda m: m.update(input=None), "incomplete or wrong"),
        (lambda m: m["input"]["windows"][0].update(width_hu=200_000), "width_hu"),
        (lambda m: m["input"]["windows"][0].update(centre_hu=True), "centre_hu"),
        (lambda m: m["input"]["windows"][0].update(centre_hu=10**400), "centre_hu"),
        (lambda m: m.update(name=""), "name"),
        (lambda m: m.update(version=3), "version"),
        (lambda m: m.update(precision=[]), "precision"),
        (lambda m: m["decision"]["thresholds"].pop("subdural"), "thresholds"),
        (
            lambda m: m["decision"]["thresholds"].update(epidural=True),
            "thresholds: expected `float`",
        ),
        (lambda m: m["decision"].pop("any_rule"), "any_rule"),
        (lambda m: m["decision"].pop("scan_rule"), "scan_rule"),
        (lambda m: m["decision"].pop("neighbour_weights"), "neighbour_weights"),
        (lambda m: m["decision"].update(any_rule=[]), "any_rule"),
        (lambda m: m["input"].update(brain_level_hu="30"), "brain_level_hu"),
        (lambda m: m["input"].update(brain_level_hu=-500), "brain_level_hu"),
        (lambda m: m["input"].update(dtype="uint8"), "dtype"),
        (lambda m: m["input"].update(layout="NCHW"), "layout"),
        (lambda m: m["input"].update(quantization={"scale": 0, "zero_point": 0}), "scale"),
        (lambda m: m["input"]["brain_level"].update(bone_above_hu=200), "input brain_level"),
        (lambda m: m.update(manifest_sha256=7), "manifest_sha256"),
        (lambda m: m.update(manifest_sha256=""), "was changed"),
        (
            lambda m: m["decision"].update(operating_points=[]),
            "points: expected `object",
        ),
        (
            lambda m: m["decision"].update(operating_points={}),
            "operating_points []",
        ),
        (lambda m: with_points(m).pop("balanced"), "not balanced and others of"),
        (lambda m: with_points(m).update(best={}), "operating_points"),
        (lambda m: with_points(m)["balanced"].update(any=0.41), "differs from thresholds"),
        (lambda m: with_points(m)["high_sensitivity"].pop("subdural"), "operating_points of"),
        (lambda m: with_points(m)["high_sensitivity"].update(any=1.0), "not ascending"),
        (
            lambda m: with_points(m)["high_specificity"].update(any=2),
            "points: expected `float` <= 1.0",
        ),
        (lambda m: m["files"].pop("model-card.md"), "does not list"),
        (lambda m: m.update(metrics=[1]), "metrics: expected `object`"),
        (lambda m: m.update(cost="x"), "cost: expected `object`"),
        (
            lambda m: m.update(output={"map": "heat", "cells": [4, 4]}),
            "output.map: invalid",
        ),
        (lambda m: m.update(output={"map": "lesion", "cells": [32]}), "cells"),
        (lambda m: m.update(output={"map": "lesion", "cells": [0, 32]}), "cells"),
        (lambda m: m.update(output={"map": "lesion"}), "cells"),
        (lambda m: m.update(output="lesion"), "output: expected `object`, got `str`"),
    ],
)
def test_each_wrong_entry_is_named_in_one_line(folder, change, words):
    edit(folder, change)
    with pytest.raises(BundleError) as caught:
        load_bundle(folder)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_run_is_no_bundle_and_the_line_says_how_it_becomes_one(tmp_path):
    (tmp_path / "train.json").write_text("{}")
    with pytest.raises(BundleError, match=r"a run, which is no bundle yet.*`ichlite compress`"):
        load_bundle(tmp_path)
