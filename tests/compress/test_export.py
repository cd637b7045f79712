"""Export: the bundle reads back, keeps the Keras model's answers, and says what it is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from ai_edge_litert import schema_py_generated as schema
from ai_edge_litert.interpreter import Interpreter
from tests.made_runs import made_run, run_on
from tests.raw_interpreter import LARGEST_DIFFERENCE, largest_difference

from ichlite.compress import export as export_module
from ichlite.compress.card import model_card
from ichlite.compress.export import (
    Export,
    Exported,
    calibration_rows,
    export,
    reference_auc,
)
from ichlite.compress.flatbuffer import repacked, tidy
from ichlite.compress.graph import with_map
from ichlite.compress.model_metadata import described
from ichlite.compress.quantize import PRECISIONS, to_tflite
from ichlite.compress.settings import Gate
from ichlite.contracts.run import RunManifest
from ichlite.ct.tensor import model_input
from ichlite.data.store import Store
from ichlite.errors import IchliteError, InputError, UnknownName, UsageError
from ichlite.evaluate.metrics import validation_auc
from ichlite.evaluate.predictions import load_judge, logits_of
from ichlite.infer.bundle import load_bundle
from ichlite.infer.runtime import Quantization, Runtime, dequantise, stored_input
from ichlite.labels import CLASSES, NAMES
from ichlite.models import light_fcn
from ichlite.models.saved import predict

every_precision = pytest.mark.parametrize("precision", PRECISIONS)


@pytest.fixture(scope="module")
def training(store: Store) -> RunManifest:
    return run_on(store)


@pytest.fixture(scope="module")
def bundles(
    store: Store, model: keras.Model, training: RunManifest,
    tmp_path_factory: pytest.TempPathFactory,
) -> dict[str, Exported]:  # fmt: skip
    folder = tmp_path_factory.mktemp("bundles")
    return {p: export(model, store, folder / p, training, Export(p)) for p in PRECISIONS}


@every_precision
def test_the_bundle_loads_and_gives_both_outputs(
    bundles: dict[str, Exported], store: Store, precision: str
) -> None:
    bundle = load_bundle(bundles[precision].path)
    logits, cam = Runtime(bundle).run(model_input(np.asarray(store.hu[4])))
    assert logits.shape == (5,)
    assert cam.shape == (16, 16, 5)
    np.testing.assert_allclose(cam.mean(axis=(0, 1)), logits, atol=1e-4)
    assert bundles[precision].cost.bytes == len(bundle.model)


def test_float32_is_the_keras_model(
    bundles: dict[str, Exported], store: Store, model: keras.Model
) -> None:
    rows = np.arange(0, len(store), 3)
    found = logits_of(load_bundle(bundles["float32"].path), store, rows)
    np.testing.assert_allclose(found, predict(model, store, rows), atol=1e-4)
    assert bundles["float32"].parity.max_probability_difference < 1e-5


def test_int8_keeps_the_auc(bundles: dict[str, Exported], store: Store, model: keras.Model) -> None:
    rows = np.arange(len(store))
    logits = predict(model, store, rows)
    found = logits_of(load_bundle(bundles["int8"].path), store, rows)
    before, after = (validation_auc(store.labels, z)["mean"] for z in (logits, found))
    assert before > 0.7
    assert abs(before - after) <= 0.005
    parity = bundles["int8"].parity
    assert 1e-5 < parity.max_probability_difference < 0.2
    assert parity.mean_probability_difference < 0.02


def test_int8_is_full_integer_but_for_the_mean(bundles: dict[str, Exported]) -> None:
    interpreter = Interpreter(model_content=load_bundle(bundles["int8"].path).model)
    interpreter.allocate_tensors()
    operators = [
        op["op_name"] for op in interpreter._get_ops_details() if op["op_name"] != "DELEGATE"
    ]
    assert operators[-2:] == ["DEQUANTIZE", "MEAN"]
    assert "DEQUANTIZE" not in operators[:-2]
    assert "QUANTIZE" not in operators
    inputs, outputs = interpreter.get_input_details(), interpreter.get_output_details()
    assert [(d["name"], d["dtype"]) for d in inputs] == [("windows", np.int8)]
    assert {d["name"]: d["dtype"] for d in outputs} == {"logits": np.float32, "cam": np.int8}


def test_an_int8_pixel_is_a_word_whose_last_byte_counts_for_nothing(
    bundles: dict[str, Exported], store: Store
) -> None:
    windows = model_input(np.asarray(store.hu[4]))
    bundle = load_bundle(bundles["int8"].path)
    interpreter = Interpreter(model_content=bundle.model)
    interpreter.allocate_tensors()
    (details,) = interpreter.get_input_details()
    cam = next(d for d in interpreter.get_output_details() if len(d["shape"]) == 4)
    maps = []
    for byte in (-128, 0, 127):
        stored = stored_input(windows, details)
        assert stored.shape == (256, 256, 4)
        stored[..., 3] = byte
        interpreter.set_tensor(details["index"], stored[None])
        interpreter.invoke()
        maps.append(interpreter.get_tensor(cam["index"])[0])
    assert np.array_equal(maps[0], maps[1])
    assert np.array_equal(maps[0], maps[2])
    read = dequantise(maps[0], Quantization(*cam["quantization"]))
    assert np.array_equal(read, Runtime(bundle).run(windows)[1])


def test_the_blank_channel_leaves_every_integer_as_the_converter_made_it(
    model: keras.Model, store: Store
) -> None:
    windows = model_input(np.asarray(store.hu[4]))
    converted = to_tflite(with_map(model), "int8", iter([windows]))
    maps = []
    for content in (converted, tidy(converted)):
        interpreter = Interpreter(model_content=content)
        interpreter.allocate_tensors()
        (details,) = interpreter.get_input_details()
        interpreter.set_tensor(details["index"], stored_input(windows, details)[None])
        interpreter.invoke()
        cam = next(d for d in interpreter.get_output_details() if len(d["shape"]) == 4)
        maps.append((details["shape"][-1], interpreter.get_tensor(cam["index"])))
    assert [channels for channels, _ in maps] == [3, 4]
    assert len(np.unique(maps[0][1])) > 5
    assert np.array_equal(maps[0][1], maps[1][1])


@pytest.mark.long
@every_precision
def test_the_bare_interpreter_reads_it_by_its_manifest(
    bundles: dict[str, Exported], precision: str
) -> None:
    assert largest_difference(bundles[precision].path) <= LARGEST_DIFFERENCE


@every_precision
def test_manifest_and_file_say_what_the_model_takes_and_gives(
    bundles: dict[str, Exported], precision: str
) -> None:
    path = bundles[precision].path
    manifest = json.loads((path / "manifest.json").read_text())
    spec, output = manifest["input"], manifest["output"]
    interpreter = Interpreter(str(path / "model.tflite"))
    (details,) = interpreter.get_input_details()
    scale, zero_point = details["quantization"]
    stored = {"scale": scale, "zero_point": zero_point}
    assert (spec["name"], spec["layout"]) == (details["name"], "NHWC")
    assert spec["dtype"] == details["dtype"].__name__
    assert (spec["dtype"] == "int8") == (precision == "int8")
    assert (1, spec["rows"], spec["columns"], spec["channels"]) == tuple(details["shape"])
    assert spec["quantization"] == (stored if precision == "int8" else None)
    assert list(spec["steps"]) == ["hu", "resize", "windows", "store"]
    assert spec["brain_level"] is None  # of this model; the embedded one has a level
    assert interpreter.get_signature_list() == {
        output["signature"]: {"inputs": ["windows"], "outputs": ["cam", "logits"]}
    }
    runner = interpreter.get_signature_runner()
    given = np.zeros(details["shape"], details["dtype"])
    assert runner(windows=given)["logits"].shape == tuple(output["logits"]["shape"])

    model = schema.ModelT.InitFromPackedBuf((path / "model.tflite").read_bytes(), 0)
    data = {one.name: bytes(model.buffers[one.buffer].data) for one in model.metadata}
    ours = json.loads(data[b"ichlite"])
    for part in (spec, output):
        del part["steps"]
    kept = ("name", "version", "input", "output", "subtypes")
    assert ours == {key: manifest[key] for key in kept}
    standard = data[b"TFLITE_METADATA"]
    assert standard[4:8] == b"M001"
    for words in (manifest["name"], "Research use only", f"{spec['channels']}) {spec['dtype']}"):
        assert words.encode() in standard
    assert load_bundle(path).manifest.manifest_sha256 == manifest["manifest_sha256"]


@every_precision
def test_metadata_touches_no_operator_tensor_or_weight(
    bundles: dict[str, Exported], precision: str
) -> None:
    bundle = load_bundle(bundles[precision].path)
    first = schema.ModelT.InitFromPackedBuf(bundle.model, 0)
    first.signatureDefs, first.metadata = None, None
    bare = repacked(first, len(bundle.model))
    manifest, content = described(bundle.manifest, bare)
    assert manifest.input == bundle.manifest.input
    hu = np.random.default_rng(1).integers(-100, 200, (3, 256, 256)).astype(np.int16)
    runtimes = [Runtime(replace(bundle, model=one)) for one in (bare, content, bundle.model)]
    for one in hu:
        before, *others = (runtime.run_hu(one) for runtime in runtimes)
        assert all(map(np.array_equal, before * 2, (*others[0], *others[1])))
    again, twice = described(manifest, content)
    assert (again, twice) == (manifest, content)


@every_precision
def test_batch_normalisation_is_folded(bundles: dict[str, Exported], precision: str) -> None:
    interpreter = Interpreter(model_content=load_bundle(bundles[precision].path).model)
    operators = [op["op_name"] for op in interpreter._get_ops_details()]
    # stem, 3 x (expand, project), head, cam; 3 residual additions and not one for a bias or BN.
    assert operators.count("CONV_2D") == 9
    assert operators.count("DEPTHWISE_CONV_2D") == 3
    assert operators.count("ADD") == 3
    assert not {"MUL", "SUB", "RSQRT"} & set(operators)


def test_weights_are_aligned_in_the_file(model: keras.Model) -> None:
    content = tidy(to_tflite(with_map(model), "float32"))
    assert tidy(content) == content
    whole = schema.Model.GetRootAs(content, 0)
    for number in range(whole.BuffersLength()):
        data = whole.Buffers(number).DataAsNumpy()
        if isinstance(data, np.ndarray):
            start = data.__array_interface__["data"][0]
            base = np.frombuffer(content, np.uint8).__array_interface__["data"][0]
            assert (start - base) % 16 == 0


def test_unknown_precision_lists_the_choices(model: keras.Model) -> None:
    with pytest.raises(UnknownName, match="float32, float16, dynamic, int8"):
        to_tflite(model, "int4")


def test_a_model_without_the_named_layers_is_refused() -> None:
    image = keras.Input((256, 256, 3))
    other = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    with pytest.raises(InputError, match="features and logits"):
        with_map(other)


@pytest.mark.long
def test_each_precision_is_smaller_than_the_one_before() -> None:
    graph = with_map(light_fcn())
    blank = [np.zeros((256, 256, 3), np.float32)]
    bytes_ = {p: len(tidy(to_tflite(graph, p, iter(blank)))) for p in PRECISIONS}
    assert bytes_["int8"] < bytes_["float16"] < bytes_["float32"]
    assert bytes_["dynamic"] < bytes_["float16"]


def test_other_precisions_keep_the_answers(bundles: dict[str, Exported]) -> None:
    for exported in bundles.values():
        cost = exported.cost
        assert cost.bytes == (exported.path / "model.tflite").stat().st_size
        assert cost.bytes > (cost.gzip_bytes or 0) > 0
        assert 0 < (cost.zstd_bytes or 0) < cost.bytes
    assert bundles["float16"].parity.max_probability_difference < 0.01
    assert bundles["dynamic"].parity.mean_probability_difference < 0.02


def test_a_model_that_fails_the_gate_is_not_written(
    tmp_path: Path, store: Store, model: keras.Model, training: RunManifest
) -> None:
    worse = keras.models.clone_model(model)
    worse.set_weights(model.get_weights())
    logits = worse.get_layer("logits")
    logits.set_weights([-weights for weights in logits.get_weights()])  # it says the opposite
    with pytest.raises(IchliteError, match="light_fcn-float32 fails the accuracy gate"):
        export(
            worse, store, tmp_path / "out", training, Export("float32", gate=Gate()),
            reference=reference_auc(model, store),
        )  # fmt: skip
    assert list(tmp_path.iterdir()) == []


@every_precision
def test_manifest_says_all_that_reading_needs(
    bundles: dict[str, Exported], store: Store, precision: str
) -> None:
    path = bundles[precision].path
    manifest = json.loads((path / "manifest.json").read_text())
    assert manifest["schema"] == "ichlite-bundle/1"
    assert manifest["name"] == f"light_fcn-{precision}"
    assert manifest["subtypes"] == list(NAMES)
    assert set(manifest["decision"]["thresholds"]) == set(CLASSES)
    assert set(manifest["files"]) == {"model.tflite", "model-card.md"}
    assert manifest["training"]["data"]["store_hash"] == store.hash
    assert manifest["parity"]["images"] == min(512, len(store.rows("validation")))
    assert manifest["metrics"]["slices"] == len(store.rows("test"))
    assert str(path.parent) not in json.dumps(manifest)
    judge = load_judge(path)
    assert dict(judge.slice_thresholds) == manifest["decision"]["slice_thresholds"]
    assert dict(judge.scan_thresholds) == manifest["decision"]["thresholds"]


def test_model_card_says_what_it_is_and_is_not(
    bundles: dict[str, Exported], training: RunManifest
) -> None:
    card = (bundles["int8"].path / "model-card.md").read_text()
    assert "Not a medical device" in card
    assert "trained on toy images" in card
    assert "| subdural |" in card
    assert training.command in card

    def card_of(*kinds: str, **recipe: Any) -> str:
        said = bundles["int8"]
        other = made_run(stores=kinds, **recipe)
        return model_card(said.manifest, other, said.metrics, said.gate, said.parity)

    assert "synthetic phantoms only" in card_of("phantom")
    assert "Not trained" not in card_of("phantom")
    both = card_of("phantom", "ct-ich")
    assert "trained on synthetic phantoms and scans of CT-ICH" in both
    assert "Creative Commons Attribution 4.0" in both
    assert "- **Not trained: epidural.**" in card_of("phantom", leave_out=("epidural",))


def test_a_folder_that_is_no_bundle_is_left_alone(
    tmp_path: Path, store: Store, model: keras.Model, training: RunManifest,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    (tmp_path / "thesis.txt").write_text("years of work")
    monkeypatch.setattr(export_module, "to_tflite", lambda *_: pytest.fail("went on"))
    with pytest.raises(UsageError, match="holds something other than a bundle"):
        export(model, store, tmp_path, training, Export("float32"))
    assert (tmp_path / "thesis.txt").exists()


def test_calibration_slices_show_blood(store: Store) -> None:
    rows = calibration_rows(store, 20, 0)
    assert len(set(rows.tolist())) == 20
    assert (store.split[rows] == "train").all()
    assert store.labels[rows].any(axis=1).sum() >= 10
    np.testing.assert_array_equal(rows, calibration_rows(store, 20, 0))
    assert not np.array_equal(rows, calibration_rows(store, 20, 1))
    everything = calibration_rows(store, 10_000, 0)
    np.testing.assert_array_equal(everything, store.rows("train"))


def test_judging_the_store_is_the_road_of_reading(
    bundles: dict[str, Exported], store: Store
) -> None:
    from ichlite.evaluate.predictions import judge_rows
    from ichlite.infer.decision import decide

    judge = load_judge(bundles["int8"].path)
    rows = store.rows("test")
    judged = judge_rows(judge, store, rows)
    one = np.flatnonzero(store.series[rows] == store.series[rows][0])
    runtime = Runtime(judge.model)
    logits = np.stack([runtime.run_hu(np.asarray(store.hu[r]))[0] for r in rows[one]])
    expected = decide(logits, judge.calibration, judge.rule)
    np.testing.assert_allclose(
        judged.slices.probabilities[one],
        [[p[key] for key in CLASSES] for p in expected.slices],
    )
    assert len(judged.scans.labels) == len(set(store.series[rows]))
    # Order of rows must not matter: shuffled, each slice keeps its probabilities.
    order = np.random.default_rng(0).permutation(len(rows))
    shuffled = judge_rows(judge, store, rows[order])
    np.testing.assert_allclose(shuffled.slices.probabilities, judged.slices.probabilities[order])
    flat = replace(judge, rule=replace(judge.rule, neighbour_weights=(1.0,)))
    assert not np.allclose(
        judge_rows(flat, store, rows).slices.probabilities, judged.slices.probabilities
    )
