"""Define the options of a command as the fields of the records that they make: each once.

A field states its type, default, range, option and help. The command line (`commands.options`), the
check of a record, its documentation and the words that give it again are made from that. Every
command loads this module, so that it loads next to nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from ichlite.errors import UnknownName, UsageError

Check = Callable[[Any], str | None]
"""Return what a value should have been; None where it is that."""
Record = TypeVar("Record")

_OPTION = "option"


def _any(value: Any) -> None:
    del value


@dataclass(frozen=True, slots=True)
class Option:
    """What a field of a record is on the command line.

    Attributes:
        panel: Under which `--help` lists it.
        help: Phrase that says what it is.
        check: Check of its range; None is always in range.
        choices: All its values; empty: any.
        kind: What a value is called where it is none of the choices.
        word: Its name, where it is not that of the field.
        switch: Whether it can only be turned on; other truth values have a `--no-` as well.
        metavar: What stands for its value in `--help`, where that is not the type.
    """

    panel: str
    help: str
    check: Check
    choices: tuple[str, ...] = ()
    kind: str = ""
    word: str = ""
    switch: bool = False
    metavar: str | None = None


def setting(default: Any, panel: str, phrase: str, check: Check = _any, **more: Any) -> Any:
    """Return a field of a record with its option; `more` as of `Option`."""
    return field(default=default, metadata={_OPTION: Option(panel, phrase, check, **more)})


def must(fits: Callable[[Any], bool], expected: str) -> Check:
    """Return a check of what fits, with what to say that was expected."""
    return lambda value: None if fits(value) else expected


def between(least: float, most: float) -> Check:
    """Return a check of numbers from one to another."""
    return must(lambda x: least <= x <= most, f"from {least} to {most}")


FROM_0 = must(lambda x: 0 <= x < math.inf, "at least 0")
FROM_1 = must(lambda x: x >= 1, "at least 1")
ABOVE_0 = must(lambda x: 0 < x < math.inf, "above 0")
BELOW_1 = must(lambda x: 0 <= x < 1, "at least 0 and below 1")


def options_of(kind: type) -> Mapping[str, Option]:
    """Return the option of each field of a record, in their order."""
    return {one.name: one.metadata[_OPTION] for one in fields(kind) if _OPTION in one.metadata}


def option_of(kind: type, name: str) -> str:
    """Return the option that sets a field of a record.

    Example:
        >>> from ichlite.train.recipe import Recipe
        >>> option_of(Recipe, "batch_size"), option_of(Recipe, "shares")
        ('--batch-size', '--share')
    """
    option = options_of(kind).get(name)
    return "--" + (option.word if option and option.word else name).replace("_", "-")


def check_settings(record: Any) -> None:
    """Refuse a record with a value that is out of range, or none of the choices.

    Raises:
        UnknownName: None of the choices.
        UsageError: Out of range.
    """
    for name, option in options_of(type(record)).items():
        value = getattr(record, name)
        if option.choices and value not in option.choices:
            raise UnknownName(option.kind, value, list(option.choices))
        expected = None if value is None else option.check(value)
        if expected is not None:
            raise UsageError(
                f"{option_of(type(record), name)} is out of range", found=value, expected=expected
            )


def option_words(kind: type, arguments: Mapping[str, Any]) -> list[str]:
    """Return the words of a shell command that give a record these arguments.

    Example:
        >>> from ichlite.train.recipe import Recipe
        >>> option_words(Recipe, {"clipnorm": 1.0, "augment": True, "shares": [0.5, 0.5]})
        ['--clipnorm', '1.0', '--augment', '--share', '0.5', '--share', '0.5']
    """
    words: list[str] = []
    for name, value in arguments.items():
        option = option_of(kind, name)
        if isinstance(value, bool):
            words.append(option if value else option.replace("--", "--no-", 1))
        elif isinstance(value, list | tuple):
            words += [word for one in value for word in (option, str(one))]
        else:
            words += [option, str(value)]
    return words


def changed_words(record: Any) -> list[str]:
    """Return the words that give a record again: its options that are not the default."""
    default = asdict(type(record)())
    changed = {name: value for name, value in asdict(record).items() if value != default[name]}
    return option_words(type(record), changed)


def documented(kind: type[Record]) -> type[Record]:
    """List the fields of a record, by the help of their options, in its docstring; a decorator."""
    lines = (f"        {name}: {option.help}\n" for name, option in options_of(kind).items())
    kind.__doc__ = f"{kind.__doc__}\n\n    Attributes:\n{''.join(lines)}"
    return kind
