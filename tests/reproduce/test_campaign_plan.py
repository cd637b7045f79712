"""The paper's grid: which runs, under which names, in which order."""

from __future__ import annotations

import pytest

from ichlite.data.join import Fold
from ichlite.errors import UnknownName, UsageError
from ichlite.reproduce.campaign_plan import paper_grid
from ichlite.train.recipe import Recipe


def test_every_run_once_and_what_tells_most_first() -> None:
    grid = paper_grid(Recipe(clipnorm=1.0), seeds=(1, 2, 3))
    names = [run.name for run in grid.runs]
    assert len(names) == len(set(names)) == 3 * 7
    assert names[:7] == [
        "light_fcn-bce-e6-s1", "light_fcn-focal-e6-s1", "light_fcn-ldam-e6-s1",
        "light_fcn-bce-e5-s1", "sfcn_depthwise-bce-e5-s1", "mobilenet_v2-bce-e5-s1",
        "sfcn-bce-e5-s1",
    ]  # fmt: skip
    assert all(run.recipe.clipnorm == 1.0 for run in grid.runs)
    ldam = grid.runs[2].recipe
    assert (ldam.model, ldam.loss, ldam.epochs, ldam.seed) == ("light_fcn", "ldam", 6, 1)


def test_a_run_of_both_comparisons_is_trained_once() -> None:
    grid = paper_grid(Recipe(), models=["light_fcn"], losses=["bce"], seeds=[4], loss_epochs=5)
    assert [run.name for run in grid.runs] == ["light_fcn-bce-e5-s4"]
    assert grid.models == grid.losses


def test_other_losses_come_after_the_papers() -> None:
    grid = paper_grid(Recipe(), models=[], losses=["asymmetric", "ldam"], seeds=[1])
    assert [group.loss for group in grid.losses] == ["ldam", "asymmetric"]


def test_folds_of_a_seed_stand_together_and_a_model_may_have_fewer_seeds() -> None:
    grid = paper_grid(
        Recipe(), models=["light_fcn", "sfcn"], losses=[], seeds=[1, 2],
        folds=[Fold(1, 2), Fold(2, 2)], seeds_of={"sfcn": 1},
    )  # fmt: skip
    assert [run.name for run in grid.runs] == [
        "light_fcn-bce-e5-s1-f1", "light_fcn-bce-e5-s1-f2", "sfcn-bce-e5-s1-f1",
        "sfcn-bce-e5-s1-f2", "light_fcn-bce-e5-s2-f1", "light_fcn-bce-e5-s2-f2",
    ]  # fmt: skip
    with pytest.raises(UnknownName, match="resnet"):
        paper_grid(Recipe(), seeds_of={"resnet": 1})


def test_unknown_names_and_seeds_are_refused() -> None:
    with pytest.raises(UnknownName, match="resnet"):
        paper_grid(Recipe(), models=["resnet"])
    with pytest.raises(UnknownName, match="mse"):
        paper_grid(Recipe(), losses=["mse"])
    for seeds in ([], [1, 1]):
        with pytest.raises(UsageError, match="seeds"):
            paper_grid(Recipe(), seeds=seeds)
