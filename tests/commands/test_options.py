"""Commands that train have a recipe's options under its names and with its defaults."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

from ichlite.commands import reproduce, train, tune
from ichlite.commands.options import with_records
from ichlite.option_fields import option_of, options_of
from ichlite.train.recipe import PANELS, Recipe

Run = Callable[..., Any]

OWN = {
    "train": set(),
    "tune": {"batch_size", "learning_rate", "dropout"},  # ranges to search
    "reproduce": {"seed", "keep"},  # the first of several; the last epoch of a fold
}


@pytest.mark.parametrize("command", [train.train, tune.tune, reproduce.reproduce])
def test_defaults_are_the_recipes(command: Callable[..., None]) -> None:
    recipe = Recipe().as_dict()
    options = inspect.signature(command).parameters
    shared = set(options) & set(recipe) - OWN[command.__name__]
    assert len(shared) > 10
    # An option that may be repeated is None where it is not given, the recipe's an empty list.
    assert {n: options[n].default or recipe[n] for n in shared} == {n: recipe[n] for n in shared}
    if command is train.train:
        assert shared == set(recipe)


def test_a_command_is_called_with_the_recipe_of_its_options() -> None:
    seen: dict[str, Any] = {}

    @with_records(recipe=("dropout",))
    def command(out: str, recipe: Recipe, dropout: tuple[float, float] = (0.0, 0.5)) -> None:
        seen.update(out=out, recipe=recipe, dropout=dropout)

    command(out="x", loss="focal", gamma=1.5, leave_out=None, dropout=(0.1, 0.2))
    assert seen == {"out": "x", "recipe": Recipe(loss="focal", gamma=1.5), "dropout": (0.1, 0.2)}


def test_help_lists_every_argument_in_its_panel(ichlite: Run) -> None:
    text = ichlite("train", "--help").out
    panels = dict(re.findall(r"^(\w+):\n((?: +.*\n)+)", text, re.MULTILINE))
    assert [title for title in panels if title in PANELS] == list(PANELS)
    for name, option in options_of(Recipe).items():
        assert re.search(rf"^  {option_of(Recipe, name)}\b", panels[option.panel], re.MULTILINE), (
            name
        )


def test_every_help_line_of_an_argument_is_a_phrase_that_stands_alone() -> None:
    for name, option in options_of(Recipe).items():
        assert option.help.endswith("."), name
        assert not option.help.startswith(("Of ", "By ", "To ", "As ")), name
