"""Define the options that commands share: each once, and those of a recipe from its fields."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import fields, is_dataclass
from functools import wraps
from inspect import Parameter, Signature, signature
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin, get_type_hints

import typer

from ichlite.option_fields import option_of, options_of
from ichlite.train.recipe import DATA, HARDWARE, OUTPUT, PANELS

Command = Callable[..., None]


def option(panel: str, *words: str, **more: Any) -> Any:
    """Return a Typer option that `--help` lists in this panel."""
    return typer.Option(*words, rich_help_panel=panel, **more)


Stores = Annotated[
    list[Path], typer.Argument(metavar="STORE...", help="Prepared stores to train on.")
]
FoldSeed = Annotated[int, option(DATA, help="Random seed by which patients are dealt to folds.")]
Devices = Annotated[
    int | None,
    option(
        HARDWARE,
        help="Number of devices, such as GPUs, that share each batch; all there are, if not given.",
    ),
]
Seed = Annotated[int, option(DATA, help="Random seed; the same one gives the same images.")]
Balance = Annotated[
    str,
    option(
        DATA,
        help="Mix of bleeds: paper (shares as in the paper's Table 1) or training (more of them "
        "epidural).",
    ),
]
Processes = Annotated[
    int, option(HARDWARE, help="Processes that work side by side; the images do not depend on it.")
]
AsJson = Annotated[
    bool, option(OUTPUT, "--json", help="Print one JSON document on stdout, for programs.")
]
PlainJson = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout, for programs.")
]
"""The same, for commands whose options are in no panels."""
Force = Annotated[
    bool,
    typer.Option(
        "--force",
        help="Analyse a series that the input check refuses, if no series of the study passes; the "
        "reasons are kept.",
    ),
]
BundleFolder = Annotated[
    Path | None,
    typer.Option(metavar="FOLDER", help="Bundle to use; the embedded one, if not given."),
]


def with_records(**without: Collection[str]) -> Callable[[Command], Command]:
    """Give a command the options of the records that it takes, in place of these parameters.

    A parameter whose type has fields of `option_fields.setting`, such as `recipe: Recipe`, gets an
    option for each of them; the command is called with the record that these make.

    Args:
        without: Of a record, by the name of its parameter, the fields that the command has no
            option for, or one of its own; in the record that it gets they have their defaults.

    Returns:
        A decorator of a command.

    Example:
        >>> from ichlite.train.recipe import Recipe
        >>> @with_records(recipe={*options_of(Recipe)} - {"loss", "gamma"})
        ... def train(recipe: Recipe) -> None:
        ...     print(recipe.loss, recipe.gamma)
        >>> list(signature(train).parameters)
        ['loss', 'gamma']
        >>> train(loss="focal", gamma=1.5)
        focal 1.5
    """

    def decorate(command: Command) -> Command:
        parameters: list[Parameter] = []
        records: dict[str, tuple[type, set[str]]] = {}
        for own in signature(command, eval_str=True).parameters.values():
            kind = own.annotation
            if isinstance(kind, type) and is_dataclass(kind):
                left_out = without.get(own.name, ())
                asked = [one for one in _parameters(kind) if one.name not in left_out]
                records[own.name] = kind, {one.name for one in asked}
                parameters += asked
            else:
                parameters.append(own.replace(kind=Parameter.KEYWORD_ONLY))

        @wraps(command)
        def run(**given: Any) -> None:
            for record, (kind, names) in records.items():
                chosen = {name: given.pop(name) for name in [*given] if name in names}
                # An option that may be repeated is None where it was not given.
                given[record] = kind(**{
                    name: tuple(one) if isinstance(one, list) else one
                    for name, one in chosen.items() if one is not None
                })  # fmt: skip
            command(**given)

        run.__signature__ = Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {one.name: one.annotation for one in parameters}
        return run

    return decorate


def _parameters(record: type) -> list[Parameter]:
    """Return a parameter for each option of a record, as Typer takes it, in the panels' order."""
    types, options = get_type_hints(record), options_of(record)
    parameters = []
    for one in fields(record):  # an instance would load numpy to be checked
        name, said = one.name, options[one.name]
        repeated = _repeated(types[name])
        words = (option_of(record, name),) if said.switch or said.word else ()
        asked = option(said.panel, *words, help=said.help, metavar=said.metavar)
        parameters.append(
            Parameter(
                name,
                Parameter.KEYWORD_ONLY,
                default=None if repeated else one.default,
                annotation=Annotated[repeated or types[name], asked],
            )
        )
    panels = (*PANELS, *(one.panel for one in options.values()))
    return sorted(parameters, key=lambda one: panels.index(options[one.name].panel))


def _repeated(kind: Any) -> Any:
    """Return the type of an option that is given once for each item of a tuple; else None."""
    for one in (kind, *get_args(kind)):
        if get_origin(one) is tuple and ... in get_args(one):
            return list[get_args(one)[0]] | None  # type: ignore[misc]
    return None
