"""`prepare --ray`: the store of one process, though a worker dies on the way."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.cluster.conftest import kill_worker
from tests.kaggle import make_set

from ichlite.cluster.ray_prepare import ray_engine
from ichlite.data.prepare_store import prepare_store
from ichlite.errors import StoreError

pytestmark = pytest.mark.long


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("prepare_store", "finalize_store"):
        monkeypatch.setattr(f"ichlite.data.{module}.PART_IMAGES", 2)


def test_a_worker_that_is_killed_costs_nothing(cluster: str, tmp_path: Path) -> None:
    root = make_set(tmp_path / "rsna")
    alone = prepare_store("rsna", root, tmp_path / "alone")
    killed: list[int] = []

    def kill_one(stage: str, _done: int, _total: int) -> None:
        if stage == "preparing slices" and not killed:
            killed.append(kill_worker("_apply", "IDLE"))

    with ray_engine(cluster) as engine:
        made = prepare_store("rsna", root, tmp_path / "ray", engine=engine, report=kill_one)
    assert killed
    assert made.done == 40
    assert made.description == alone.description
    for folder in ("alone", "ray"):
        assert len(list((tmp_path / folder / "parts").glob("*.h5"))) == 20
    with ray_engine("no:1") as nowhere:
        again = prepare_store("rsna", root, tmp_path / "ray", engine=nowhere)
    assert again.done == 0


def test_parts_that_are_made_elsewhere_are_noticed(
    cluster: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on a cluster whose machines do not share the folder."""
    root = make_set(tmp_path / "rsna")
    monkeypatch.setattr("ichlite.data.prepare_store.is_whole", lambda _folder, _number: False)
    with (
        ray_engine(cluster) as engine,
        pytest.raises(StoreError, match="storage that all machines share"),
    ):
        prepare_store("rsna", root, tmp_path / "out", engine=engine)


def test_results_come_in_order_and_errors_as_they_are(cluster: str) -> None:
    with ray_engine(cluster) as engine:
        assert list(engine(abs, [-3, 2, -1])) == [3, 2, 1]
        with pytest.raises(FileNotFoundError, match="nowhere"):
            list(engine(os.listdir, ["/nowhere"]))
