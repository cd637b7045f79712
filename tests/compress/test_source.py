"""What compression starts from: a run as `train` left it, of this store; a teacher that fits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras
import pytest
from tests.toy import make_store

from ichlite.compress.source import open_source, open_teacher
from ichlite.data.store import Store
from ichlite.errors import IchliteError, InputError
from ichlite.models import light_fcn
from ichlite.train import run_manifest
from ichlite.train.recipe import Recipe


@pytest.fixture
def run(tmp_path: Path, store: Store, model: keras.Model) -> Path:
    folder = tmp_path / "run"
    folder.mkdir()
    model.save(folder / "best.keras")
    manifest = run_manifest.describe(Recipe(loss="focal"), store, store_name="toy")
    run_manifest.write_manifest(folder, manifest)
    return folder


def test_a_run_or_its_file_opens(run: Path, store: Store) -> None:
    for path in (run, run / "best.keras"):
        source = open_source(path, store)
        assert source.recipe == Recipe(loss="focal")
        assert source.training.data.store_hash == store.hash


def test_another_store_is_refused(run: Path, tmp_path: Path) -> None:
    other = make_store(tmp_path / "other", patients=12)
    with pytest.raises(InputError, match="was not trained on"):
        open_source(run, other)


def test_a_model_without_a_manifest_is_refused(run: Path, store: Store) -> None:
    (run / "train.json").unlink()
    with pytest.raises(InputError, match="is neither a run folder nor a file in one"):
        open_source(run, store)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("recipe", {"unheard_of": 1}),
        ("recipe", {"epochs": "five"}),
        ("recipe", {"epochs": -1}),
        ("data", {}),
        ("data", {"images": {}}),
        ("data", {"train_positives": {"any": 5}}),
        ("command", None),
    ],
)
def test_a_manifest_that_was_changed_by_hand_is_one_line(
    run: Path, store: Store, key: str, value: Any
) -> None:
    manifest = json.loads((run / "train.json").read_text())
    changed = {**manifest[key], **value} if isinstance(value, dict) and value else value
    (run / "train.json").write_text(json.dumps({**manifest, key: changed}))
    with pytest.raises(IchliteError, match="not as `ichlite train` wrote it"):
        open_source(run, store)


def test_a_recipe_of_an_older_ichlite_opens(run: Path, store: Store) -> None:
    manifest = json.loads((run / "train.json").read_text())
    del manifest["recipe"]["precision"]
    (run / "train.json").write_text(json.dumps(manifest))
    assert open_source(run, store).recipe == Recipe(loss="focal")


def test_a_model_that_is_not_of_ichlite_is_refused(run: Path, store: Store) -> None:
    layers = [keras.Input((256, 256, 3)), keras.layers.GlobalAveragePooling2D(name="features")]
    keras.Sequential([*layers, keras.layers.Dense(5, name="logits")]).save(run / "best.keras")
    with pytest.raises(InputError, match="Sequential"):
        open_source(run, store)


def test_a_teacher_answers_what_the_student_is_asked(
    run: Path, model: keras.Model, tmp_path: Path
) -> None:
    assert open_teacher(run, model).output_shape == model.output_shape
    light_fcn(size=None).save(tmp_path / "any.keras")
    assert open_teacher(tmp_path / "any.keras", model).input_shape == (None, None, None, 3)
    image = keras.Input((None, None, 3))
    short = keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))
    short.save(tmp_path / "short.keras")
    with pytest.raises(InputError, match="cannot teach"):
        open_teacher(tmp_path / "short.keras", model)
