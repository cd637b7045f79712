"""Commands of the training side: one JSON document on stdout, errors in one line, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.models import MODELS, light_fcn
from ichlite.train import logs, recipe

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=15)


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(**hyperparameters: Any) -> keras.Model:
        return light_fcn(expansions=(8, 8), width=4, head_width=8, **hyperparameters)

    monkeypatch.setitem(MODELS, "light_fcn", tiny)  # type: ignore[arg-type]


@pytest.mark.long
def test_train_compress_evaluate(ichlite: Run, store: Store, tmp_path: Path) -> None:
    run, bundle = tmp_path / "run", tmp_path / "bundle"
    words = ("--epochs", 1, "--steps-per-epoch", 2, "--batch-size", 4, "--learning-rate", 0.001)
    trained = ichlite("train", store.path, run, *words, "--json")
    assert trained.exit_code == 0, trained.err
    document = json.loads(trained.out)
    assert document["steps"] == 2
    assert (document["best_step"], document["chosen_by"]) == (2, "validation_mean_roc_auc")
    assert "best.keras is of step 2: the highest validation mean AUC" in trained.err
    assert Path(document["model"]).exists()

    other = ichlite("train", store.path, run, *words, "--loss", "focal")
    assert other.exit_code == 2
    assert other.err.count("\n") == 1
    assert "found loss bce; expected loss focal" in other.err

    compressed = ichlite("compress", run, store.path, bundle, "--precision", "float32", "--json")
    assert compressed.exit_code == 0, compressed.err
    document = json.loads(compressed.out)
    assert document["parity"]["max_probability_difference"] < 1e-4

    for model in (bundle, run):
        judged = ichlite("evaluate", model, store.path, "--out", tmp_path / "report", "--json")
        assert judged.exit_code == 0, judged.err
        document = json.loads(judged.out)
        assert document["slices"] == len(store.rows("test"))
        assert set(document["per_class"]["epidural"]) >= {"roc_auc", "positives"}
        assert "any" in document
        assert document["data"] == "toys, test split"
        assert ("pointing" in document) == (model == bundle)  # a run of light_fcn has no map
    shown = ichlite("evaluate", bundle, store.path, "--split", "validation").out
    assert "| any |" in shown
    assert "Pointing game, bleeds over 1 ml" in shown


def test_evaluate_wants_one_source(ichlite: Run, store: Store, tmp_path: Path) -> None:
    assert ichlite("evaluate", tmp_path).exit_code == 2
    both = ichlite("evaluate", tmp_path, store.path, "--rsna", tmp_path)
    assert both.exit_code == 2
    assert "found both; expected MODEL and STORE, or MODEL and --rsna FOLDER" in both.err


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("train", "nowhere", "out"), "is not a prepared store"),
        (("compress", "nowhere", "store", "out"), "nowhere does not exist"),
        (("evaluate", "nowhere", "store"), "no model at nowhere"),
        (("evaluate", "nowhere", "--rsna", "images"), "no bundle at"),
        (
            ("evaluate", "embedded", "--rsna", "images"),
            "images/stage_2_train.csv does not exist; name the label table with --labels FILE",
        ),
    ],
)
def test_what_is_missing_is_said_in_one_line(
    ichlite: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...], line: str
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ichlite(*words)
    assert done.exit_code == 1
    assert line in done.err
    assert done.err.count("\n") == 1
    assert done.out == ""


def test_a_store_in_the_place_of_the_model_is_named(ichlite: Run, store: Store) -> None:
    done = ichlite("evaluate", store.path, "embedded")
    assert (done.exit_code, done.out, done.err.count("\n")) == (1, "", 1)
    assert f"{store.path} is not a model; found a prepared store; expected a bundle" in done.err
    assert "the order is: ichlite evaluate MODEL STORE" in done.err


@pytest.mark.parametrize(("option", "value"), [("--model", "resnet"), ("--loss", "mse")])
def test_unknown_names_list_the_choices(
    ichlite: Run, store: Store, tmp_path: Path, option: str, value: str
) -> None:
    done = ichlite("train", store.path, tmp_path / "run", option, value)
    assert done.exit_code == 2
    assert "expected one of" in done.err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("train", "--workers", 2), "--workers 2 without --ray"),
        (
            ("train", "--ray", "local", "--devices", 1),
            "`--devices` cannot be combined with `--ray`",
        ),
        (("train", "--seed", -1), "--seed is out of range; found -1; expected from 0"),
        (("train", "--loss", "focal", "--gamma", "nan"), "--gamma is out of range; found nan"),
        (("tune", "--seed", -1), "--seed is out of range; found -1; expected from 0"),
        (
            ("train", "--seed", 2**40),
            "--seed is out of range; found 1099511627776; expected from 0",
        ),
        (("train", "--clipnorm", -1), "--clipnorm is out of range; found -1.0; expected above 0"),
        (("train", "--crop-steps", 2, "--crop-size", 512), "at least 32 and at most 256"),
        (("train", "--batch-size", 10**8), "a batch of 100000000 images does not fit in memory"),
        (("train", "--leave-out", "dural"), "unknown subtype to leave out; found dural"),
    ],
)
def test_what_cannot_be_meant_is_one_line(
    ichlite: Run, store: Store, tmp_path: Path, words: tuple[Any, ...], line: str
) -> None:
    done = ichlite(words[0], store.path, tmp_path / "out", *words[1:])
    assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert line in done.err
    assert not (tmp_path / "out").exists()


def test_a_backend_that_does_not_train_is_one_line(
    ichlite: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    done = ichlite("train", store.path, tmp_path / "out")
    assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert "KERAS_BACKEND=torch; expected tensorflow or jax" in done.err


def test_a_search_of_no_trials_is_wrong_usage(ichlite: Run, tmp_path: Path) -> None:
    done = ichlite("tune", "nowhere", tmp_path / "out", "--max-trials", 0)
    assert done.exit_code == 2
    assert "--max-trials" in done.err
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_no_run_folder(
    ichlite: Run, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "IM0001").write_bytes(b"a slice")
    outcome = ichlite("train", store.path, tmp_path)
    assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert "is not empty and holds no run; found IM0001" in outcome.err
    assert [file.name for file in tmp_path.iterdir()] == ["IM0001"]


@pytest.mark.long
def test_an_interrupted_training_says_that_it_is_saved_and_goes_on(
    ichlite: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = logs.epoch_line
    words = ("train", store.path, tmp_path / "run", "--epochs", 2, "--steps-per-epoch", 2)

    def interrupted(row: logs.Row) -> str:
        os.kill(os.getpid(), signal.SIGINT)
        return told(row)

    monkeypatch.setattr(logs, "epoch_line", interrupted)
    done = ichlite(*words, "--batch-size", 4)
    epoch, saved, last = done.err.splitlines()
    assert (done.exit_code, done.out, last) == (130, "", "ichlite: interrupted")
    assert saved == (
        f"ichlite: {tmp_path / 'run'} is saved at step 2 of 4; "
        "the same command again goes on from there"
    )
    assert re.fullmatch(
        r"ichlite: epoch 1 of 2, step 2 of 4: loss [.\d]+, validation mean AUC [.\d]+, "
        r"\d+ images/s, \d+ s left",
        epoch,
    )
    monkeypatch.setattr(logs, "epoch_line", told)
    resumed = ichlite(*words, "--batch-size", 4)
    assert (resumed.exit_code, resumed.out) == (0, "")
    assert "epoch 2 of 2, step 4 of 4" in resumed.err
    assert ", 0 s left" in resumed.err
    assert "resumed at step 2 of 4" in resumed.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"name": "web"}', '{"recipe": 1, "data": 2}'])
def test_a_foreign_manifest_is_left_as_it_is(
    ichlite: Run, store: Store, tmp_path: Path, text: str
) -> None:
    (tmp_path / "train.json").write_text(text)
    done = ichlite("train", store.path, tmp_path)
    assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert f"{tmp_path / 'train.json'} is not as `ichlite train` wrote it" in done.err
    assert (tmp_path / "train.json").read_text() == text


def test_rsna_scan_is_judged_from_its_files(
    ichlite: Run, rsna_scan: Path, shared_data: Path
) -> None:
    labels = shared_data / "rsna-dev" / "stage_2_train.csv"
    done = ichlite("evaluate", "embedded", "--rsna", rsna_scan, "--labels", labels, "--json")
    assert done.exit_code == 0, done.err
    document = json.loads(done.out)
    assert document["scan"]["scans"] == 1
    assert document["slices"] == len(list(rsna_scan.rglob("*.dcm")))
    assert document["unlabelled"] == 0
    assert document["not_judged"] == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--warmup-steps", 5], "--warmup-steps does nothing; found --schedule constant"),
        (["--loss", "ldam", "--gamma", 3], "--gamma does nothing; found --loss ldam"),
        (["--loss", "no_such"], "unknown loss; found no_such"),
        (["--model", "no_such"], "unknown model; found no_such"),
        (
            ["--share", 0.7, "--share", 0.3],
            "each store needs a share of its own; found 2 shares; expected 1",
        ),
    ],
)
def test_options_are_judged_before_data(
    ichlite: Run, tmp_path: Path, words: list[object], said: str
) -> None:
    outcome = ichlite("train", tmp_path / "no-store", tmp_path / "run", *words)
    assert (outcome.exit_code, outcome.out, outcome.err.count("\n")) == (2, "", 1)
    assert said in outcome.err
    assert not (tmp_path / "run").exists()


def test_what_works_with_a_value_is_taken_with_it() -> None:
    for name, (other, values) in recipe._WORK_WITH.items():
        default = getattr(recipe.Recipe(), name)
        for value in values:
            more = {name: default + 1 if isinstance(default, int) else default / 2, other: value}
            recipe.Recipe(**more).check_effects()
