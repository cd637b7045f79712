"""Print a command's `--help` in panels, in plain text, and say which word of a call is wrong."""

from __future__ import annotations

from typing import Any

import typer
from typer.core import TyperCommand

WRONG_CALL: type[Exception] = typer.BadParameter.__mro__[1]
"""What all faults of a call are; Typer has it from Click, or its own copy of that, by version."""


def wrong_call_words(fault: Exception) -> str | None:
    """Return what is wrong with a call, in one line; None where the call asked for help.

    Args:
        fault: A `WRONG_CALL`.
    """
    said = str(fault.format_message()) if hasattr(fault, "format_message") else str(fault)
    if said.startswith("Usage:"):
        return None
    said = " ".join(said.split()).rstrip(".")
    context = getattr(fault, "ctx", None)
    see = "" if context is None else f"; see {context.command_path} --help"
    return said[:1].lower() + said[1:] + see


_METAVARS = {"str": "NAME", "path": "PATH", "int": "N", "int range": "N", "float": "NUMBER"}
"""What help shows for the value of an option of a type; Typer's own words differ by version."""


class PanelCommand(TyperCommand):
    """A command whose help lists arguments, then options by `rich_help_panel`, then the others.

    Panels come in the order of their first option. Typer shows them with rich alone, which takes
    longer to load than everything else that a help needs.
    """

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for one in self._arguments():
            one.metavar = one.metavar or (one.name or "").upper()
        for one in self.params:
            if one.metavar is None and not getattr(one, "is_flag", False):
                one.metavar = _METAVARS.get(one.type.name)

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read the words of a call; where it is wrong, say so of the word that is meant."""
        words = list(args)
        try:
            return super().parse_args(ctx, args)
        except WRONG_CALL as fault:
            if isinstance(fault, typer.BadParameter):
                fault.param = self._really_missing(ctx, words, fault.param)
            elif hasattr(fault, "possibilities"):
                meant = self._with_initials(str(getattr(fault, "option_name", "")).lstrip("-"))
                fault.possibilities = meant or fault.possibilities
            raise

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Return `STORE... OUT`, where newer Typer has `{STORE...} {OUT}`."""
        return [one.strip("{}") for one in super().collect_usage_pieces(ctx)]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the sections of arguments and options."""
        sections: dict[str, list[tuple[str, str]]] = {"Arguments": []}
        rest: list[tuple[str, str]] = []
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is None:
                continue
            if param.param_type_name == "argument":
                sections["Arguments"].append(record)
                continue
            panel = getattr(param, "rich_help_panel", None)
            (rest if panel is None else sections.setdefault(panel, [])).append(record)
        for title, records in {**sections, "Options": rest}.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)

    def _arguments(self) -> list[Any]:
        return [one for one in self.params if one.param_type_name == "argument"]

    def _really_missing(self, ctx: Any, words: list[str], missing: Any) -> Any:
        """Return the argument that a call lacks.

        Of `STORE... OUT` a single word is taken for OUT, and STORE is said to be missing; who gave
        one word meant the first.
        """
        arguments = self._arguments()
        if missing not in arguments or missing.nargs != -1 or missing is arguments[-1]:
            return missing
        found, _, _ = self.make_parser(ctx).parse_args(args=words)
        given = found.get(arguments[-1].name)
        return arguments[-1] if isinstance(given, str) else missing

    def _with_initials(self, letters: str) -> list[str]:
        """Return the options whose words begin with these letters: `lr` is `--learning-rate`."""
        names = [name for one in self.params for name in one.opts if name.startswith("--")]
        return [
            name
            for name in names
            if "".join(word[0] for word in name.strip("-").split("-")) == letters
        ]
