"""Figure 1 is read from the model, Figure 2 chosen by its rule; every plot copes with no runs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.reproduce.synthetic import costs, summary
from tests.toy import make_store

from ichlite.data.store import Store
from ichlite.labels import NAMES
from ichlite.models import build
from ichlite.reproduce.architecture import draw_architecture, shared_steps, stages
from ichlite.reproduce.campaign_plots import plot_costs, plot_groups, plot_subtypes
from ichlite.reproduce.examples import choose_examples, draw_examples


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return make_store(tmp_path_factory.mktemp("toy") / "toys", patients=15)


def test_stages_are_the_models_own() -> None:
    found = {stage.name: stage for stage in stages(build("light_fcn"))}
    assert found["stem"].steps == ("Conv 3x3, 32, stride 2 · BN · ReLU",)
    assert found["stem"].shape == (128, 128, 32)
    assert found["block5"].steps[0] == "Conv 1x1, 512 · BN · ReLU"
    assert found["block5"].residual
    assert found["block5"].shape == (4, 4, 32)
    assert found["pool"].steps == ("Global average pool", "Dropout 0.1")
    other = {s.name: s for s in stages(build("light_fcn", expansions=(8, 24), width=6))}
    assert "block3" not in other
    assert other["block2"].steps[0] == "Conv 1x1, 24 · BN · ReLU"
    assert other["head"].shape == (32, 32, 64)


def test_shared_steps_keep_what_is_the_same() -> None:
    blocks = [stage for stage in stages(build("light_fcn")) if stage.residual]
    assert shared_steps(blocks) == (
        "Conv 1x1, E · BN · ReLU", "Depthwise 3x3 · BN · ReLU", "Conv 1x1, 32 · BN", "Add",
        "Max pool 2x2",
    )  # fmt: skip


@pytest.mark.parametrize("name", ["light_fcn", "sfcn"])
def test_architecture_is_drawn_the_same_each_time(name: str, tmp_path: Path) -> None:
    model = build(name)
    first = draw_architecture(model, tmp_path / "a.svg", name).read_bytes()
    assert first == draw_architecture(model, tmp_path / "b.svg", name).read_bytes()
    assert first.startswith(b"<?xml")


def test_examples_follow_the_rule(store: Store) -> None:
    found = choose_examples(store)
    assert [one.subtype for one in found] == list(NAMES)
    single = store.labels.sum(axis=1) == 1
    in_test = store.split == "test"
    for column, one in enumerate(found):
        positive = store.labels[:, column] == 1
        if (positive & single).any():
            assert one.alone
            assert single[one.row]
        if (positive & single & in_test).any():
            assert in_test[one.row]
        assert one.row is not None
        assert positive[one.row]
        members = np.flatnonzero(positive & (store.series == store.series[one.row]))
        assert store.position_mm[one.row] == np.sort(store.position_mm[members])[len(members) // 2]
    assert found == choose_examples(store)


def test_a_subtype_without_slices_has_no_example(store: Store, tmp_path: Path) -> None:
    labels = store.labels.copy()
    labels[:, 0] = 0
    found = choose_examples(replace(store, labels=labels))
    assert found[0].row is None
    assert draw_examples(store, found, tmp_path / "f.png").read_bytes()[:4] == b"\x89PNG"


@pytest.mark.parametrize("run", [False, True])
def test_plots(run: bool, tmp_path: Path) -> None:
    one = summary(models={"light_fcn": {}}, losses={"bce": {}}, draws=20) if run else summary()
    files = [
        plot_groups(one.losses, 5, "roc_auc", tmp_path / "losses.svg"),
        plot_groups(one.models, 2, "balanced_accuracy", tmp_path / "models.svg"),
        plot_subtypes(one, tmp_path / "subtypes.svg"),
        plot_costs(one, costs(), tmp_path / "costs.svg"),
    ]
    for file in files:
        assert file.stat().st_size > 5000
