"""The search: its budget, its trials as our own runs, going on after kills, chief and workers."""

from __future__ import annotations

import csv
import json
import math
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import keras
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.models import MODELS, light_fcn
from ichlite.models.saved import load
from ichlite.train import hyperband
from ichlite.train.recipe import Recipe
from ichlite.train.space import OBJECTIVE, WIDTH_CHOICES, Plan, Space
from ichlite.train.training_loop import Progress, fit
from ichlite.train.trials import Trial, best_trial, to_markdown, verdict
from ichlite.train.tuner_processes import ROLE_VARIABLES, role
from ichlite.train.tuning import _begin, tune

pytestmark = pytest.mark.long

PLAN = Plan(
    Recipe(steps_per_epoch=1, seed=3),
    # No dropout: its random numbers start again when a run goes on, and nothing else does.
    Space(batch_sizes=(2, 4), learning_rate=(1e-3, 1e-2), dropout=(0.0, 0.0)),
    max_epochs=2,
    factor=2,
)
SMALL = ("--width", 4, "--expansion", 2, "--head-width", 8)


@pytest.fixture(autouse=True, scope="module")
def small_and_eager() -> Iterator[None]:
    def tiny(**hyperparameters: Any) -> keras.Model:
        return light_fcn(**{"expansions": (4, 4), "width": 4, "head_width": 8, **hyperparameters})

    tf.config.run_functions_eagerly(True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(MODELS, "light_fcn", tiny)  # type: ignore[arg-type]
        yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=10)


def run(store: Store, out: Path, plan: Plan = PLAN, **options: Any) -> dict[str, Any]:
    document = tune(plan, store, out, store_name="toys", **options)
    assert document is not None
    return document


def rows_of(out: Path) -> list[dict[str, str]]:
    with (out / "trials.csv").open(newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def finished(store: Store, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    out = tmp_path_factory.mktemp("tune") / "out"
    return out, run(store, out, other_seeds=1)


def test_the_whole_of_hyperband_is_run(finished: tuple[Path, dict[str, Any]]) -> None:
    out, document = finished
    rows = rows_of(out)
    assert (document["trials"], document["epochs_trained"]) == PLAN.size()
    assert len(rows) == document["trials"]
    assert {row["status"] for row in rows} == {"completed"}
    assert json.loads((out / "best.json").read_text()) == document
    best = max(float(row[OBJECTIVE]) for row in rows)
    assert document["best"][OBJECTIVE] == best
    load(out / document["best"]["model"])
    load(out / document["defaults"]["model"])
    assert document["defaults"]["batch_size"] == 64
    assert document["defaults"]["epochs"] == document["best"]["epochs"]
    assert [pair["seed"] for pair in document["other_seeds"]] == [4]
    assert "paper's defaults" in document["verdict"]
    assert (out / "trials.md").read_text().startswith("| trial | status |")


def test_a_trial_that_goes_on_is_the_run_that_was_never_stopped(
    store: Store, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    out, _ = finished
    longer = next(row for row in rows_of(out) if row["goes_on_from"])
    recipe = PLAN.recipe_of(
        {
            "batch_size": int(longer["batch_size"]),
            "learning_rate": float(longer["learning_rate"]),
            "dropout": float(longer["dropout"]),
        },
        2,
    )
    trial = out / "search" / f"trial_{longer['trial']}" / "run"
    before = out / "search" / f"trial_{longer['goes_on_from']}" / "run"
    assert (longer["epochs"], longer["epochs_here"]) == ("2", "1")
    assert len((before / "history.csv").read_text().splitlines()) == 2
    straight = fit(recipe, store, tmp_path / "straight", store_name="toys")

    def losses(folder: Path) -> list[float]:
        with (folder / "history.csv").open(newline="") as file:
            return [float(row["loss"]) for row in csv.DictReader(file)]

    assert losses(trial) == pytest.approx(losses(tmp_path / "straight"), rel=1e-2)
    # What train.json says of the trial is what trains it again.
    manifest = json.loads((trial / "train.json").read_text())
    assert manifest["recipe"] == recipe.as_dict()
    assert straight.steps == manifest["result"]["steps"]


def test_a_search_begun_before_an_argument_existed_goes_on(
    store: Store, finished: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    begun = json.loads((finished[0] / "tune.json").read_text())
    del begun["recipe"]["leave_out"]
    (tmp_path / "tune.json").write_text(json.dumps(begun))
    _begin(PLAN, store, tmp_path)
    other = replace(PLAN, recipe=replace(PLAN.recipe, leave_out=("epidural",)))
    with pytest.raises(UsageError, match=r"--leave-out; found \[\]; expected \['epidural'\]"):
        _begin(other, store, tmp_path)


def test_a_finished_search_is_not_run_again(
    store: Store, finished: tuple[Path, dict[str, Any]]
) -> None:
    out, document = finished
    seen: list[int] = []
    again = run(store, out, other_seeds=1, on_step=lambda p: seen.append(p.step))
    assert again == document
    assert seen == []


def die_at(count: int) -> Callable[[Progress], None]:
    steps = 0

    def die(_: Progress) -> None:
        nonlocal steps
        steps += 1
        if steps == count:
            raise KeyboardInterrupt

    return die


@pytest.mark.parametrize("step", [1, 4])
def test_a_search_that_was_stopped_goes_on(
    store: Store, finished: tuple[Path, dict[str, Any]], tmp_path: Path, step: int
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(store, tmp_path / "out", on_step=die_at(step))
    document = run(store, tmp_path / "out")
    whole, again = rows_of(finished[0]), rows_of(tmp_path / "out")
    for column in ("trial", "batch_size", "learning_rate", "dropout", "status"):
        first = [row[column] for row in whole if row["round"] == "0"]
        assert [row[column] for row in again if row["round"] == "0"] == first
    assert document["trials"] == PLAN.size()[0]


def test_a_budget_ends_the_search_and_a_larger_one_goes_on(store: Store, tmp_path: Path) -> None:
    assert run(store, tmp_path / "out", max_trials=1)["trials"] == 1
    first = rows_of(tmp_path / "out")[0]
    assert run(store, tmp_path / "out", max_trials=2)["trials"] == 2
    assert rows_of(tmp_path / "out")[0] == first
    assert [row["trial"] for row in rows_of(tmp_path / "out")] == ["0000", "0001"]


def test_another_search_in_the_same_folder_is_refused(
    store: Store, finished: tuple[Path, dict[str, Any]]
) -> None:
    with pytest.raises(UsageError, match="holds a search with other --max-epochs; found 2;"):
        run(store, finished[0], Plan(PLAN.recipe, PLAN.space, max_epochs=4, factor=2))
    other = Plan(replace(PLAN.recipe, loss="focal"), replace(PLAN.space, batch_sizes=(8,)), 2, 2)
    with pytest.raises(UsageError, match="other --loss, --batch-size; found bce; expected focal;"):
        run(store, finished[0], other)


def test_a_folder_of_something_else_is_left_as_it_is(store: Store, tmp_path: Path) -> None:
    (tmp_path / "best.json").write_text("mine")
    with pytest.raises(UsageError, match="`ichlite tune` did not make"):
        run(store, tmp_path)
    assert [(p.name, p.read_text()) for p in tmp_path.iterdir()] == [("best.json", "mine")]
    (tmp_path / "tune.json").write_text("{")
    with pytest.raises(UsageError, match=r"tune.json is damaged"):
        run(store, tmp_path)


def test_trials_that_diverge_end_last_and_say_why(store: Store, tmp_path: Path) -> None:
    space = Space(batch_sizes=(2, 4), learning_rate=(1e30, 1e35))
    with pytest.raises(IchliteError, match="no trial gave a score"):
        run(store, tmp_path / "out", Plan(Recipe(steps_per_epoch=4), space, 1), max_trials=2)
    rows = rows_of(tmp_path / "out")
    assert all("diverged" in row["note"] and row[OBJECTIVE] == "" for row in rows)


def test_what_every_trial_would_fail_at_ends_the_search(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any, **__: Any) -> None:
        raise IchliteError("the disk is gone")

    monkeypatch.setattr(hyperband, "fit", broken)
    with pytest.raises(IchliteError, match="the disk is gone"):
        run(store, tmp_path / "out")


def test_widths_are_searched_when_asked(store: Store, tmp_path: Path) -> None:
    plan = Plan(PLAN.recipe, Space(batch_sizes=(2,), widths=True), max_epochs=1)
    document = run(store, tmp_path / "out", plan, max_trials=1)
    best = document["best"]
    assert all(best[name] in choices for name, choices in WIDTH_CHOICES.items())
    assert f"--expansion {best['expansion']}" in best["command"]
    model = load(tmp_path / "out" / best["model"])
    assert model.get_layer("head").filters == best["head_width"]


def test_chief_and_workers_share_a_search_and_a_killed_worker_is_replaced(
    store: Store, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    words = [
        *("tune", store.path, out, "--max-epochs", 1, "--hyperband-iterations", 3),
        *(
            "--steps-per-epoch",
            1,
            "--batch-size",
            2,
            "--batch-size",
            4,
            "--workers",
            2,
            "--seed",
            3,
            *SMALL,
            "--json",
        ),
    ]
    process = subprocess.Popen(
        [sys.executable, "-m", "ichlite", *map(str, words)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    until = time.monotonic() + 240
    killed = False
    while process.poll() is None and not killed and time.monotonic() < until:
        killed = bool(list(out.glob("search/trial_*/run/last.keras"))) and kill_a_worker(process)
        time.sleep(0.1)
    stdout, stderr = process.communicate(timeout=240)
    assert process.returncode == 0, stderr
    assert killed
    assert "started again" in stderr
    document = json.loads(stdout)
    assert (document["trials"], document["epochs_trained"]) == (3, 3)
    rows = rows_of(out)
    assert {row["status"] for row in rows} == {"completed"}
    assert len({row["trial"] for row in rows}) == len(rows)


def kill_a_worker(parent: subprocess.Popen[str]) -> bool:
    children = Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    for child in map(int, children):
        if b"KERASTUNER_TUNER_ID=worker-1" in Path(f"/proc/{child}/environ").read_bytes():
            os.kill(child, signal.SIGKILL)
            return True
    return False


def test_roles_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    assert role() == "alone"
    monkeypatch.setenv(ROLE_VARIABLES[0], "chief")
    with pytest.raises(UsageError, match="three environment variables"):
        role()
    for name in ROLE_VARIABLES[1:]:
        monkeypatch.setenv(name, "1")
    assert role() == "chief"
    monkeypatch.setenv(ROLE_VARIABLES[0], "worker-1")
    assert role() == "worker"


@given(
    st.floats(1e-4, 3e-2),
    st.floats(0, 0.5),
    st.sampled_from(Space().batch_sizes),
    st.integers(1, 9),
)
def test_a_recipe_is_one_that_a_command_line_says_exactly(
    learning_rate: float, dropout: float, batch_size: int, epochs: int
) -> None:
    values = {"learning_rate": learning_rate, "dropout": dropout, "batch_size": batch_size}
    recipe = Plan().recipe_of(values, epochs)
    assert float(str(recipe.learning_rate)) == recipe.learning_rate
    assert math.isclose(recipe.learning_rate, learning_rate, rel_tol=5e-3)
    assert abs(recipe.dropout - dropout) <= 0.005 + 1e-12


@pytest.mark.parametrize(
    "wrong",
    [
        lambda: Space(batch_sizes=()),
        lambda: Space(learning_rate=(1e-2, 1e-3)),
        lambda: Space(dropout=(0.5, 1.0)),
        lambda: Plan(factor=1),
        lambda: Plan(max_epochs=0),
        lambda: Plan(Recipe(schedule="cosine")),
        lambda: Plan(Recipe(loss="ldam_drw")),
        lambda: Plan(Recipe(model="sfcn"), Space(widths=True)),
        lambda: Recipe(model="sfcn", width=8),
        lambda: Recipe(expansion=0),
    ],
)
def test_what_cannot_be_searched_is_refused(wrong: Callable[[], object]) -> None:
    with pytest.raises(UsageError):
        wrong()


def test_the_verdict_says_when_nothing_better_was_found() -> None:
    assert verdict([0.9], [0.8], epochs=2, trials=5)[0]
    assert not verdict([0.8], [0.8], epochs=2, trials=5)[0]
    assert verdict([0.8], [None], epochs=2, trials=5)[0]
    # The search's own score does not decide when there are others.
    found, line = verdict([0.99, 0.7, 0.7], [0.8, 0.6, 0.9], epochs=2, trials=5)
    assert not found
    assert "nothing better" in line
    assert "higher in 1 of them" in line


def test_the_best_of_nothing_is_none() -> None:
    failed = Trial("0", "failed", 0, 0, None, 1, 1, 64, 0.01, 0.1, None, None, None, 0.9)
    assert best_trial([failed]) is None
    assert best_trial([failed, replace(failed, trial="1", status="completed")]) is not None
    assert to_markdown([]) == "|  |\n|  |\n"
