"""Make the options of all commands that train, from the fields of `Recipe` and from one place."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from ichlite.train.recipe import DATA, HARDWARE, OPTIONS, OUTPUT, PANELS, Recipe, option_of

Command = Callable[..., None]


def option(panel: str, *words: str, **more: Any) -> Any:
    """Return a Typer option that `--help` lists in this panel."""
    return typer.Option(*words, rich_help_panel=panel, **more)


Stores = Annotated[
    list[Path], typer.Argument(metavar="STORE...", help="Prepared stores to train on.")
]
FoldSeed = Annotated[int, option(DATA, help="Seed of the draw of folds.")]
Devices = Annotated[
    int | None, option(HARDWARE, help="Devices to share each batch; all there are, if not given.")
]
AsJson = Annotated[bool, option(OUTPUT, "--json", help="One JSON document on stdout.")]


def with_recipe(*, without: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command the options of a recipe, in place of its parameter `recipe`.

    The command is called with the `Recipe` that the options make.

    Args:
        without: Arguments of a recipe that the command has no option for, or one of its own; in
            the recipe that it gets they have their defaults.

    Returns:
        A decorator of a command with a parameter `recipe`.

    Example:
        >>> @with_recipe(without={*OPTIONS} - {"loss", "gamma"})
        ... def train(recipe: Recipe) -> None:
        ...     print(recipe.loss, recipe.gamma)
        >>> list(signature(train).parameters)
        ['loss', 'gamma']
        >>> train(loss="focal", gamma=1.5)
        focal 1.5
    """
    asked = {one.name: one for one in _parameters() if one.name not in without}

    def decorate(command: Command) -> Command:
        @wraps(command)
        def run(**given: Any) -> None:
            chosen = {name: given.pop(name) for name in [*given] if name in asked}
            # An option that may be repeated is None where it was not given.
            recipe = Recipe(**{name: one for name, one in chosen.items() if one is not None})
            command(recipe=recipe, **given)

        parameters: list[Parameter] = []
        for own in signature(command, eval_str=True).parameters.values():
            if own.name == "recipe":
                parameters += asked.values()
            else:
                parameters.append(own.replace(kind=Parameter.KEYWORD_ONLY))
        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _parameters() -> list[Parameter]:
    """Return a parameter for each field of `Recipe`, as Typer takes it, in the panels' order."""
    types = get_type_hints(Recipe)
    parameters = []
    for one in fields(Recipe):  # an instance would load numpy to be checked
        name, said = one.name, OPTIONS[one.name]
        repeated = _repeated(types[name])
        words = (option_of(name),) if said.switch or said.word else ()
        asked = option(said.panel, *words, help=said.help)
        parameters.append(
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=None if repeated else one.default,
                annotation=Annotated[repeated or types[name], asked],
            )
        )
    return sorted(parameters, key=lambda one: PANELS.index(OPTIONS[one.name].panel))


def _repeated(kind: Any) -> Any:
    """Return the type of an option that is given once for each item of a tuple; else None."""
    for one in (kind, *get_args(kind)):
        if get_origin(one) is tuple:
            return list[get_args(one)[0]] | None  # type: ignore[misc]
    return None
