"""The command from a store to the report: trains what is missing, never twice, fails in words."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from tests.reproduce.synthetic import costs, result
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.errors import IchliteError, InputError
from ichlite.labels import NAMES
from ichlite.models import MODELS, light_fcn
from ichlite.reproduce import campaign
from ichlite.reproduce.campaign import check_runs
from ichlite.reproduce.costs import measured_costs
from ichlite.reproduce.plan import paper_grid
from ichlite.reproduce.results import read_result
from ichlite.train.recipe import Recipe

Run = Callable[..., Any]
TINY = ("--steps-per-epoch", 1, "--batch-size", 4, "--learning-rate", 0.001)
GRID = (
    "--models", "light_fcn", "--losses", "bce,ldam", "--epochs-models", 1, "--epochs-losses", 1,
    "--bootstrap", 20, *TINY,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=10)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with the costs measured already."""
    (tmp_path / "out" / "results").mkdir(parents=True)
    (tmp_path / "out" / "results" / "costs.json").write_text(json.dumps(costs()))
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(**hyperparameters: Any) -> keras.Model:
        return light_fcn(expansions=(8, 8), width=4, head_width=8, **hyperparameters)

    monkeypatch.setitem(MODELS, "light_fcn", tiny)  # type: ignore[arg-type]


def states(done: Any) -> dict[str, str]:
    return {run["run"]: run["state"] for run in json.loads(done.out)["runs"]}


def test_from_store_to_report(ichlite: Run, store: Store, out: Path) -> None:
    before = ichlite(
        "train", store.path, out / "runs" / "light_fcn-ldam-e1-s1", "--loss", "ldam", "--seed", 1,
        "--epochs", 1, *TINY,
    )  # fmt: skip
    assert before.exit_code == 0, before.err
    done = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--json")
    assert done.exit_code == 0, done.err
    assert states(done) == {
        "light_fcn-bce-e1-s1": "trained",
        "light_fcn-ldam-e1-s1": "finished before",
    }
    document = json.loads(done.out)
    assert all(Path(file).stat().st_size for file in document["files"])
    names = {Path(file).relative_to(out).as_posix() for file in document["files"]}
    assert {"report.md", "report.html", "claims.md", "figures/figure1.svg"} <= names
    assert {f"tables/table{n}.csv" for n in range(1, 6)} <= names
    check_pages(out)
    check_result(out, store)

    changed = {p: p.stat().st_mtime_ns for p in (out / "results").iterdir()}
    again = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--no-train", "--json")
    assert set(states(again).values()) == {"finished before"}
    now = {p: p.stat().st_mtime_ns for p in (out / "results").iterdir()}
    same = {p for p in now if p.name != "summary.json"}
    assert {p: now[p] for p in same} == {p: changed[p] for p in same}
    assert json.loads(again.out)["claims"] == document["claims"]

    # Results are enough: whoever has them needs no checkpoints.
    shutil.rmtree(out / "runs")
    kept = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--json")
    assert set(states(kept).values()) == {"measured before"}
    assert json.loads(kept.out)["claims"] == document["claims"]
    fewer = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--bootstrap", 10)
    assert (fewer.exit_code, "expected 10 redraws" in fewer.err) == (2, True)

    other = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--clipnorm", 1)
    assert other.exit_code == 2
    assert "recipe.clipnorm" in other.err
    assert other.err.count("\n") == 1


def check_pages(out: Path) -> None:
    page = (out / "report.html").read_text()
    text = (out / "report.md").read_text()
    claims = (out / "claims.md").read_text()
    for one in (page, text, claims):
        assert "Not comparable with the paper" in one
        assert "The test split has only 2 patients" in one
        assert "ichlite reproduce toys OUT --seeds 1 --models light_fcn" in one
    assert "http" not in page.replace("http-equiv", "")
    assert page.count("data:image/") == 6
    assert "<script" not in page
    assert text.count("only 2 patients") == page.count("only 2 patients") == 2
    assert "| too few patients |" in text
    assert "not run" in text  # SFCN and MobileNetV2
    assert "Focal: not run" in claims
    for n in range(1, 6):
        assert f"## Table {n}." in text
        assert f"Table {n}." in page
    assert "](figures/figure2.png)" in text


def check_result(out: Path, store: Store) -> None:
    result = json.loads((out / "results" / "light_fcn-bce-e1-s1.json").read_text())
    assert result["schema"] == "ichlite-reproduce/1"
    assert result["train"]["data"]["store_hash"] == store.hash
    assert result["test"]["slices"] == len(store.rows("test"))
    labels = store.labels[store.rows("test")]
    assert result["test"]["all_negative_accuracy"] == pytest.approx(1 - labels.mean())
    mean = result["test"]["mean"]
    assert set(mean["intervals"]) >= {"roc_auc", "balanced_accuracy"}
    low, high = mean["intervals"]["accuracy"]
    assert low <= mean["accuracy"] <= high
    assert result["training"]["images_per_s"] > 0
    assert result["evaluated"]["machine"]["cpu"]


def test_no_train_without_runs_reports_what_is_missing(
    ichlite: Run, store: Store, out: Path
) -> None:
    done = ichlite("reproduce", store.path, out, "--no-train", "--json")
    assert done.exit_code == 0, done.err
    assert set(states(done).values()) == {"not run"}
    assert len(states(done)) == 21
    assert "not run" in (out / "tables" / "table5.csv").read_text()
    assert not (out / "runs").exists()


def test_a_failed_run_is_named_and_the_others_go_on(
    ichlite: Run, store: Store, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fit = campaign.fit

    def sometimes(recipe: Any, *words: Any, **options: Any) -> Any:
        if recipe.loss == "bce":
            raise IchliteError("training diverged at step 1")
        return fit(recipe, *words, **options)

    monkeypatch.setattr(campaign, "fit", sometimes)
    done = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--json")
    assert done.exit_code == 1
    assert states(done) == {"light_fcn-bce-e1-s1": "failed", "light_fcn-ldam-e1-s1": "trained"}
    assert "light_fcn-bce-e1-s1 failed: training diverged at step 1" in done.err
    assert "training diverged" in (out / "report.md").read_text()


def test_a_loss_that_cannot_be_is_refused_before_the_first_run(
    ichlite: Run, store: Store, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    labels = np.array(store.labels)
    labels[store.rows("train"), NAMES.index("epidural")] = 0
    without = replace(store, labels=labels)
    monkeypatch.setattr(Store, "open", lambda _: without)
    done = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID)
    assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert "loss ldam: LDAM has no margin for a subtype without positives" in done.err
    assert "or leave ldam out of --losses" in done.err
    assert not (out / "runs").exists()
    check_runs(paper_grid(Recipe()).runs, without, out, "toys", train=False)


def test_labels_of_scans_are_refused(
    ichlite: Run, store: Store, out: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_scans = replace(store, meta={**store.meta, "label_level": "scan"})
    monkeypatch.setattr(Store, "open", lambda _: of_scans)
    for words in ((), ("--no-train",)):
        done = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, *words)
        assert (done.exit_code, done.err.count("\n")) == (2, 1)
        assert "labels of scans" in done.err


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": "ichlite-reproduce/1"}', "\ud800"])
def test_a_damaged_result_is_named(ichlite: Run, store: Store, out: Path, text: str) -> None:
    file = out / "results" / "light_fcn-bce-e1-s1.json"
    file.write_bytes(text.encode("utf-8", "surrogatepass"))
    done = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID)
    assert (done.exit_code, done.err.count("\n")) == (1, 1)
    assert f"{file} is damaged; remove it" in done.err


def test_a_result_without_what_it_was_trained_on_is_damaged(tmp_path: Path) -> None:
    document = result(Recipe()).document
    document["train"].pop("data")
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"a.json is damaged; remove it"):
        read_result(tmp_path / "a.json")


def test_damaged_redraws_and_costs_are_named(tmp_path: Path) -> None:
    kept = result(Recipe(), draws=5)
    (tmp_path / "a.json").write_text(json.dumps(kept.document))
    for content in (b"", b"PK", b"nonsense"):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"a.npz is damaged; remove it"):
            read_result(tmp_path / "a.json")
    (tmp_path / "costs.json").write_text("{")
    with pytest.raises(InputError, match=r"costs.json is damaged; remove it"):
        measured_costs(["light_fcn"], tmp_path / "costs.json")


def test_a_folder_of_something_else_is_left_as_it_is(
    ichlite: Run, store: Store, tmp_path: Path
) -> None:
    (tmp_path / "report.md").write_text("mine")
    done = ichlite("reproduce", store.path, tmp_path, "--no-train")
    assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert "`ichlite reproduce` did not make" in done.err
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("report.md", "mine")]
    assert ichlite("reproduce", store.path, tmp_path / "report.md", "--no-train").exit_code == 2


@pytest.mark.parametrize(
    ("words", "line"),
    [
        (("--models", "resnet"), "unknown model"),
        (("--losses", "mse"), "unknown loss"),
        (("--seeds", 0), "--seeds"),
        (("--bootstrap", -1), "--bootstrap"),
        (("--dropout", 2), "dropout"),
        (("--seed", -1), "seed; found -1"),
        (("--gamma", "nan"), "gamma; found nan"),
    ],
)
def test_wrong_usage(
    ichlite: Run, store: Store, tmp_path: Path, words: tuple[object, ...], line: str
) -> None:
    done = ichlite("reproduce", store.path, tmp_path / "new", *words)
    assert done.exit_code == 2
    assert line in done.err
    assert done.err.count("\n") == 1
    assert not (tmp_path / "new").exists()
