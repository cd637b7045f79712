"""`ichlite evaluate`: scores, folds, two models, warnings; up to the decisions of a bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import pytest
from tests.evaluate.made_scores import made_scores
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.evaluate.scores import read_scores, write_scores
from ichlite.infer.bundle import load_bundle
from ichlite.models import MODELS, light_fcn

Run = Callable[..., Any]
BRIEF = ("--epochs", 1, "--steps-per-epoch", 2, "--batch-size", 4, "--learning-rate", 0.001)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=15)


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(**hyperparameters: Any) -> keras.Model:
        return light_fcn(expansions=(8, 8), width=4, head_width=8, **hyperparameters)

    monkeypatch.setitem(MODELS, "light_fcn", tiny)  # type: ignore[arg-type]


@pytest.fixture
def two_seeds(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / "a.csv", tmp_path / "b.csv"]
    for seed, path in enumerate(paths):
        write_scores(path, made_scores(seed=seed, folds=4))
    return paths


@pytest.mark.long
def test_folds_from_training_to_the_decisions_of_a_bundle(
    ichlite: Run, store: Store, tmp_path: Path
) -> None:
    # Phantoms validate, since a fold holds the real patients that are not tested on to train.
    phantoms = make_store(tmp_path / "phantoms", patients=5, seed=7, kind="phantom", prefix="f")
    scores = tmp_path / "scores"
    scores.mkdir()
    for fold in (1, 2):
        run = tmp_path / f"fold-{fold}"
        words = (store.path, phantoms.path, run, *BRIEF, "--fold", f"{fold}/2")
        trained = ichlite("train", *words)
        assert trained.exit_code == 0, trained.err
        done = ichlite(
            "evaluate", run, store.path, "--scores", scores / f"{fold}.csv", "--json"
        )  # fmt: skip
        assert done.exit_code == 0, done.err
        document = json.loads(done.out)
        assert document["warnings"] == []
        assert document["fold"]["number"] == fold
        assert document["data"] == f"toys, test split of fold {fold}"
        assert read_scores(scores / f"{fold}.csv").fold_numbers == [str(fold)]

    pooled = ichlite("evaluate", "--folds", scores, "--bootstrap", 20, "--json")
    assert pooled.exit_code == 0, pooled.err
    document = json.loads(pooled.out)
    assert (document["folds"], document["slices"], document["scans"]) == (2, len(store), 15)

    run, bundle = tmp_path / "run", tmp_path / "bundle"
    words = ("--precision", "float32", "--decisions", scores)
    other_run = tmp_path / "other-run"
    assert ichlite("train", store.path, other_run, *BRIEF).exit_code == 0
    refused = ichlite("compress", other_run, store.path, bundle, *words)
    assert refused.exit_code == 1
    assert "the scores in scores are of models of another recipe; found recipe " in refused.err
    assert ichlite("train", store.path, phantoms.path, run, *BRIEF).exit_code == 0
    compressed = ichlite("compress", run, store.path, phantoms.path, bundle, *words)
    assert compressed.exit_code == 0, compressed.err
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert manifest["calibration"]["split"] == "out of fold"
    assert manifest["command"].endswith("--decisions scores --name light_fcn-float32")
    decision = manifest["decision"]
    assert decision["thresholds"] == decision["operating_points"]["balanced"]
    assert decision["evidence"]["data"]["scans"] == 15
    assert "| high_sensitivity |" in (bundle / "model-card.md").read_text()
    assert load_bundle(bundle).rule.thresholds == decision["thresholds"]
    assert manifest["training"]["fingerprint"]["patients"] == 12

    # The bundle knows who trained it, in a copy of the store under another name, too.
    shutil.copytree(store.path, tmp_path / "copy")
    done = ichlite("evaluate", bundle, tmp_path / "copy", "--split", "train", "--json")
    (line,) = json.loads(done.out)["warnings"]
    assert "9 of 9 patients in the data trained" in line
    assert f"warning: {line}" in done.err
    assert json.loads(ichlite("evaluate", bundle, store.path, "--json").out)["warnings"] == []

    other = make_store(tmp_path / "other", patients=5, seed=3)
    compared = ichlite(
        "evaluate", bundle, other.path, "--split", "train", "--against", run, "--bootstrap", 30,
        "--json",
    )  # fmt: skip
    assert compared.exit_code == 0, compared.err
    against = json.loads(compared.out)["against"]
    assert (against["model"], against["draws"], against["patients"]) == ("run", 30, 3)
    assert {"roc_auc", "other_roc_auc", "difference", "interval", "p"} <= {
        *against["slices"]["any"]
    }


@pytest.mark.long
def test_a_fold_that_trained_is_no_fold(ichlite: Run, store: Store, tmp_path: Path) -> None:
    run = tmp_path / "run"
    phantoms = make_store(tmp_path / "phantoms", patients=5, seed=7, kind="phantom", prefix="f")
    words = (store.path, phantoms.path, run, *BRIEF, "--fold", "1/2")
    assert ichlite("train", *words).exit_code == 0
    manifest = json.loads((run / "train.json").read_text())
    manifest["data"]["fold"]["number"] = 2
    (run / "train.json").write_text(json.dumps(manifest))
    done = ichlite("evaluate", run, store.path, "--scores", tmp_path / "s.csv")
    assert (done.exit_code, done.err.count("\n")) == (1, 1)
    assert "was trained on patients of the fold that it left out" in done.err
    assert not (tmp_path / "s.csv").exists()


def test_seeds_and_two_models_of_folds(ichlite: Run, two_seeds: list[Path], tmp_path: Path) -> None:
    done = ichlite(
        "evaluate", "--folds", *two_seeds, "--against", two_seeds[1], "--bootstrap", 30,
        "--out", tmp_path / "report", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.err
    document = json.loads(done.out)
    assert [one["scores"] for one in document["seeds"]] == ["a.csv", "b.csv"]
    assert document["against"]["model"] == "b.csv"
    assert document["any"]["seed_sd"]["roc_auc"] > 0
    page = (tmp_path / "report" / "metrics.md").read_text()
    assert "## Against b.csv" in page
    alone = json.loads(ichlite("evaluate", "--folds", two_seeds[0], "--json").out)
    assert alone["any"]["intervals"]["roc_auc"] is not None  # 1000 draws, unasked
    raw = ichlite("evaluate", "--folds", two_seeds[0], "--calibrate", "none", "--bootstrap", 0)
    assert "raw logits of each fold's model" in raw.out


@pytest.mark.parametrize(
    ("words", "code", "line"),
    [
        ((), 2, "expected a MODEL, or scores with --folds"),
        (("model",), 2, "found MODEL model alone; expected MODEL and STORE, or"),
        (
            ("model", "store", "--calibrate", "none"),
            2,
            "`--calibrate` cannot be combined with a model",
        ),
        (("--folds", "a.csv", "--rsna", "x"), 2, "`--rsna` cannot be combined with `--folds`"),
        (
            ("--folds", "a.csv", "--split", "train"),
            2,
            "`--split` cannot be combined with `--folds`",
        ),
        (
            ("--folds", "a.csv", "--scores", "x.csv"),
            2,
            "`--scores` cannot be combined with `--folds`",
        ),
        (("--folds", "a.csv", "--calibrate", "all"), 2, "expected one of cross, none"),
        (("--folds", "a.csv", "--against", "b.csv", "--bootstrap", 0), 2, "needs bootstrap"),
        (("--folds", "none.csv"), 1, "none.csv cannot be read"),
        (("model", "store", "--against", "x", "--against", "y"), 2, "takes one model unless"),
    ],
)
def test_what_does_not_go_together_is_one_line(
    ichlite: Run, two_seeds: list[Path], monkeypatch: pytest.MonkeyPatch,
    words: tuple[Any, ...], code: int, line: str,
) -> None:  # fmt: skip
    monkeypatch.chdir(two_seeds[0].parent)
    done = ichlite("evaluate", *words)
    assert (done.exit_code, done.err.count("\n")) == (code, 1)
    assert line in done.err
    assert done.out == ""


def test_the_embedded_bundle_has_a_word(
    ichlite: Run, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = ichlite("evaluate", "embedded", store.path, "--against", "embedded", "--json")
    assert done.exit_code == 0, done.err
    document = json.loads(done.out)
    assert document["model"] == document["against"]["model"] == load_bundle().label
    (tmp_path / "embedded").mkdir()  # whose name that is, is taken itself
    there = ichlite("evaluate", "embedded", store.path)
    assert (there.exit_code, there.err.count("\n")) == (1, 1)
    assert "no model at embedded" in there.err
