"""Training by several processes: the same run as by one, also when one of them is killed."""

from __future__ import annotations

import csv
import json
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from tests.cluster.conftest import kill_worker
from tests.made_runs import made_run
from tests.toy import make_store

from ichlite.cluster.ray_train import FOLDER, train_on_cluster
from ichlite.cluster.session import Cluster, session
from ichlite.contracts.codec import document_text
from ichlite.data.store import Store
from ichlite.errors import IchliteError, UsageError
from ichlite.train.recipe import Recipe

EPOCHS, STEPS = 2, 2
RECIPE = Recipe(
    epochs=EPOCHS, steps_per_epoch=STEPS, batch_size=4, learning_rate=0.002, dropout=0.0,
    width=2, expansion=1, head_width=4,
)  # fmt: skip


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=10)


def history(folder: Path) -> list[dict[str, str]]:
    with (folder / "history.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def kill_after_an_epoch(folder: Path, killed: list[int]) -> Thread:
    """One process of the group is killed as soon as the first epoch is saved."""

    def watch() -> None:
        until = time.monotonic() + 240
        while not (folder / "last.keras").exists() and time.monotonic() < until:
            time.sleep(0.05)
        killed.append(kill_worker("RayTrainWorker"))

    thread = Thread(target=watch, daemon=True)
    thread.start()
    return thread


@pytest.mark.long
def test_two_workers_train_as_one_does_and_survive_the_death_of_one(
    store: Store, cluster: str, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    killed: list[int] = []
    with session(cluster) as there:
        alone = train_on_cluster(RECIPE, [store.path], one, there, workers=1)
        thread = kill_after_an_epoch(two, killed)
        together = train_on_cluster(RECIPE, [store.path], two, there, workers=2)
        thread.join(10)
        assert killed
    assert alone.steps == together.steps == EPOCHS * STEPS
    assert alone.resumed_at == 0
    assert together.resumed_at in range(STEPS, EPOCHS * STEPS)
    expected, found = history(one), history(two)
    assert [row["step"] for row in found] == [row["step"] for row in expected]
    for column in ("loss", "validation_bce", "validation_mean_roc_auc"):
        np.testing.assert_allclose(
            [float(row[column]) for row in found],
            [float(row[column]) for row in expected],
            rtol=1e-3,
        )
    manifests = [json.loads((folder / "train.json").read_text()) for folder in (one, two)]
    assert manifests[0] == manifests[1]
    assert (two / "best.keras").exists()


@pytest.mark.long
def test_what_no_new_group_would_do_better_ends_the_run(
    store: Store, cluster: str, tmp_path: Path
) -> None:
    (tmp_path / "train.json").write_text(document_text(made_run(loss="ldam")))
    with session(cluster) as there, pytest.raises(UsageError, match="holds another run; found "):
        train_on_cluster(RECIPE, [store.path], tmp_path, there, workers=1)
    assert not (tmp_path / FOLDER / "done.json").exists()


def test_workers_must_fit_the_cluster_and_the_batch(store: Store, tmp_path: Path) -> None:
    there = Cluster("local", nodes=1, cpus=3, gpus=0)
    for workers in (0, 4):
        with pytest.raises(UsageError, match="1 to 3 workers"):
            train_on_cluster(RECIPE, [store.path], tmp_path, there, workers=workers)
    with pytest.raises(IchliteError, match="batch of 4 images cannot be shared by 3"):
        train_on_cluster(RECIPE, [store.path], tmp_path, there, workers=3)
    assert not list(tmp_path.iterdir())
