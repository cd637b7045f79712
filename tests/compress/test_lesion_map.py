"""The lesion map goes the whole road: fold, prune, shrink, quantize, export, read."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import keras
import numpy as np
import pytest
from ai_edge_litert.interpreter import Interpreter
from tests.compress.trained import as_if_trained, shrink, trained_on_toys
from tests.made_runs import run_on

from ichlite.compress.channels import expansions, streams
from ichlite.compress.export import Export, Exported, export
from ichlite.compress.fake_quant import quantization_aware, take_weights
from ichlite.compress.fine_tune import Taught, answers_loss, fine_tune, map_distance
from ichlite.compress.fold import fold
from ichlite.compress.graph import with_map
from ichlite.compress.prune import prune_channels
from ichlite.compress.quantize import PRECISIONS
from ichlite.compress.settings import Shrinking, Tuning
from ichlite.compress.source import open_teacher
from ichlite.ct.tensor import model_input
from ichlite.data.store import Store
from ichlite.errors import BundleError
from ichlite.evaluate.pointing import maps_of
from ichlite.infer.bundle import load_bundle
from ichlite.infer.runtime import Runtime
from ichlite.models import lesion_fcn, light_fcn
from ichlite.models.saved import predict
from ichlite.train.recipe import Recipe

pytestmark = pytest.mark.long

IMAGES = np.random.default_rng(1).random((2, 64, 64, 3), np.float32)
RECIPE = Recipe(model="lesion_fcn")


@pytest.fixture(scope="module")
def model(store: Store) -> keras.Model:
    trained = trained_on_toys(store, make=lesion_fcn)
    trained.get_layer("map_gain").kernel.assign([0.4, 0.8, 1.0, 1.2, 1.5])
    return trained


@pytest.fixture(scope="module")
def bundles(
    store: Store, model: keras.Model, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Exported]:
    folder = tmp_path_factory.mktemp("bundles")
    training = run_on(store, RECIPE)
    return {p: export(model, store, folder / p, training, Export(p)) for p in PRECISIONS}


def same(one: keras.Model, other: keras.Model, x: np.ndarray, atol: float) -> None:
    a, b = one(x), other(x)
    assert set(a) == set(b) == {"logits", "lesion_map"}
    for key in a:
        np.testing.assert_allclose(a[key], b[key], atol=atol)


def test_the_graph_gives_what_the_model_gives(model: keras.Model, store: Store) -> None:
    same(with_map(model), model, model_input(store.hu[4])[None], 1e-4)


def test_silent_channels_of_blocks_and_stream_go_without_a_trace() -> None:
    whole = as_if_trained(lesion_fcn(size=64))
    groups = (*expansions(whole), *streams(whole))
    assert [group.width for group in groups] == [32, 64, 128, 256, 512, 32]
    assert "map_fine" in {reader.name for reader in groups[-1].readers}
    for group in groups:
        for reader in group.readers:
            kernel, *bias = reader.get_weights()
            kernel[:, :, ::2] = 0
            reader.set_weights([kernel, *bias])
    narrow = prune_channels(whole, (0.5,), 0.5)
    same(narrow, whole, IMAGES, 5e-5)
    assert narrow.get_layer("map_fine").kernel.shape == (1, 1, 16, 5)


def test_a_model_that_rounds_rounds_both_parts_of_the_map(model: keras.Model, store: Store) -> None:
    plain = fold(model)
    aware = quantization_aware(plain)
    names = {layer.name for layer in aware.layers}
    assert {"map_fine_rounded", "map_deep_rounded", "lesion_map_rounded"} <= names
    assert "logits_rounded" not in names
    x = np.stack([model_input(store.hu[row]) for row in store.rows("train")[:16]])
    aware(x, training=True)
    gap = np.abs(np.asarray(aware(x)["lesion_map"]) - np.asarray(plain(x)["lesion_map"]))
    assert 0 < gap.mean() < 0.2
    take_weights(plain, aware)
    same(plain, fold(model), x[:2], 1e-5)


def test_all_steps_of_shrinking_keep_both_outputs(model: keras.Model, store: Store) -> None:
    tuning = Tuning(steps=3, batch_size=4, crop_steps=0)
    small = shrink(model, store, RECIPE, Shrinking((0.5,), None, 0.5, 8, True), tuning)
    assert set(small.output) == {"logits", "lesion_map"}
    assert [block.width for block in expansions(small)] == [8, 8, 8]


def test_a_teacher_brings_the_map_back_too(model: keras.Model, store: Store) -> None:
    student = fold(model)
    rng = np.random.default_rng(0)
    for name in ("map_fine", "map_deep"):
        kernel = student.get_layer(name).kernel
        kernel.assign_add(rng.normal(0, 0.3, kernel.shape))

    def gap() -> float:
        rows = store.rows("validation")
        one, other = (1 / (1 + np.exp(-maps_of(m, store, rows))) for m in (student, model))
        return float(np.abs(one - other).mean())

    before = gap()
    tuning = Tuning(steps=40, batch_size=8, learning_rate=5e-3, teacher_weight=1.0)
    fine_tune(student, store, RECIPE, tuning, teacher=model)
    assert gap() < 0.6 * before


def test_a_teacher_without_a_map_teaches_the_logits(
    model: keras.Model, store: Store, tmp_path: Path
) -> None:
    light_fcn(expansions=(8, 8, 8), width=8, head_width=8).save(tmp_path / "teacher.keras")
    teacher = open_teacher(tmp_path / "teacher.keras", model)
    student = fold(model)
    before = maps_of(student, store, np.arange(2))
    assert Taught(student, teacher, Tuning(), 0.5).map_weight == 0
    fine_tune(student, store, RECIPE, Tuning(steps=2, batch_size=2), teacher=teacher)
    assert not np.array_equal(maps_of(student, store, np.arange(2)), before)


def test_distances_to_a_teacher_are_least_where_both_agree() -> None:
    rng = np.random.default_rng(0)
    wanted = rng.normal(0, 2, (2, 4, 4, 5)).astype(np.float32)
    for distance in (map_distance, lambda a, b: answers_loss(a, b, 2.0)):
        near, far = (float(distance(wanted, wanted + shift)) for shift in (0.0, 1.0))
        assert near < far


@pytest.mark.parametrize("precision", PRECISIONS)
def test_bundles_give_the_models_logits_and_map(
    bundles: dict[str, Exported], store: Store, model: keras.Model, precision: str
) -> None:
    bundle = load_bundle(bundles[precision].path)
    assert (bundle.map.kind, bundle.map.cells) == ("lesion", (32, 32))
    runtime = Runtime(bundle)
    rows = store.rows("test")[:6]
    given = [runtime.run_hu(np.asarray(store.hu[row])) for row in rows]
    logits, maps = (np.stack(one) for one in zip(*given, strict=True))
    # int8 has 256 steps for a map whose logits span some tens.
    atol = {"float32": 1e-3, "float16": 0.1, "dynamic": 0.5, "int8": 1.0}[precision]
    np.testing.assert_allclose(maps, maps_of(model, store, rows), atol=atol)
    np.testing.assert_allclose(logits, predict(model, store, rows), atol=2 * atol)


def test_int8_has_float32_logits_of_an_int8_map(bundles: dict[str, Exported]) -> None:
    interpreter = Interpreter(model_content=load_bundle(bundles["int8"].path).model)
    interpreter.allocate_tensors()
    outputs = {d["name"]: d["dtype"] for d in interpreter.get_output_details()}
    assert outputs == {"logits": np.float32, "lesion_map": np.int8}
    operators = [op["op_name"] for op in interpreter._get_ops_details()]
    assert operators.count("DEQUANTIZE") == 2
    assert "QUANTIZE" not in operators


def test_int8_logits_are_the_maps_own_arithmetic(
    bundles: dict[str, Exported], store: Store, model: keras.Model
) -> None:
    """The spread of the gains of 5 subtypes is 8 bits; all else after the map is exact."""
    runtime = Runtime(load_bundle(bundles["int8"].path))
    gain = np.asarray(model.get_layer("map_gain").kernel)
    pooled = keras.Model(model.input, model.get_layer("pooled_logits").output)
    for row in store.rows("test")[:6]:
        hu = np.asarray(store.hu[row])
        logits, lesion_map = runtime.run_hu(hu)
        rest = logits - gain * lesion_map.max(axis=(0, 1))
        np.testing.assert_allclose(rest, np.asarray(pooled(model_input(hu)[None]))[0], atol=0.5)


def test_a_manifest_of_other_cells_is_refused(bundles: dict[str, Exported], tmp_path: Path) -> None:
    folder = tmp_path / "bundle"
    shutil.copytree(bundles["float32"].path, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["output"]["cells"] = [16, 16]
    del manifest["manifest_sha256"]
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match="another map than its manifest says"):
        Runtime(load_bundle(folder))
