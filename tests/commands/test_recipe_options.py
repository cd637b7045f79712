"""Commands that train have a recipe's options under its names and with its defaults."""

from __future__ import annotations

import inspect
from collections.abc import Callable

import pytest

from ichlite.commands import reproduce, train, tune
from ichlite.commands.recipe_options import recipe_from
from ichlite.train.recipe import Recipe

FREE = {
    "train": set(),
    "tune": {"batch_size", "learning_rate", "dropout"},  # ranges to search
    "reproduce": {"seed"},  # the first of several
}


@pytest.mark.parametrize("command", [train.train, tune.tune, reproduce.reproduce])
def test_defaults_are_the_recipes(command: Callable[..., None]) -> None:
    recipe = Recipe().as_dict()
    options = inspect.signature(command).parameters
    shared = set(options) & set(recipe) - FREE[command.__name__]
    assert len(shared) > 10
    # An option that may be repeated is None where it is not given, the recipe's an empty list.
    defaults = {name: options[name].default for name in shared}
    assert {n: d or recipe[n] if recipe[n] == [] else d for n, d in defaults.items()} == {
        n: recipe[n] for n in shared
    }
    if command is train.train:
        assert set(recipe) <= set(options)


def test_arguments_become_the_recipe() -> None:
    given = {"loss": "focal", "gamma": 1.5, "out": "x", "dropout": (0.0, 0.5)}
    assert recipe_from(given, but=("dropout",)) == Recipe(loss="focal", gamma=1.5)
