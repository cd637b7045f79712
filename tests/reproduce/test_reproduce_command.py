"""The command from a store to the report: trains what is missing, never twice, fails in words."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest
from msgspec import structs
from tests.reproduce.synthetic import costs, kept_run
from tests.toy import make_store

from ichlite.contracts.codec import document_text, to_json_value
from ichlite.data.store import Store
from ichlite.errors import IchliteError, InputError
from ichlite.evaluate.metrics import roc_auc
from ichlite.labels import NAMES
from ichlite.models import MODELS, light_fcn
from ichlite.reproduce import campaign
from ichlite.reproduce.campaign import Data, check_runs
from ichlite.reproduce.campaign_plan import paper_grid
from ichlite.reproduce.costs import measured_costs
from ichlite.reproduce.kept_runs import read_piece
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
    (tmp_path / "out" / "results" / "costs.json").write_text(document_text(costs()))
    return tmp_path / "out"


@pytest.fixture(autouse=True)
def small_model(monkeypatch: pytest.MonkeyPatch) -> None:
    def tiny(**hyperparameters: Any) -> keras.Model:
        return light_fcn(expansions=(8, 8), width=4, head_width=8, **hyperparameters)

    monkeypatch.setitem(MODELS, "light_fcn", tiny)  # type: ignore[arg-type]


def states(done: Any) -> dict[str, str]:
    return {run["run"]: run["state"] for run in json.loads(done.out)["runs"]}


@pytest.mark.long
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
    none = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--bootstrap", 0, "--json")
    assert {claim["patients"] for claim in json.loads(none.out)["claims"]} == {None}

    other = ichlite("reproduce", store.path, out, "--seeds", 1, *GRID, "--clipnorm", 1)
    assert other.exit_code == 2
    assert "expected clipnorm 1" in other.err
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
    kept = json.loads((out / "results" / "light_fcn-bce-e1-s1.json").read_text())
    assert kept["schema"] == "ichlite-reproduce/2"
    assert kept["train"]["data"]["store_hash"] == store.hash
    assert kept["training"]["images_per_s"] > 0
    assert kept["scored"]["machine"]["cpu"]
    rows = store.rows("test")
    with np.load(out / "results" / "light_fcn-bce-e1-s1.npz") as scores:
        assert scores["image"].tolist() == store.image[rows].tolist()
        assert scores["labels"].tolist() == store.labels[rows].tolist()
        calls = scores["logits"] >= 0
    found = json.loads((out / "results" / "summary.json").read_text())["models"]["light_fcn"]
    mean = found["mean"]["accuracy"]
    assert mean["mean"] == pytest.approx((calls == store.labels[rows]).mean())
    low, high = mean["interval"]
    assert low <= mean["mean"] <= high


FOLDS = ("--folds", 2, "--seeds", 2, "--models", "", "--losses", "bce,focal",
         "--epochs-losses", 1, "--bootstrap", 20, *TINY)  # fmt: skip


@pytest.mark.long
def test_folds_in_pieces_on_two_machines(
    ichlite: Run, store: Store, out: Path, tmp_path: Path
) -> None:
    begun = ichlite("reproduce", store.path, out, *FOLDS, "--stop-after", 0, "--json")
    assert begun.exit_code == 0, begun.err
    assert set(states(begun).values()) == {"not run"}
    assert "8 runs are still to do" in begun.err

    alone = ichlite("reproduce", store.path, out, *FOLDS, "--seeds", 1, "--losses", "bce", "--json")
    assert alone.exit_code == 0, alone.err
    assert states(alone) == {f"light_fcn-bce-e1-s1-f{n}": "trained" for n in (1, 2)}
    small = [path.stat().st_size for path in (out / "results").glob("*-f*")]
    assert len(small) == 4
    assert max(small) < 20_000

    # Only the small files go to the other machine.
    other = tmp_path / "other"
    shutil.copytree(out / "results", other / "results")
    done = ichlite("reproduce", store.path, other, *FOLDS, "--json")
    assert done.exit_code == 0, done.err
    assert list(states(done).values()).count("measured before") == 2
    assert list(states(done).values()).count("trained") == 6
    check_pooled(other, store)
    text = (other / "report.md").read_text()
    assert "2 folds of patients" in text
    assert "the last epoch" in text
    assert "ichlite reproduce toys OUT --seeds 2 --folds 2 --models" in text
    patients = text.split("| Patients |")[1].split("\n")[0].split(" | ")
    assert [cell.split("<br>")[0].strip() for cell in patients] == ["**5**", "none", "**10**"]

    # A seed without all its folds is in no table.
    (other / "results" / "light_fcn-focal-e1-s2-f1.npz").unlink()
    shutil.rmtree(other / "runs")
    ichlite("reproduce", store.path, other, *FOLDS, "--no-train")
    document = json.loads((other / "results" / "summary.json").read_text())
    assert document["losses"]["bce"]["seeds"] == [1, 2]
    assert document["losses"]["focal"]["seeds"] == [1]

    beside = ichlite(
        "reproduce", store.path, out, *FOLDS, "--no-train", "--beside", other, "--json"
    )
    assert beside.exit_code == 0, beside.err
    assert json.loads(beside.out)["claims"][0]["beside"] == {"toys, 2 folds": "holds"}
    header = (out / "claims.md").read_text().split("| Section | ")[1].split("\n")[0]
    assert header == "The paper says | toys, 2 folds | toys, 2 folds |"
    assert (out / "report.html").read_text().count('class="badge') == 2 * 27


def check_pooled(out: Path, store: Store) -> None:
    parts = []
    for number in (1, 2):
        with np.load(out / "results" / f"light_fcn-bce-e1-s1-f{number}.npz") as scores:
            parts.append({name: scores[name] for name in scores.files})
        kept = json.loads((out / "results" / f"light_fcn-bce-e1-s1-f{number}.json").read_text())
        assert kept["train"]["data"]["fold"] == {"number": number, "of": 2, "seed": 0}
        assert kept["train"]["recipe"]["keep"] == "last"
    pooled = np.concatenate([part["image"] for part in parts])
    assert sorted(pooled.tolist()) == sorted(store.image.tolist())
    assert not set(parts[0]["patient"]) & set(parts[1]["patient"])
    found = json.loads((out / "results" / "summary.json").read_text())["losses"]["bce"]
    one_auc = roc_auc(
        np.concatenate([part["labels"][:, 4] for part in parts]),
        np.concatenate([part["logits"][:, 4] for part in parts]),
    )
    assert found["subdural"]["roc_auc"]["by_seed"][0] == pytest.approx(one_auc)


def test_beside_needs_results(ichlite: Run, store: Store, out: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    words = ("--no-train", "--beside", tmp_path / "empty")
    done = ichlite("reproduce", store.path, out, *words)
    assert (done.exit_code, done.err.count("\n")) == (2, 1)
    assert "empty holds no reproduction to show beside this one" in done.err


@pytest.mark.long
def test_runs_start_from_a_checkpoint_where_one_is_given(
    ichlite: Run, store: Store, out: Path, tmp_path: Path
) -> None:
    init = tmp_path / "best.keras"
    MODELS["light_fcn"]().save(init)
    words = ("--seeds", 1, "--models", "", "--losses", "bce", "--epochs-losses", 1, *TINY)
    done = ichlite("reproduce", store.path, out, *words, "--init", f"light_fcn={init}", "--json")
    assert done.exit_code == 0, done.err
    kept = json.loads((out / "results" / "light_fcn-bce-e1-s1.json").read_text())
    assert kept["train"]["init_sha256"] == hashlib.sha256(init.read_bytes()).hexdigest()
    assert f"--init light_fcn={init.name}" in (out / "report.md").read_text()
    without = ichlite("reproduce", store.path, out, *words)
    assert (without.exit_code, "init_sha256" in without.err) == (2, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--folds", 1), "--folds"),
        (("--folds", 2, "--keep", "best"), "no patients left for validation"),
        (("--seeds-of", "sfcn"), "MODEL=VALUE"),
        (("--seeds-of", "sfcn=0"), "a number of at least 1"),
        (("--init", "resnet=a"), "resnet"),
        (("--init", "sfcn=nowhere.keras"), "a .keras file"),
        (("--stop-after", -1), "--stop-after"),
    ],
)
def test_what_cannot_be_asked(
    ichlite: Run, store: Store, out: Path, words: tuple[Any, ...], said: str
) -> None:
    done = ichlite("reproduce", store.path, out, *GRID, *words)
    assert (done.exit_code, done.err.count("\n")) == (2, 1), done.err
    assert said in done.err
    assert not (out / "runs").exists()


@pytest.mark.long
def test_rsna_is_counted_in_tables_and_the_count_is_kept(
    ichlite: Run, store: Store, out: Path, tmp_path: Path
) -> None:
    lines = [
        "PatientID,StudyInstanceUID,any,epidural,intraparenchymal,intraventricular,"
        "subarachnoid,subdural",
        "a,1,1,0,1,0,0,0",
        "a,2,0,0,0,0,0,0",
        "b,3,,,,,,",
    ]
    (tmp_path / "studies.csv").write_text("\n".join(lines) + "\n")
    for words in (("--rsna-tables", tmp_path / "studies.csv"), ()):
        done = ichlite("reproduce", store.path, out, "--no-train", "--json", *words)
        assert done.exit_code == 0, done.err
        said = {one["claim"]: one for one in json.loads(done.out)["claims"]}
        assert "3 studies of 2 patients" in said["scans_21744"]["evidence"][0]
        line = said["positive_scans_7652"]["evidence"][0]
        assert "at least 1 studies" in line
        assert "of 1 studies the labels are not known" in line


@pytest.mark.long
def test_no_train_without_runs_reports_what_is_missing(
    ichlite: Run, store: Store, out: Path
) -> None:
    done = ichlite("reproduce", store.path, out, "--no-train", "--json")
    assert done.exit_code == 0, done.err
    assert set(states(done).values()) == {"not run"}
    assert len(states(done)) == 21
    assert "not run" in (out / "tables" / "table5.csv").read_text()
    assert not (out / "runs").exists()


@pytest.mark.long
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
    check_runs(paper_grid(Recipe()).runs, Data(without, "toys"), out, train=False)


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
    assert f"{file} is damaged; found " in done.err
    assert "; remove it; the same command makes it again" in done.err


def test_a_result_without_what_it_was_trained_on_is_damaged(tmp_path: Path) -> None:
    document = to_json_value(kept_run(Recipe())[0])
    document["train"].pop("data")
    (tmp_path / "a.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match=r"a.json is damaged; found no train.data; remove it"):
        read_piece(tmp_path / "a.json")


@pytest.mark.parametrize("schema", ["ichlite-reproduce/1", "ichlite-reproduce/2"])
def test_damaged_scores_and_costs_are_named(tmp_path: Path, schema: str) -> None:
    kept = structs.replace(kept_run(Recipe(), draws=5)[0], schema=schema)
    (tmp_path / "a.json").write_text(document_text(kept))
    for content in (b"", b"PK", b"nonsense"):
        (tmp_path / "a.npz").write_bytes(content)
        with pytest.raises(InputError, match=r"a.npz is damaged; found .*; remove it"):
            read_piece(tmp_path / "a.json")
    np.savez(tmp_path / "a.npz", image=["a"], patient=["a"], labels=[[1]], logits=[[1.0]])
    with pytest.raises(InputError, match=r"a.npz is damaged; found .*; remove it"):
        read_piece(tmp_path / "a.json")
    (tmp_path / "costs.json").write_text("{")
    with pytest.raises(InputError, match=r"costs.json is damaged; found .*; remove it"):
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
        (("--seed", -1), "--seed is out of range; found -1"),
        (("--gamma", "nan"), "--gamma is out of range; found nan"),
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
